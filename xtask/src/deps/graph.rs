//! deny.toml over `cargo metadata` and `cargo tree`: licences, sources, bans, duplicate versions.

use super::licence;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use toml::Table;

/// What each section may hold, because it is held here or says how to.
const KNOWN: [(&str, &[&str]); 4] = [
    ("graph", &["targets", "all-features"]),
    ("licenses", &["allow", "exceptions"]),
    ("sources", &["unknown-registry", "unknown-git"]),
    ("bans", &["wildcards", "allow-wildcard-paths", "multiple-versions", "deny", "skip"]),
];

/// Everything in the graph that the policy does not allow.
///
/// `tree` has a line for each package that is built, `name vVERSION …` with its depth before it, below whoever asks for it;
/// `metadata` says more of each, and of more.
pub fn findings(metadata: &Value, tree: &str, policy: &Table) -> Result<Vec<String>> {
    known_only(policy)?;
    let tree: Vec<Line<'_>> = tree.lines().filter_map(line).collect();
    let built: BTreeSet<(&str, &str)> = tree.iter().map(|line| (line.name, line.version)).collect();
    let mut packages = packages(metadata)?;
    packages.retain(|package| built.contains(&(package.name, package.version)));
    let mut findings = licences(&packages, policy)?;
    findings.extend(sources(&packages));
    findings.extend(wildcards(&packages));
    findings.extend(banned(&packages, &tree, &crates(policy, "deny")?));
    findings.extend(duplicates(&packages, &crates(policy, "skip")?));
    Ok(findings)
}

struct Package<'a> {
    name: &'a str,
    version: &'a str,
    licence: &'a str,
    /// Where it comes from; none for our own.
    source: Option<&'a str>,
    dependencies: &'a [Value],
}

fn packages(metadata: &Value) -> Result<Vec<Package<'_>>> {
    let packages = metadata["packages"].as_array().context("cargo metadata: no packages")?;
    packages.iter().map(|value| package(value).context("cargo metadata: a package lacks a field")).collect()
}

/// A line of the tree.
struct Line<'a> {
    depth: usize,
    name: &'a str,
    version: &'a str,
}

fn line(line: &str) -> Option<Line<'_>> {
    let start = line.find(|c: char| !c.is_ascii_digit())?;
    let (depth, rest) = line.split_at(start);
    let mut words = rest.split_whitespace();
    Some(Line { depth: depth.parse().ok()?, name: words.next()?, version: words.next()?.strip_prefix('v')? })
}

fn package(value: &Value) -> Option<Package<'_>> {
    Some(Package {
        name: value["name"].as_str()?,
        version: value["version"].as_str()?,
        licence: value["license"].as_str().unwrap_or(""),
        source: value["source"].as_str(),
        dependencies: value["dependencies"].as_array()?,
    })
}

/// A setting that nobody here reads would look held and not be.
fn known_only(policy: &Table) -> Result<()> {
    for (section, settings) in policy {
        let known = KNOWN.iter().find(|known| known.0 == section).map(|known| known.1);
        let known = known.with_context(|| format!("deny.toml: xtask does not hold the section [{section}]"))?;
        let settings = settings.as_table().with_context(|| format!("deny.toml: {section} is not a section"))?;
        if let Some(unknown) = settings.keys().find(|name| !known.contains(&name.as_str())) {
            bail!("deny.toml: xtask does not hold {section}.{unknown}");
        }
    }
    Ok(())
}

fn licences(packages: &[Package<'_>], policy: &Table) -> Result<Vec<String>> {
    let allowed = policy["licenses"]["allow"].as_array().context("deny.toml: licenses.allow")?;
    let allowed: Vec<&str> = allowed.iter().filter_map(|licence| licence.as_str()).collect();
    let exceptions = exceptions(policy)?;
    let refused = packages.iter().filter(|package| {
        let of_its_own = exceptions.iter().filter(|(name, _)| *name == package.name).flat_map(|(_, more)| more);
        !licence::allows(package.licence, &allowed.iter().chain(of_its_own).copied().collect::<Vec<_>>())
    });
    Ok(refused
        .map(|package| {
            let Package { name, version, licence, .. } = package;
            format!("{name} {version}: the licence `{licence}` is not allowed: do without it, or discuss deny.toml")
        })
        .collect())
}

/// `{ crate = "name", allow = ["licence"] }`: what one crate alone may have.
fn exceptions(policy: &Table) -> Result<Vec<(&str, Vec<&str>)>> {
    let listed =
        policy["licenses"].get("exceptions").and_then(|list| list.as_array()).map_or(&[][..], Vec::as_slice);
    let complete = |entry| of_one(entry).context("deny.toml: licenses.exceptions: an entry needs crate and allow");
    listed.iter().map(complete).collect()
}

fn of_one(entry: &toml::Value) -> Option<(&str, Vec<&str>)> {
    let allow = entry.get("allow")?.as_array()?.iter().filter_map(|licence| licence.as_str());
    Some((entry.get("crate")?.as_str()?, allow.collect()))
}

/// Only the default registry and our own workspace.
fn sources(packages: &[Package<'_>]) -> Vec<String> {
    // In two parts: no file of ours names a registry's host.
    let registry = concat!("registry+https://github.com/rust-lang/", "crates", ".io-index");
    let foreign = packages.iter().filter(|package| package.source.is_some_and(|source| source != registry));
    foreign
        .map(|package| {
            let Package { name, version, .. } = package;
            format!(
                "{name} {version}: comes from {}; only the default registry is allowed",
                package.source.unwrap_or("")
            )
        })
        .collect()
}

/// Our own manifests state a version for whatever is not a path.
fn wildcards(packages: &[Package<'_>]) -> Vec<String> {
    let mut findings = Vec::new();
    for package in packages.iter().filter(|package| package.source.is_none()) {
        let wild = package
            .dependencies
            .iter()
            .filter(|dependency| dependency["req"] == "*" && dependency["path"].is_null());
        findings.extend(wild.map(|dependency| {
            format!(
                "{}: {} is asked for in any version (`*`): name one",
                package.name,
                dependency["name"].as_str().unwrap_or("")
            )
        }));
    }
    findings
}

/// `{ crate = "name@version", reason = "…" }`: name, version or nothing, reason; and in bans, `wrappers = ["name"]`: who may
/// ask for it nevertheless.
struct Listed<'a> {
    name: &'a str,
    version: Option<&'a str>,
    reason: &'a str,
    wrappers: Vec<&'a str>,
}

fn crates<'a>(policy: &'a Table, list: &str) -> Result<Vec<Listed<'a>>> {
    let listed = policy["bans"].get(list).and_then(|list| list.as_array()).map_or(&[][..], Vec::as_slice);
    let read = |entry: &'a toml::Value| -> Option<Listed<'a>> {
        let spec = entry.get("crate")?.as_str()?;
        let (name, version) = spec.split_once('@').map_or((spec, None), |(name, version)| (name, Some(version)));
        let wrappers = entry.get("wrappers").and_then(|list| list.as_array()).into_iter().flatten();
        let wrappers = wrappers.filter_map(|wrapper| wrapper.as_str()).collect();
        Some(Listed { name, version, reason: entry.get("reason")?.as_str()?, wrappers })
    };
    let complete =
        |entry| read(entry).with_context(|| format!("deny.toml: bans.{list}: an entry needs crate and reason"));
    listed.iter().map(complete).collect()
}

impl Listed<'_> {
    /// `0.10` stands for every 0.10.x, `2` for every 2.x.y.
    fn is(&self, package: &Package<'_>) -> bool {
        let versions = |wanted: &str| {
            package.version.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.name == package.name && self.version.is_none_or(versions)
    }
}

fn banned(packages: &[Package<'_>], tree: &[Line<'_>], deny: &[Listed<'_>]) -> Vec<String> {
    let mut findings = Vec::new();
    for listed in deny {
        let found = packages.iter().filter(|package| listed.is(package));
        let askers: BTreeSet<&str> = found.clone().flat_map(|package| asked_by(tree, package)).collect();
        let is_wrapped = !listed.wrappers.is_empty() && askers.iter().all(|asker| listed.wrappers.contains(asker));
        findings.extend(found.filter(|_| !is_wrapped).map(|package| {
            format!(
                "{} {}: banned: {}; `cargo tree -i {}` shows who asks for it",
                package.name, package.version, listed.reason, package.name
            )
        }));
        let idle = listed.wrappers.iter().filter(|wrapper| !askers.contains(**wrapper));
        findings.extend(
            idle.map(|wrapper| {
                format!("deny.toml: {wrapper} does not ask for {} any more: take it out", listed.name)
            }),
        );
    }
    findings
}

/// The names of those that ask for a package themselves: whatever stands above it, one step out.
fn asked_by<'a>(tree: &[Line<'a>], package: &Package<'_>) -> Vec<&'a str> {
    let is_it = |line: &Line<'_>| line.depth > 0 && line.name == package.name && line.version == package.version;
    let asked = tree.iter().enumerate().filter(|(_, line)| is_it(line));
    asked.filter_map(|(at, line)| Some(tree[..at].iter().rfind(|above| above.depth < line.depth)?.name)).collect()
}

fn duplicates(packages: &[Package<'_>], skip: &[Listed<'_>]) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages.iter().filter(|package| !skip.iter().any(|listed| listed.is(package))) {
        versions.entry(package.name).or_default().insert(package.version);
    }
    let several = versions.iter().filter(|(_, versions)| versions.len() > 1);
    let mut findings: Vec<String> = several
        .map(|(name, versions)| {
            let versions = versions.iter().copied().collect::<Vec<_>>().join(" and ");
            format!("{name}: in two versions, {versions}: ask for one, or give bans.skip in deny.toml a reason")
        })
        .collect();
    let several = |name: &str| {
        let versions: BTreeSet<&str> =
            packages.iter().filter(|package| package.name == name).map(|package| package.version).collect();
        versions.len() > 1
    };
    let idle =
        skip.iter().filter(|listed| !several(listed.name) || !packages.iter().any(|package| listed.is(package)));
    findings.extend(idle.map(|listed| {
        let version = listed.version.unwrap_or("");
        format!(
            "deny.toml: bans.skip lists {} {version}, which is no second version any more: take it out",
            listed.name
        )
    }));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const POLICY: &str = r#"
        licenses.allow = ["MIT"]
        [bans]
        deny = [{ crate = "openssl", reason = "TLS is rustls" }]
        skip = [{ crate = "syn@1", reason = "an old macro" }]
    "#;

    fn found(packages: &[(&str, &str, &str, &str)]) -> Vec<String> {
        let tree: Vec<String> =
            packages.iter().map(|(name, version, ..)| format!("0{name} v{version} (*)")).collect();
        let mut packages: Vec<Value> = packages.iter().map(described).collect();
        packages.push(described(&("turned-off", "1.0.0", "GPL-3.0", &registry())));
        findings(&json!({"packages": packages}), &tree.join("\n"), &POLICY.parse().unwrap()).unwrap()
    }

    fn described((name, version, license, source): &(&str, &str, &str, &str)) -> Value {
        json!({"name": name, "version": version, "license": license, "source": source, "dependencies": []})
    }

    fn registry() -> String {
        ["registry+https://github.com/rust-lang/", "crates", ".io-index"].concat()
    }

    #[test]
    fn a_graph_within_the_policy_has_no_findings() {
        let registry = registry();
        assert!(found(&[("syn", "1.0.109", "MIT", &registry), ("syn", "2.0.1", "MIT", &registry)]).is_empty());
    }

    #[test]
    fn each_rule_finds_its_offender() {
        let registry = registry();
        let findings = found(&[
            ("syn", "1.0.109", "MIT", &registry),
            ("syn", "2.0.1", "MIT", &registry),
            ("openssl", "0.10.1", "MIT", &registry),
            ("copyleft", "1.0.0", "GPL-3.0", &registry),
            ("fork", "1.0.0", "MIT", "git+https://example.com/fork"),
            ("rand", "0.8.1", "MIT", &registry),
            ("rand", "0.9.1", "MIT", &registry),
        ]);
        let about = |start: &str| findings.iter().filter(|finding| finding.starts_with(start)).count();
        assert_eq!(findings.len(), 4, "{findings:#?}");
        assert_eq!([about("openssl"), about("copyleft"), about("fork"), about("rand: in two")], [1, 1, 1, 1]);
    }

    #[test]
    fn a_banned_crate_is_had_by_its_wrappers_alone_and_a_licence_by_its_crate() {
        let policy: Table = r#"
            [licenses]
            allow = ["MIT"]
            exceptions = [{ crate = "driver", allow = ["MPL-2.0"] }]
            [bans]
            deny = [{ crate = "chrono", wrappers = ["oauth"], reason = "time is jiff" }]
        "#
        .parse()
        .unwrap();
        let found = |askers: &[&str]| {
            let registry = registry();
            let names = ["chrono", "driver"].iter().chain(askers);
            let licence = |name: &str| if name == "driver" { "MPL-2.0" } else { "MIT" };
            let packages: Vec<Value> =
                names.map(|name| described(&(name, "1.0.0", licence(name), &registry))).collect();
            let mut tree = vec!["0driver v1.0.0".to_owned()];
            for asker in askers {
                tree.extend([format!("0{asker} v1.0.0"), "1other v1.0.0".into(), "1chrono v1.0.0".into()]);
            }
            let metadata = json!({"packages": packages});
            findings(&metadata, &tree.join("\n"), &policy).unwrap()
        };
        assert_eq!(found(&["oauth"]), Vec::<String>::new());
        assert!(found(&["oauth", "another"])[0].starts_with("chrono 1.0.0: banned"));
        assert!(found(&["another"])[1].contains("oauth does not ask for chrono any more"));
    }

    #[test]
    fn an_exception_that_is_no_longer_needed_is_a_finding() {
        assert!(found(&[])[0].contains("bans.skip lists syn 1"));
        assert!(found(&[("syn", "1.0.109", "MIT", &registry())])[0].contains("bans.skip lists syn 1"));
    }

    #[test]
    fn a_setting_that_is_not_held_is_refused() {
        let policy: Table = "[licenses]\nallow = []\nconfidence-threshold = 0.9".parse().unwrap();
        let error = findings(&json!({"packages": []}), "", &policy).unwrap_err();
        assert!(error.to_string().contains("licenses.confidence-threshold"));
    }
}
