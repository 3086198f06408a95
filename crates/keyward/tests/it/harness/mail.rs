//! A real mail server (aiosmtpd, in tests/browser/python): mails sent to it are read with [`MailServer::next`].

use std::process::Command;

use serde_json::{Value, json};

use super::lines::{Lines, installed};

/// A running mail server on 127.0.0.1, without TLS. Killed when dropped.
pub struct MailServer {
    pub port: u16,
    lines: Lines,
}

/// A mail that came in, decoded.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Mail {
    /// The envelope's sender and recipients.
    pub from: String,
    pub to: Vec<String>,
    pub subject: Option<String>,
    pub text: Option<String>,
    pub html: Option<String>,
    /// As it came, headers first.
    pub raw: String,
}

impl MailServer {
    /// One that takes mail from anybody.
    pub fn start() -> Self {
        Self::start_with(&json!({}))
    }

    /// One that takes mail only after authentication.
    pub fn start_with_password(username: &str, password: &str) -> Self {
        Self::start_with(&json!({"username": username, "password": password}))
    }

    fn start_with(given: &Value) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/browser/python/mail.py");
        let mut lines = Lines::start(Command::new(installed("venv/bin/python")).arg("-B").arg(script), given);
        let port = lines.next()["port"].as_u64().unwrap().try_into().unwrap();
        MailServer { port, lines }
    }

    /// Waits for the next mail.
    #[track_caller]
    pub fn next(&mut self) -> Mail {
        serde_json::from_value(self.lines.next()).unwrap()
    }
}
