//! The OpenID provider and the mail server of the configuration, with the secrets of their files, made ready.

use std::path::Path;
use std::sync::Arc;

use keyward_control::mail::{self, Mailer};
use keyward_control::openid::{self, OpenId};
use keyward_core::clock::Entropy;
use keyward_core::log::LogKeys;
use keyward_core::secret::Secret;

use crate::config::{Config, MailSettings, OpenIdSettings};
use crate::failure::{Doing, Outcome};
use crate::private_file;

/// The provider that people can sign in with, where there is one.
///
/// # Errors
/// Where its settings cannot be used, or the secret's file cannot be read or others can read it.
pub fn openid(config: &Config, log_keys: &Arc<LogKeys>, entropy: Arc<dyn Entropy>) -> Outcome<Option<OpenId>> {
    let Some(OpenIdSettings { issuer, client_id, client_secret_file, title, scopes }) = config.openid() else {
        return Ok(None);
    };
    let client_secret = client_secret_file.as_deref().map(secret_of).transpose()?;
    let settings = openid::OpenIdSettings { issuer, client_id, client_secret, title, scopes };
    let provider = OpenId::new(settings, Arc::clone(log_keys), entropy);
    Ok(Some(provider.doing("get ready for the OpenID provider")?))
}

/// What sends mail, where it is configured.
///
/// # Errors
/// Where its settings cannot be used, or the password's file cannot be read or others can read it.
pub fn mailer(config: &Config, entropy: Arc<dyn Entropy>) -> Outcome<Option<Mailer>> {
    let Some(MailSettings { server, from, credentials }) = config.mail() else { return Ok(None) };
    let server = server.parse().doing("read mail.server")?;
    let credentials = match credentials {
        Some((username, path)) => Some((username, secret_of(&path)?)),
        None => None,
    };
    let mailer = Mailer::new(mail::MailSettings { server, credentials, from }, entropy);
    Ok(Some(mailer.doing("get ready to send mail")?))
}

/// A secret that a file holds, without the end of its line.
fn secret_of(path: &Path) -> Outcome<Secret> {
    Ok(Secret::new(private_file::read(path)?.trim_end_matches(['\r', '\n']).to_owned()))
}
