//! Hints from the other nodes: the database passes them on where it can. None of them is needed: whoever waits also
//! looks now and then.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;

use super::connect::Target;
use super::error::Cause;
use super::moved::Moved;

/// How long is waited before the database is asked again to pass hints on.
const PAUSE: Duration = Duration::from_millis(500);

/// Listens until the store is closed; gives up where the database has no such thing.
pub(super) async fn listen(target: Target, moved: Arc<Moved>) {
    let pool = target.listening();
    loop {
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
    listener.listen("keyward").await?;
    moved.hint();
    while listener.try_recv().await?.is_some() {
        moved.hint();
    }
    // The connection was lost.
    Ok(())
}
