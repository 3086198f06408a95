//! What nodes of earlier runs held of quotas, and never gave back.

use sqlx::Executor;

use super::Connection;
use super::error::Cause;
use super::sql::batch::roll_back;
use super::sql::quotas::settle;

/// Counts as spent what nodes of earlier runs held, and never gave back.
///
/// Whoever opens the embedded store for writing holds its lock: no node of an earlier run is left. One that
/// ended in order gave back what it had; what another had left went with its memory, and how much of it was
/// spent before nobody knows. Given out again, some of it would be spent twice.
///
/// Where there is no room to write that down, it stays as held by others: nobody gets those units either, and
/// the next start tries again.
pub(super) async fn settle_earlier_runs(connection: &mut Connection) -> sqlx::Result<()> {
    connection.execute("BEGIN IMMEDIATE").await?;
    let settled = match settle(connection).await {
        Ok(lost) => connection.execute("COMMIT").await.map(|_| lost),
        Err(error) => Err(error),
    };
    match settled {
        Ok(0) => Ok(()),
        Ok(blocks) => {
            tracing::info!(blocks, "blocks of quotas that an earlier run did not give back count as spent");
            Ok(())
        }
        Err(error) => {
            roll_back(connection).await;
            if Cause::of(&error) != Cause::Full {
                return Err(error);
            }
            tracing::warn!(%error, "blocks of quotas of an earlier run stay held until a start finds room");
            Ok(())
        }
    }
}
