//! Limits and usage from the command line, once each: `project limits`, `project edit`, `usage`.

use serde_json::{Value, json};

use crate::harness::{Keyward, eventually, in_seconds};

#[track_caller]
fn run(keyward: &Keyward, arguments: &[&str]) -> String {
    let (code, out, err) = keyward.cli(arguments);
    assert_eq!(code, 0, "{arguments:?}: {out}{err}");
    out
}

#[track_caller]
fn told(keyward: &Keyward, arguments: &[&str]) -> Value {
    let out = run(keyward, &[arguments, &["--json"]].concat());
    serde_json::from_str(&out).unwrap_or_else(|_| panic!("not JSON: {out}"))
}

#[test]
fn p02_the_operator_grants_access_and_takes_it_back_by_the_cli() {
    let keyward = Keyward::dev("profound");
    let path = format!("/v1/organizations/{}/projects", keyward.started.organization);
    let made = keyward.post(&path, json!({"name": "Fresh", "api": "profound"})).expect(201).json();
    let project = made["project"]["id"].as_str().unwrap();
    let wish = || json!({"name": "Reports", "expires_at": in_seconds(3600)});
    keyward.create(project, wish()).expect_problem(403, "plan_forbids");
    assert!(run(&keyward, &["project", "limits", project]).contains("Enterprise"));
    run(&keyward, &["project", "edit", project, "--access", "on"]);
    let key = keyward.make(project, wish());
    assert!(keyward.is_valid(&key.secret));
    assert!(run(&keyward, &["project", "limits", project]).contains("has access"));
    run(&keyward, &["project", "edit", project, "--access", "off"]);
    assert!(!keyward.is_valid(&key.secret));
    let shown = run(&keyward, &["project", "limits", project]);
    assert!(!shown.contains(", has access"), "{shown}");
}

#[test]
fn g05_limits_are_set_and_read_by_the_cli() {
    let keyward = Keyward::dev("getprofile");
    let (project, secret) = (keyward.project(), keyward.first_key().secret);
    run(&keyward, &["project", "edit", project, "--limit", "monthly=2", "--limit", "requests=10:4"]);
    let statuses = [(); 3].map(|()| keyward.is_valid(&secret));
    assert_eq!(statuses, [true, true, false]);
    let limits = told(&keyward, &["project", "limits", project])["limits"].clone();
    let shown: Vec<_> =
        limits.as_array().unwrap().iter().map(|l| json!([l["name"], l["limit"], l["own"]])).collect();
    assert_eq!(shown, [json!(["requests", 10, true]), json!(["monthly", 2, true])]);
    assert_eq!(
        (&limits[0]["burst"], &limits[1]["used"], &limits[1]["remaining"]),
        (&json!(4), &json!(2), &json!(0))
    );
    run(&keyward, &["project", "edit", project, "--plan", "pro", "--limit", "monthly=plan"]);
    assert!(keyward.is_valid(&secret));
    assert_eq!(keyward.limit(project, "monthly")["limit"], 1_000_000);
    eventually("usage has the uses", || {
        let usage = told(&keyward, &["usage", project, "--by", "outcome"]);
        let count = |outcome: &str| -> u64 {
            let items = usage["items"].as_array().unwrap().iter();
            items.filter(|item| item["outcome"] == outcome).map(|item| item["count"].as_u64().unwrap()).sum()
        };
        ((count("valid"), count("quota_exceeded")) == (3, 1)).then_some(())
    });
    let (code, _, err) = keyward.cli(&["project", "edit", project, "--limit", "nothing=1"]);
    assert!(code != 0 && err.contains("nothing"), "{code}: {err}");
}
