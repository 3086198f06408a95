//! A bad disk under the server: the shim of crates/store/tests/faults, whose head says what its rules are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// Rules that a server started with [`Faults::env`] lives under.
pub struct Faults {
    folder: TempDir,
    env: Vec<(&'static str, String)>,
}

impl Faults {
    /// No fault so far.
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let library = library().to_str().unwrap().to_owned();
        let env = vec![("LD_PRELOAD", library), ("IO_FAULTS", path("rules")), ("IO_FAULTS_HITS", path("hits"))];
        Faults { folder, env }
    }

    /// What to start the server with.
    pub fn env(&self) -> Vec<(&str, &str)> {
        self.env.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    /// From now on these rules hold.
    pub fn set(&self, rules: &str) {
        let draft = self.folder.path().join("draft");
        std::fs::write(&draft, format!("{rules}\n")).unwrap();
        std::fs::rename(draft, self.folder.path().join("rules")).unwrap();
    }

    /// From now on nothing fails.
    pub fn clear(&self) {
        self.set("");
    }

    /// How many calls failed so far.
    pub fn hits(&self) -> usize {
        std::fs::read_to_string(self.folder.path().join("hits")).map_or(0, |text| text.lines().count())
    }
}

/// The shim, built once.
fn library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../store/tests/faults/io_faults.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        std::fs::create_dir_all(folder).unwrap();
        // A name of our own until it is whole: other tests may build it at the same time.
        let (draft, built) =
            (folder.join(format!("io_faults.{}", std::process::id())), folder.join("io_faults.so"));
        let mut command = Command::new("cc");
        command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&draft).arg(source).args(["-ldl", "-lpthread"]);
        let output = command.output().expect("a C compiler, as for SQLite itself");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::rename(&draft, &built).unwrap();
        built
    })
}
