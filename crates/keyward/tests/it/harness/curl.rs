//! The vendors' documented curl lines, run by the real curl in a real shell, with nothing changed but the
//! host and the credential.

use std::path::Path;
use std::process::Command;

use super::server::Keyward;

/// What curl printed.
#[derive(Debug)]
pub struct Curled {
    pub status: u16,
    pub body: String,
}

impl Curled {
    /// Panics with the whole answer unless it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }
}

impl Keyward {
    /// Runs a documented curl line as it stands, after each `(written, instead)` was replaced in it.
    #[track_caller]
    pub fn curl(&self, documented: &str, replaced: &[(&str, &str)]) -> Curled {
        let line = replaced.iter().fold(documented.to_owned(), |line, (written, instead)| {
            assert!(line.contains(written), "{written} does not stand in: {line}");
            line.replace(written, instead)
        });
        curl(&line, self.folder())
    }
}

/// Runs a line of curl in a shell, in this folder. What tests need beside it (the status, no proxy) comes from
/// a `.curlrc` there, not from the line.
#[track_caller]
pub fn curl(line: &str, folder: &Path) -> Curled {
    let settings = "silent\nshow-error\nnoproxy = \"*\"\nmax-time = 30\nwrite-out = \"\\n%{http_code}\"\n";
    std::fs::write(folder.join(".curlrc"), settings).unwrap();
    let output =
        Command::new("sh").args(["-c", line]).env("CURL_HOME", folder).current_dir(folder).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {}: {stderr}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap_or_else(|| panic!("{line} printed nothing: {stderr}"));
    Curled { status: status.parse().unwrap(), body: body.to_owned() }
}
