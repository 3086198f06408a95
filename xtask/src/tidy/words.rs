//! Words: how files open, and what must not be written where.

use super::Finding;
use super::source::{Source, find_word};

/// Names that say nothing of what is inside.
const EMPTY_NAMES: [&str; 4] = ["common", "util", "utils", "types"];

/// Registries are reached through their clients, never by name. In parts, or this file would break its own rule.
const REGISTRY_HOSTS: [&str; 4] =
    [concat!("crates", ".io"), concat!("pypi", ".org"), concat!("npm", "js"), concat!("debian", ".org")];

const UNFINISHED_WORDS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
const UNFINISHED_MACROS: [&str; 2] = [concat!("to", "do!"), concat!("unimplemented", "!")];

/// Findings on one Rust file. `vendors` are names in lower case.
pub fn rust_findings(source: &Source, vendors: &[String]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = head(source).into_iter().collect();
    findings.extend(empty_names(source));
    for (number, text, code) in source.lines_outside_tests() {
        let lower = text.to_lowercase();
        if let Some(vendor) = vendors.iter().find(|vendor| lower.contains(*vendor)) {
            let what =
                format!("a vendor's name, `{vendor}`, in Rust: what differs between vendors goes into contracts/");
            findings.push(Finding::new(&source.path, number, what));
        }
        findings.extend(time_from_the_air(&source.path, number, code));
    }
    for (index, code) in source.code.lines().enumerate() {
        if UNFINISHED_MACROS.iter().any(|name| code.contains(name)) {
            findings.push(Finding::new(
                &source.path,
                index + 1,
                "unfinished: write it, or leave it out".to_owned(),
            ));
        }
        if code.contains("#[ignore") {
            let what = "an ignored test is skipped silently: make it work everywhere, or take it out".to_owned();
            findings.push(Finding::new(&source.path, index + 1, what));
        }
    }
    findings
}

fn head(source: &Source) -> Option<Finding> {
    let what = "the first line must be `//!`: say what the file is for and what it leaves to others";
    (!source.text.starts_with("//!")).then(|| Finding::new(&source.path, 1, what.to_owned()))
}

fn empty_names(source: &Source) -> Option<Finding> {
    let mut parts = source.path.split('/').map(|part| part.strip_suffix(".rs").unwrap_or(part));
    let name = parts.find(|part| EMPTY_NAMES.contains(part))?;
    let what = format!("`{name}` says nothing of what is inside: name the module after its subject");
    Some(Finding::new(&source.path, 1, what))
}

/// Wall clocks are read in files named clock.rs alone, and no clock at all in core and the use cases.
fn time_from_the_air(path: &str, line: usize, code: &str) -> Option<Finding> {
    let rules = path.starts_with("crates/core/") || path.starts_with("crates/control/src/use_cases");
    let taken = ["SystemTime::now", "Timestamp::now", "Zoned::now"].iter().chain(rules.then_some(&"Instant::now"));
    let clock = taken.into_iter().find(|clock| code.contains(**clock))?;
    let exempt = path.ends_with("/clock.rs") || !path.starts_with("crates/");
    let what = format!("`{clock}` takes time from the air: let it come in through core's `Clock`");
    (!exempt).then(|| Finding::new(path, line, what))
}

/// Findings on any text file.
pub fn text_findings(path: &str, text: &str) -> Vec<Finding> {
    let file = path.rsplit('/').next().unwrap_or(path);
    if matches!(file, "Cargo.lock" | "package-lock.json") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(host) = REGISTRY_HOSTS.iter().find(|host| line.contains(*host)) {
            let what = format!("names the registry `{host}`: use its client, and whatever it is set up with");
            findings.push(Finding::new(path, index + 1, what));
        }
        if let Some(word) = UNFINISHED_WORDS.iter().find(|word| find_word(line, word).is_some()) {
            let what = format!("`{word}`: do it now, or open an issue");
            findings.push(Finding::new(path, index + 1, what));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<(usize, String)> {
        let findings = rust_findings(&Source::new(path, text), &["vendorly".to_owned()]);
        findings.into_iter().map(|finding| (finding.line, finding.what)).collect()
    }

    #[test]
    fn a_rust_file_opens_with_its_purpose() {
        assert!(lines("crates/one/src/lib.rs", "//! For this.\n").is_empty());
        assert_eq!(lines("crates/one/src/lib.rs", "use x;\n")[0].0, 1);
    }

    #[test]
    fn vendors_are_named_in_tests_only() {
        let text = "//! Head.\n\nconst A: &str = \"VendorLy\";\n#[cfg(test)]\nmod tests { const B: &str = \"vendorly\"; }\n";
        let found = lines("crates/one/src/lib.rs", text);
        assert_eq!((found.len(), found[0].0), (1, 3));
        assert!(lines("crates/one/tests/it.rs", "//! Vendorly.\n").is_empty());
    }

    #[test]
    fn names_that_say_nothing_are_found() {
        assert!(lines("crates/one/src/utils/key.rs", "//! Head.\n")[0].1.contains("`utils`"));
        assert!(lines("crates/one/src/types.rs", "//! Head.\n")[0].1.contains("`types`"));
        assert!(lines("crates/one/src/prototypes.rs", "//! Head.\n").is_empty());
    }

    #[test]
    fn time_comes_in_through_the_clock() {
        let text = "//! Head.\nfn f() { SystemTime::now(); Instant::now(); } // SystemTime::now\n";
        assert!(lines("crates/one/src/f.rs", text)[0].1.contains("SystemTime::now"));
        assert!(lines("crates/one/src/clock.rs", text).is_empty());
        assert_eq!(lines("crates/one/src/f.rs", "//! Head.\nfn f() { Instant::now(); }\n").len(), 0);
        assert_eq!(lines("crates/core/src/f.rs", "//! Head.\nfn f() { Instant::now(); }\n").len(), 1);
    }

    #[test]
    fn unfinished_work_and_skipped_tests_are_found_in_tests_too() {
        let text = ["//! Head.\n#[test]\n#[ignore]\nfn f() { ", UNFINISHED_MACROS[0], "() }\n"].concat();
        assert_eq!(lines("crates/one/tests/it.rs", &text).iter().map(|found| found.0).collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn registries_and_unfinished_words_are_found_in_any_text() {
        let text = [REGISTRY_HOSTS[0], "\n", UNFINISHED_WORDS[0], ": x\n", UNFINISHED_WORDS[0], "S\n"].concat();
        let found: Vec<usize> = text_findings("README.md", &text).iter().map(|finding| finding.line).collect();
        assert_eq!(found, [1, 2]);
        assert!(text_findings("bench/Cargo.lock", &text).is_empty());
    }
}
