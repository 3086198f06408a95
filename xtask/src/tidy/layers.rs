//! Layers: which crate may depend on which, and what a use case may know. docs/ARCHITECTURE.md draws them.

use super::Finding;
use super::source::{Source, find_word};
use toml::Table;

/// A crate of the workspace and the crates of the workspace it may depend on. `keyward` wires all of them.
///
/// Tests of any but core may stand on a real store as well: better than on a second one that is made up.
const LAYERS: [(&str, &[&str]); 7] = [
    ("core", &[]),
    ("store", &["core"]),
    ("verify", &["core"]),
    ("edge", &["core", "verify"]),
    ("control", &["core", "verify"]),
    ("middleware", &["core", "verify", "edge"]),
    ("keyward", &["core", "store", "verify", "edge", "control"]),
];

/// A dependency that one crate alone may have, and why.
const OWNED: [(&str, &str, &str); 2] =
    [("sqlx", "store", "only store knows SQL"), ("hyper-rustls", "edge", "only the gateway connects to upstreams")];

/// What a use case must not know: it is called by REST, the dashboard and tests alike.
const NOT_IN_USE_CASES: [&str; 4] = ["axum", "http", "hyper", "StatusCode"];

/// Findings on `crates/<name>/Cargo.toml`.
pub fn manifest_findings(path: &str, text: &str) -> Vec<Finding> {
    let Some(name) = path.strip_prefix("crates/").and_then(|rest| rest.strip_suffix("/Cargo.toml")) else {
        return Vec::new();
    };
    let manifest: Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::new(path, 1, format!("not TOML: {error}"))],
    };
    let Some((_, below)) = LAYERS.iter().find(|layer| layer.0 == name) else {
        let what = "a new crate: give it its place in LAYERS of xtask/src/tidy/layers.rs".to_owned();
        return vec![Finding::new(path, 1, what)];
    };
    let mut findings = Vec::new();
    for (kind, for_tests) in [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)] {
        let taken = manifest.get(kind).and_then(|kind| kind.as_table()).into_iter().flat_map(Table::keys);
        let refused =
            taken.filter_map(|dependency| Some((dependency, refusal(name, below, dependency, for_tests)?)));
        findings.extend(refused.map(|(dependency, why)| Finding::new(path, line_of(text, dependency), why)));
    }
    findings
}

/// Why the crate `name` may not have the dependency, if it may not.
fn refusal(name: &str, below: &[&str], dependency: &str, for_tests: bool) -> Option<String> {
    if let Some((_, owner, why)) = OWNED.iter().find(|owned| owned.0 == dependency && owned.1 != name) {
        return Some(format!("{name} may not depend on {dependency}: {why}; move the code to {owner}"));
    }
    let ours = dependency.strip_prefix("keyward-").unwrap_or("");
    if for_tests && ours == "store" && name != "core" {
        return None;
    }
    if ours.is_empty() || ours == name || below.contains(&ours) {
        return None;
    }
    let allowed = if below.is_empty() { "none of ours".to_owned() } else { below.join(", ") };
    Some(format!(
        "{name} may not depend on {ours} (allowed: {allowed}): pass a trait of core, or wire them in keyward"
    ))
}

fn line_of(text: &str, dependency: &str) -> usize {
    text.lines().position(|line| line.trim_start().starts_with(dependency)).map_or(1, |index| index + 1)
}

/// Findings on the control plane's use cases.
pub fn use_case_findings(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with("crates/control/src/use_cases") {
        return Vec::new();
    }
    let lines = source.lines_outside_tests();
    let known = lines.flat_map(|(line, _, code)| {
        let words = NOT_IN_USE_CASES.iter().filter(|word| find_word(code, word).is_some());
        words.map(move |word| (line, *word))
    });
    known
        .map(|(line, word)| {
            let what = format!("a use case knows no HTTP, and `{word}` is: let the REST handler translate");
            Finding::new(&source.path, line, what)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_depends_only_on_those_below_it() {
        let found = |name: &str, text: &str| manifest_findings(&format!("crates/{name}/Cargo.toml"), text);
        assert!(
            found("edge", "[dependencies]\nkeyward-core.workspace = true\nhyper-rustls.workspace = true")
                .is_empty()
        );
        assert!(found("store", "[dev-dependencies]\nkeyward-store = { path = '.' }").is_empty());
        let findings = found("edge", "[dependencies]\nserde = '1'\nkeyward-store.workspace = true");
        assert_eq!((findings.len(), findings[0].line), (1, 3));
        assert!(
            found("core", "[dev-dependencies]\nkeyward-verify.workspace = true")[0].what.contains("none of ours")
        );
        assert!(found("control", "[dev-dependencies]\nkeyward-store.workspace = true").is_empty());
        assert_eq!(found("core", "[dev-dependencies]\nkeyward-store.workspace = true").len(), 1);
        assert_eq!(found("control", "[dev-dependencies]\nkeyward-edge.workspace = true").len(), 1);
        assert!(found("control", "[dependencies]\nsqlx.workspace = true")[0].what.contains("only store knows SQL"));
        assert!(found("stray", "[package]")[0].what.contains("a new crate"));
    }

    #[test]
    fn a_use_case_knows_no_http() {
        let text = "//! Answers http calls.\nuse axum::Json;\nfn f() { StatusCode::OK }\n#[cfg(test)]\nmod tests { use axum; }\n";
        let found = use_case_findings(&Source::new("crates/control/src/use_cases/keys.rs", text));
        assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [2, 3]);
        assert!(use_case_findings(&Source::new("crates/control/src/rest/keys.rs", text)).is_empty());
    }
}
