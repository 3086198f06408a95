//! What every story starts with: [`Keyward`] (the real binary on free ports in a temporary folder),
//! [`Upstream`] (an API behind the gateway that remembers what reached it), and [`raw`] (bytes on a socket).
//! [`Request`] is a request that can be repeated, [`Sdk`] a vendor's published client, [`Terms`] a contract as
//! its text says it; [`OpenIdProvider`] and [`MailServer`] are real ones; `curl` runs documented curl lines.

mod caller;
pub mod contract;
mod curl;
mod faults;
mod limits;
mod lines;
mod mail;
pub mod offline;
pub mod openid;
mod operations;
pub mod person;
pub mod raw;
mod request;
mod sdk;
mod server;
mod serving;
pub mod traces;
mod upstream;
mod writers;

pub use caller::Caller;
pub use contract::{Place, Terms};
pub use curl::curl;
pub use faults::Faults;
pub use lines::installed;
pub use mail::MailServer;
pub use openid::OpenIdProvider;
pub use operations::{Ids, Operation};
pub use person::Person;
pub use request::{Refused, Request};
pub use sdk::Sdk;
pub use server::{Key, Keyward, Reply, binary};
pub use serving::Serving;
pub use upstream::{Scripted, Seen, Upstream};
pub use writers::{Acked, Writers};

use std::time::{Duration, Instant};

/// Waits until `condition` gives something, looking every few milliseconds; panics with `what` after ten
/// seconds. For states that come about of themselves, never in place of an answer that can be waited for.
#[track_caller]
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within ten seconds: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A moment this many seconds from now, as RFC 3339.
pub fn in_seconds(seconds: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    keyward_core::clock::Timestamp::from_millis(now + seconds * 1000).to_string()
}
