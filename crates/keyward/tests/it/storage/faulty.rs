//! A Keyward on a disk that fails when told to: the binary runs under the store's shim `io_faults.c`, which says
//! how rules are written.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::harness::Keyward;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../store/tests/faults/io_faults.c");

/// A running Keyward and the rules by which its disk fails; none at first.
pub struct Faulty {
    pub keyward: Keyward,
    rules: PathBuf,
    _folder: TempDir,
}

impl Faulty {
    pub fn dev() -> Self {
        let folder = TempDir::new().unwrap();
        let rules = folder.path().join("rules");
        std::fs::write(&rules, "").unwrap();
        let env = [("LD_PRELOAD", shim().to_str().unwrap()), ("IO_FAULTS", rules.to_str().unwrap())];
        Faulty { keyward: Keyward::dev_with_env("standard", &[], &env), rules, _folder: folder }
    }

    /// From now on, calls fail by these rules.
    pub fn set(&self, rules: &str) {
        let draft = self.rules.with_extension("new");
        std::fs::write(&draft, rules).unwrap();
        std::fs::rename(&draft, &self.rules).unwrap();
    }

    /// From now on, no call fails.
    pub fn clear(&self) {
        self.set("");
    }

    /// Starts again on a disk that works.
    pub fn restart_on_a_good_disk(&mut self) {
        self.keyward.restart();
    }
}

/// The shim, built once a run.
fn shim() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("it_faults.{}.so", std::process::id()));
        let mut command = Command::new("cc");
        command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).args([SOURCE, "-ldl", "-lpthread"]);
        assert!(command.status().expect("a C compiler named cc").success());
        library
    })
}
