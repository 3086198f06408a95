//! Absurd numbers in limits and costs (I03), wherever one can be written: refused with the field named, or exact.

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::harness::{Keyward, Reply};

/// As they would be written, with no reader of ours in between.
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "-0",
    "1.5",
    "1e3",
    "2147483647",
    "2147483648",
    "4294967296",
    "1000000000",
    "1000000001",
    "1000000000000000",
    "1000000000000001",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1000000000000000000",
    "1e18",
    "1e400",
    "-9223372036854775809",
    "\"1\"",
    "true",
    "[]",
    "{}",
];

fn edit(keyward: &Keyward, body: String) -> Reply {
    let url = format!("{}/v1/projects/{}", keyward.started.control_url, keyward.project());
    let request = keyward.http.patch(url).bearer_auth(&keyward.started.management_key);
    request.header(CONTENT_TYPE, "application/json").body(body).send().unwrap().into()
}

/// Panics unless a refusal names this field. What 64 bits do not hold is no number that is read at all: there the
/// place in the body is named.
#[track_caller]
fn expect_named(reply: &Reply, field: &str, written: &str) {
    if reply.status == 400 {
        let is_beyond = written == "1e400" || written.parse::<i128>().is_ok_and(|n| i64::try_from(n).is_err());
        assert!(is_beyond && reply.text.contains("at byte"), "{field} = {written}: {}", reply.text);
        return;
    }
    assert_eq!(reply.status, 422, "{field} = {written}: {}", reply.text);
    let problem = reply.json();
    let named: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| &error["field"]).collect();
    assert_eq!(named, [&json!(field)], "{written}: {problem}");
}

/// The largest that each limit can be, and whether a project could have it.
fn is_possible(written: &str, most: u64) -> Option<u64> {
    written.parse().ok().filter(|limit| *limit <= most)
}

#[test]
fn i03_a_limit_of_a_projects_own_is_exact_or_refused_by_name() {
    let keyward = Keyward::dev("getprofile");
    let project = keyward.project();
    for written in NUMBERS {
        for (name, most) in [("monthly", 1_000_000_000_000_000), ("requests", 1_000_000_000)] {
            let reply = edit(&keyward, format!("{{\"limits\": {{\"{name}\": {{\"limit\": {written}}}}}}}"));
            match is_possible(written, most) {
                Some(limit) => {
                    assert_eq!(reply.status, 200, "{name} = {written}: {}", reply.text);
                    assert_eq!(keyward.limit(project, name)["limit"], limit);
                    assert_eq!(reply.json()["project"]["limits"][name]["limit"], limit);
                }
                None => expect_named(&reply, &format!("limits.{name}.limit"), written),
            }
        }
    }
    keyward.edit(project, json!({"limits": null})).expect(200);
    for written in NUMBERS {
        let reply =
            edit(&keyward, format!("{{\"limits\": {{\"requests\": {{\"limit\": 60, \"burst\": {written}}}}}}}"));
        if reply.status == 200 {
            let burst: u64 = written.parse().unwrap_or_else(|_| panic!("{written}: {}", reply.text));
            assert_eq!(keyward.limit(project, "requests")["burst"], burst, "{written}");
        } else {
            expect_named(&reply, "limits.requests.burst", written);
        }
    }
    assert!(keyward.edit(project, json!({"limits": null})).status == 200);
    assert!(keyward.is_valid(&keyward.first_key().secret));
}

#[test]
fn i03_what_names_no_limit_is_refused_by_name() {
    let keyward = Keyward::dev("getprofile");
    let cases = [
        (json!({"nothing": {"limit": 1}}), "limits.nothing"),
        (json!({"monthly": {"limit": 1, "burst": 1}}), "limits.monthly.burst"),
        (json!({"monthly": {"limit": 1, "per": "day"}}), "limits.monthly.per"),
        (json!({"monthly": {}}), "limits.monthly.limit"),
        (json!({"monthly": 5}), "limits.monthly"),
        (json!([]), "limits"),
    ];
    for (limits, field) in cases {
        let reply = edit(&keyward, json!({"limits": limits}).to_string());
        expect_named(&reply, field, &limits.to_string());
    }
    assert_eq!(keyward.get(&format!("/v1/projects/{}", keyward.project())).json()["project"]["limits"], json!({}));
}

#[test]
fn i03_a_cost_that_a_verify_names_is_exact_or_refused_by_name() {
    let keyward = Keyward::dev("getprofile");
    let project = keyward.project();
    keyward.set_limits(project, json!({"requests": {"limit": 1_000_000_000, "burst": 1_000_000_000}}));
    keyward.set_limits(project, json!({"monthly": {"limit": 1_000_000_000_000_000_u64}}));
    let secret = keyward.first_key().secret;
    let mut spent = 0;
    for written in NUMBERS {
        let request = keyward.http.post(format!("{}/v1/verify", keyward.started.check_url));
        let request = request.bearer_auth(&keyward.started.management_key).header(CONTENT_TYPE, "application/json");
        let body = format!("{{\"key\": \"{secret}\", \"cost\": {written}}}");
        let reply: Reply = request.body(body).send().unwrap().into();
        match is_possible(written, 1_000_000_000) {
            Some(cost) => {
                spent += cost;
                let told = reply.expect(200).json();
                assert_eq!(told["valid"], true, "{written}: {told}");
            }
            None => expect_named(&reply, "cost", written),
        }
        assert_eq!(keyward.used_of(project, "monthly"), spent, "{written}");
    }
    assert!(spent > 1_000_000_000);
}

#[test]
fn i03_a_contracts_numbers_are_exact_or_refused_by_name() {
    let keyward = Keyward::dev("getprofile");
    let before = keyward.terms().source;
    let place = |line: &str| match line {
        "monthly" => "plans.free.quotas.monthly.limit",
        "requests" => "plans.free.rates.requests",
        _ => "routes",
    };
    for written in
        ["-1", "0", "2147483648", "9007199254740993", "9223372036854775807", "1000000000000000000", "1.5"]
    {
        for name in ["monthly", "requests", "cost"] {
            let lines = match name {
                "monthly" => format!("[plans.free.quotas.monthly]\nlimit = {written}\n"),
                "requests" => format!("[plans.free.rates.requests]\nlimit = {written}\n"),
                _ => format!("[[routes]]\npath = \"/v1/profile/x\"\ncost = {written}\n"),
            };
            let reply = keyward.put_contract("getprofile", &keyward.terms().amended(&lines));
            match reply.status {
                200 => expect_kept(&keyward, name, written.parse().unwrap()),
                _ => {
                    assert!([400, 422].contains(&reply.status), "{name} = {written}: {}", reply.text);
                    assert!(reply.text.contains(place(name)), "{name} = {written}: {}", reply.text);
                }
            }
            keyward.put_contract("getprofile", &before).expect(200);
        }
    }
    // A TOML number beyond 64 bits is no number at all.
    for beyond in ["9223372036854775808", "inf", "1e400"] {
        let source = before.replace("limit = 10_000", &format!("limit = {beyond}"));
        assert_ne!(source, before);
        let reply = keyward.put_contract("getprofile", &source);
        assert!([400, 422].contains(&reply.status), "{beyond}: {}", reply.text);
    }
    assert_eq!(keyward.limit(keyward.project(), "monthly")["limit"], 10_000);
}

/// Panics unless a number of the contract holds as it was written.
#[track_caller]
fn expect_kept(keyward: &Keyward, name: &str, written: u64) {
    if name != "cost" {
        assert_eq!(keyward.limit(keyward.project(), name)["limit"], written);
        return;
    }
    keyward.lift_limits();
    let used = keyward.used_of(keyward.project(), "monthly");
    let ask = json!({"key": keyward.first_key().secret, "method": "GET", "path": "/v1/profile/x"});
    let told: Value = keyward.verify(ask).expect(200).json();
    if told["valid"] == true {
        assert_eq!(keyward.used_of(keyward.project(), "monthly"), used + written);
    } else {
        assert_eq!(told["code"], "quota_exceeded", "{told}");
    }
    keyward.edit(keyward.project(), json!({"limits": null})).expect(200);
}
