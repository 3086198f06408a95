//! The vendors' published clients, driven by tests/clients and installed by `cargo xtask test`.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Map, Value};

use super::server::Keyward;

/// Variables that the clients read: a machine's own must not reach a test.
const VARIABLES: [&str; 7] = [
    "SGAI_API_KEY",
    "SGAI_API_URL",
    "PROFOUND_API_KEY",
    "PROFOUND_BASE_URL",
    "QANAPI_API_KEY",
    "QANAPI_BASE_URL",
    "GETPROFILE_API_KEY",
];

/// One call of a published client, as tests/clients/README.md describes it.
pub struct Sdk {
    name: &'static str,
    given: Map<String, Value>,
    environment: Vec<(String, String)>,
}

impl Sdk {
    /// The client with this name in tests/clients/clients.json, pointed at this gateway.
    pub fn new(name: &'static str, keyward: &Keyward) -> Self {
        let base_url = Value::from(keyward.started.gateway_url.trim_end_matches('/'));
        Sdk { name, given: Map::from_iter([("base_url".to_owned(), base_url)]), environment: Vec::new() }
    }

    /// With a key as an argument.
    pub fn key(self, secret: &str) -> Self {
        self.given("key", secret)
    }

    /// With another field of the driver's input.
    pub fn given(mut self, name: &str, value: &str) -> Self {
        self.given.insert(name.to_owned(), value.into());
        self
    }

    /// With an environment variable.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Makes the call: `{"ok", "status", "error_class", "message", "data"}`.
    #[track_caller]
    pub fn call(self) -> Value {
        let launcher = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/clients/run"));
        assert!(launcher.is_file(), "the vendors' clients are not installed: run cargo xtask test");
        let mut command = Command::new(launcher);
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        let mut driver = command
            .arg(self.name)
            .envs(self.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        driver.stdin.take().unwrap().write_all(format!("{}\n", Value::from(self.given)).as_bytes()).unwrap();
        let output = driver.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} ended with {}: {stderr}", self.name, output.status);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{}: {error}: {stderr}", self.name))
    }
}
