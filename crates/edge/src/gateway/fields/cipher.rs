//! Fields put under a project's data key and out of it. The project is the one whose key was granted: nothing that a
//! request says changes which.

use std::sync::Arc;

use keyward_core::clock::Entropy;
use keyward_core::data_key::{DataKey, DataKeyId, FieldContext, Sealed};
use keyward_core::denial::Refusal;
use keyward_core::id::ProjectId;
use keyward_verify::{Engine, NoDataKey};

use super::named::Mode;
use crate::encryption::transform::{Field, Unfit};

/// How many data keys one request keeps at hand; a document seldom has ciphertexts of more.
const KEPT_MAX: usize = 8;

/// One request's way of encrypting or decrypting.
pub(crate) struct Cipher {
    mode: Mode,
    marker: Arc<str>,
    project: ProjectId,
    /// The one that encrypts; or those that ciphertexts asked for.
    keys: Vec<Arc<DataKey>>,
    entropy: Arc<dyn Entropy>,
}

/// What became of a field.
#[derive(Debug)]
pub(crate) enum Replaced {
    /// What is to stand in its place was put out.
    Done,
    /// The key with this id must be had first.
    Needs(DataKeyId),
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cipher({:?} for {})", self.mode, self.project)
    }
}

impl Cipher {
    /// Makes one ready; where it is to encrypt, the project's current data key is got.
    pub async fn of(
        engine: &Engine,
        (mode, marker): (Mode, &str),
        project: ProjectId,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, Refusal> {
        let mut keys = Vec::new();
        if mode == Mode::Encrypt {
            keys.push(engine.current_data_key(project).await.map_err(|_| Refusal::Unavailable)?);
        }
        Ok(Cipher { mode, marker: marker.into(), project, keys, entropy })
    }

    /// Whose it is.
    pub fn project(&self) -> ProjectId {
        self.project
    }

    /// Puts out what is to stand in a field's place, where the key for it is at hand.
    pub fn replace(&self, field: &Field, out: &mut Vec<u8>) -> Result<Replaced, Unfit> {
        let context = FieldContext { marker: &self.marker, path: &field.path };
        match self.mode {
            Mode::Encrypt => {
                let Some(key) = self.keys.first() else { return Err(Refusal::Unavailable.into()) };
                let sealed = key.seal(context, &field.value, &*self.entropy);
                // Letters, digits and signs that no JSON string escapes.
                out.reserve(sealed.len() + 2);
                out.push(b'"');
                out.extend_from_slice(sealed.as_bytes());
                out.push(b'"');
                Ok(Replaced::Done)
            }
            Mode::Decrypt => {
                let cannot = || Unfit::field(Refusal::CannotDecrypt, &field.path);
                let text: String = serde_json::from_slice(&field.value).map_err(|_| cannot())?;
                let sealed = Sealed::parse(&text, &self.marker).map_err(|_| cannot())?;
                let Some(key) = self.keys.iter().find(|key| key.id() == sealed.key_id()) else {
                    return Ok(Replaced::Needs(sealed.key_id()));
                };
                let opened = key.open(context, &sealed).map_err(|_| cannot())?;
                out.extend_from_slice(&opened);
                Ok(Replaced::Done)
            }
        }
    }

    /// Keeps a key that was needed, or tells why it cannot be had: a caller learns no more than that the field cannot be
    /// decrypted, but for what may be better in a moment.
    pub fn keep(&mut self, got: Result<Arc<DataKey>, NoDataKey>, field: &Field) -> Result<(), Unfit> {
        match got {
            Ok(key) => {
                if self.keys.len() == KEPT_MAX {
                    self.keys.remove(0);
                }
                self.keys.push(key);
                Ok(())
            }
            Err(NoDataKey::Unavailable) => Err(Refusal::Unavailable.into()),
            Err(NoDataKey::Unknown | NoDataKey::Shredded) => Err(Unfit::field(Refusal::CannotDecrypt, &field.path)),
        }
    }
}
