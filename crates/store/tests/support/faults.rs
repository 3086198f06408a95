//! Tests that run under the shim `faults/io_faults.c`: a test starts itself again with the shim loaded, and
//! tells it by a file which calls are to fail.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/io_faults.c");

/// The rules of a process that runs under the shim.
pub struct Faults {
    rules: PathBuf,
}

impl Faults {
    /// The rules of this process, where it runs under the shim.
    pub fn here() -> Option<Self> {
        std::env::var_os("IO_FAULTS").map(|rules| Faults { rules: rules.into() })
    }

    /// From now on, calls fail by these rules.
    pub fn set(&self, rules: &str) {
        write_rules(&self.rules, rules);
    }

    /// From now on, no call fails.
    pub fn clear(&self) {
        self.set("");
    }
}

fn write_rules(path: &Path, rules: &str) {
    let draft = path.with_extension("new");
    std::fs::write(&draft, rules).unwrap();
    std::fs::rename(&draft, path).unwrap();
}

/// Builds the shim. Each process builds its own, so that tests may run at the same time.
fn shim() -> PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    BUILT
        .get_or_init(|| {
            let library =
                Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("io_faults.{}.so", std::process::id()));
            let built = Command::new("cc")
                .args(["-shared", "-fPIC", "-O1", "-Wall", "-o"])
                .arg(&library)
                .args([SOURCE, "-ldl", "-lpthread"])
                .status()
                .expect("a C compiler named cc");
            assert!(built.success());
            library
        })
        .clone()
}

/// Runs the test named `test` of this program again, under the shim and these rules. `dir` is handed on to
/// it as [`dir_of_child`].
pub fn again(test: &str, dir: &Path, rules: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules");
    write_rules(&file, rules);
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env("LD_PRELOAD", shim())
        .env("IO_FAULTS", &file)
        .env("KEYWARD_TEST_DIR", dir)
        .output()
        .unwrap()
}

/// The folder that a test started again works in.
pub fn dir_of_child() -> PathBuf {
    std::env::var_os("KEYWARD_TEST_DIR").expect("started by `again`").into()
}

/// Runs a whole test under the shim, with no rule at first.
pub fn under_faults(test: &str, body: impl AsyncFnOnce(Faults)) {
    if let Some(faults) = Faults::here() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(body(faults));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ran = again(test, folder.path(), "");
    assert!(
        ran.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
}

/// How a child that ran under a rule with KILL ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// The rule came to it.
    Killed,
    /// It did all it had to do before.
    Done,
}

/// How a child ended; a panic where it failed by itself.
pub fn ended(child: &Output) -> Ended {
    use std::os::unix::process::ExitStatusExt;
    if child.status.signal() == Some(9) {
        return Ended::Killed;
    }
    let told = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{told}\n{}", String::from_utf8_lossy(&child.stderr));
    Ended::Done
}
