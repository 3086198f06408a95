//! `keyward apply` and `keyward contract show|check|list`.

use serde_json::Value;

use crate::harness::Keyward;

/// Writes a contract into the folder that commands are run in.
fn write(keyward: &Keyward, name: &str, source: &str) {
    std::fs::write(keyward.folder().join(name), source).unwrap();
}

#[test]
fn apply_refuses_an_invalid_file_with_file_line_and_reason() {
    let keyward = Keyward::dev("standard");
    let before = keyward.terms().source;
    write(
        &keyward,
        "wrong.toml",
        "schema = 1\nextends = \"standard\"\napi = \"standard\"\n\n[key]\nformat = \"rot13\"\n",
    );
    for arguments in [
        &["apply", "wrong.toml"][..],
        &["apply", "wrong.toml", "--dry-run"],
        &["apply", "wrong.toml", "--api", "standard"],
    ] {
        let (code, out, err) = keyward.cli(arguments);
        assert_eq!(code, 1, "{out}{err}");
        assert!(err.contains("wrong.toml:6: key.format: ") && err.contains("rot13"), "{err}");
    }
    write(&keyward, "unknown.toml", "schema = 1\nextends = \"standard\"\nkolour = 1\n");
    let (code, _, err) = keyward.cli(&["apply", "unknown.toml", "--api", "standard"]);
    assert_eq!(code, 1);
    assert!(err.contains("unknown.toml:3: ") && err.contains("kolour"), "{err}");
    let (code, _, err) = keyward.cli(&["apply", "absent.toml"]);
    assert_ne!(code, 0);
    assert!(err.contains("absent.toml"), "{err}");
    assert_eq!(keyward.terms().source, before);
}

#[test]
fn apply_shows_the_difference_first_and_then_puts_it_in_force() {
    let keyward = Keyward::dev("standard");
    let before = keyward.terms().source;
    let amended = keyward.terms().amended("[key]\nactive_limit = 7\n");
    write(&keyward, "own.toml", &amended);
    let (code, out, err) = keyward.cli(&["apply", "own.toml", "--dry-run"]);
    assert_eq!(code, 0, "{err}");
    for shown in ["key.active_limit", "100", "7"] {
        assert!(out.contains(shown), "{out}");
    }
    assert_eq!(keyward.terms().source, before, "a dry run changed something");
    let (code, out, _) = keyward.cli(&["apply", "own.toml", "--dry-run", "--json"]);
    assert_eq!(code, 0);
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(shown["differences"][0]["field"], "key.active_limit");
    let (code, out, err) = keyward.cli(&["apply", "own.toml"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(keyward.terms().source, amended);
    let (code, out, _) = keyward.cli(&["apply", "own.toml", "--dry-run"]);
    assert_eq!((code, out.contains("No difference")), (0, true), "{out}");
}

#[test]
fn contract_list_names_every_preset() {
    let keyward = Keyward::dev("standard");
    let (code, out, err) = keyward.cli(&["contract", "list", "--json"]);
    assert_eq!(code, 0, "{err}");
    let listed: Value = serde_json::from_str(&out).unwrap();
    let mut names: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["getprofile", "metriport", "profound", "qanapi", "scrapegraphai", "standard"]);
    let (code, table, _) = keyward.cli(&["contract", "list"]);
    assert_eq!(code, 0);
    assert!(names.iter().all(|name| table.contains(name)), "{table}");
}

#[test]
fn contract_show_prints_a_text_that_check_and_apply_take() {
    let keyward = Keyward::dev("standard");
    for arguments in [&["contract", "show", "metriport"][..], &["contract", "show", "metriport", "--resolved"]] {
        let (code, text, err) = keyward.cli(arguments);
        assert_eq!(code, 0, "{err}");
        write(&keyward, "shown.toml", &text);
        let (code, out, err) = keyward.cli(&["contract", "check", "shown.toml"]);
        assert_eq!(code, 0, "{out}{err}");
        let (code, _, err) = keyward.cli(&["apply", "shown.toml"]);
        assert_eq!(code, 0, "{err}");
        assert_eq!(keyward.terms_of("metriport").number("key.active_limit"), 2);
    }
    let (code, _, err) = keyward.cli(&["contract", "show", "nothing"]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("nothing") && err.contains("metriport"), "{err}");
}

#[test]
fn contract_check_names_file_line_field_and_reason_of_each_mistake() {
    let keyward = Keyward::dev("standard");
    write(&keyward, "good.toml", "schema = 1\nextends = \"standard\"\n");
    write(&keyward, "bad.toml", "schema = 1\nextends = \"standard\"\n[rotation]\noverlap_max = \"soon\"\n");
    write(&keyward, "worse.toml", "schema = 1\nextends = \"standard\"\n[key]\nactive_limit = \"many\"\n");
    let (code, out, _) = keyward.cli(&["contract", "check", "good.toml"]);
    assert_eq!(code, 0, "{out}");
    let (code, out, err) = keyward.cli(&["contract", "check", "good.toml", "bad.toml", "worse.toml"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(err.contains("bad.toml:4: rotation.overlap_max: ") && err.contains("soon"), "{err}");
    assert!(err.contains("worse.toml:4: "), "{err}");
    assert!(!err.contains("good.toml"), "{err}");
    let (_, out, _) = keyward.cli(&["contract", "check", "good.toml", "bad.toml", "--json"]);
    let items = serde_json::from_str::<Value>(&out).unwrap()["items"].clone();
    assert_eq!(
        (&items[0]["valid"], &items[1]["valid"], &items[1]["line"]),
        (&true.into(), &false.into(), &4.into())
    );
}
