//! Hints from the other nodes: the database passes them on where it can. None of them is needed: whoever waits also
//! looks now and then.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Executor;
use sqlx::postgres::PgListener;
use tokio::time::timeout;

use super::connect::{Target, too_slow};
use super::error::Cause;
use super::moved::Moved;

/// How long is waited before the database is asked again to pass hints on.
const PAUSE: Duration = Duration::from_millis(500);

/// After how long without a hint the connection is asked whether it is still there.
const ASK_AFTER: Duration = Duration::from_secs(10);
/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// Listens until the store is closed; gives up where the database has no such thing.
pub(super) async fn listen(target: Target, moved: Arc<Moved>) {
    loop {
        // Another pool each time: the last one's only place may still be taken by a connection whose host is gone.
        let pool = target.listening();
        match session(&pool, &moved).await {
            Err(error) if Cause::of(&error) == Cause::NoSuchThing => return,
            Err(error) => tracing::debug!(%error, "hints from other nodes are not heard"),
            Ok(()) => {}
        }
        // What was missed meanwhile is unknown.
        moved.hint();
        tokio::time::sleep(PAUSE).await;
    }
}

async fn session(pool: &sqlx::PgPool, moved: &Moved) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    timeout(ANSWER, listener.listen("keyward")).await.map_err(|_| too_slow("listening"))??;
    moved.hint();
    loop {
        match timeout(ASK_AFTER, listener.try_recv()).await {
            Ok(heard) => match heard? {
                Some(_) => moved.hint(),
                // The connection was lost.
                None => return Ok(()),
            },
            // A host that is gone says nothing either. What is heard meanwhile is kept for the next turn.
            Err(_) => {
                let asked = timeout(ANSWER, listener.execute("SELECT 1")).await;
                asked.map_err(|_| too_slow("listening"))??;
            }
        }
    }
}
