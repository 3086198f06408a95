//! The vendors' published clients, driven by tests/clients and installed by `cargo xtask test`.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

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

/// How a published client is called, as tests/clients/README.md describes it.
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

    /// Makes one call: `{"ok", "status", "error_class", "message", "data"}`.
    #[track_caller]
    pub fn call(self) -> Value {
        self.start().call()
    }

    /// Starts the client's process, to make calls one after another.
    #[track_caller]
    pub fn start(self) -> RunningSdk {
        let launcher = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/clients/run"));
        assert!(launcher.is_file(), "the vendors' clients are not installed: run cargo xtask test");
        let mut command = Command::new(launcher);
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        command.arg(self.name).envs(self.environment);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut driver = piped.spawn().unwrap();
        let answers = BufReader::new(driver.stdout.take().unwrap());
        RunningSdk { driver, answers, given: Value::from(self.given) }
    }
}

/// A client's process. Each call builds a client anew.
pub struct RunningSdk {
    driver: Child,
    answers: BufReader<ChildStdout>,
    given: Value,
}

impl RunningSdk {
    /// Makes the call once more.
    #[track_caller]
    pub fn call(&mut self) -> Value {
        let mut answer = String::new();
        let asked = writeln!(self.driver.stdin.as_mut().unwrap(), "{}", self.given);
        let told = asked.and_then(|()| self.answers.read_line(&mut answer));
        if told.is_ok() && !answer.is_empty() {
            return serde_json::from_str(&answer).unwrap();
        }
        let mut stderr = String::new();
        self.driver.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        panic!("no answer from the client's driver: {stderr}")
    }
}

impl Drop for RunningSdk {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
