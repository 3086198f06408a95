//! A headless Chromium with a fresh profile, and chromedriver that drives it: started, configured, and gone when dropped.

use std::future::Future;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use reqwest::Url;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Chromium as tests want it: no GPU, nothing fetched behind our back, and no host but loopback.
const ARGUMENTS: [&str; 13] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE *.localhost",
];

/// Whether pages' scripts run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scripts {
    Run,
    Blocked,
}

/// A session with a browser of its own.
pub struct Driver {
    runtime: tokio::runtime::Runtime,
    client: Option<Client>,
    chromedriver: Child,
    folder: TempDir,
}

impl Driver {
    pub fn start(scripts: Scripts) -> Self {
        let folder = TempDir::with_prefix("keyward-browser-").unwrap();
        // Whatever a browser writes goes with the folder.
        let mut chromedriver = Command::new("chromedriver")
            .arg("--port=0")
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed: run cargo xtask test");
        let mut lines = BufReader::new(chromedriver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines
            .find_map(|line| Some(line.split_once("successfully on port ")?.1.trim_end_matches('.').to_owned()));
        std::thread::spawn(move || lines.for_each(drop));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut driver = Driver { runtime, client: None, chromedriver, folder };
        let url = format!("http://127.0.0.1:{}", port.expect("chromedriver says its port"));
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        builder.capabilities(driver.capabilities(scripts).as_object().unwrap().clone());
        driver.client = Some(driver.runtime.block_on(builder.connect(&url)).expect("Chromium starts"));
        driver
    }

    fn capabilities(&self, scripts: Scripts) -> Value {
        let mut arguments: Vec<String> = ARGUMENTS.iter().map(|&argument| argument.to_owned()).collect();
        arguments.push(format!("--user-data-dir={}", self.folder.path().join("profile").display()));
        let blocked = if scripts == Scripts::Blocked { 2 } else { 1 };
        json!({
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {
                "binary": "/usr/bin/chromium",
                "args": arguments,
                "prefs": {"profile.managed_default_content_settings.javascript": blocked},
            },
        })
    }

    /// Where the browser keeps its files.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The session, for one of its commands.
    pub fn client(&self) -> &Client {
        self.client.as_ref().unwrap()
    }

    /// Waits for a command's answer; panics where it failed.
    #[track_caller]
    pub fn wait<T, E: std::fmt::Display>(&self, command: impl Future<Output = Result<T, E>>) -> T {
        self.runtime.block_on(command).unwrap_or_else(|error| panic!("the browser: {error}"))
    }

    /// The same, the failure as a text.
    pub fn attempt<T, E: std::fmt::Display>(
        &self,
        command: impl Future<Output = Result<T, E>>,
    ) -> Result<T, String> {
        self.runtime.block_on(command).map_err(|error| error.to_string())
    }

    /// A command of the DevTools protocol.
    #[track_caller]
    pub fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        self.wait(self.client().issue_cmd(Own { path: "goog/cdp/execute", body }))
    }

    /// What the browser wrote to its log since this was last asked.
    #[track_caller]
    pub fn log(&self) -> Vec<Value> {
        let entries = self.wait(self.client().issue_cmd(Own { path: "se/log", body: json!({"type": "browser"}) }));
        entries.as_array().cloned().unwrap_or_default()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            let _ = self.runtime.block_on(client.close());
        }
        let _ = self.chromedriver.kill();
        let _ = self.chromedriver.wait();
        kill_users_of(&self.folder.path().display().to_string());
    }
}

/// Ends what still runs with our folder in its command line: a browser whose driver was lost.
fn kill_users_of(folder: &str) {
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(folder)
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

/// A command of chromedriver's own.
#[derive(Debug)]
struct Own {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, <Url as std::str::FromStr>::Err> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}
