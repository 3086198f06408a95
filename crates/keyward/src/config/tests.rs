//! What is refused, and where it says it is wrong.

use super::*;

/// Fifty mistakes, each with the line and the setting that must be named.
const BAD: &[(&str, usize, &str)] = &[
    ("dri = \"x\"", 1, "dri"),
    ("[contrl]\nlisten = \"127.0.0.1:1\"", 1, "contrl"),
    ("[control]\nlisen = \"127.0.0.1:1\"", 2, "control.lisen"),
    ("[control]\nlisten = 7700", 2, "control.listen"),
    ("[control]\nlisten = true", 2, "control.listen"),
    ("[control]\nlisten = [\"127.0.0.1:1\"]", 2, "control.listen"),
    ("[control]\nlisten = \"localhost:7700\"", 2, "control.listen"),
    ("[control]\nlisten = \"127.0.0.1\"", 2, "control.listen"),
    ("[control]\nlisten = \"127.0.0.1:70000\"", 2, "control.listen"),
    ("[control]\nlisten = \":7700\"", 2, "control.listen"),
    ("[control]\nlisten = \"\"", 2, "control.listen"),
    ("[control]\nlisten = \"http://127.0.0.1:7700\"", 2, "control.listen"),
    ("control = 3", 1, "control"),
    ("# c\n\n[control]\nlisten = \"0.0.0.0:7700\"", 4, "control.listen"),
    ("[control]\nlisten = \"[::]:7700\"", 2, "control.listen"),
    ("[control]\nlisten = \"192.0.2.1:7700\"", 2, "control.listen"),
    ("allow_plaintext = false\n[check]\nlisten = \"0.0.0.0:7701\"", 3, "check.listen"),
    ("[gateway]\nlisten = \"0.0.0.0:7702\"", 2, "gateway.listen"),
    ("[ops]\nlisten = \"0.0.0.0:9000\"", 2, "ops.listen"),
    ("[check]\nlisten = \"127.0.0.1:7700\"", 2, "check.listen"),
    ("[gateway]\nlisten = \"127.0.0.1:7701\"", 2, "gateway.listen"),
    ("[ops]\nlisten = \"127.0.0.1:7702\"", 2, "ops.listen"),
    ("allow_plaintext = true\n[ops]\nlisten = \"0.0.0.0:7700\"", 3, "ops.listen"),
    ("[check]\nlisten = \"\"", 2, "check.listen"),
    ("[gateway]\ntrusted_proxies = [\"0.0.0.0/0\"]", 2, "gateway.trusted_proxies"),
    ("[gateway]\ntrusted_proxies = [\"::/0\"]", 2, "gateway.trusted_proxies"),
    ("[gateway]\ntrusted_proxies = [\"0.0.0.0/1\", \"128.0.0.0/1\"]", 2, "gateway.trusted_proxies"),
    ("[control]\ntrusted_proxies = [\"0.0.0.0/0\"]", 2, "control.trusted_proxies"),
    ("[check]\nasking_proxies = [\"0.0.0.0/0\"]", 2, "check.asking_proxies"),
    ("[control]\npublic_url = \"http://keys.example.com\"", 2, "control.public_url"),
    ("[control]\npublic_url = \"https://keys.example.com/keys\"", 2, "control.public_url"),
    ("[gateway]\ntrusted_proxies = [\"10.0.0.0/33\"]", 2, "gateway.trusted_proxies"),
    ("[gateway]\ntrusted_proxies = [\"proxy\"]", 2, "gateway.trusted_proxies"),
    ("[gateway]\ntrusted_proxies = [1]", 2, "gateway.trusted_proxies"),
    ("[gateway]\ntrusted_proxies = true", 2, "gateway.trusted_proxies"),
    ("[gateway]\napi = \"Not A Name\"", 2, "gateway.api"),
    ("[gateway]\napi = 5", 2, "gateway.api"),
    ("[gateway]\nlisteners = [\"standard\"]", 2, "gateway.listeners"),
    ("[gateway]\nlisteners = [\"standard=127.0.0.1:7700\"]", 2, "gateway.listeners"),
    ("[gateway]\nlisteners = [\"a=127.0.0.1:1\", \"a=127.0.0.1:2\"]", 2, "gateway.listeners"),
    ("[gateway]\nupstreams = [\"standard=ftp://x\"]", 2, "gateway.upstreams"),
    ("[gateway]\nupstreams = { standard = \"http://x\" }", 2, "gateway.upstreams"),
    ("[tls]\ncertificate_file = \"a\"", 2, "tls.certificate_file"),
    ("[tls]\nprivate_key_file = \"a\"", 2, "tls.private_key_file"),
    ("[tls]\nlisteners = [\"ops\"]", 2, "tls.listeners"),
    ("[tls]\nlisteners = \"all\"", 2, "tls.listeners"),
    ("[tls]\nclient_ca_file = \"a\"", 2, "tls.client_ca_file"),
    ("[upstream]\nclient_key_file = \"a\"", 2, "upstream.client_key_file"),
    ("[gateway]\nconnections_max = 0", 2, "gateway.connections_max"),
    ("[gateway]\nconnections_max = -1", 2, "gateway.connections_max"),
    ("[gateway]\nconnections_max = 1.5", 2, "gateway.connections_max"),
    ("[gateway]\nconnections_max = 99999999999999999999", 2, "gateway.connections_max"),
    ("[control]\nconnections_max = \"many\"", 2, "control.connections_max"),
    ("[verify]\nmisses_per_second = 0", 2, "verify.misses_per_second"),
    ("[verify]\nmisses = 5", 2, "verify.misses"),
    ("[stop]\ndrain_seconds = 99999", 2, "stop.drain_seconds"),
    ("[log]\nlevel = \"verbose\"", 2, "log.level"),
    ("[log]\nlevel = \"INFO\"", 2, "log.level"),
    ("[log]\nformat = \"yaml\"", 2, "log.format"),
    ("[log]\nformat = 2020-01-01", 2, "log.format"),
    ("allow_plaintext = \"yes\"", 1, "allow_plaintext"),
    ("allow_plaintext = 1", 1, "allow_plaintext"),
    ("dir = 3", 1, "dir"),
    ("dir = \"\"", 1, "dir"),
    ("[secrets]\npepper = \"hunter2hunter2hunter2\"", 2, "secrets.pepper"),
    ("[control]\nlisten = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"", 3, ""),
    ("[control\nlisten = 1", 1, ""),
    ("log.level = info", 1, ""),
];

fn load(text: &str) -> Outcome<Config> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keyward.toml");
    std::fs::write(&path, text).unwrap();
    Config::load(&Vec::new(), Some(&path), &Environment::default())
}

#[test]
fn s20_fifty_bad_configurations_are_refused_with_their_line() {
    assert!(BAD.len() >= 50);
    for (text, line, setting) in BAD {
        let refusal = load(text).expect_err(text);
        assert_eq!(refusal.exit, Exit::Usage, "{text}");
        assert!(refusal.message.contains(&format!("keyward.toml:{line}: {setting}")), "{text}\n{refusal}");
        assert!(!refusal.to_string().contains("hunter2"), "{refusal}");
    }
}

#[test]
fn s20_all_mistakes_are_told_at_once_with_the_nearest_name() {
    let refusal = load("[log]\nlevle = \"info\"\nformat = \"x\"").unwrap_err().message;
    assert!(refusal.contains(":2: log.levle: there is no such setting; did you mean log.level?"), "{refusal}");
    let refusal = load("[log]\nlevel = \"x\"\nformat = \"x\"").unwrap_err().message;
    assert!(refusal.contains(":2: log.level") && refusal.contains(":3: log.format"), "{refusal}");
}

#[test]
fn s20_an_unknown_variable_is_refused_by_name_but_not_a_service_link() {
    let with = |name| Environment::from_pairs([(name, "hunter2")]);
    let refusal = Config::load(&Vec::new(), None, &with("KEYWARD_CONTROL_LISTN")).unwrap_err().to_string();
    assert!(refusal.contains("KEYWARD_CONTROL_LISTN: there is no such variable"), "{refusal}");
    assert!(!refusal.contains("hunter2"));
    for name in ["KEYWARD_PORT_7700_TCP", "KEYWARD_SERVICE_HOST", "KEYWARD_PEPPER_1"] {
        Config::load(&Vec::new(), None, &with(name)).unwrap();
    }
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_defaults() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("keyward.toml"), "[log]\nlevel = \"warn\"\nformat = \"json\"").unwrap();
    let folder = dir.path().to_str().unwrap().to_owned();
    let environment =
        Environment::from_pairs([("KEYWARD_LOG_LEVEL", "debug"), ("KEYWARD_STOP_DRAIN_SECONDS", "3")]);
    let flags = vec![("dir", folder.clone()), ("log.level", "error".to_owned())];
    let config = Config::load(&flags, None, &environment).unwrap();
    assert_eq!((config.log_level(), config.logs_json()), ("error", true));
    assert_eq!(config.drain(), Duration::from_secs(3));
    assert_eq!(config.source("log.format"), &Source::File { path: dir.path().join("keyward.toml"), line: 3 });
    let config = Config::load(&flags[..1].to_vec(), None, &environment).unwrap();
    assert_eq!((config.log_level(), config.source("log.level").to_string()), ("debug", "KEYWARD_LOG_LEVEL".into()));
}

#[test]
fn a_file_found_by_its_folder_cannot_name_another_folder() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("keyward.toml"), "dir = \"elsewhere\"").unwrap();
    let flags = vec![("dir", dir.path().to_str().unwrap().to_owned())];
    assert!(
        Config::load(&flags, None, &Environment::default()).unwrap_err().message.contains("keyward.toml:1: dir")
    );
}

#[test]
fn a_public_address_is_had_by_acknowledging_it() {
    let config = load("allow_plaintext = true\n[control]\nlisten = \"0.0.0.0:7700\"").unwrap();
    assert_eq!(config.control().port(), 7700);
}

#[test]
fn s21_what_is_shown_of_secrets_is_their_name() {
    let environment =
        Environment::from_pairs([("KEYWARD_PEPPER_1", "hunter2"), ("KEYWARD_LOG_CHAIN_KEY", "hunter2")]);
    let config = Config::load(&Vec::new(), None, &environment).unwrap();
    let shown = serde_json::to_string(&config.shown(&environment)).unwrap();
    assert!(shown.contains("KEYWARD_PEPPER_1") && shown.contains("(redacted)") && !shown.contains("hunter2"));
}

#[test]
fn every_setting_has_a_right_default_and_a_name_of_its_own() {
    for setting in SETTINGS {
        setting.kind.read(&Raw::Text(setting.default.into())).unwrap_or_else(|e| panic!("{}: {e}", setting.name));
        assert_eq!(SETTINGS.iter().filter(|other| other.variable() == setting.variable()).count(), 1);
    }
}

#[test]
fn the_documentation_names_every_setting_with_its_default() {
    let documented =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md")).unwrap();
    for setting in SETTINGS {
        let default = if setting.default.is_empty() { "–".to_owned() } else { format!("`{}`", setting.default) };
        let row = format!(
            "| `{}` | `{}` | {} | {default} | {} |",
            setting.name,
            setting.variable(),
            setting.flag.map_or("–".into(), |flag| format!("`{flag}`")),
            setting.help
        );
        assert!(documented.contains(&row), "docs/configuration.md lacks the row\n{row}");
    }
}

#[test]
fn k09_the_password_in_a_database_url_is_never_shown() {
    let config = load("[store]\nurl = \"postgres://keyward:hunter2@db:5432/keyward?sslmode=require\"").unwrap();
    let shown = serde_json::to_string(&config.shown(&Environment::default())).unwrap();
    assert!(shown.contains("postgres://keyward:***@db:5432/keyward?sslmode=require"), "{shown}");
    assert!(!shown.contains("hunter2"));
    let database = config.database().unwrap();
    assert!(database.url.contains("hunter2") && !format!("{database:?}").contains("hunter2"));
    for url in ["mysql://a@b/c", "postgres://", "postgres:///db", "postgres://a@b/c?password=hunter2"] {
        let refusal = load(&format!("[store]\nurl = \"{url}\"")).unwrap_err().message;
        assert!(refusal.contains("store.url") && !refusal.contains("hunter2"), "{refusal}");
    }
}

#[test]
fn a_lease_is_renewed_well_before_it_ends() {
    use std::time::Duration;
    let lease = |text: &str| load(text).map(|config| config.lease());
    let millis = Duration::from_millis;
    assert_eq!(lease("").unwrap(), (millis(10_000), millis(2_000)));
    assert_eq!(lease("[node]\nlease_milliseconds = 1000").unwrap(), (millis(1_000), millis(200)));
    assert_eq!(lease("[node]\nrenew_milliseconds = 3000").unwrap(), (millis(10_000), millis(3_000)));
    let refusal = lease("[node]\nlease_milliseconds = 1000\nrenew_milliseconds = 500").unwrap_err().message;
    assert!(refusal.contains("node.renew_milliseconds") && refusal.contains("at most 333"), "{refusal}");
}

/// A file under `deploy/`.
fn shipped(path: &str) -> String {
    std::fs::read_to_string(format!("{}/../../deploy/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn the_compose_file_sets_what_there_is_to_set() {
    let compose = shipped("compose.yaml");
    let pairs = compose.lines().filter_map(|line| line.trim().strip_prefix("KEYWARD_")?.split_once(": "));
    let pairs: Vec<_> = pairs.map(|(name, value)| (format!("KEYWARD_{name}"), value.trim_matches('"'))).collect();
    assert!(pairs.len() > 10, "{pairs:?}");
    let of_a_node: std::collections::BTreeMap<_, _> = pairs.iter().map(|(name, value)| (&**name, *value)).collect();
    let environment = Environment::from_pairs(of_a_node);
    let config = Config::load(&Vec::new(), None, &environment).unwrap();
    assert!(config.database().is_some() && config.notice() > std::time::Duration::ZERO);
}

#[test]
fn the_board_shows_metrics_that_there_are() {
    let board = shipped("grafana/keyward.json");
    let mut sources = String::new();
    for krate in ["store", "verify", "edge", "control", "keyward"] {
        read_sources(format!("{}/../{krate}/src", env!("CARGO_MANIFEST_DIR")).as_ref(), &mut sources);
    }
    let is_of_a_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let shown =
        board.match_indices("keyward_").map(|(at, _)| board[at..].split(|c| !is_of_a_name(c)).next().unwrap());
    let suffixes = ["_bucket", "_count", "_sum"];
    for name in shown {
        let metric = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
        assert!(sources.contains(&format!("\"{metric}\"")), "the board shows {metric}, which nothing counts");
    }
}

fn read_sources(folder: &std::path::Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.path() {
            path if path.is_dir() => read_sources(&path, into),
            path if path.extension().is_some_and(|found| found == "rs") => {
                into.push_str(&std::fs::read_to_string(path).unwrap());
            }
            _ => {}
        }
    }
}

#[test]
fn tls_makes_a_public_address_safe_where_it_is_spoken() {
    let pair = "[tls]\ncertificate_file = \"c\"\nprivate_key_file = \"k\"\n";
    let public =
        "[control]\nlisten = \"0.0.0.0:1\"\n[check]\nlisten = \"0.0.0.0:2\"\n[gateway]\nlisten = \"0.0.0.0:3\"\n";
    let config = load(&format!("{pair}{public}")).unwrap();
    assert_eq!(config.url_of("check", ([127, 0, 0, 1], 2).into()), "https://127.0.0.1:2");
    assert_eq!(config.site(([127, 0, 0, 1], 1).into()).origin(), "https://127.0.0.1:1");
    assert_eq!(config.gateway_url(Some(([127, 0, 0, 1], 3).into())).unwrap(), "https://127.0.0.1:3");
    let refusal = load(&format!("{pair}listeners = [\"gateway\"]\n{public}")).unwrap_err().message;
    assert!(refusal.contains("control.listen") && refusal.contains("check.listen"), "{refusal}");
    assert!(!refusal.contains("gateway.listen"), "{refusal}");
    // Operations have no TLS of their own.
    let refusal = load(&format!("{pair}{public}[ops]\nlisten = \"0.0.0.0:4\"\n")).unwrap_err().message;
    assert!(refusal.contains("ops.listen") && !refusal.contains("control.listen"), "{refusal}");
    let refusal = load(&format!("{pair}listeners = \"gateway\"\nclient_ca_file = \"a\"\n")).unwrap_err().message;
    assert!(refusal.contains("tls.client_ca_file: is for clients of the check listener"), "{refusal}");
}
