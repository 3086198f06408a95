//! What `keyward dev` prints for people: lines that can be pasted as they are, for every preset.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::harness::{binary, curl};

/// A `keyward dev` as people start it: in a folder with nothing in it, and no flags but the preset's and free
/// ports.
struct Dev {
    child: Child,
    lines: Vec<String>,
}

impl Dev {
    fn start(preset: &str, folder: &Path) -> Self {
        let any = "127.0.0.1:0";
        let mut child = Command::new(binary())
            .args(["dev", "--preset", preset])
            .args(["--listen", any, "--check-listen", any, "--gateway-listen", any])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            lines.push(line.unwrap().trim().to_owned());
            if lines.last().is_some_and(|line| line.starts_with("Everything is kept in")) {
                break;
            }
        }
        Dev { child, lines }
    }

    /// The line behind the one that begins like this.
    #[track_caller]
    fn below(&self, heading: &str) -> &str {
        let at = self.lines.iter().position(|line| line.starts_with(heading));
        &self.lines[at.unwrap_or_else(|| panic!("no {heading:?} in {:#?}", self.lines)) + 1]
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn can_be_pasted(preset: &str, refused: u16) {
    let folder = TempDir::new().unwrap();
    let dev = Dev::start(preset, folder.path());
    curl(dev.below("This works"), folder.path()).expect(200);
    curl(dev.below("This is refused"), folder.path()).expect(refused);
    let commands: Vec<_> = dev.lines.iter().filter(|line| line.contains(" --dir ")).collect();
    assert!(!commands.is_empty(), "{:#?}", dev.lines);
    for command in commands.into_iter().filter(|command| !command.contains("key create")) {
        let output = Command::new("sh").args(["-c", command]).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn what_dev_prints_for_standard_can_be_pasted() {
    can_be_pasted("standard", 401);
}

#[test]
fn what_dev_prints_for_getprofile_can_be_pasted() {
    can_be_pasted("getprofile", 401);
}

#[test]
fn what_dev_prints_for_profound_can_be_pasted() {
    can_be_pasted("profound", 401);
}

#[test]
fn what_dev_prints_for_metriport_can_be_pasted() {
    can_be_pasted("metriport", 403);
}

#[test]
fn what_dev_prints_for_scrapegraphai_can_be_pasted() {
    can_be_pasted("scrapegraphai", 401);
}

#[test]
fn what_dev_prints_for_qanapi_can_be_pasted() {
    can_be_pasted("qanapi", 401);
}
