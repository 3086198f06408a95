//! Which server a command talks to, and with which management key: from flags, the environment or the
//! folder's `cli.toml`, which `init` and `dev` write. A key is never taken from an argument.

use std::io::Read;
use std::path::{Path, PathBuf};

use keyward_core::secret::Secret;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::args::Common;
use crate::config::{self, Environment};
use crate::failure::{Doing, Exit, Failure, Outcome};
use crate::private_file;

/// A server and the key to talk to it with.
#[derive(Debug)]
pub struct Target {
    /// The control plane's URL, without a slash at its end.
    pub url: String,
    /// The URL of the check listener, where it is known.
    pub check_url: Option<String>,
    /// The management key.
    pub key: Secret,
    /// The project that is meant where none is named.
    pub project: Option<String>,
    allow_plaintext: bool,
}

/// The file `cli.toml` of a folder: where its server listens, and a management key for it.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The control plane's URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The check listener's URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_url: Option<String>,
    /// The management key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub management_key: Option<String>,
    /// The project that is meant where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.management_key.zeroize();
    }
}

impl Profile {
    /// Where a folder's profile is.
    pub fn path(dir: &Path) -> PathBuf {
        dir.join("cli.toml")
    }

    /// A folder's profile; an empty one where it has none.
    ///
    /// # Errors
    /// Where it can be read by others, or is not what `init` and `dev` write.
    pub fn read(dir: &Path) -> Outcome<Profile> {
        let path = Self::path(dir);
        if !path.exists() {
            return Ok(Profile::default());
        }
        let text = private_file::read(&path)?;
        // The parser's own message may quote a key.
        toml::from_str(&text).map_err(|_| {
            Failure::failed(format!("{} is not a profile", path.display()))
                .advise("It has url, check_url, management_key and project, each a text in quotes.")
        })
    }

    /// Writes a folder's profile, readable by its owner only.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, dir: &Path) -> Outcome {
        let text = Zeroizing::new(toml::to_string(self).doing("write the profile")?);
        let text = Zeroizing::new(format!(
            "# For `keyward` commands with --dir. Holds a key: keep it private.\n{}",
            *text
        ));
        private_file::replace(&Self::path(dir), &text)
    }
}

impl Target {
    /// Finds server and key.
    ///
    /// # Errors
    /// What is missing, and where it is looked for.
    pub fn find(common: &Common, environment: &Environment) -> Outcome<Target> {
        let dir = config::dir_for_commands(&common.flags(), environment)?;
        let mut profile = Profile::read(&dir)?;
        let variable = |name: &str| environment.get(name).map(str::to_owned);
        let url = common.url.clone().or_else(|| variable("KEYWARD_URL")).or_else(|| profile.url.take());
        let url = url.ok_or_else(|| unknown("the server", "--url or KEYWARD_URL", &dir))?;
        let check_url = variable("KEYWARD_CHECK_URL").or_else(|| profile.check_url.take());
        let file = common.management_key_file.clone().or_else(|| variable("KEYWARD_MANAGEMENT_KEY_FILE"));
        let key = match file {
            Some(file) => secret_from(&file)?,
            None => profile.management_key.take().map(Secret::new).ok_or_else(|| {
                unknown("the management key", "--management-key-file or KEYWARD_MANAGEMENT_KEY_FILE", &dir)
            })?,
        };
        let allowed = variable("KEYWARD_ALLOW_PLAINTEXT").is_some_and(|value| value == "true" || value == "1");
        let allow_plaintext = common.allow_plaintext || allowed;
        let mut target = Target { url, check_url, key, project: profile.project.take(), allow_plaintext };
        target.url = target.checked(&target.url)?;
        target.check_url = target.check_url.as_deref().map(|url| target.checked(url)).transpose()?;
        Ok(target)
    }

    /// A URL that the management key may be sent to, without a slash at its end.
    ///
    /// # Errors
    /// Where it is none, or the key would cross a network in clear.
    pub fn checked(&self, url: &str) -> Outcome<String> {
        check_transport(url, self.allow_plaintext)?;
        Ok(url.trim_end_matches('/').to_owned())
    }
}

fn unknown(what: &str, sources: &str, dir: &Path) -> Failure {
    let path = Profile::path(dir);
    Failure::new(Exit::Usage, format!("{what} is not known")).advise(format!(
        "Give {sources}, or --dir with the folder of a server on this machine ({}).",
        path.display()
    ))
}

/// A secret from a file or, for `-`, from standard input.
///
/// # Errors
/// Where it cannot be read, others can read the file too, or there is nothing in it.
pub fn secret_from(file: &str) -> Outcome<Secret> {
    let text = match file {
        "-" => {
            let mut text = Zeroizing::new(String::with_capacity(4096));
            std::io::stdin().take(4096).read_to_string(&mut text).doing("read standard input")?;
            text
        }
        path => private_file::read(Path::new(path))?,
    };
    match text.trim() {
        "" => Err(Failure::usage(format!("there is no key in {file}"))),
        key => Ok(Secret::new(key.to_owned())),
    }
}

/// Refuses to send a management key in clear to another machine.
fn check_transport(url: &str, allow_plaintext: bool) -> Outcome {
    let parsed = reqwest::Url::parse(url).map_err(|error| {
        Failure::usage(format!("{url} is no URL: {error}")).advise("Write it like http://127.0.0.1:7700.")
    })?;
    let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match parsed.scheme() {
        "https" => Ok(()),
        "http" if is_here || allow_plaintext => Ok(()),
        "http" => Err(Failure::usage(format!("{url} would carry the management key in clear"))
            .advise("Use https, or --allow-plaintext where the network in between is trusted.")),
        other => Err(Failure::usage(format!("{other} is not spoken here; use http or https"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(dir: &Path, common: Common, variables: &[(&str, &str)]) -> Outcome<Target> {
        let common = Common { dir: Some(dir.display().to_string()), ..common };
        Target::find(&common, &Environment::from_pairs(variables.iter().copied()))
    }

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let profile = Profile {
            url: Some("http://127.0.0.1:1/".into()),
            check_url: None,
            management_key: Some("kwm_profile".into()),
            project: Some("proj_1".into()),
        };
        profile.write(dir.path()).unwrap();
        dir
    }

    #[test]
    fn flags_win_over_variables_over_the_profile() {
        let dir = folder();
        let found = find(dir.path(), Common::default(), &[]).unwrap();
        assert_eq!((found.url.as_str(), found.key.expose()), ("http://127.0.0.1:1", "kwm_profile"));
        assert_eq!(found.project.as_deref(), Some("proj_1"));
        let file = dir.path().join("key");
        private_file::create(&file, "kwm_file\n").unwrap();
        let variables =
            [("KEYWARD_URL", "http://127.0.0.1:2"), ("KEYWARD_MANAGEMENT_KEY_FILE", file.to_str().unwrap())];
        let found = find(dir.path(), Common::default(), &variables).unwrap();
        assert_eq!((found.url.as_str(), found.key.expose()), ("http://127.0.0.1:2", "kwm_file"));
        let flags = Common { url: Some("http://[::1]:3".into()), ..Common::default() };
        assert_eq!(find(dir.path(), flags, &variables).unwrap().url, "http://[::1]:3");
    }

    #[test]
    fn a_management_key_does_not_cross_a_network_in_clear() {
        let dir = folder();
        let to = |url: &str, allow_plaintext| {
            find(dir.path(), Common { url: Some(url.into()), allow_plaintext, ..Common::default() }, &[])
        };
        for url in
            ["http://192.0.2.1:7700", "http://keyward.example", "http://127.0.0.1.example", "ftp://127.0.0.1"]
        {
            assert_eq!(to(url, false).unwrap_err().exit, Exit::Usage, "{url}");
        }
        for url in ["https://keyward.example", "http://localhost:1", "http://[::1]:1"] {
            to(url, false).unwrap();
        }
        to("http://192.0.2.1:7700", true).unwrap();
    }

    #[test]
    fn k09_a_damaged_profile_is_not_quoted() {
        let dir = folder();
        private_file::replace(&Profile::path(dir.path()), "management_key = kwm_secret").unwrap();
        let refusal = find(dir.path(), Common::default(), &[]).unwrap_err().to_string();
        assert!(refusal.contains("is not a profile") && !refusal.contains("kwm_secret"), "{refusal}");
    }
}
