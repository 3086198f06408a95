//! A helper process of tests/browser that speaks JSON lines: what it was started with, what it answers.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A running helper. Killed when dropped.
pub struct Lines {
    child: Child,
    answers: BufReader<ChildStdout>,
}

/// A file under `target/browser`, which `cargo xtask test` fills.
pub fn installed(path: &str) -> PathBuf {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/browser")).join(path);
    assert!(path.exists(), "{} is not installed: run cargo xtask test", path.display());
    path
}

impl Lines {
    /// Starts the command and gives it its first line.
    pub fn start(command: &mut Command, first: &Value) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut lines = Lines { child, answers };
        lines.tell(first);
        lines
    }

    /// Gives it a line.
    pub fn tell(&mut self, line: &Value) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Waits for its next line.
    #[track_caller]
    pub fn next(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("the helper said {line:?}: run it by hand"))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
