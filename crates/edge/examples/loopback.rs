//! Temporary: an edge for measuring.
#[path = "/tmp/edgebench/support/mod.rs"]
mod support;
use keyward_core::tenancy::Boundary;
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut args = std::env::args().skip(1);
    let upstream = args.next().unwrap().parse().unwrap();
    let workers: usize = args.next().unwrap().parse().unwrap();
    let node = support::Node::start_with(&support::preset_source("standard"), upstream, |o| {
        o.workers = workers;
        o.gateways[0].listener = std::net::TcpListener::bind("127.0.0.1:7701").unwrap();
        o.check = std::net::TcpListener::bind("127.0.0.1:7702").unwrap();
    })
    .await;
    let key = node.key().await;
    let management = node.management_key(&["verify"], Boundary::Everything).await;
    #[allow(clippy::print_stdout)]
    {
        println!("{} {}", key.secret, management);
    }
    std::future::pending::<()>().await;
}
