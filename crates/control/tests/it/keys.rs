//! A key's life through REST.

use std::time::Duration;

use keyward_core::store::Store as _;
use serde_json::{Value, json};

use crate::support::World;

#[tokio::test]
async fn a_key_is_made_read_changed_and_revoked() {
    let world = World::with("standard").await;
    let body = json!({
        "name": "  billing ", "scopes": ["reports:read", "raw"], "addresses": ["192.0.2.7", "10.0.0.0/8"],
        "metadata": { "team": "billing" }, "expires_at": "2027-01-01T00:00:00Z",
    });
    let made = world.create(body).await.expect(201);
    let (id, secret) = (made.text("/key/id").to_owned(), made.text("/secret").to_owned());
    assert_eq!((made.text("/key/name"), made.text("/key/state")), ("billing", "active"));
    assert_eq!(made.json["key"]["addresses"], json!(["10.0.0.0/8", "192.0.2.7/32"]));
    assert!(secret.starts_with("kw_live_") && made.text("/key/hint").ends_with(&secret[secret.len() - 4..]));

    let read = world.get(&format!("/v1/keys/{id}")).await.expect(200);
    assert_eq!(read.json["key"], made.json["key"]);
    assert!(!read.body.contains(&secret) && read.json.get("secret").is_none());

    let edit = json!({
        "name": null, "scopes": ["raw"], "addresses": null, "metadata": null, "expires_at": "2026-12-31T00:00:00Z",
    });
    let changed = world.patch(&format!("/v1/keys/{id}"), edit).await.expect(200);
    let key = &changed.json["key"];
    assert_eq!((&key["name"], &key["scopes"], &key["addresses"]), (&Value::Null, &json!(["raw"]), &json!([])));
    assert_eq!(key["expires_at"], "2026-12-31T00:00:00.000Z");
    assert_eq!(changed.json["in_force"]["by"], "acknowledged");

    assert!(world.opens(&secret).await);
    let revoked = world.post(&format!("/v1/keys/{id}/revoke"), json!({ "reason": "leaked" })).await.expect(200);
    assert_eq!((revoked.text("/key/state"), revoked.text("/key/revoked_reason")), ("revoked", "leaked"));
    assert!(!world.opens(&secret).await);
    for action in ["rotate", "disable", "enable"] {
        let again = world.post(&format!("/v1/keys/{id}/{action}"), Value::Null).await;
        assert_eq!(again.problem(), (409, "key_not_active"), "{action}");
    }
    let again = world.patch(&format!("/v1/keys/{id}"), json!({ "name": "x" })).await;
    assert_eq!(again.problem(), (409, "key_not_active"));
}

#[tokio::test]
async fn l02_a_second_revoke_answers_the_same_after_the_same_wait() {
    let world = World::with("standard").await;
    let path = format!("/v1/keys/{}/revoke", world.key.0);
    let first = world.post(&path, json!({ "reason": "one" })).await.expect(200);
    let head = world.get("/v1/changes/head").await.json["revision"].clone();
    let second = world.post(&path, json!({ "reason": "two" })).await.expect(200);
    assert_eq!(first.json["key"], second.json["key"]);
    assert_eq!(second.json["in_force"]["nodes"], 1);
    assert_eq!(world.get("/v1/changes/head").await.json["revision"], head);
}

#[tokio::test]
async fn expiry_is_only_ever_made_sooner() {
    let world = World::with("standard").await;
    let made = world.create(json!({ "expires_at": "2027-01-01T00:00:00Z" })).await.expect(201);
    let path = format!("/v1/keys/{}", made.text("/key/id"));
    for bad in [json!("2027-06-01T00:00:00Z"), json!("2020-01-01T00:00:00Z"), Value::Null, json!(5), json!("soon")]
    {
        let refused = world.patch(&path, json!({ "expires_at": bad })).await;
        assert_eq!((refused.problem(), refused.fields()), ((422, "invalid"), vec!["expires_at"]), "{bad}");
    }
    world.patch(&path, json!({ "expires_at": "2026-12-01T00:00:00Z" })).await.expect(200);
    world.clock.advance(Duration::from_secs(30 * 86_400));
    assert_eq!(world.get(&path).await.text("/key/state"), "expired");
    let rotated = world.post(&format!("{path}/rotate"), Value::Null).await;
    assert_eq!(rotated.problem(), (409, "key_not_active"));
}

#[tokio::test]
async fn a_rotated_key_keeps_all_but_its_secret_and_never_lives_longer() {
    let world = World::with("standard").await;
    let body = json!({
        "name": "n", "scopes": ["raw"], "addresses": ["10.0.0.0/8"], "metadata": { "a": 1 },
        "expires_at": "2026-11-21T12:00:00Z",
    });
    let old = world.create(body).await.expect(201);
    let path = format!("/v1/keys/{}/rotate", old.text("/key/id"));
    let too_long = world.post(&path, json!({ "overlap_seconds": 31 * 86_400 })).await;
    assert_eq!(too_long.fields(), ["overlap_seconds"]);
    // The old key ends in half a day, so an overlap of a day ends then too.
    let new = world.post(&path, json!({ "overlap_seconds": 86_400 })).await.expect(201);
    for field in ["name", "scopes", "addresses", "metadata", "expires_at", "lineage", "project"] {
        assert_eq!(new.json["key"][field], old.json["key"][field], "{field}");
    }
    assert_ne!(new.text("/secret"), old.text("/secret"));
    assert_eq!(new.text("/replaced/state"), "retiring");
    assert_eq!(new.text("/replaced/ends_at"), "2026-11-21T12:00:00.000Z");
    assert_eq!(new.text("/replaced/replaced_by"), new.text("/key/id"));
    for action in ["rotate", "disable"] {
        let again = world.post(&format!("/v1/keys/{}/{action}", old.text("/key/id")), Value::Null).await;
        assert_eq!(again.problem(), (409, "key_not_active"), "{action}");
    }
    let in_place = world.post(&format!("/v1/keys/{}/rotate", new.text("/key/id")), Value::Null).await.expect(201);
    assert_eq!(in_place.text("/replaced/state"), "revoked");
}

#[tokio::test]
async fn rotation_is_had_as_the_contract_says() {
    let world = World::with("metriport").await;
    let path = format!("/v1/keys/{}/rotate", world.key.0);
    assert_eq!(world.post(&path, json!({ "overlap_seconds": 0 })).await.fields(), ["overlap_seconds"]);
    let rotated = world.post(&path, Value::Null).await.expect(201);
    assert_eq!(rotated.text("/replaced/state"), "retiring");

    let own = "schema = 1\nextends = \"standard\"\n[rotation]\nin_place = false\noverlap = false\n";
    let world = World::with_contract("own", own).await;
    let refused = world.post(&format!("/v1/keys/{}/rotate", world.key.0), Value::Null).await;
    assert_eq!(refused.problem(), (409, "action_not_offered"));
}

#[tokio::test]
async fn q03_q10_statements_are_acknowledged_first() {
    let world = World::with("qanapi").await;
    let refused = world.create(json!({})).await;
    assert_eq!(refused.problem(), (428, "acknowledgement_required"));
    assert_eq!(refused.json["statements"].as_array().unwrap().len(), 3);
    let made = world.create(json!({ "acknowledge": true })).await.expect(201);
    let revoke = format!("/v1/keys/{}/revoke", made.text("/key/id"));
    assert_eq!(world.post(&revoke, Value::Null).await.problem(), (428, "acknowledgement_required"));
    assert!(world.opens(made.text("/secret")).await);
    let refused = world.post("/v1/revocations", json!({ "project": world.project })).await;
    assert_eq!(refused.problem(), (428, "acknowledgement_required"));
    world.post(&revoke, json!({ "acknowledge": true })).await.expect(200);
}

#[tokio::test]
async fn p09_p10_names_and_expiries_follow_the_contract_and_all_faults_are_told() {
    let world = World::with("profound").await;
    let refused = world.create(json!({ "name": " a ", "scopes": ["admin"] })).await;
    assert_eq!((refused.problem(), refused.fields()), ((422, "invalid"), vec!["name", "expires_at", "scopes"]));
    for bad in ["", "a", "ab", "  a ", "a\u{202e}bc", "a\u{0}bc"] {
        let refused = world.create(json!({ "name": bad, "expires_at": "2027-01-01T00:00:00Z" })).await;
        assert_eq!(refused.fields(), ["name"], "{bad:?}");
    }
    for good in ["abc", "日本語", "🔑🔑🔑"] {
        let made = world.create(json!({ "name": good, "expires_at": "2027-01-01T00:00:00Z" })).await.expect(201);
        assert_eq!(made.text("/key/name"), good);
    }
}

#[tokio::test]
async fn what_a_contract_switches_off_is_refused() {
    let world = World::with("getprofile").await;
    let body = json!({
        "name": "x", "expires_at": "2027-01-01T00:00:00Z", "scopes": ["*"], "addresses": ["10.0.0.0/8"],
        "import": { "sha256": "00".repeat(32) },
    });
    let refused = world.create(body).await;
    assert_eq!(refused.fields(), ["import", "name", "expires_at", "scopes", "addresses"]);
    let disabled = world.post(&format!("/v1/keys/{}/disable", world.key.0), Value::Null).await;
    assert_eq!(disabled.problem(), (409, "action_not_offered"));
}

#[tokio::test]
async fn a_key_issued_elsewhere_is_taken_over_once() {
    use sha2::Digest as _;
    let own = "schema = 1\nextends = \"standard\"\n[key]\nimport = true\n";
    let world = World::with_contract("own", own).await;
    let theirs = "their-old-key-with-enough-randomness-0123456789";
    let sha256: String = sha2::Sha256::digest(theirs).iter().map(|byte| format!("{byte:02x}")).collect();
    let body = json!({ "name": "theirs", "import": { "sha256": sha256 } });
    let made = world.create(body.clone()).await.expect(201);
    assert!(made.json.get("secret").is_none() && !made.body.contains(&sha256[..8]));
    assert!(world.opens(theirs).await);
    assert_eq!(world.create(body).await.problem(), (409, "already_exists"));
    for bad in [json!({}), json!({ "sha256": "00" }), json!({ "sha256": "zz".repeat(32) }), json!("00"), json!([])]
    {
        assert_eq!(world.create(json!({ "import": bad })).await.fields(), ["import"], "{bad}");
    }
}

#[tokio::test]
async fn lists_are_filtered_and_paged_and_i05_cursors_open_nothing_else() {
    let world = World::with("standard").await;
    for number in 0..7 {
        world.create(json!({ "name": format!("k{}", number % 2) })).await.expect(201);
    }
    world.post(&format!("/v1/keys/{}/disable", world.key.0), Value::Null).await.expect(200);
    let list = format!("/v1/projects/{}/keys", world.project);
    let mut names = Vec::new();
    let mut next = Some(String::new());
    while let Some(cursor) = next {
        let cursor = if cursor.is_empty() { String::new() } else { format!("&cursor={cursor}") };
        let page = world.get(&format!("{list}?limit=3{cursor}")).await.expect(200);
        names.extend(page.json["items"].as_array().unwrap().iter().map(|key| key["id"].clone()));
        next = page.json["next_cursor"].as_str().map(str::to_owned);
    }
    assert_eq!(names.len(), 8);
    names.dedup();
    assert_eq!(names.len(), 8);
    let count = async |query: &str| {
        world.get(&format!("{list}?{query}")).await.expect(200).json["items"].as_array().unwrap().len()
    };
    assert_eq!((count("state=disabled").await, count("state=active").await), (1, 7));
    assert_eq!((count("name=k0").await, count("name=nobody").await), (4, 0));

    let cursor = world.get(&format!("{list}?limit=3")).await.text("/next_cursor").to_owned();
    let (_, theirs) = world.another_customer("standard").await;
    for wrong in [
        format!("{list}?limit=3&state=active&cursor={cursor}"),
        format!("/v1/projects/{theirs}/keys?cursor={cursor}"),
        format!("/v1/projects/{}/events?cursor={cursor}", world.project),
        format!("/v1/organizations?cursor={cursor}"),
        format!("{list}?cursor={}A", cursor),
        format!("{list}?cursor=eyJyZXZpc2lvbiI6MX0"),
        format!("{list}?cursor="),
    ] {
        assert_eq!(world.get(&wrong).await.problem(), (400, "bad_cursor"), "{wrong}");
    }
}

#[tokio::test]
async fn q18_events_tell_who_what_when_and_no_secret() {
    let world = World::with("standard").await;
    let made = world.create(json!({ "name": "n" })).await.expect(201);
    let (id, secret) = (made.text("/key/id").to_owned(), made.text("/secret").to_owned());
    assert!(world.opens(&secret).await);
    world.post(&format!("/v1/keys/{id}/revoke"), json!({ "reason": "leaked" })).await.expect(200);
    assert!(!world.opens(&secret).await);
    world.engine.flush_usage().await;
    let path = format!("/v1/projects/{}/events", world.project);
    let events = world.get(&format!("{path}?key={id}")).await.expect(200);
    let mut names: Vec<_> =
        events.json["items"].as_array().unwrap().iter().map(|event| event["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["key.created", "key.refused", "key.revoked", "key.used"]);
    let revoked = world.get(&format!("{path}?name=key.revoked")).await;
    let event = &revoked.json["items"][0];
    assert_eq!((&event["details"]["reason"], &event["actor"]["name"]), (&json!("leaked"), &json!("operator")));
    assert!(event["origin"]["request_id"].as_str().unwrap().starts_with("req_"));
    let mut next = Some(String::new());
    let mut seen = 0;
    while let Some(cursor) = next {
        let cursor = if cursor.is_empty() { cursor } else { format!("&cursor={cursor}") };
        let page = world.get(&format!("{path}?limit=2{cursor}")).await.expect(200);
        assert!(!page.body.contains(&secret) && !page.body.contains("digest"));
        seen += page.json["items"].as_array().unwrap().len();
        next = page.json["next_cursor"].as_str().map(str::to_owned);
    }
    assert_eq!(seen, 6, "project.created, two key.created, key.used, key.revoked, key.refused");
    let usage = world.get(&format!("/v1/projects/{}/usage?by=outcome", world.project)).await.expect(200);
    let counts: Vec<_> = usage.json["items"].as_array().unwrap().iter().map(|item| &item["count"]).collect();
    assert_eq!(counts, [&json!(1), &json!(1)]);
    let key = world.get(&format!("/v1/keys/{id}")).await;
    assert_eq!((&key.json["key"]["uses"], &key.json["key"]["refusals"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn l01_many_keys_end_with_one_revision() {
    let world = World::with("standard").await;
    let mut secrets = vec![world.key.1.clone()];
    for _ in 0..20 {
        secrets.push(world.create(json!({})).await.expect(201).text("/secret").to_owned());
    }
    let (before, _) = world.store.head().await.unwrap();
    let done =
        world.post("/v1/revocations", json!({ "project": world.project, "reason": "breach" })).await.expect(200);
    assert_eq!(done.json["revoked"], 21);
    assert_eq!(world.store.head().await.unwrap().0, before.next());
    for secret in &secrets {
        assert!(!world.opens(secret).await);
    }
    let id = done.text("/id").to_owned();
    let again = world.get(&format!("/v1/revocations/{id}")).await.expect(200);
    assert_eq!((again.text("/id"), &again.json["revoked"]), (&id[..], &json!(21)));
    assert_eq!(world.get("/v1/revocations/revocation_AAAA").await.problem(), (404, "not_found"));
    let none = world.post("/v1/revocations", json!({ "organization": world.organization })).await.expect(200);
    assert_eq!(none.json["revoked"], 0);
    assert_eq!(world.store.head().await.unwrap().0, before.next(), "what is revoked already is no change");
    for bad in [
        json!({}),
        json!({ "keys": [] }),
        json!({ "keys": ["x"] }),
        json!({ "keys": [world.key.0], "project": world.project }),
    ] {
        assert_eq!(world.post("/v1/revocations", bad.clone()).await.fields(), ["keys"], "{bad}");
    }
    let nobody = json!({ "keys": [world.key.0, "key_0000000000000000000001"] });
    assert_eq!(world.post("/v1/revocations", nobody).await.fields(), ["keys.1"]);
}

/// The events of a project that a query asks for, and what the log says of the same.
async fn told(world: &World, project: &str, query: &str) -> Vec<Value> {
    let events = world.get(&format!("/v1/projects/{project}/events?{query}")).await.expect(200);
    events.json["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn t01_a_revocation_of_many_is_told_in_every_log_and_in_none_of_another_wall() {
    let world = World::with("standard").await;
    let (_, other) = world.another_customer("standard").await;
    let path = format!("/v1/projects/{other}/keys");
    let theirs = world.post(&path, json!({ "name": "theirs" })).await.expect(201).text("/key/id").to_owned();
    let untouched = world.create(json!({ "name": "untouched" })).await.expect(201).text("/key/id").to_owned();
    let mine = world.key.0.clone();
    let keys = json!({ "keys": [mine, theirs], "reason": "breach" });
    assert_eq!(world.post("/v1/revocations", keys).await.expect(200).json["revoked"], 2);
    for (project, key, foreign) in [(&world.project, &mine, &theirs), (&other, &theirs, &mine)] {
        for query in ["name=keys.revoked".to_owned(), format!("key={key}&name=keys.revoked")] {
            let told = told(&world, project, &query).await;
            assert_eq!(told.len(), 1, "{query}");
            assert_eq!(told[0]["details"], json!({ "keys": [key], "revoked": 1, "reason": "breach" }));
            assert!(!told[0].to_string().contains(foreign.as_str()), "{}", told[0]);
        }
        assert!(told(&world, project, &format!("key={untouched}&name=keys.revoked")).await.is_empty());
        assert!(told(&world, project, &format!("key={foreign}")).await.is_empty());
    }
    // The whole log tells all of it.
    let (head, _) = world.store.head().await.unwrap();
    let last = world.get(&format!("/v1/changes?after={}", head.0 - 1)).await.expect(200);
    assert_eq!(last.json["items"][0]["name"], "keys.revoked");
    assert_eq!(last.json["items"][0]["details"]["revoked"], 2);
}
