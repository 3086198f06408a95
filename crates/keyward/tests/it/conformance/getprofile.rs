//! GetProfile: one key an app, in `Authorization: Bearer`, rotated in place.

use serde_json::json;

use super::{behind, caller, expect_secret_nowhere, records_of, refused};
use crate::harness::{Key, Keyward, Refused, Request, Scripted, Sdk, Upstream};

const PATH: &str = "/v1/profile/abc123";

const CURL: &str = r#"curl -X GET "https://api.getprofile-ai.com/v1/profile/abc123" \
  -H "Authorization: Bearer YOUR_API_KEY""#;

fn read(secret: &str) -> Request {
    Request::get(PATH).with("Authorization", &format!("Bearer {secret}"))
}

fn invalid() -> Refused {
    refused(401, json!({"error": "Invalid API key"}))
}

fn missing() -> Refused {
    refused(401, json!({"error": "Missing API key"}))
}

/// An app with a key of its own.
fn app(keyward: &Keyward, name: &str) -> (String, Key) {
    let (project, none) = keyward.new_project(name);
    assert!(none.is_none(), "no key is issued with an app");
    let key = keyward.make(&project, json!({}));
    (project, key)
}

#[test]
fn g01_the_key_is_the_gateway_to_the_apps_data() {
    let (keyward, upstream) = behind("getprofile");
    let key = keyward.first_key();
    keyward.send(&read(&key.secret)).expect(200);
    let seen = upstream.last();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", PATH));
    let told = json!({"project": keyward.project(), "organization": keyward.started.organization, "key": key.id});
    assert_eq!(caller(&seen), told);
    assert!(!seen.text().contains(&key.secret), "the upstream was told the key: {}", seen.text());
}

#[test]
fn g02_each_app_has_one_key_of_its_own() {
    let keyward = Keyward::dev("getprofile");
    let ((a, key_a), (b, key_b)) = (app(&keyward, "A"), app(&keyward, "B"));
    assert_ne!(key_a.secret, key_b.secret);
    for (app, key) in [(&a, &key_a), (&b, &key_b)] {
        let keys = keyward.list(app);
        assert_eq!(keys.len(), 1);
        assert_eq!((&keys[0]["id"], &keys[0]["state"]), (&json!(key.id), &json!("active")));
    }
    keyward.create(&a, json!({})).expect_problem(409, "active_key_limit");
    assert_eq!((keyward.live(&a), keyward.live(&b)), (1, 1));
}

#[test]
fn g03_the_key_authenticates_requests() {
    let (keyward, upstream) = behind("getprofile");
    keyward.send(&read(&keyward.first_key().secret)).expect(200);
    keyward.send(&read("garbage")).expect_refused(&invalid());
    keyward.send(&Request::get(PATH)).expect_refused(&missing());
    assert_eq!(upstream.count(), 1, "a refused request reached the upstream");
}

#[test]
fn g06_the_key_keeps_an_apps_data_apart_from_other_apps() {
    let upstream = records_of("x-keyward-project");
    let keyward = Keyward::dev_with("getprofile", &["--upstream", &upstream.url]);
    let (a, (_, b)) = (keyward.first_key(), app(&keyward, "B"));
    let write = |secret: &str, text: &str| {
        let request = Request::post(PATH).with("Authorization", &format!("Bearer {secret}"));
        keyward.send(&request.json(&json!({"data": text}).to_string())).expect(200);
    };
    write(&a.secret, "A's");
    keyward.send(&read(&b.secret)).expect(404);
    write(&b.secret, "B's");
    assert_eq!(keyward.send(&read(&a.secret)).expect(200).json(), json!({"data": "A's"}));
    assert_eq!(keyward.send(&read(&b.secret)).expect(200).json(), json!({"data": "B's"}));
    // Nobody can say of themselves whose data they want.
    let claimed = read(&b.secret).with("X-Keyward-Project", keyward.project());
    assert_eq!(keyward.send(&claimed).expect(200).json(), json!({"data": "B's"}));
}

#[test]
fn g07_the_secret_appears_nowhere_after_it_was_issued() {
    let upstream = Upstream::start(Scripted::json(200, "{}"));
    let keyward = Keyward::dev_with("getprofile", &["--upstream", &upstream.url, "--log-level", "trace"]);
    let (app, key) = app(&keyward, "A");
    let answer = keyward.send(&read(&key.secret)).expect(200);
    assert!(!format!("{answer:?}").contains(&key.secret));
    keyward.send(&Request::get(&format!("{PATH}?api_key={}", key.secret))).expect(401);
    keyward.revoke(&key.id).expect(200);
    let answer = keyward.send(&read(&key.secret)).expect(401);
    assert!(!format!("{answer:?}").contains(&key.secret));
    super::event(&keyward, &app, "key.refused", &key.id);
    expect_secret_nowhere(&keyward, &app, &key.id, &key.secret);
}

#[test]
fn g11_rotating_gives_a_new_secret() {
    let keyward = Keyward::dev("getprofile");
    let old = keyward.first_key();
    let reply = keyward.rotate(&old.id, json!({})).expect(201);
    let new = Key::of(&reply);
    assert_ne!(new.secret, old.secret);
    assert_ne!(new.id, old.id);
    assert_eq!(reply.json()["replaced"]["id"], old.id);
    assert_eq!(reply.json()["replaced"]["state"], "revoked");
}

#[test]
fn g12_the_old_key_stops_working_immediately() {
    let keyward = Keyward::dev("getprofile");
    let old = keyward.first_key();
    let mut in_use = keyward.use_key(read(&old.secret));
    let new = Key::of(&keyward.rotate(&old.id, json!({})).expect(201));
    in_use.expect_refused(&invalid());
    keyward.use_key(read(&new.secret)).expect_accepted();
    // There is no grace that could be asked for.
    let grace = keyward.rotate(&new.id, json!({"overlap_seconds": 60}));
    super::expect_fields(grace, &["overlap_seconds"]);
    keyward.use_key(read(&new.secret)).expect_accepted();
}

#[test]
fn g13_an_exposed_key_is_revoked_right_away() {
    let keyward = Keyward::dev("getprofile");
    let key = keyward.first_key();
    let mut in_use = keyward.use_key(read(&key.secret));
    keyward.revoke(&key.id).expect(200);
    in_use.expect_refused(&invalid());
    assert_eq!(keyward.live(keyward.project()), 0);
}

#[test]
fn g14_the_key_counts_only_as_a_bearer_in_authorization() {
    let (keyward, upstream) = behind("getprofile");
    let Key { secret, .. } = keyward.first_key();
    let with = |name: &str, value: String| Request::get(PATH).with(name, &value);
    let elsewhere = [
        with("Authorization", format!("Basic {secret}")),
        with("Authorization", secret.clone()),
        with("x-api-key", secret.clone()),
        with("X-Authorization", format!("Bearer {secret}")),
        Request::get(PATH).query("api_key", &secret),
        Request::get(PATH).query("access_token", &secret),
    ];
    for request in elsewhere {
        let answer = keyward.send(&request).expect(401);
        assert!([missing().body, invalid().body].contains(&answer.json()), "{request:?}: {}", answer.text());
    }
    assert_eq!(upstream.count(), 0);
    for (name, scheme) in [("authorization", "bearer"), ("AUTHORIZATION", "BEARER"), ("Authorization", "Bearer")] {
        keyward.send(&with(name, format!("{scheme} {secret}"))).expect(200);
    }
}

#[test]
fn g15_the_documented_curl_line_gets_the_upstreams_reply_unchanged() {
    const REPLY: &str = "{ \"id\":\"abc123\",\n  \"summary\" : \"Likes climbing\" }\n";
    let upstream = Upstream::start(Scripted::json(200, REPLY));
    let keyward = Keyward::dev_with("getprofile", &["--upstream", &upstream.url]);
    let key = keyward.first_key();
    let host = ("https://api.getprofile-ai.com", keyward.started.gateway_url.as_str());
    let curled = keyward.curl(CURL, &[host, ("YOUR_API_KEY", &key.secret)]).expect(200);
    assert_eq!(curled.body, REPLY);
    assert_eq!(keyward.curl(CURL, &[host]).expect(401).json(), invalid().body);
}

#[test]
fn g16_a_lost_key_is_rotated_without_presenting_it() {
    let keyward = Keyward::dev("getprofile");
    let lost = keyward.first_key();
    let path = format!("/v1/projects/{}/keys/regenerate", keyward.project());
    let mut in_use = keyward.use_key(read(&lost.secret));
    let found = keyward.post(&path, json!({})).expect(201);
    assert_eq!(found.json()["replaced"], json!([lost.id]));
    in_use.expect_refused(&invalid());
    let found = Key::of(&found);
    keyward.use_key(read(&found.secret)).expect_accepted();
    // Where no key is left, regenerating makes one; a revoked key itself is not rotated.
    keyward.revoke(&found.id).expect(200);
    keyward.rotate(&found.id, json!({})).expect_problem(409, "key_not_active");
    let reply = keyward.post(&path, json!({})).expect(201);
    assert_eq!(reply.json()["replaced"], json!([]));
    keyward.use_key(read(&Key::of(&reply).secret)).expect_accepted();
    assert_eq!(keyward.live(keyward.project()), 1);
}

#[test]
fn g17_an_integration_on_the_old_key_is_told_in_its_clients_words() {
    let keyward = Keyward::dev("getprofile");
    let old = keyward.first_key();
    let client = |secret: &str| Sdk::new("getprofile", &keyward).key(secret).start();
    let mut integration = client(&old.secret);
    let answered = integration.call();
    assert_eq!(answered["ok"], true, "{answered}");
    assert_eq!(answered["data"]["profile"]["id"], "abc123", "{answered}");
    let new = Key::of(&keyward.rotate(&old.id, json!({})).expect(201));
    let thrown = integration.call();
    assert_eq!(
        (&thrown["error_class"], &thrown["message"]),
        (&json!("Error"), &json!("Invalid API key")),
        "{thrown}"
    );
    assert_eq!(client(&new.secret).call()["ok"], true);
}
