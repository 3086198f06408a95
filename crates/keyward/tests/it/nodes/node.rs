//! One node of a cluster: the real binary under `serve`, on the shared database by a line of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::cluster::Checker;
use super::link::Link;
use crate::harness::binary;

/// What `serve --json` prints.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Addresses {
    pub control_url: String,
    pub check_url: String,
    pub gateway_url: String,
    pub ops_url: String,
}

/// A node that runs. Killed when dropped.
pub struct Node {
    pub number: usize,
    pub link: Link,
    pub dir: PathBuf,
    pub addresses: Addresses,
    environment: Vec<(String, String)>,
    child: Child,
}

/// How a node is started.
pub struct Start<'a> {
    pub number: usize,
    pub dir: &'a Path,
    /// Where its database is, for somebody on the machine itself.
    pub port: u16,
    pub database: &'a str,
    pub environment: Vec<(String, String)>,
}

impl Node {
    /// Starts a node on any free addresses.
    pub fn start(start: Start) -> Self {
        let link = Link::to(start.port);
        let any = "127.0.0.1:0".to_owned();
        let addresses = ["--listen", "--check-listen", "--gateway-listen", "--ops-listen"];
        let arguments = addresses.iter().flat_map(|flag| [(*flag).to_owned(), any.clone()]).collect();
        let mut environment = start.environment;
        let url = format!("postgres://keyward@{}/{}?sslmode=disable", link.address, start.database);
        environment.push(("KEYWARD_STORE_URL".into(), url));
        environment.push(("KEYWARD_NODE_NAME".into(), format!("node-{}", start.number)));
        let (child, addresses) = Self::spawn(start.dir, &environment, arguments);
        Node { number: start.number, link, dir: start.dir.to_owned(), addresses, environment, child }
    }

    fn spawn(dir: &Path, environment: &[(String, String)], arguments: Vec<String>) -> (Child, Addresses) {
        let log = dir.join("stderr.log");
        let stderr = File::options().create(true).append(true).open(&log).unwrap();
        let mut child = Command::new(binary())
            .args(["serve", "--json", "--dir"])
            .arg(dir)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told: Addresses = serde_json::from_str(&line).unwrap_or_else(|_| {
            let _ = child.wait();
            panic!("serve printed {line:?}; its log: {}", std::fs::read_to_string(&log).unwrap_or_default())
        });
        (child, told)
    }

    /// Starts again where it was, after a kill or a stop.
    pub fn restart(&mut self) {
        self.kill();
        let host = |url: &str| url.trim_start_matches("http://").to_owned();
        let Addresses { control_url, check_url, gateway_url, ops_url } = &self.addresses;
        let flags = [
            ("--listen", control_url),
            ("--check-listen", check_url),
            ("--gateway-listen", gateway_url),
            ("--ops-listen", ops_url),
        ];
        let arguments = flags.iter().flat_map(|(flag, url)| [(*flag).to_owned(), host(url)]).collect();
        (self.child, self.addresses) = Self::spawn(&self.dir, &self.environment, arguments);
    }

    /// The same with further variables of the environment.
    pub fn restart_with(&mut self, more: &[(&str, &str)]) {
        self.environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.restart();
    }

    /// What it wrote to its log, over all its starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("stderr.log")).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Stops it in its tracks (SIGSTOP).
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// kill -9, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop and waits for that; its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.child.wait().unwrap().code()
    }

    /// A kept connection to its check listener.
    pub fn checker(&self) -> Checker {
        Checker::at(self.addresses.check_url.trim_start_matches("http://"))
    }

    /// What `/readyz` says: the status and the body; none where it does not answer.
    pub fn readiness(&self) -> Option<(u16, Value)> {
        let client = reqwest::blocking::Client::builder().timeout(std::time::Duration::from_secs(2)).no_proxy();
        let answer = client.build().unwrap().get(format!("{}/readyz", self.addresses.ops_url)).send().ok()?;
        Some((answer.status().as_u16(), answer.json().ok()?))
    }

    /// The value of a metric without labels, or of its first line.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let text = reqwest::blocking::get(format!("{}/metrics", self.addresses.ops_url)).ok()?.text().ok()?;
        let line =
            text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])))?;
        line.rsplit(' ').next()?.parse().ok()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("--- the end of node {}'s log:", self.number);
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}
