//! A fresh folder made by `init` and served by `serve`, as in production: nobody is an operator yet.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::offline;
use super::server::binary;

/// A running server without an operator. Killed when dropped.
pub struct Serving {
    /// Where the dashboard is.
    pub url: String,
    /// The link that makes the first operator; none where there is one.
    pub setup_url: Option<String>,
    child: Child,
    folder: TempDir,
}

impl Serving {
    pub fn fresh() -> Self {
        let folder = TempDir::new().unwrap();
        offline::run(&folder.path().join("keyward"), &["init"]).expect_done();
        Self::start(folder)
    }

    fn start(folder: TempDir) -> Self {
        let any = "127.0.0.1:0";
        let mut child = Command::new(binary())
            .args(["serve", "--json", "--listen", any, "--check-listen", any, "--gateway-listen", any, "--dir"])
            .arg(folder.path().join("keyward"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let told: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| {
            let mut stderr = String::new();
            child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
            panic!("serve printed {line:?}; its stderr: {stderr}")
        });
        let mut stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        let text = |field: &str| told[field].as_str().map(str::to_owned);
        Serving { url: text("control_url").unwrap(), setup_url: text("setup_url"), child, folder }
    }

    /// The folder that is served.
    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("keyward")
    }

    /// Kills it and starts it again on the same folder.
    pub fn restarted(mut self) -> Self {
        self.end();
        let folder = std::mem::replace(&mut self.folder, TempDir::new().unwrap());
        Self::start(folder)
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.end();
    }
}
