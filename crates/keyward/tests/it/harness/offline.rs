//! A folder without its server: the commands that work on it, starts that must be refused, and a look into the
//! database by another program than Keyward.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::server::{Keyward, binary};

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Panics with all of it unless it ended well.
    #[track_caller]
    pub fn expect_done(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// Panics unless it failed and said all of these.
    #[track_caller]
    pub fn expect_refused(self, words: &[&str]) -> Self {
        assert!(self.code > 0 && self.code < 100, "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "\"{word}\" is not said: {self:?}");
        }
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        self
    }

    /// What was printed, as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }
}

/// Runs the binary with a folder as its `--dir`, to its end.
pub fn run(dir: &Path, arguments: &[&str]) -> Ran {
    run_with_env(dir, arguments, &[])
}

/// The same with environment variables.
pub fn run_with_env(dir: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(binary());
    command.args(arguments).arg("--dir").arg(dir).envs(env.iter().copied()).stdin(Stdio::null());
    let output = command.current_dir(dir.parent().unwrap()).output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    Ran { code: output.status.code().unwrap_or(-1), stdout, stderr }
}

/// Tries to serve a folder that must not be served; what was said about it.
#[track_caller]
pub fn refused_start(dir: &Path, words: &[&str]) -> Ran {
    let any = "127.0.0.1:0";
    let arguments = ["serve", "--listen", any, "--check-listen", any, "--gateway-listen", any];
    // Were it to start after all, it would run until killed: the time limit makes that a failure of the test.
    let mut timed = Command::new("timeout");
    let command = timed.args(["--signal=KILL", "20"]).arg(binary()).args(arguments).arg("--dir").arg(dir);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    let ran = Ran { code: output.status.code().unwrap_or(-1), stdout, stderr };
    assert!(ran.code != 137 && ran.code != -1, "it started: {ran:?}");
    ran.expect_refused(words)
}

impl Keyward {
    /// Runs a command of the CLI on this server's folder.
    pub fn offline(&self, arguments: &[&str]) -> Ran {
        run(&self.dir(), arguments)
    }

    /// Panics unless the log of the folder is as it was written.
    #[track_caller]
    pub fn expect_log_intact(&self) {
        let verdict = self.offline(&["log", "verify", "--offline", "--json"]).expect_done().json();
        assert_eq!(verdict["result"], "intact", "{verdict}");
    }

    /// What the database's own check says; Keyward must not be running.
    #[track_caller]
    pub fn expect_database_whole(&self) {
        assert_eq!(self.sql("PRAGMA integrity_check"), ["ok"]);
    }

    /// Runs SQL on the database from outside, one statement after the other; the first column of each row of
    /// the last.
    #[track_caller]
    pub fn sql(&self, statements: &str) -> Vec<String> {
        sql(&self.dir().join("keyward.db"), statements)
    }
}

/// Runs SQL on a database, by Python's own SQLite: not by the code that wrote it.
#[track_caller]
pub fn sql(database: &Path, statements: &str) -> Vec<String> {
    let script = "import sqlite3, sys\n\
        database = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
        rows = []\n\
        for statement in sys.argv[2].split(';;'):\n    rows = database.execute(statement).fetchall()\n\
        for row in rows:\n    print(row[0].hex() if isinstance(row[0], bytes) else row[0])\n\
        database.close()\n";
    let output = Command::new("python3").arg("-c").arg(script).arg(database).arg(statements).output().unwrap();
    assert!(output.status.success(), "{statements}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) -> PathBuf {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => drop(copy_folder(&path, &target)),
            false => drop(std::fs::copy(&path, &target).unwrap()),
        }
    }
    to.to_owned()
}
