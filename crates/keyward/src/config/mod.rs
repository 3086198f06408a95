//! The configuration: flags over environment over one TOML file over defaults. What is unknown, wrong or
//! unsafe is refused by name and place, all at once. Secrets are not configuration (see `secrets`).

mod environment;
mod file;
mod settings;
mod show;
mod sign_in;
mod store;
#[cfg(test)]
mod tests;
mod tls;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use keyward_control::Site;
use keyward_core::id::ApiName;

use crate::failure::{Exit, Failure, Outcome};
pub use environment::Environment;
pub use settings::{ENCRYPTION_KEY_VARIABLE, PEPPER_VARIABLE, SETTINGS};
use settings::{Setting, find};
pub use sign_in::{MailSettings, OpenIdSettings};
pub use store::Database;
pub use tls::{ListenerFiles, UpstreamFiles};
use value::{Raw, Value};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody said otherwise.
    Default,
    /// A line of a file.
    File {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1 on.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File { path, line } => write!(f, "{}:{line}", path.display()),
            Source::Environment(name) | Source::Flag(name) => f.write_str(name),
        }
    }
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Where it is wrong.
    pub source: Source,
    /// Which setting; empty where the file is no TOML.
    pub setting: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.setting.as_str() {
            "" => write!(f, "{}: {}", self.source, self.reason),
            setting => write!(f, "{}: {setting}: {}", self.source, self.reason),
        }
    }
}

/// A Valkey or Redis server that nodes share rate limits in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RatesServer {
    /// Its URL, without a password.
    pub url: String,
    /// The file with its password.
    pub password_file: Option<PathBuf>,
    /// What Keyward's keys on it begin with.
    pub prefix: String,
    /// How many nodes share, until the server has told.
    pub nodes: u32,
}

/// Flags that are settings: names of settings and what was given.
pub type Flags = Vec<(&'static str, String)>;

/// A setting's value and where it came from.
#[derive(Debug, Clone)]
struct Set {
    value: Value,
    source: Source,
}

/// The effective configuration.
#[derive(Debug, Clone)]
pub struct Config {
    values: BTreeMap<&'static str, Set>,
    /// The file that was read, where there was one.
    pub file: Option<PathBuf>,
}

impl Config {
    /// Puts the sources together.
    ///
    /// # Errors
    /// Everything that is wrong, a line each, with exit code 2.
    pub fn load(flags: &Flags, config: Option<&Path>, environment: &Environment) -> Outcome<Config> {
        Self::assemble(flags, config, environment).map_err(refusal)
    }

    fn assemble(flags: &Flags, config: Option<&Path>, environment: &Environment) -> Result<Config, Vec<Complaint>> {
        let mut complaints = environment.complaints();
        let mut values: BTreeMap<&'static str, Set> = BTreeMap::new();
        let named = config.map(Path::to_owned).or_else(|| environment.get("KEYWARD_CONFIG").map(PathBuf::from));
        let (file, given, found) = read_file(named, flags, environment);
        complaints.extend(found);
        for setting in SETTINGS {
            match effective(setting, flags, environment, &given) {
                Ok(set) => drop(values.insert(setting.name, set)),
                Err(complaint) => complaints.push(complaint),
            }
        }
        if !complaints.is_empty() {
            return Err(complaints);
        }
        let config = Config { values, file };
        match config.unsafe_combinations() {
            found if found.is_empty() => Ok(config),
            found => Err(found),
        }
    }

    /// What is right one by one and wrong together.
    fn unsafe_combinations(&self) -> Vec<Complaint> {
        let mut found = Vec::new();
        let listeners = ["control.listen", "check.listen", "gateway.listen", "ops.listen"];
        let named = listeners.iter().filter_map(|name| Some((*name, self.address(name)?)));
        let further = self.gateway_listeners().into_iter().map(|(_, address)| ("gateway.listeners", address));
        let bound: Vec<_> = named.chain(further).collect();
        for (i, (name, address)) in bound.iter().enumerate() {
            let listener = name.split('.').next().unwrap_or_default();
            let is_plain = !self.speaks_tls(listener) && !self.truth("allow_plaintext");
            if !address.ip().is_loopback() && is_plain {
                let reason = format!(
                    "{address} can be reached from elsewhere, and no TLS is spoken there: set tls.certificate_file \
                     and tls.private_key_file, or put a proxy with TLS in front and set allow_plaintext = true, or \
                     listen on 127.0.0.1"
                );
                found.push(self.complain(name, reason));
            }
            let clash = bound[..i].iter().find(|(_, other)| overlaps(*address, *other));
            if let Some((other, _)) = clash {
                let reason = format!("{address} is taken by {other}; every listener has its own port");
                found.push(self.complain(name, reason));
            }
        }
        for required in ["control.listen", "check.listen"] {
            if self.address(required).is_none() {
                found.push(self.complain(required, "cannot be empty".into()));
            }
        }
        if self.text("dir").is_empty() {
            found.push(self.complain("dir", "cannot be empty".into()));
        }
        found.extend(self.incomplete_sign_in());
        found.extend(self.incomplete_tls());
        found.extend(self.impossible_lease());
        found
    }

    fn complain(&self, name: &str, reason: String) -> Complaint {
        Complaint { source: self.source(name).clone(), setting: name.to_owned(), reason }
    }

    /// Where a setting's value came from.
    pub fn source(&self, name: &str) -> &Source {
        &self.values[name].source
    }

    fn value(&self, name: &str) -> &Value {
        &self.values[name].value
    }

    fn address(&self, name: &str) -> Option<SocketAddr> {
        match self.value(name) {
            Value::Address(address) => *address,
            _ => None,
        }
    }

    fn text(&self, name: &str) -> &str {
        match self.value(name) {
            Value::Text(text) => text,
            _ => "",
        }
    }

    fn truth(&self, name: &str) -> bool {
        matches!(self.value(name), Value::Truth(true))
    }

    fn count(&self, name: &str) -> u64 {
        match self.value(name) {
            Value::Count(count) => *count,
            _ => 0,
        }
    }

    /// The folder that holds everything.
    pub fn dir(&self) -> PathBuf {
        self.text("dir").into()
    }

    /// Where the secrets are.
    pub fn secrets_file(&self) -> PathBuf {
        match self.text("secrets.file") {
            "" => self.dir().join("secrets.toml"),
            path => path.into(),
        }
    }

    /// The control plane's address.
    pub fn control(&self) -> SocketAddr {
        self.address("control.listen").unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 7700)))
    }

    /// The check listener's address.
    pub fn check(&self) -> SocketAddr {
        self.address("check.listen").unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 7701)))
    }

    /// The gateway's address, where there is to be one.
    pub fn gateway(&self) -> Option<SocketAddr> {
        self.address("gateway.listen")
    }

    /// The address of operations, where it is not the control plane's.
    pub fn ops(&self) -> Option<SocketAddr> {
        self.address("ops.listen")
    }

    /// The API of requests that neither host nor path prefix tells.
    pub fn gateway_api(&self) -> Option<ApiName> {
        self.text("gateway.api").parse().ok()
    }

    /// Further addresses of the gateway, with the one API that each serves.
    pub fn gateway_listeners(&self) -> Vec<(ApiName, SocketAddr)> {
        match self.value("gateway.listeners") {
            Value::ApiAddresses(pairs) => pairs.clone(),
            _ => Vec::new(),
        }
    }

    /// Where APIs are behind the gateway, whatever their contracts say.
    pub fn gateway_upstreams(&self) -> Vec<(ApiName, String)> {
        match self.value("gateway.upstreams") {
            Value::ApiUrls(pairs) => pairs.clone(),
            _ => Vec::new(),
        }
    }

    /// Threads that serve the check and the gateway listeners; 0 for one a core.
    pub fn gateway_workers(&self) -> usize {
        self.count("gateway.workers") as usize
    }

    /// Networks of proxies in front of the gateway that are believed.
    pub fn trusted_proxies(&self) -> Vec<IpNet> {
        self.networks("gateway.trusted_proxies")
    }

    /// Networks beside the public internet that projects' destinations may be in.
    pub fn destination_networks(&self) -> Vec<IpNet> {
        self.networks("destinations.allowed_networks")
    }

    /// Networks of proxies that may ask on behalf of callers.
    pub fn asking_proxies(&self) -> Vec<IpNet> {
        self.networks("check.asking_proxies")
    }

    /// The file with what other proxies show instead.
    pub fn proxy_secret_file(&self) -> Option<PathBuf> {
        let path = self.text("check.proxy_secret_file");
        (!path.is_empty()).then(|| PathBuf::from(path))
    }

    fn networks(&self, name: &'static str) -> Vec<IpNet> {
        match self.value(name) {
            Value::Networks(networks) => networks.clone(),
            _ => Vec::new(),
        }
    }

    /// The most connections to the check and the gateway listener each.
    pub fn gateway_connections_max(&self) -> usize {
        self.count("gateway.connections_max") as usize
    }

    /// How long a caller of the data plane may take for a head, and make it wait for a body.
    pub fn gateway_patience(&self) -> (Duration, Duration) {
        let read = |name| Duration::from_secs(self.count(name));
        (read("gateway.header_timeout_seconds"), read("gateway.body_grace_seconds"))
    }

    /// The site that people see, given where the control plane listens. A public address is taken for one behind TLS:
    /// cookies do not travel without.
    pub fn site(&self, listens: SocketAddr) -> Site {
        // A setting that is no site was refused when it was read; an empty one is none.
        let site = Site::new(self.text("control.public_url")).unwrap_or_else(|_| self.own_site(listens));
        site.behind(self.networks("control.trusted_proxies"))
    }

    /// The address at which callers reach the gateway, given where it listens; none where nobody said so and it is not
    /// here alone.
    pub fn gateway_url(&self, listens: Option<SocketAddr>) -> Option<String> {
        let own =
            || listens.filter(|listens| listens.ip().is_loopback()).map(|listens| self.url_of("gateway", listens));
        Some(self.text("gateway.public_url").to_owned()).filter(|url| !url.is_empty()).or_else(own)
    }

    /// Where the access log is written, if there is to be one; `-` for standard output.
    pub fn access_log(&self) -> Option<PathBuf> {
        Some(self.text("access_log.file")).filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    /// Where spans are sent, and the share of requests that are traced; none where there are to be no traces.
    pub fn traces(&self) -> Option<(&str, f64)> {
        let endpoint = Some(self.text("traces.endpoint")).filter(|url| !url.is_empty())?;
        Some((endpoint, self.text("traces.sample").parse().unwrap_or(0.0)))
    }

    /// The most connections to the control plane.
    pub fn control_connections_max(&self) -> usize {
        self.count("control.connections_max") as usize
    }

    /// Requests a minute without a live management key from one network.
    pub fn failed_authentications_per_minute(&self) -> u64 {
        self.count("control.failed_authentications_per_minute")
    }

    /// Look-ups a second of made-up credentials: over all callers, and for one address.
    pub fn misses_per_second(&self) -> (u32, u32) {
        let read = |name| u32::try_from(self.count(name)).unwrap_or(u32::MAX);
        (read("verify.misses_per_second"), read("verify.misses_per_second_per_address"))
    }

    /// The server that nodes share rate limits in, the file with its password, and what keys on it begin with.
    pub fn rates(&self) -> Option<RatesServer> {
        let server = Some(self.text("rates.server")).filter(|server| !server.is_empty())?;
        let password_file = Some(self.text("rates.password_file")).filter(|path| !path.is_empty());
        Some(RatesServer {
            url: server.to_owned(),
            password_file: password_file.map(PathBuf::from),
            prefix: self.text("rates.prefix").to_owned(),
            nodes: u32::try_from(self.count("rates.nodes")).unwrap_or(u32::MAX),
        })
    }

    /// How long a node holds a data key unwrapped, and how many at most.
    pub fn data_keys_held(&self) -> (Duration, usize) {
        let most = usize::try_from(self.count("encryption.cache_keys")).unwrap_or(usize::MAX);
        (Duration::from_secs(self.count("encryption.cache_seconds")), most)
    }

    /// How long folded minutes of uses are kept, and how long counts by the hour.
    pub fn usage_kept(&self) -> (Duration, Duration) {
        let days = |name| Duration::from_secs(self.count(name) * 86_400);
        (days("usage.keep_minutes_days"), days("usage.keep_hours_days"))
    }

    /// How long a session of the dashboard may go unused.
    pub fn session_idle(&self) -> Duration {
        Duration::from_secs(self.count("sessions.idle_minutes") * 60)
    }

    /// How long a session of the dashboard lasts at most.
    pub fn session_max(&self) -> Duration {
        Duration::from_secs(self.count("sessions.hours_max") * 3_600)
    }

    /// How long a stop is told before it begins.
    pub fn notice(&self) -> Duration {
        Duration::from_secs(self.count("stop.notice_seconds"))
    }

    /// How long a stop waits for open requests.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.count("stop.drain_seconds"))
    }

    /// What to log, from `error` to `trace`.
    pub fn log_level(&self) -> &str {
        self.text("log.level")
    }

    /// Whether to log as JSON.
    pub fn logs_json(&self) -> bool {
        self.text("log.format") == "json"
    }
}

/// The folder that commands look in for `cli.toml`. The server's own configuration is not read: a mistake in it
/// must not keep anybody from revoking a key.
///
/// # Errors
/// Where the environment has a variable that means nothing.
pub fn dir_for_commands(flags: &Flags, environment: &Environment) -> Outcome<PathBuf> {
    match environment.complaints() {
        found if found.is_empty() => Ok(named_dir(flags, environment).into()),
        found => Err(refusal(found)),
    }
}

/// The folder by flag, environment or default.
fn named_dir<'a>(flags: &'a Flags, environment: &'a Environment) -> &'a str {
    let flag = flags.iter().find(|(name, _)| *name == "dir").map(|(_, dir)| dir.as_str());
    let default = find("dir").map_or("", |setting| setting.default);
    flag.or_else(|| environment.get("KEYWARD_DIR")).unwrap_or(default)
}

/// The file's settings: of the one that was named, or of the one that lies in the folder.
fn read_file(
    named: Option<PathBuf>,
    flags: &Flags,
    environment: &Environment,
) -> (Option<PathBuf>, Vec<file::Given>, Vec<Complaint>) {
    let in_dir = named.is_none();
    let path = named.unwrap_or_else(|| Path::new(named_dir(flags, environment)).join("keyward.toml"));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if in_dir && error.kind() == std::io::ErrorKind::NotFound => {
            return (None, Vec::new(), Vec::new());
        }
        Err(error) => {
            let source = Source::File { path, line: 1 };
            let reason = format!("cannot be read: {error}");
            return (None, Vec::new(), vec![Complaint { source, setting: String::new(), reason }]);
        }
    };
    let (given, mut complaints) = file::read(&path, &text);
    if let Some(given) = given.iter().find(|given| in_dir && given.name == "dir") {
        complaints.push(Complaint {
            source: given.source.clone(),
            setting: "dir".into(),
            reason: "cannot stand in a file that was found by it; use --dir, KEYWARD_DIR or --config".into(),
        });
    }
    (Some(path), given, complaints)
}

fn effective(
    setting: &'static Setting,
    flags: &Flags,
    environment: &Environment,
    given: &[file::Given],
) -> Result<Set, Complaint> {
    let flag = flags.iter().find(|(name, _)| *name == setting.name);
    let variable = setting.variable();
    let (raw, source) = if let Some((_, text)) = flag {
        (Raw::Text(text.clone()), Source::Flag(setting.flag.unwrap_or(setting.name).to_owned()))
    } else if let Some(text) = environment.get(&variable) {
        (Raw::Text(text.to_owned()), Source::Environment(variable))
    } else if let Some(given) = given.iter().find(|given| given.name == setting.name) {
        (given.raw.clone(), given.source.clone())
    } else {
        (Raw::Text(setting.default.to_owned()), Source::Default)
    };
    match setting.kind.read(&raw) {
        Ok(value) => Ok(Set { value, source }),
        Err(reason) => Err(Complaint { source, setting: setting.name.to_owned(), reason }),
    }
}

/// Whether two listeners cannot both be had. Port 0 asks the system for a free one.
fn overlaps(a: SocketAddr, b: SocketAddr) -> bool {
    let same_address = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && same_address
}

fn refusal(complaints: Vec<Complaint>) -> Failure {
    let lines: Vec<_> = complaints.iter().map(Complaint::to_string).collect();
    Failure::new(Exit::Usage, format!("the configuration is refused:\n  {}", lines.join("\n  ")))
        .advise("docs/configuration.md explains every setting.")
}
