//! The task that keeps the connection: beats once a second while it is there, and tries to get it back, a few times
//! a second, while it is not. The only one that ever connects.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Inner;
use super::breaker::count;
use super::link::{Failure, Link};

/// How often a node says that it is there.
const BEAT: Duration = Duration::from_secs(1);
/// How long a beat may take. Longer than a request waits: a beat that is a little late harms nobody.
const BEAT_WAIT: Duration = Duration::from_millis(250);
/// How long to try one connection: names, TLS and greetings included.
const CONNECT_WAIT: Duration = Duration::from_secs(1);
/// The shortest and the longest time between two tries, in milliseconds.
const PAUSE: std::ops::Range<u64> = 250..500;

/// Keeps the connection until `stop`, then says that the node is gone.
pub(super) async fn run(inner: Arc<Inner>, stop: CancellationToken) {
    stop.run_until_cancelled(keep(&inner)).await;
    if let Some(link) = inner.breaker.retire() {
        // Without it the node counts for a few seconds more.
        let left = timeout(inner.options.timeout, link.leave(&inner.options.prefix, &inner.name));
        if let Ok(Err(error)) = left.await {
            tracing::debug!(%error, "the node could not be taken off the list of nodes that share counters");
        }
    }
}

async fn keep(inner: &Inner) {
    let mut tries = 0;
    loop {
        match inner.breaker.link() {
            Some(link) => {
                // A server that fails again and again is not met by a new connection each time at once.
                tries = 1;
                tokio::select! {
                    () = inner.breaker.opened() => {}
                    () = tokio::time::sleep(BEAT) => beat(inner, &link).await,
                }
            }
            None => {
                if tries > 0 {
                    tokio::time::sleep(pause(inner.options.node, tries)).await;
                }
                attempt(inner, tries).await;
                tries += 1;
            }
        }
    }
}

/// Tries to connect; the breaker closes only when the server takes a write as fast as requests will need it.
async fn attempt(inner: &Inner, tries: u64) {
    match timeout(CONNECT_WAIT, connected(inner)).await.unwrap_or(Err(Failure::Late)) {
        Ok(link) => {
            inner.breaker.close(link);
            tracing::info!(server = %inner.server, nodes = inner.nodes.count(), "rate counters are shared");
        }
        Err(error) => {
            count(&error);
            if tries == 0 {
                tracing::warn!(server = %inner.server, %error, "the shared rate counters cannot be reached; trying on");
            } else {
                tracing::debug!(server = %inner.server, %error, tries, "still no shared rate counters");
            }
        }
    }
}

async fn connected(inner: &Inner) -> Result<Link, Failure> {
    let link = Link::open(&inner.client).await?;
    let beat = timeout(inner.options.timeout, link.beat(&inner.options.prefix, &inner.name));
    inner.nodes.note(beat.await.unwrap_or(Err(Failure::Late))?);
    Ok(link)
}

async fn beat(inner: &Inner, link: &Arc<Link>) {
    let beat = timeout(BEAT_WAIT, link.beat(&inner.options.prefix, &inner.name));
    match beat.await.unwrap_or(Err(Failure::Late)) {
        Ok(beat) => inner.nodes.note(beat),
        Err(error) => inner.breaker.open(link, &error),
    }
}

/// How long to wait before the next try: another time for each node and try, so that a server that comes back is
/// not met by all nodes at once.
fn pause(node: u128, tries: u64) -> Duration {
    let mixed = ((node >> 64) as u64 ^ node as u64).wrapping_add(tries).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    Duration::from_millis(PAUSE.start + (mixed >> 32) % (PAUSE.end - PAUSE.start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_spread() {
        let pauses: std::collections::BTreeSet<_> =
            (0..8).flat_map(|node| (1..5).map(move |tries| pause(node << 70, tries))).collect();
        assert!(pauses.len() > 24, "{pauses:?}");
        let bounds = Duration::from_millis(PAUSE.start)..Duration::from_millis(PAUSE.end);
        assert!(pauses.iter().all(|pause| bounds.contains(pause)), "{pauses:?}");
    }
}
