//! The secrets that live outside the store: peppers (without which no digest can be made or tested) and the
//! keys of the log; and the key-encryption keys, under which data keys are wrapped. From one file of mode 0600, or, second best, from the environment.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use keyward_core::clock::Entropy;
use keyward_core::log::LogKeys;
use keyward_core::secret::{PepperVersion, Peppers};
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use crate::config::{Config, ENCRYPTION_KEY_VARIABLE, Environment, PEPPER_VARIABLE};
use crate::failure::{Failure, Outcome};
use crate::private_file;

/// Length in bytes of every secret that Keyward makes.
const LENGTH: usize = 32;

type Bytes = Zeroizing<Vec<u8>>;

/// A key-encryption key: its version, and its bytes.
type EncryptionKey = (u32, Zeroizing<[u8; LENGTH]>);

/// All of them. Wiped from memory when dropped; cannot be printed.
pub struct Secrets {
    peppers: Vec<(PepperVersion, Bytes)>,
    chain: Zeroizing<[u8; LENGTH]>,
    signing: Zeroizing<[u8; LENGTH]>,
    encryption: Vec<EncryptionKey>,
    /// Those that the environment has, whose ever the rest is.
    encryption_of_environment: Vec<EncryptionKey>,
    origin: Origin,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets(from {})", self.origin)
    }
}

/// Where secrets came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// Variables of the environment.
    Environment,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Environment => f.write_str("the environment"),
        }
    }
}

impl Secrets {
    /// Reads the secrets that a configuration names: the environment's where it has a pepper, else the file's.
    ///
    /// # Errors
    /// What is missing or wrong, and where; never a part of a secret.
    pub fn load(config: &Config, environment: &Environment) -> Outcome<Secrets> {
        if environment.iter().any(|(name, _)| name.starts_with(PEPPER_VARIABLE)) {
            return Self::from_environment(environment);
        }
        let path = config.secrets_file();
        if !path.exists() {
            return Err(Failure::failed(format!("there is no secrets file at {}", path.display())).advise(
                "`keyward init` makes one for a new store. A store that exists needs the file it was made with: \
                 bring it back from where you keep it.",
            ));
        }
        let secrets = Self::parse(&private_file::read(&path)?, &path)?;
        secrets.with_encryption_keys_of(environment)
    }

    /// Adds the key-encryption keys of an environment to a file's. Of one version there is one key: where two differ,
    /// nobody could tell which one others have.
    fn with_encryption_keys_of(self, environment: &Environment) -> Outcome<Secrets> {
        let encryption_of_environment = encryption_keys_in(environment)?;
        for (version, bytes) in &encryption_of_environment {
            if self.encryption.iter().any(|(other, own)| other == version && own != bytes) {
                let differs =
                    format!("{ENCRYPTION_KEY_VARIABLE}{version} is another key than {version} in {}", self.origin);
                return Err(Failure::failed(differs).advise("Unset it, or give it a version of its own."));
            }
        }
        Ok(Secrets { encryption_of_environment, ..self })
    }

    /// Makes new secrets and writes them to a new file.
    ///
    /// # Errors
    /// Where there is a file already, or it cannot be written.
    pub fn create(path: &Path, entropy: &dyn Entropy) -> Outcome<Secrets> {
        let secrets = Secrets {
            peppers: vec![(1, random(entropy))],
            chain: fixed(&random(entropy)),
            signing: fixed(&random(entropy)),
            encryption: vec![(1, fixed(&random(entropy)))],
            encryption_of_environment: Vec::new(),
            origin: Origin::File(path.to_owned()),
        };
        private_file::create(path, &secrets.text())?;
        Ok(secrets)
    }

    /// Where they came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The peppers, ready for use.
    ///
    /// # Errors
    /// Where there is none or one is too short.
    pub fn peppers(&self) -> Outcome<Peppers> {
        let peppers: Vec<_> = self.peppers.iter().map(|(version, bytes)| (*version, bytes.as_slice())).collect();
        Peppers::new(&peppers).map_err(|error| Failure::failed(format!("{}: {error}", self.origin)))
    }

    /// The keys of the log, ready for use.
    pub fn log_keys(&self) -> LogKeys {
        LogKeys::new(&self.chain, &self.signing)
    }

    /// Versions of the peppers, ascending.
    pub fn versions(&self) -> Vec<PepperVersion> {
        let mut versions: Vec<_> = self.peppers.iter().map(|(version, _)| *version).collect();
        versions.sort_unstable();
        versions
    }

    /// Adds a new pepper under the next version and writes the file.
    ///
    /// # Errors
    /// Where the secrets are not from a file, versions are used up, or it cannot be written.
    pub fn add_pepper(&mut self, entropy: &dyn Entropy) -> Outcome<PepperVersion> {
        let path = self.path(PEPPER_VARIABLE)?;
        let next = self.versions().last().map_or(Some(1), |last| last.checked_add(1));
        let next = next.ok_or_else(|| Failure::failed("version 255 is the last that a pepper can have"))?;
        self.peppers.push((next, random(entropy)));
        private_file::replace(&path, &self.text())?;
        Ok(next)
    }

    /// Takes a pepper away and writes the file.
    ///
    /// # Errors
    /// Where the secrets are not from a file, or it cannot be written.
    pub fn remove_pepper(&mut self, version: PepperVersion) -> Outcome {
        let path = self.path(PEPPER_VARIABLE)?;
        self.peppers.retain(|(other, _)| *other != version);
        private_file::replace(&path, &self.text())
    }

    /// The key-encryption keys of the file, or of the environment where everything is from there.
    pub fn encryption_keys(&self) -> impl Iterator<Item = (u32, &[u8; LENGTH])> {
        self.encryption.iter().map(|(version, bytes)| (*version, &**bytes))
    }

    /// The key-encryption keys that the environment adds to the file's.
    pub fn encryption_keys_of_environment(&self) -> impl Iterator<Item = (u32, &[u8; LENGTH])> {
        self.encryption_of_environment.iter().map(|(version, bytes)| (*version, &**bytes))
    }

    /// Versions of all key-encryption keys, ascending.
    pub fn encryption_versions(&self) -> Vec<u32> {
        let all = self.encryption_keys().chain(self.encryption_keys_of_environment());
        let mut versions: Vec<_> = all.map(|(version, _)| version).collect();
        versions.sort_unstable();
        versions.dedup();
        versions
    }

    /// Adds a new key-encryption key under the next version and writes the file.
    ///
    /// # Errors
    /// Where the secrets are not from a file, or it cannot be written.
    pub fn add_encryption_key(&mut self, entropy: &dyn Entropy) -> Outcome<u32> {
        let path = self.path(ENCRYPTION_KEY_VARIABLE)?;
        let next = self.encryption_versions().last().map_or(Some(1), |last| last.checked_add(1));
        let next = next.ok_or_else(|| Failure::failed("there is no later version of a key-encryption key"))?;
        self.encryption.push((next, fixed(&random(entropy))));
        private_file::replace(&path, &self.text())?;
        Ok(next)
    }

    /// Takes a key-encryption key away and writes the file.
    ///
    /// # Errors
    /// Where the secrets are not from a file, or it cannot be written.
    pub fn remove_encryption_key(&mut self, version: u32) -> Outcome {
        let path = self.path(ENCRYPTION_KEY_VARIABLE)?;
        self.encryption.retain(|(other, _)| *other != version);
        private_file::replace(&path, &self.text())
    }

    fn path(&self, variable: &str) -> Outcome<PathBuf> {
        match &self.origin {
            Origin::File(path) => Ok(path.clone()),
            Origin::Environment => Err(Failure::failed("the secrets come from the environment")
                .advise(format!("Set or unset {variable}<version> where the environment is made."))),
        }
    }

    fn text(&self) -> Zeroizing<String> {
        // Longer than it can become: a growing buffer would leave copies of secrets behind.
        let mut text = Zeroizing::new(String::with_capacity(16 * 1024));
        text.push_str(
            "# Keyward's secrets. Keep a copy where the store's backups are not: without this file no key can be\n\
             # checked and nothing decrypted, and whoever has it and the store can test guesses. `keyward pepper` and\n\
             # `keyward encryption-key` add and retire.\n\
             [peppers]\n",
        );
        for (version, bytes) in &self.peppers {
            text.push_str(&format!("{version} = \""));
            text.push_str(&Zeroizing::new(BASE64.encode(bytes)));
            text.push_str("\"\n");
        }
        for (name, bytes) in [("\n[log]\nchain_key", &self.chain), ("signing_key", &self.signing)] {
            text.push_str(name);
            text.push_str(" = \"");
            text.push_str(&Zeroizing::new(BASE64.encode(bytes.as_slice())));
            text.push_str("\"\n");
        }
        let encryption = if self.encryption.is_empty() { "" } else { "\n[encryption]\n" };
        text.push_str(encryption);
        for (version, bytes) in &self.encryption {
            text.push_str(&format!("{version} = \""));
            text.push_str(&Zeroizing::new(BASE64.encode(bytes.as_slice())));
            text.push_str("\"\n");
        }
        text
    }

    /// Reads what stands in a secrets file.
    ///
    /// # Errors
    /// What is missing or wrong, and where; never a part of a secret.
    pub fn parse(text: &str, path: &Path) -> Outcome<Secrets> {
        let line = |offset: usize| text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1;
        let refuse =
            |offset: usize, reason: &str| Failure::failed(format!("{}:{}: {reason}", path.display(), line(offset)));
        // The parsed values borrow from `text`, so no copy of a secret is made that is not wiped. The parser's
        // own message is not shown: it may quote what it did not understand.
        let root = DeTable::parse(text)
            .map_err(|error| refuse(error.span().map_or(0, |span| span.start), "is not TOML"))?;
        let mut found = Found::default();
        for (table, fields) in root.get_ref() {
            let DeValue::Table(fields) = fields.get_ref() else {
                return Err(refuse(table.span().start, "only [peppers], [log] and [encryption] belong here"));
            };
            for (name, value) in fields {
                let DeValue::String(value) = value.get_ref() else {
                    return Err(refuse(name.span().start, "is not a text in quotes"));
                };
                found
                    .take(table.get_ref(), name.get_ref(), value)
                    .map_err(|reason| refuse(name.span().start, &reason))?;
            }
        }
        found.complete(Origin::File(path.to_owned()))
    }

    fn from_environment(environment: &Environment) -> Outcome<Secrets> {
        let mut found = Found::default();
        for (name, value) in environment.iter() {
            let taken = match (name.strip_prefix(PEPPER_VARIABLE), name) {
                _ if name.starts_with(ENCRYPTION_KEY_VARIABLE) => {
                    found.take("encryption", &name[ENCRYPTION_KEY_VARIABLE.len()..], value)
                }
                (Some(version), _) => found.take("peppers", version, value),
                (None, "KEYWARD_LOG_CHAIN_KEY") => found.take("log", "chain_key", value),
                (None, "KEYWARD_LOG_SIGNING_KEY") => found.take("log", "signing_key", value),
                _ => Ok(()),
            };
            taken.map_err(|reason| Failure::failed(format!("{name}: {reason}")))?;
        }
        found.complete(Origin::Environment)
    }
}

/// Secrets as they are found one by one.
#[derive(Default)]
struct Found {
    peppers: Vec<(PepperVersion, Bytes)>,
    chain: Option<Zeroizing<[u8; LENGTH]>>,
    signing: Option<Zeroizing<[u8; LENGTH]>>,
    encryption: Vec<EncryptionKey>,
}

impl Found {
    fn take(&mut self, table: &str, name: &str, value: &str) -> Result<(), String> {
        let bytes = decode(value)?;
        match (table, name) {
            ("peppers", version) => {
                let version = version.parse().map_err(|_| "a pepper's version is a number from 0 to 255")?;
                self.peppers.push((version, bytes));
            }
            ("encryption", version) => self.encryption.push((kek_version(version)?, exactly(&bytes)?)),
            ("log", "chain_key") => self.chain = Some(exactly(&bytes)?),
            ("log", "signing_key") => self.signing = Some(exactly(&bytes)?),
            _ => {
                return Err(
                    "there is no such secret; there are [peppers], [encryption], and [log] chain_key and signing_key".into()
                );
            }
        }
        Ok(())
    }

    fn complete(self, origin: Origin) -> Outcome<Secrets> {
        let missing = |what: &str| Failure::failed(format!("{origin}: {what} is missing"));
        let chain = self.chain.ok_or_else(|| missing("the log's chain_key"))?;
        let signing = self.signing.ok_or_else(|| missing("the log's signing_key"))?;
        let Found { peppers, encryption, .. } = self;
        let encryption_of_environment = Vec::new();
        let secrets = Secrets { peppers, chain, signing, encryption, encryption_of_environment, origin };
        secrets.peppers()?;
        Ok(secrets)
    }
}

/// The key-encryption keys that an environment has.
fn encryption_keys_in(environment: &Environment) -> Outcome<Vec<EncryptionKey>> {
    let named = environment.iter().filter_map(|(name, value)| {
        let version = name.strip_prefix(ENCRYPTION_KEY_VARIABLE)?;
        Some((name, kek_version(version).and_then(|version| Ok((version, exactly(&decode(value)?)?)))))
    });
    named.map(|(name, read)| read.map_err(|reason| Failure::failed(format!("{name}: {reason}")))).collect()
}

fn kek_version(text: &str) -> Result<u32, String> {
    let version = text.parse().ok().filter(|version| *version > 0);
    version.ok_or_else(|| "a key-encryption key's version is a number from 1 on".into())
}

fn decode(text: &str) -> Result<Bytes, String> {
    let decoded = BASE64.decode(text.trim()).map(Zeroizing::new).map_err(|_| "is not base64")?;
    match decoded.len() {
        LENGTH.. => Ok(decoded),
        short => Err(format!("has {short} bytes; at least {LENGTH} are needed")),
    }
}

fn exactly(bytes: &[u8]) -> Result<Zeroizing<[u8; LENGTH]>, String> {
    match bytes.len() {
        LENGTH => Ok(fixed(bytes)),
        other => Err(format!("has {other} bytes; exactly {LENGTH} are needed")),
    }
}

fn fixed(bytes: &[u8]) -> Zeroizing<[u8; LENGTH]> {
    let mut all = Zeroizing::new([0; LENGTH]);
    all.copy_from_slice(&bytes[..LENGTH]);
    all
}

fn random(entropy: &dyn Entropy) -> Bytes {
    let mut bytes = Zeroizing::new(vec![0; LENGTH]);
    entropy.fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_core::clock::SystemEntropy;

    fn created() -> (tempfile::TempDir, PathBuf, Secrets) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets.toml");
        let secrets = Secrets::create(&path, &SystemEntropy).unwrap();
        (dir, path, secrets)
    }

    #[test]
    fn secrets_read_back_as_written() {
        let (_dir, path, mut made) = created();
        assert_eq!(made.add_pepper(&SystemEntropy).unwrap(), 2);
        let read = Secrets::parse(&private_file::read(&path).unwrap(), &path).unwrap();
        assert_eq!(read.versions(), [1, 2]);
        let (made, read) = (made.peppers().unwrap(), read.peppers().unwrap());
        assert_eq!((made.canary(1), made.canary(2)), (read.canary(1), read.canary(2)));
        assert!(Secrets::create(&path, &SystemEntropy).is_err());
    }

    #[test]
    fn k09_neither_debug_nor_errors_show_a_secret() {
        let (_dir, path, made) = created();
        let text = private_file::read(&path).unwrap();
        let secret = text.lines().find_map(|line| line.strip_prefix("1 = \"")).unwrap().trim_end_matches('"');
        assert!(!format!("{made:?}").contains(secret));
        for broken in [
            format!("[peppers]\n1 = {secret}\n"),
            format!("[peppers]\nx = \"{secret}\"\n"),
            format!("[pepper]\n1 = \"{secret}\"\n"),
            format!("[peppers]\n1 = \"{secret}!\"\n"),
            format!("[peppers]\n1 = \"{secret}\"\n[log]\nchain_key = \"{secret}\"\n"),
            format!("[peppers]\n1 = \"{}\"\n", &secret[..8]),
        ] {
            let refusal = Secrets::parse(&broken, &path).unwrap_err().to_string();
            assert!(!refusal.contains(&secret[..8]), "{refusal}");
        }
    }

    #[test]
    fn c05_an_environment_that_contradicts_the_file_is_refused() {
        let (_dir, path, made) = created();
        let of_file = BASE64.encode(made.encryption[0].1.as_slice());
        let other = BASE64.encode([7; LENGTH]);
        let load = |pairs: [(&'static str, &str); 1]| {
            let secrets = Secrets::parse(&private_file::read(&path).unwrap(), &path).unwrap();
            secrets.with_encryption_keys_of(&Environment::from_pairs(pairs))
        };
        assert_eq!(load([("KEYWARD_ENCRYPTION_KEY_1", &of_file)]).unwrap().encryption_versions(), [1]);
        assert_eq!(load([("KEYWARD_ENCRYPTION_KEY_2", &other)]).unwrap().encryption_versions(), [1, 2]);
        let refusal = load([("KEYWARD_ENCRYPTION_KEY_1", &other)]).unwrap_err().to_string();
        assert!(refusal.contains("KEYWARD_ENCRYPTION_KEY_1 is another key"), "{refusal}");
        assert!(!refusal.contains(&other) && !refusal.contains(&of_file));
    }

    #[test]
    fn secrets_can_come_from_the_environment_whole() {
        let text = BASE64.encode([7; LENGTH]);
        let with = |names: &[&str]| Environment::from_pairs(names.iter().map(|name| (*name, text.as_str())));
        let all = ["KEYWARD_PEPPER_3", "KEYWARD_LOG_CHAIN_KEY", "KEYWARD_LOG_SIGNING_KEY"];
        let secrets = Secrets::from_environment(&with(&all)).unwrap();
        assert_eq!(secrets.versions(), [3]);
        assert!(Secrets::from_environment(&with(&all[..2])).unwrap_err().message.contains("signing_key"));
    }
}
