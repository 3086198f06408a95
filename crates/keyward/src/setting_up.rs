//! The token that makes the first operator: told on the console and kept in a file of the folder that only the owner can
//! read, for as long as nobody is one (trust.md W12).

use std::path::Path;

use keyward_control::{Control, Site};

use crate::failure::{Doing, Outcome};
use crate::private_file;
use crate::serve::refused;

/// The file's name.
const FILE: &str = "setup-token";

/// Begins setting up where nobody is an operator: the address to go to. Else what is left of an earlier time is removed.
///
/// # Errors
/// Where the store cannot be read or the file not be written.
pub async fn begin(control: &Control, site: &Site, dir: &Path) -> Outcome<Option<String>> {
    let path = dir.join(FILE);
    match control.begin_setup().await.map_err(|error| refused("begin setting up", &error))? {
        Some(token) => {
            private_file::replace(&path, &format!("{}\n", token.expose()))?;
            Ok(Some(site.url(&format!("/setup/{}", token.expose()))))
        }
        None => {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(error).doing(format!("remove {}", path.display()))?;
                }
                _ => {}
            }
            Ok(None)
        }
    }
}
