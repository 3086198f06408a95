//! Plans through REST: who may have keys at all, limits of a project's own, how limits stand, what was used, and
//! how often keys may be managed.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::ConnectInfo;
use keyward_core::decision::RequestFacts;
use keyward_verify::Ask;
use serde_json::{Value, json};

use crate::support::{Answer, World, request};

const LIMITED: &str = r#"
    schema = 1
    extends = "standard"
    [plans.standard]
    features = ["A taste"]
    rates.requests = { limit = 60, per = "1m", burst = 10, by = "key" }
    quotas.credits = { limit = 100, per = "month", by = "project" }
    [plans.large]
    title = "Large"
    rates.requests = { limit = 600, per = "1m", burst = 100, by = "key" }
    quotas.credits = { limit = 1000, per = "month", by = "project" }
"#;

fn at(world: &World, rest: &str) -> String {
    format!("/v1/projects/{}{rest}", world.project)
}

/// One limit as the project tells it.
async fn limit(world: &World, name: &str, query: &str) -> Value {
    let told = world.get(&at(world, &format!("/limits{query}"))).await.expect(200);
    let limits = told.json["limits"].as_array().unwrap();
    limits
        .iter()
        .find(|limit| limit["name"] == name)
        .unwrap_or_else(|| panic!("no {name} in {}", told.body))
        .clone()
}

/// Spends so much with a key; whether it was granted.
async fn spend(world: &World, secret: &str, cost: u64) -> bool {
    let facts = RequestFacts { cost, ..RequestFacts::default() };
    world.engine.verify(&Ask { api: None, presented: secret, facts }).await.outcome.is_ok()
}

/// The newest event of this name in the project's log.
async fn last_event(world: &World, name: &str) -> Value {
    let told = world.get(&at(world, &format!("/events?name={name}"))).await.expect(200);
    told.json["items"][0].clone()
}

#[tokio::test]
async fn p1_p2_p8_without_access_there_are_no_keys() {
    let world = World::with("profound").await;
    let (_, project) = world.another_customer("profound").await;
    let path = format!("/v1/projects/{project}");
    let keys = format!("{path}/keys");
    let wish = json!({ "name": "reports", "expires_at": "2027-01-01T00:00:00Z" });
    let asked = world.get(&path).await.expect(200).json["project"].clone();
    assert_eq!(
        (&asked["plan"], &asked["access"], &asked["has_access"]),
        (&json!("enterprise"), &json!(false), &json!(false))
    );

    let refused = world.post(&keys, wish.clone()).await;
    assert_eq!(refused.problem(), (403, "plan_forbids"));
    for word in ["Enterprise", "on request", "support@tryprofound.com"] {
        assert!(refused.text("/detail").contains(word), "{}", refused.text("/detail"));
    }
    world.patch(&path, json!({ "access": true })).await.expect(200);
    let made = world.post(&keys, wish.clone()).await.expect(201);
    let (key, secret) = (made.text("/key/id").to_owned(), made.text("/secret").to_owned());
    assert!(world.opens(&secret).await);

    let changed = world.patch(&path, json!({ "plan": "starter" })).await.expect(200);
    assert_eq!(
        (&changed.json["project"]["access"], &changed.json["project"]["has_access"]),
        (&json!(true), &json!(false))
    );
    assert!(!world.opens(&secret).await);
    for (path, body) in [
        (keys.clone(), wish),
        (format!("/v1/keys/{key}/rotate"), json!({})),
        (format!("{keys}/regenerate"), json!({})),
    ] {
        let refused = world.post(&path, body).await;
        assert_eq!(refused.problem(), (403, "plan_forbids"), "{path}");
        assert!(refused.text("/detail").contains("Starter"), "{}", refused.text("/detail"));
    }
    world.get(&keys).await.expect(200);
    world.post(&format!("/v1/keys/{key}/disable"), Value::Null).await.expect(200);
    assert_eq!(world.post(&format!("/v1/keys/{key}/enable"), Value::Null).await.problem(), (403, "plan_forbids"));
    // G5: the same key, not issued anew, opens once the plan does.
    world.patch(&path, json!({ "plan": "enterprise" })).await.expect(200);
    world.post(&format!("/v1/keys/{key}/enable"), Value::Null).await.expect(200);
    assert!(world.opens(&secret).await);
    let taken = world.patch(&path, json!({ "access": false })).await.expect(200);
    assert_eq!(taken.json["in_force"]["nodes"], 1);
    assert!(!world.opens(&secret).await);
    world.post(&format!("/v1/keys/{key}/revoke"), Value::Null).await.expect(200);
}

#[tokio::test]
async fn p2_a_project_without_access_is_made_without_its_first_key() {
    let source =
        "schema = 1\nextends = \"standard\"\n[project]\nfirst_key = true\n[plans.standard]\non_request = true\n";
    let world = World::with_contract("beta", source).await;
    assert!(world.opens(&world.key.1).await, "what is made at the machine has access");
    let projects = format!("/v1/organizations/{}/projects", world.organization);
    let without = world.post(&projects, json!({ "name": "a", "api": "beta" })).await.expect(201);
    assert_eq!((without.json.get("key"), without.json.get("secret")), (None, None));
    let with = world.post(&projects, json!({ "name": "b", "api": "beta", "access": true })).await.expect(201);
    assert!(world.opens(with.text("/secret")).await);
    let path = format!("/v1/projects/{}", without.text("/project/id"));
    world.patch(&path, json!({ "access": true })).await.expect(200);
    let first = world.post(&format!("{path}/keys/regenerate"), json!({})).await.expect(201);
    assert!(world.opens(first.text("/secret")).await);
}

#[tokio::test]
async fn t05_plan_limits_and_access_are_the_operators() {
    let world = World::with_contract("own", LIMITED).await;
    let within = json!({ "organization": world.organization });
    let customer = world.management_key(&["projects:*", "keys:*", "plans:*"], within).await;
    let unplanned = world.management_key(&["projects:*"], Value::Null).await;
    for edit in [
        json!({ "plan": "large" }),
        json!({ "limits": { "credits": { "limit": 5 } } }),
        json!({ "limits": null }),
        json!({ "access": true }),
        json!({ "access": false, "name": "x" }),
    ] {
        for who in [&customer, &unplanned] {
            let refused = world.ask(who, "PATCH", &at(&world, ""), edit.clone()).await;
            assert_eq!(refused.problem(), (403, "forbidden"), "{edit}");
        }
    }
    let wish = json!({ "name": "a", "api": "own", "access": true });
    let path = format!("/v1/organizations/{}/projects", world.organization);
    assert_eq!(world.ask(&customer, "POST", &path, wish).await.problem(), (403, "forbidden"));
}

#[tokio::test]
async fn q20b_limits_of_a_projects_own_are_changes_and_hold_at_once() {
    let world = World::with_contract("own", LIMITED).await;
    let raised = world
        .patch(&at(&world, ""), json!({ "limits": { "credits": { "limit": 5 }, "requests": { "limit": 120 } } }))
        .await
        .expect(200);
    assert_eq!(
        raised.json["project"]["limits"],
        json!({ "credits": { "limit": 5 }, "requests": { "limit": 120 } })
    );
    let change = last_event(&world, "project.limit_set").await;
    assert_eq!(
        (&change["name"], &change["details"]),
        (&json!("project.limit_set"), &json!({ "limits": { "requests": { "limit": 120 } } })),
        "{change}"
    );
    assert!(spend(&world, &world.key.1, 5).await && !spend(&world, &world.key.1, 1).await);
    let credits = limit(&world, "credits", "").await;
    assert_eq!(credits["renews_at"], "2026-12-01T00:00:00.000Z");
    for (field, value) in [
        ("kind", json!("quota")),
        ("by", json!("project")),
        ("limit", json!(5)),
        ("plan_limit", json!(100)),
        ("own", json!(true)),
        ("period", json!("month")),
        ("used", json!(5)),
        ("remaining", json!(0)),
        ("burst", Value::Null),
        ("per_seconds", Value::Null),
    ] {
        assert_eq!(credits[field], value, "{field}: {credits}");
    }

    // What is so already is no change.
    let head = world.get("/v1/changes/head").await.json["revision"].clone();
    world
        .patch(&at(&world, ""), json!({ "limits": { "credits": { "limit": 5 } }, "access": false }))
        .await
        .expect(200);
    assert_eq!(world.get("/v1/changes/head").await.json["revision"], head);

    // The same limit's value on another plan, and the plan's again.
    world.patch(&at(&world, ""), json!({ "plan": "large" })).await.expect(200);
    assert_eq!(
        (&limit(&world, "credits", "").await["limit"], &limit(&world, "requests", "").await["burst"]),
        (&json!(5), &json!(20))
    );
    let cleared = world.patch(&at(&world, ""), json!({ "limits": { "credits": null } })).await.expect(200);
    assert_eq!(cleared.json["project"]["limits"], json!({ "requests": { "limit": 120 } }));
    let credits = limit(&world, "credits", "").await;
    assert_eq!((&credits["limit"], &credits["own"], &credits["used"]), (&json!(1000), &json!(false), &json!(5)));
    assert!(spend(&world, &world.key.1, 995).await && !spend(&world, &world.key.1, 1).await);
    let cleared = world.patch(&at(&world, ""), json!({ "limits": null })).await.expect(200);
    assert_eq!(cleared.json["project"]["limits"], json!({}));
    assert_eq!(cleared.json["project"]["plan_title"], "Large");
}

#[tokio::test]
async fn i03_every_part_of_a_limit_that_is_wrong_is_told() {
    let world = World::with_contract("own", LIMITED).await;
    let edit = json!({ "plan": "gold", "active_key_limit": 0, "access": 1, "limits": {
        "credits": { "limit": -1, "burst": 1.5 },
        "requests": { "burst": 5, "per": "1m" },
        "bulk": 5,
    } });
    let told = world.patch(&at(&world, ""), edit).await.expect(422);
    let mut fields = told.fields();
    fields.sort_unstable();
    let unread = [
        "access",
        "limits.bulk",
        "limits.credits.burst",
        "limits.credits.limit",
        "limits.requests.limit",
        "limits.requests.per",
    ];
    assert_eq!(fields, unread);
    let edit = json!({ "plan": "gold", "name": "", "limits": {
        "credits": { "limit": 1_000_000_000_000_001u64 },
        "requests": { "limit": 1, "burst": 0 },
        "bulk": { "limit": 5 },
        "gone": null,
    } });
    let told = world.patch(&at(&world, ""), edit).await.expect(422);
    assert_eq!(
        told.fields(),
        ["name", "plan", "limits.bulk", "limits.credits.limit", "limits.gone", "limits.requests.burst"]
    );
    assert!(told.body.contains("credits, requests"), "{}", told.body);
    for bad in [json!([]), json!("all"), json!(5)] {
        assert_eq!(world.patch(&at(&world, ""), json!({ "limits": bad })).await.fields(), ["limits"]);
    }
}

#[tokio::test]
async fn q07_limits_by_key_are_told_for_its_whole_line() {
    let world = World::with_contract("own", LIMITED).await;
    for _ in 0..3 {
        assert!(spend(&world, &world.key.1, 1).await);
    }
    assert_eq!(limit(&world, "requests", "").await["used"], Value::Null);
    let rotated = world.post(&format!("/v1/keys/{}/rotate", world.key.0), json!({})).await.expect(201);
    for key in [&world.key.0, rotated.text("/key/id")] {
        let requests = limit(&world, "requests", &format!("?key={key}")).await;
        assert_eq!((&requests["used"], &requests["remaining"]), (&json!(3), &json!(7)), "{requests}");
        assert_eq!(
            (&requests["kind"], &requests["per_seconds"], &requests["own"]),
            (&json!("rate"), &json!(60), &json!(false))
        );
        assert!(requests["renews_at"].is_string());
    }
    let (_, other) = world.another_customer("own").await;
    let foreign = format!("/v1/projects/{other}/limits?key={}", world.key.0);
    assert_eq!(world.get(&foreign).await.problem(), (404, "not_found"));
    assert_eq!(
        world.get(&at(&world, "/limits?key=key_0000000000000000000001")).await.problem(),
        (404, "not_found")
    );
    assert_eq!(world.get(&at(&world, "/limits?key=x")).await.fields(), ["key"]);
}

#[tokio::test]
async fn m15_p25_uses_are_counted_by_key_and_outcome() {
    let world = World::with_contract("own", LIMITED).await;
    // To the beginning of a day of UTC, for hours and days to be whole.
    world.clock.advance(Duration::from_secs(600));
    let other = world.create(json!({})).await.expect(201);
    let (other, secret) = (other.text("/key/id").to_owned(), other.text("/secret").to_owned());
    for _ in 0..3 {
        assert!(spend(&world, &world.key.1, 1).await);
    }
    assert!(spend(&world, &secret, 1).await && !spend(&world, &secret, 1_000).await);
    world.engine.flush_usage().await;
    world.clock.advance(Duration::from_secs(3_600));
    assert!(spend(&world, &secret, 1).await);
    world.engine.flush_usage().await;
    let counted = |query: &'static str| {
        let (world, other) = (&world, &other);
        async move {
            let told = world.get(&at(world, &format!("/usage?{query}"))).await.expect(200);
            let items = told.json["items"].as_array().unwrap().iter();
            let name = |item: &Value| match item["key"].as_str() {
                Some(key) if key == other => "other ",
                Some(_) => "first ",
                None => "",
            };
            items
                .map(|item| {
                    format!("{}{} {}", name(item), item["outcome"].as_str().unwrap_or("all"), item["count"])
                })
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(counted("").await, ["all 5", "all 1"]);
    assert_eq!(counted("step=day").await, ["all 6"]);
    assert_eq!(counted("step=day&by=outcome").await, ["quota_exceeded 1", "valid 5"]);
    let mut by_key = counted("step=day&by=key").await;
    by_key.sort();
    assert_eq!(by_key, ["first all 3", "other all 3"]);
    let mut by_both = counted("step=day&by=key_and_outcome").await;
    by_both.sort();
    assert_eq!(by_both, ["first valid 3", "other quota_exceeded 1", "other valid 2"]);
    let key = world.get(&format!("/v1/keys/{other}")).await.json["key"].clone();
    assert_eq!((&key["uses"], &key["refusals"]), (&json!(2), &json!(1)));
    assert_eq!(world.get(&at(&world, "/usage?by=colour")).await.fields(), ["by"]);
}

#[tokio::test]
async fn q22_keys_are_not_managed_faster_than_the_contract_says() {
    // The key that every world begins with is one of three.
    let source = "schema = 1\nextends = \"standard\"\nguards.key_management = { limit = 3, per = \"1m\" }\n";
    let world = World::with_contract("slow", source).await;
    let keys = at(&world, "/keys");
    let create =
        |key: &'static str| request(&world.operator, "POST", &keys, &[("idempotency-key", key)], json!({}));
    let made = world.send(create("one")).await.expect(201);
    assert_eq!(world.post(&keys, json!({ "name": 5 })).await.fields(), ["name"], "what is not read is no act");
    world.send(create("two")).await.expect(201);
    // What was answered before is answered again.
    world.send(create("one")).await.expect(200);
    let key = format!("/v1/keys/{}", made.text("/key/id"));
    let check = |answer: Answer| {
        assert_eq!(answer.problem(), (429, "rate_limited"));
        assert_eq!(answer.headers["retry-after"], "20");
        assert!(!answer.headers.contains_key("x-should-retry"));
    };
    check(world.send(create("three")).await);
    check(world.patch(&key, json!({ "name": "x" })).await);
    for action in ["rotate", "enable"] {
        check(world.post(&format!("{key}/{action}"), Value::Null).await);
    }
    check(world.post(&format!("{keys}/regenerate"), Value::Null).await);
    // Ending a key never waits; neither does another project.
    world.post(&format!("{key}/disable"), Value::Null).await.expect(200);
    world.post(&format!("{key}/revoke"), Value::Null).await.expect(200);
    world.get(&keys).await.expect(200);
    let (_, other) = world.another_customer("slow").await;
    world.post(&format!("/v1/projects/{other}/keys"), json!({})).await.expect(201);
    world.clock.advance(Duration::from_secs(20));
    world.send(create("three")).await.expect(201);
}

#[tokio::test]
async fn q22_failed_authentications_are_limited_by_network_and_a_good_key_never() {
    let world = World::with("standard").await;
    let ask = |secret: &str, address: &str| {
        let mut asked = request(secret, "GET", "/v1/whoami", &[], Value::Null);
        let peer: SocketAddr = format!("{address}:4711").parse().unwrap();
        asked.extensions_mut().insert(ConnectInfo(peer));
        world.send(asked)
    };
    for n in 0..60 {
        let secret = if n % 2 == 0 { "" } else { "kwm_0000" };
        assert_eq!(ask(secret, "[2001:db8::1]").await.problem(), (401, "unauthenticated"), "{n}");
    }
    for secret in ["", "kwm_0000"] {
        let refused = ask(secret, "[2001:db8::2]").await;
        assert_eq!(refused.problem(), (429, "rate_limited"));
        assert_eq!(refused.headers["retry-after"], "1");
    }
    ask(&world.operator, "[2001:db8::1]").await.expect(200);
    assert_eq!(ask("kwm_0000", "192.0.2.1").await.problem(), (401, "unauthenticated"));
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(ask("kwm_0000", "[2001:db8::1]").await.problem(), (401, "unauthenticated"));
}
