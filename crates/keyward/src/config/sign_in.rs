//! The settings of signing in with an OpenID provider, and of mail.

use std::path::PathBuf;

use super::{Complaint, Config};

/// The provider that people can sign in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenIdSettings {
    /// Its issuer identifier.
    pub issuer: String,
    /// What Keyward is called there.
    pub client_id: String,
    /// The file with the secret that the provider gave.
    pub client_secret_file: Option<PathBuf>,
    /// What the button calls it.
    pub title: String,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
}

/// How mail is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailSettings {
    /// To which server.
    pub server: String,
    /// Who it is from.
    pub from: String,
    /// As whom, and the file with the password.
    pub credentials: Option<(String, PathBuf)>,
}

impl Config {
    /// The provider that people can sign in with, where there is one.
    pub fn openid(&self) -> Option<OpenIdSettings> {
        Some(OpenIdSettings {
            issuer: self.given("openid.issuer")?.to_owned(),
            client_id: self.text("openid.client_id").to_owned(),
            client_secret_file: self.given("openid.client_secret_file").map(PathBuf::from),
            title: self.text("openid.title").to_owned(),
            scopes: self.text("openid.scopes").split_whitespace().map(str::to_owned).collect(),
        })
    }

    /// How mail is sent, where it is.
    pub fn mail(&self) -> Option<MailSettings> {
        let credentials = self.given("mail.username").zip(self.given("mail.password_file"));
        Some(MailSettings {
            server: self.given("mail.server")?.to_owned(),
            from: self.text("mail.from").to_owned(),
            credentials: credentials.map(|(name, path)| (name.to_owned(), path.into())),
        })
    }

    fn given(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// What is set without what it needs.
    pub(super) fn incomplete_sign_in(&self) -> Vec<Complaint> {
        let needs = [
            ("openid.issuer", "openid.client_id"),
            ("openid.issuer", "openid.title"),
            ("openid.client_id", "openid.issuer"),
            ("mail.server", "mail.from"),
            ("mail.from", "mail.server"),
            ("mail.username", "mail.password_file"),
            ("mail.password_file", "mail.username"),
        ];
        let lacking = needs.iter().filter(|(one, other)| self.given(one).is_some() && self.given(other).is_none());
        lacking.map(|(one, other)| self.complain(one, format!("needs {other}"))).collect()
    }
}
