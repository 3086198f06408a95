//! Answering those who share a transaction: each gets their own outcome, and each outcome is counted.

use keyward_core::store::{Result, StoreError};
use tokio::sync::oneshot;

/// Where an answer goes.
pub(crate) type Answer<T> = oneshot::Sender<Result<T>>;

/// Answers everybody, and counts how it ended for each.
pub(crate) fn answer_all<T>(answers: Vec<Answer<T>>, outcomes: Result<Vec<Result<T>>>, counter: &'static str) {
    let mut outcomes = match outcomes {
        Ok(outcomes) => Ok(outcomes.into_iter()),
        Err(error) => Err(error),
    };
    for answer in answers {
        let outcome = match &mut outcomes {
            Ok(outcomes) => outcomes
                .next()
                .unwrap_or_else(|| Err(StoreError::Unknown("the writer lost count of what was asked".into()))),
            Err(error) => Err(repeat(error)),
        };
        metrics::counter!(counter, "outcome" => word(&outcome)).increment(1);
        let _ = answer.send(outcome);
    }
}

fn word<T>(outcome: &Result<T>) -> &'static str {
    match outcome {
        Ok(_) => "done",
        Err(StoreError::Conflict(_)) => "conflict",
        Err(StoreError::Replayed(_)) => "replayed",
        Err(StoreError::Full(_)) => "full",
        Err(StoreError::Unknown(_)) => "unknown",
        Err(StoreError::Unavailable(_)) => "unavailable",
        Err(StoreError::Damaged(_)) => "damaged",
    }
}

/// The same failure once more, for the next one in a batch.
pub(crate) fn repeat(error: &StoreError) -> StoreError {
    match error {
        StoreError::Conflict(expect) => StoreError::Conflict(expect.clone()),
        StoreError::Replayed(record) => StoreError::Replayed(record.clone()),
        StoreError::Full(text) => StoreError::Full(text.clone()),
        StoreError::Unknown(text) => StoreError::Unknown(text.clone()),
        StoreError::Unavailable(text) => StoreError::Unavailable(text.clone()),
        StoreError::Damaged(text) => StoreError::Damaged(text.clone()),
    }
}
