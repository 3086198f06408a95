//! Closing after an answer that came before its request's end (a body that is too large, a head that cannot be
//! read): what the caller still sends is taken for a moment. Were the socket closed at once, the system would
//! reset the connection, and the answer could be lost before the caller reads it.

use std::net::TcpStream as StdTcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use super::caller::Caller;

/// How much is taken, and for how long at most.
const BYTES_MAX: usize = 1024 * 1024;
const TIME_MAX: Duration = Duration::from_secs(2);

/// Keeps the socket open a little longer than `stream`, which is about to be dropped.
pub(super) fn begin(stream: &TcpStream, caller: &Arc<Caller>) {
    // Where nothing runs any more, nobody can wait.
    let Ok(runtime) = Handle::try_current() else { return };
    let Ok(socket) = stream.as_fd().try_clone_to_owned() else { return };
    let counted = caller.worker.count(&caller.door);
    runtime.spawn(async move {
        if let Ok(stream) = TcpStream::from_std(StdTcpStream::from(socket)) {
            // Whether the caller ended or the time did, the connection is closed next.
            let _ = tokio::time::timeout(TIME_MAX, drain(stream)).await;
        }
        drop(counted);
    });
}

async fn drain(mut stream: TcpStream) {
    let mut buffer = vec![0; 16 * 1024];
    let mut left = BYTES_MAX;
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        left = left.saturating_sub(n);
        if left == 0 {
            return;
        }
    }
}
