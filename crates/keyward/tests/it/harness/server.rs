//! The real binary, started with `dev` on free ports, and the requests that stories make to it.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::blocking::{Client, Response};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What `keyward dev --json` prints.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Started {
    pub control_url: String,
    pub check_url: String,
    pub gateway_url: String,
    pub management_key: String,
    pub api: String,
    pub organization: String,
    pub project: String,
    pub key_id: String,
    pub secret: Option<String>,
    /// A link that signs the first operator in, once.
    #[serde(default)]
    pub sign_in_url: String,
}

/// A running Keyward. Killed when dropped; its folder goes with it.
pub struct Keyward {
    pub started: Started,
    child: Child,
    folder: Arc<TempDir>,
    stderr: Arc<Mutex<String>>,
    arguments: Vec<String>,
    pub http: Client,
}

/// A key that was made, with its secret.
#[derive(Debug, Clone)]
pub struct Key {
    pub id: String,
    pub secret: String,
}

/// A status and a body, read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON ({}): {}", self.status, self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Panics with the whole answer unless it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// Panics unless it is a problem document with this status and code.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Self {
        let reply = self.expect(status);
        assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{}", reply.text);
        assert_eq!(reply.json()["code"], code, "{}", reply.text);
        reply
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Reply { status, headers, text: response.text().unwrap_or_default() }
    }
}

/// The binary under test.
pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_keyward")
}

impl Keyward {
    /// A fresh one with this preset, in front of its own echo upstream.
    pub fn dev(preset: &str) -> Self {
        Self::dev_with(preset, &[])
    }

    /// The same with further arguments for `dev`.
    pub fn dev_with(preset: &str, arguments: &[&str]) -> Self {
        let mut all = vec!["--preset".to_owned(), preset.to_owned()];
        all.extend(arguments.iter().map(|a| (*a).to_owned()));
        Self::start(Arc::new(TempDir::new().unwrap()), all, &[])
    }

    /// The same with environment variables.
    pub fn dev_with_env(preset: &str, arguments: &[&str], env: &[(&str, &str)]) -> Self {
        let mut all = vec!["--preset".to_owned(), preset.to_owned()];
        all.extend(arguments.iter().map(|a| (*a).to_owned()));
        Self::start(Arc::new(TempDir::new().unwrap()), all, env)
    }

    fn start(folder: Arc<TempDir>, arguments: Vec<String>, env: &[(&str, &str)]) -> Self {
        let any = "127.0.0.1:0";
        let mut child = Command::new(binary())
            .args(["dev", "--json", "--dir"])
            .arg(folder.path().join("keyward"))
            .args(["--listen", any, "--check-listen", any, "--gateway-listen", any])
            .args(&arguments)
            .envs(env.iter().copied())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stderr = Arc::new(Mutex::new(String::new()));
        collect(child.stderr.take().unwrap(), Arc::clone(&stderr));
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let started = serde_json::from_str(&line).unwrap_or_else(|error| {
            let _ = child.wait();
            panic!("dev printed {line:?} ({error}); its stderr: {}", stderr.lock().unwrap())
        });
        collect(lines, Arc::new(Mutex::new(String::new())));
        let http = Client::builder().timeout(Duration::from_secs(30)).no_proxy().build().unwrap();
        Keyward { started, child, folder, stderr, arguments, http }
    }

    /// The folder that `dev` was told to use.
    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("keyward")
    }

    /// The temporary folder around it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What was written to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The exit code once the process has ended of itself; none while it runs.
    pub fn exit_code(&mut self) -> Option<Option<i32>> {
        self.child.try_wait().unwrap().map(|status| status.code())
    }

    /// kill -9, and wait until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop and waits for that; its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }

    /// Starts again on the same folder, after a kill or a stop.
    pub fn restart(&mut self) {
        self.restart_with_env(&[]);
    }

    /// Starts again with environment variables.
    pub fn restart_with_env(&mut self, env: &[(&str, &str)]) {
        self.kill();
        let next = Self::start(Arc::clone(&self.folder), self.arguments.clone(), env);
        *self = next;
    }

    /// Runs a command of the CLI against this server; its status, standard output and standard error.
    pub fn cli(&self, arguments: &[&str]) -> (i32, String, String) {
        self.cli_with_input(arguments, "")
    }

    /// The same with something on standard input.
    pub fn cli_with_input(&self, arguments: &[&str], input: &str) -> (i32, String, String) {
        use std::io::Write;
        let key_file = self.folder.path().join("management.key");
        std::fs::write(&key_file, &self.started.management_key).unwrap();
        std::fs::set_permissions(&key_file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let mut child = Command::new(binary())
            .args(arguments)
            .env("KEYWARD_URL", &self.started.control_url)
            .env("KEYWARD_MANAGEMENT_KEY_FILE", &key_file)
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    // ---- the control plane

    /// A management call with the key that `dev` printed.
    pub fn control(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        self.control_as(&self.started.management_key, method, path, body)
    }

    /// A management call with another key.
    pub fn control_as(&self, key: &str, method: Method, path: &str, body: Option<Value>) -> Reply {
        let mut request = self.http.request(method, format!("{}{path}", self.started.control_url)).bearer_auth(key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().unwrap().into()
    }

    pub fn get(&self, path: &str) -> Reply {
        self.control(Method::GET, path, None)
    }

    pub fn post(&self, path: &str, body: Value) -> Reply {
        self.control(Method::POST, path, Some(body))
    }

    pub fn patch(&self, path: &str, body: Value) -> Reply {
        self.control(Method::PATCH, path, Some(body))
    }

    pub fn delete(&self, path: &str) -> Reply {
        self.control(Method::DELETE, path, None)
    }

    /// The project that `dev` made.
    pub fn project(&self) -> &str {
        &self.started.project
    }

    /// The key that `dev` made.
    pub fn first_key(&self) -> Key {
        Key { id: self.started.key_id.clone(), secret: self.started.secret.clone().expect("a fresh start") }
    }

    /// Another project of the same organization and API; with the key that came with it, if one did.
    pub fn new_project(&self, name: &str) -> (String, Option<Key>) {
        let path = format!("/v1/organizations/{}/projects", self.started.organization);
        let made =
            self.post(&path, json!({"name": name, "api": self.started.api, "access": true})).expect(201).json();
        let key = made["secret"]
            .as_str()
            .map(|secret| Key { id: made["key"]["id"].as_str().unwrap().to_owned(), secret: secret.to_owned() });
        (made["project"]["id"].as_str().unwrap().to_owned(), key)
    }

    /// Another organization with a project of the same API; with the key that came with it, if one did.
    pub fn new_organization(&self, name: &str) -> (String, String, Option<Key>) {
        let made = self.post("/v1/organizations", json!({"name": name})).expect(201).json();
        let organization = made["organization"]["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/organizations/{organization}/projects");
        let made =
            self.post(&path, json!({"name": name, "api": self.started.api, "access": true})).expect(201).json();
        let key = made["secret"]
            .as_str()
            .map(|secret| Key { id: made["key"]["id"].as_str().unwrap().to_owned(), secret: secret.to_owned() });
        (organization, made["project"]["id"].as_str().unwrap().to_owned(), key)
    }

    /// Asks for a key.
    pub fn create(&self, project: &str, body: Value) -> Reply {
        self.post(&format!("/v1/projects/{project}/keys"), body)
    }

    /// Makes a key; what the contract requires has to be in `body`.
    #[track_caller]
    pub fn make(&self, project: &str, body: Value) -> Key {
        Key::of(&self.create(project, body).expect(201))
    }

    pub fn rotate(&self, key: &str, body: Value) -> Reply {
        self.post(&format!("/v1/keys/{key}/rotate"), body)
    }

    pub fn revoke(&self, key: &str) -> Reply {
        self.post(&format!("/v1/keys/{key}/revoke"), json!({"acknowledge": true}))
    }

    /// The keys of a project, newest first.
    pub fn list(&self, project: &str) -> Vec<Value> {
        let reply = self.get(&format!("/v1/projects/{project}/keys?limit=200")).expect(200);
        reply.json()["items"].as_array().unwrap().clone()
    }

    /// How many keys of a project open now.
    pub fn live(&self, project: &str) -> usize {
        let is_live = |key: &&Value| key["state"] == "active" || key["state"] == "retiring";
        self.list(project).iter().filter(is_live).count()
    }

    /// One key.
    pub fn key(&self, id: &str) -> Value {
        self.get(&format!("/v1/keys/{id}")).expect(200).json()["key"].clone()
    }

    /// Asks the check listener.
    pub fn verify(&self, body: Value) -> Reply {
        let request = self.http.post(format!("{}/v1/verify", self.started.check_url));
        request.bearer_auth(&self.started.management_key).json(&body).send().unwrap().into()
    }

    /// Whether the check listener grants this secret.
    pub fn is_valid(&self, secret: &str) -> bool {
        self.verify(json!({"key": secret})).expect(200).json()["valid"] == true
    }

    // ---- the gateway

    /// A request to the gateway with these headers.
    pub fn call(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.call_with_body(method, path, headers, None)
    }

    /// The same with a body.
    pub fn call_with_body(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Reply {
        let url = format!("{}{path}", self.started.gateway_url);
        let mut request = self.http.request(Method::from_bytes(method.as_bytes()).unwrap(), url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body.to_owned());
        }
        request.send().unwrap().into()
    }

    /// `host:port` of the gateway, for raw sockets.
    pub fn gateway_address(&self) -> String {
        address_of(&self.started.gateway_url)
    }

    /// `host:port` of the control listener.
    pub fn control_address(&self) -> String {
        address_of(&self.started.control_url)
    }

    /// `host:port` of the check listener.
    pub fn check_address(&self) -> String {
        address_of(&self.started.check_url)
    }
}

impl Key {
    /// The key of an answer to a creation or rotation.
    #[track_caller]
    pub fn of(reply: &Reply) -> Key {
        let made = reply.json();
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
        Key { id: text(&made["key"]["id"]), secret: text(&made["secret"]) }
    }
}

impl Drop for Keyward {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- keyward's stderr:\n{}", self.stderr());
        }
    }
}

fn collect(mut from: impl Read + Send + 'static, into: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(n) = from.read(&mut buffer) {
            if n == 0 {
                return;
            }
            into.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
    });
}

/// `host:port` of a URL without a path.
fn address_of(url: &str) -> String {
    url.rsplit("://").next().unwrap_or_default().trim_end_matches('/').to_owned()
}

/// Whether a status is a success.
pub fn is_success(status: u16) -> bool {
    StatusCode::from_u16(status).is_ok_and(|status| status.is_success())
}
