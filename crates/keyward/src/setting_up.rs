//! The token that makes the first operator: told on the console and kept in a file of the folder that only the owner can
//! read, for as long as nobody is one (trust.md W12).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keyward_control::{Control, ControlError, Site};
use keyward_core::secret::Secret;

use crate::failure::{Doing, Outcome};
use crate::private_file;
use crate::serve::refused;

/// The file's name.
const FILE: &str = "setup-token";

/// How often it is looked whether the token still opens anything.
const LOOKED_AFTER: Duration = Duration::from_secs(2);

/// Setting up that has begun.
pub struct Begun {
    /// Where one becomes the first operator.
    pub url: String,
    token: Secret,
}

/// Begins setting up where nobody is an operator. Else what is left of an earlier time is removed.
///
/// # Errors
/// Where the store cannot be read or the file not be written.
pub async fn begin(control: &Control, site: &Site, dir: &Path) -> Outcome<Option<Begun>> {
    let path = dir.join(FILE);
    match control.begin_setup().await.map_err(|error| refused("begin setting up", &error))? {
        Some(token) => {
            private_file::replace(&path, &format!("{}\n", token.expose()))?;
            Ok(Some(Begun { url: site.url(&format!("/setup/{}", token.expose())), token }))
        }
        None => {
            remove(&path)?;
            Ok(None)
        }
    }
}

/// Removes the token's file once the token opens nothing any more: somebody is an operator, or its day is over.
pub async fn tidy_up(control: Arc<Control>, dir: PathBuf, begun: Begun) {
    let path = dir.join(FILE);
    loop {
        tokio::time::sleep(LOOKED_AFTER).await;
        // Where the store cannot be read just now, the next look tells.
        if matches!(control.look_at_setup(begun.token.expose()).await, Err(ControlError::NotFound)) {
            if let Err(error) = remove(&path) {
                tracing::warn!(%error, "the file of the setup token stays, and opens nothing");
            }
            return;
        }
    }
}

fn remove(path: &Path) -> Outcome {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).doing(format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
