//! The settings of a store that several nodes share, and of a node's place among them.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::value::without_password;
use super::{Complaint, Config, Source};

/// A PostgreSQL database that several nodes share. Its `Debug` covers the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Database {
    /// Its URL, as it was given.
    pub url: String,
    /// The file with its password, where one is named.
    pub password_file: Option<PathBuf>,
    /// How many connections a node reads by.
    pub connections: u32,
}

impl Database {
    /// Its URL for people: without the password.
    pub fn shown(&self) -> String {
        without_password(&self.url)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({})", self.shown())
    }
}

impl Config {
    /// The database that nodes share; none where this one has its store for itself, in its folder.
    pub fn database(&self) -> Option<Database> {
        let url = Some(self.text("store.url")).filter(|url| !url.is_empty())?;
        let password_file = Some(self.text("store.password_file")).filter(|path| !path.is_empty());
        Some(Database {
            url: url.to_owned(),
            password_file: password_file.map(PathBuf::from),
            connections: u32::try_from(self.count("store.connections")).unwrap_or(u32::MAX),
        })
    }

    /// Whether the database's password stands on the command line, where everybody on the machine can read it.
    pub fn shows_password(&self) -> bool {
        let url = self.text("store.url");
        matches!(self.source("store.url"), Source::Flag(_)) && without_password(url) != url
    }

    /// What people call this node.
    pub fn node_name(&self) -> String {
        match self.text("node.name") {
            "" => rustix::system::uname().nodename().to_string_lossy().into_owned(),
            name => name.to_owned(),
        }
    }

    /// How long a node's lease lasts, and how often it is renewed.
    pub fn lease(&self) -> (Duration, Duration) {
        let length = Duration::from_millis(self.count("node.lease_milliseconds"));
        let every = match self.count("node.renew_milliseconds") {
            0 => length / 5,
            millis => Duration::from_millis(millis),
        };
        (length, every)
    }

    /// A lease that would end before a late renewal can save it.
    pub(super) fn impossible_lease(&self) -> Option<Complaint> {
        let (length, every) = self.lease();
        (every > length / 3).then(|| {
            let most = length.as_millis() / 3;
            let reason = format!(
                "at most {most} for a lease of {} ms: one late renewal must not end it",
                length.as_millis()
            );
            self.complain("node.renew_milliseconds", reason)
        })
    }
}
