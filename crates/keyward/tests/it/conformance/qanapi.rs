//! Qanapi: up to ten keys a project, in `X-Qanapi-Authorization`; creation and revocation are confirmed.

use keyward_core::clock::Timestamp;
use serde_json::{Value, json};

use super::{behind, event, events, expect_secret_nowhere, refused, used};
use crate::encryption::expect_ciphertext;
use crate::harness::{Key, Keyward, Refused, Reply, Request, Scripted, Upstream, in_seconds};

const ENCRYPT: &str = "/api-v1/v1/encrypt";
const DECRYPT: &str = "/api-v1/v1/decrypt";

const CURL_ENCRYPT: &str = r#"curl --location 'https://your-tenant.qanapi.cloud/api-v1/v1/encrypt' \
--header 'X-Qanapi-Authorization: your_api_key' \
--header 'Content-Type: application/json' \
--data '{"data": "Your sensitive data"}'"#;

const CURL_PROXY: &str = r#"curl --location 'https://your-tenant.qanapi.cloud/proxy/your-project-id' \
--header 'X-Qanapi-Authorization: your_api_key' \
--header 'X-Qanapi-Mode: encrypt' \
--header 'X-Qanapi-Fields: title,body' \
--header 'Content-Type: application/json' \
--data '{"title": "Sensitive title", "body": "Sensitive body text"}'"#;

const HOST: &str = "https://your-tenant.qanapi.cloud";

fn encrypt(secret: &str) -> Request {
    Request::post(ENCRYPT).with("X-Qanapi-Authorization", secret).json(r#"{"data":"x"}"#)
}

fn proxy(project: &str, secret: &str) -> Request {
    let request = Request::post(&format!("/proxy/{project}")).with("X-Qanapi-Authorization", secret);
    request.with("X-Qanapi-Fields", "title").json(r#"{"title":"x"}"#)
}

fn invalid() -> Refused {
    refused(401, json!({"message": "Invalid API key"}))
}

fn missing() -> Refused {
    refused(401, json!({"message": "Missing API key"}))
}

fn another_projects() -> Refused {
    refused(403, json!({"message": "This API key belongs to another project"}))
}

fn make(keyward: &Keyward, name: &str) -> Key {
    keyward.make(keyward.project(), json!({"name": name, "acknowledge": true}))
}

fn create(keyward: &Keyward, project: &str) -> Reply {
    keyward.create(project, json!({"acknowledge": true}))
}

#[test]
fn q01_the_key_authenticates_encrypting_decrypting_and_managing() {
    let (keyward, upstream) = behind("qanapi");
    let key = make(&keyward, "App");
    for path in ["/api/v2/encrypt", "/api/v3/logs/events"] {
        let before = upstream.count();
        keyward.send(&Request::post(path).json("{}")).expect_refused(&missing());
        assert_eq!(upstream.count(), before);
        keyward.send(&Request::post(path).with("X-Qanapi-Authorization", &key.secret).json("{}")).expect(200);
        assert_eq!(upstream.last().target, path);
    }
    // What the page calls directly is answered by the gateway itself.
    let (before, call) = (upstream.count(), |path: &str, body: &str| Request::post(path).json(body));
    let keyed = |request: Request| request.with("X-Qanapi-Authorization", &key.secret);
    keyward.send(&call(ENCRYPT, r#"{"data":"x"}"#)).expect_refused(&missing());
    let sealed = keyward.send(&keyed(call(ENCRYPT, r#"{"data":"x"}"#))).expect(200).text();
    keyward.send(&call(DECRYPT, &sealed)).expect_refused(&missing());
    assert_eq!(keyward.send(&keyed(call(DECRYPT, &sealed))).expect(200).text(), r#"{"data":"x"}"#);
    assert_eq!(upstream.count(), before);
}

#[test]
fn q03_a_key_is_made_only_once_three_statements_are_acknowledged() {
    let keyward = Keyward::dev("qanapi");
    let before = keyward.list(keyward.project()).len();
    for unacknowledged in [json!({}), json!({"acknowledge": false})] {
        let reply = keyward.create(keyward.project(), unacknowledged);
        let problem = reply.expect_problem(428, "acknowledgement_required").json();
        let statements: Vec<_> =
            problem["statements"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
        assert_eq!(statements.len(), 3);
        for (statement, word) in statements.iter().zip(["once", "securely", "cannot be retrieved"]) {
            assert!(statement.contains(word), "{statement:?} does not say {word:?}");
        }
    }
    assert_eq!(keyward.list(keyward.project()).len(), before, "a key was made without acknowledgement");
    create(&keyward, keyward.project()).expect(201);
    assert_eq!(keyward.list(keyward.project()).len(), before + 1);
}

#[test]
fn q04_creating_generates_the_key() {
    let keyward = Keyward::dev("qanapi");
    let made = create(&keyward, keyward.project()).expect(201);
    let key = Key::of(&made);
    assert!(key.secret.starts_with("cd_"));
    keyward.use_key(encrypt(&key.secret)).expect_accepted();
}

#[test]
fn q05_the_key_is_displayed_only_once() {
    let keyward = Keyward::dev("qanapi");
    let made = create(&keyward, keyward.project()).expect(201);
    let key = Key::of(&made);
    assert_eq!(made.text.matches(&key.secret).count(), 1);
    expect_secret_nowhere(&keyward, keyward.project(), &key.id, &key.secret);
}

#[test]
fn q06_a_lost_key_is_made_up_for_by_a_new_one() {
    let keyward = Keyward::dev("qanapi");
    let lost = make(&keyward, "lost");
    let mut lost_in_use = keyward.use_key(encrypt(&lost.secret));
    let new = make(&keyward, "new");
    keyward.use_key(encrypt(&new.secret)).expect_accepted();
    lost_in_use.expect_accepted();
    assert_eq!(keyward.key(&lost.id)["state"], "active");
}

#[test]
fn q07_the_list_shows_id_creation_status_and_last_use() {
    let keyward = Keyward::dev("qanapi");
    let before: Timestamp = in_seconds(-1).parse().unwrap();
    let key = make(&keyward, "App");
    let row = keyward.list(keyward.project())[0].clone();
    assert_eq!((&row["id"], &row["state"], &row["last_used_at"]), (&json!(key.id), &json!("active"), &Value::Null));
    let created: Timestamp = row["created_at"].as_str().unwrap().parse().unwrap();
    assert!(created > before, "{row}");
    assert!(!key.secret.contains(&key.id) && !key.id.contains(&key.secret));
    keyward.send(&encrypt(&key.id)).expect_refused(&invalid());
}

#[test]
fn q08_a_revoked_key_stays_in_the_list() {
    let keyward = Keyward::dev("qanapi");
    let key = make(&keyward, "App");
    keyward.revoke(&key.id).expect(200);
    let listed = keyward.list(keyward.project());
    let row = listed.iter().find(|row| row["id"] == key.id).expect("it is still listed");
    assert_eq!(row["state"], "revoked");
    assert!(row["revoked_at"].is_string(), "{row}");
    let filtered = |state: &str| {
        let path = format!("/v1/projects/{}/keys?state={state}", keyward.project());
        let items = keyward.get(&path).expect(200).json()["items"].clone();
        items.as_array().unwrap().iter().any(|row| row["id"] == key.id)
    };
    assert_eq!((filtered("revoked"), filtered("active")), (true, false));
}

#[test]
fn q09_the_list_tells_when_a_key_was_last_used() {
    let (keyward, _upstream) = behind("qanapi");
    let key = make(&keyward, "App");
    assert_eq!(keyward.key(&key.id)["last_used_at"], Value::Null);
    let began: Timestamp = in_seconds(0).parse().unwrap();
    keyward.send(&encrypt(&key.secret)).expect(200);
    let answered = std::time::Instant::now();
    let shown = used(&keyward, &key.id, 1);
    let late = answered.elapsed();
    // Two seconds at most are promised; a busy machine is given some more.
    assert!(late <= std::time::Duration::from_secs(5), "told only {late:?} after the use");
    let last: Timestamp = shown["last_used_at"].as_str().unwrap().parse().unwrap();
    assert!(last >= began && last <= in_seconds(0).parse().unwrap(), "{shown}");
    // A use that was refused is none.
    keyward.send(&proxy(&keyward.new_project("Other").0, &key.secret)).expect_refused(&another_projects());
    keyward.revoke(&key.id).expect(200);
    keyward.send(&encrypt(&key.secret)).expect_refused(&invalid());
    let refused = crate::harness::eventually("two refusals are counted", || {
        let shown = keyward.key(&key.id);
        (shown["refusals"] == 2).then_some(shown)
    });
    assert_eq!((&refused["last_used_at"], &refused["uses"]), (&shown["last_used_at"], &json!(1)));
}

#[test]
fn q10_revoking_is_confirmed_first() {
    let keyward = Keyward::dev("qanapi");
    let key = make(&keyward, "App");
    let mut in_use = keyward.use_key(encrypt(&key.secret));
    let path = format!("/v1/keys/{}/revoke", key.id);
    let problem = keyward.post(&path, json!({})).expect_problem(428, "acknowledgement_required").json();
    assert!(problem["statements"][0].as_str().unwrap().contains("lose access"), "{problem}");
    in_use.expect_accepted();
    assert_eq!(keyward.key(&key.id)["state"], "active");
    let together = keyward.post("/v1/revocations", json!({"keys": [key.id]}));
    together.expect_problem(428, "acknowledgement_required");
    in_use.expect_accepted();
    keyward.post(&path, json!({"acknowledge": true})).expect(200);
    in_use.expect_refused(&invalid());
}

#[test]
fn q11_revoking_prevents_use_immediately() {
    let keyward = Keyward::dev("qanapi");
    let key = make(&keyward, "App");
    let mut in_use = keyward.use_key(encrypt(&key.secret));
    keyward.revoke(&key.id).expect(200);
    in_use.expect_refused(&invalid());
    assert_eq!(keyward.verify(json!({"key": key.secret})).expect(200).json()["code"], "revoked");
}

#[test]
fn q12_applications_with_the_revoked_key_lose_access() {
    let keyward = Keyward::dev("qanapi");
    let key = make(&keyward, "App");
    let calls = [encrypt(&key.secret), proxy(keyward.project(), &key.secret)];
    let mut in_use = calls.map(|call| keyward.use_key(call));
    keyward.revoke(&key.id).expect(200);
    in_use.iter_mut().for_each(|call| call.expect_refused(&invalid()));
    // Revoking it again says the same.
    let first = keyward.key(&key.id);
    let again = keyward.revoke(&key.id).expect(200).json();
    assert_eq!(again["key"]["revoked_at"], first["revoked_at"]);
    assert_eq!(again["in_force"]["nodes"], 1);
    in_use.iter_mut().for_each(|call| call.expect_refused(&invalid()));
}

#[test]
fn q13_the_documented_curl_line_calls_the_api_directly() {
    let (keyward, upstream) = behind("qanapi");
    let key = make(&keyward, "App");
    let host = (HOST, keyward.started.gateway_url.as_str());
    let sealed = keyward.curl(CURL_ENCRYPT, &[host, ("your_api_key", &key.secret)]).expect(200);
    expect_ciphertext(&sealed.json()["data"]);
    let decrypt = Request::post(DECRYPT).with("X-Qanapi-Authorization", &key.secret).json(&sealed.body);
    assert_eq!(keyward.send(&decrypt).expect(200).text(), r#"{"data":"Your sensitive data"}"#);
    assert_eq!(keyward.curl(CURL_ENCRYPT, &[host]).expect(401).json(), invalid().body);
    assert_eq!(upstream.count(), 0, "nobody else is told");
}

#[test]
fn q14_the_documented_curl_line_encrypts_the_fields_it_names() {
    let (keyward, upstream) = behind("qanapi");
    let key = make(&keyward, "App");
    let host = (HOST, keyward.started.gateway_url.as_str());
    let project = ("your-project-id", keyward.project());
    let replaced = [host, project, ("your_api_key", key.secret.as_str())];
    let sealed = keyward.curl(CURL_PROXY, &replaced).expect(200);
    let document = sealed.json();
    let (title, body) = (expect_ciphertext(&document["title"]), expect_ciphertext(&document["body"]));
    assert_eq!(sealed.body, format!(r#"{{"title": "{title}", "body": "{body}"}}"#), "the rest is untouched");
    // The other mode of the same line brings it back, byte for byte.
    let documented = r#"{"title": "Sensitive title", "body": "Sensitive body text"}"#;
    let back = [&replaced[..], &[("Mode: encrypt", "Mode: decrypt"), (documented, &sealed.body)]].concat();
    assert_eq!(keyward.curl(CURL_PROXY, &back).expect(200).body, documented);
    let wrong_project = keyward.curl(CURL_PROXY, &[host, ("your_api_key", &key.secret)]).expect(403);
    assert_eq!(wrong_project.json(), another_projects().body);
    let no_key = Request::post(&format!("/proxy/{}", keyward.project())).json("{}");
    keyward.send(&no_key).expect_refused(&missing());
    let no_project = Request::post("/proxy/your-project-id").json("{}");
    keyward.send(&no_project).expect_refused(&missing());
    assert_eq!(upstream.count(), 0);
}

#[test]
fn q16_applications_have_keys_of_their_own() {
    let (keyward, _upstream) = behind("qanapi");
    let (web, batch) = (make(&keyward, "web"), make(&keyward, "batch"));
    let mut web_in_use = keyward.use_key(encrypt(&web.secret));
    let mut batch_in_use = keyward.use_key(encrypt(&batch.secret));
    keyward.revoke(&web.id).expect(200);
    web_in_use.expect_refused(&invalid());
    batch_in_use.expect_accepted();
    let (web, batch) = (used(&keyward, &web.id, 2), used(&keyward, &batch.id, 4));
    assert_eq!((&web["name"], &batch["name"]), (&json!("web"), &json!("batch")));
}

#[test]
fn q17_keys_are_rotated_periodically() {
    let keyward = Keyward::dev("qanapi");
    // As the page has it: make a new one, revoke the old one.
    let old = make(&keyward, "App");
    let new = make(&keyward, "App");
    let mut in_use = [&old, &new].map(|key| keyward.use_key(encrypt(&key.secret)));
    keyward.revoke(&old.id).expect(200);
    in_use[0].expect_refused(&invalid());
    in_use[1].expect_accepted();
    // In one step, as the vendor's client has it: with an overlap, and in place.
    let overlapped = Key::of(&keyward.rotate(&new.id, json!({"overlap_seconds": 3600})).expect(201));
    in_use[1].expect_accepted();
    let mut overlapped_in_use = keyward.use_key(encrypt(&overlapped.secret));
    let last = Key::of(&keyward.rotate(&overlapped.id, json!({})).expect(201));
    overlapped_in_use.expect_refused(&invalid());
    assert_eq!(keyward.key(&last.id)["name"], "App");
    keyward.use_key(encrypt(&last.secret)).expect_accepted();
}

#[test]
fn q18_the_event_log_tells_what_happened_to_a_key() {
    let (keyward, _upstream) = behind("qanapi");
    let project = keyward.project().to_owned();
    let key = make(&keyward, "App");
    keyward.send(&encrypt(&key.secret)).expect(200);
    keyward.revoke(&key.id).expect(200);
    keyward.send(&encrypt(&key.secret)).expect_refused(&invalid());
    for (name, outcome) in [("key.used", "valid"), ("key.refused", "revoked")] {
        let event = event(&keyward, &project, name, &key.id);
        assert_eq!((&event["outcome"], &event["count"]), (&json!(outcome), &json!(1)), "{event}");
        assert_eq!(event["origin"]["address"], "127.0.0.1", "{event}");
    }
    for name in ["key.created", "key.revoked"] {
        let event = event(&keyward, &project, name, &key.id);
        assert_eq!(event["actor"]["kind"], "management_key", "{event}");
        assert!(event["actor"]["id"].is_string() && event["revision"].is_i64(), "{event}");
        assert_eq!(event["origin"]["address"], "127.0.0.1", "{event}");
    }
    let log = events(&keyward, &project);
    assert!(log.iter().all(|event| event["at"].as_str().unwrap().parse::<Timestamp>().is_ok()));
    assert!(!Value::from(log).to_string().contains(&key.secret[8..28]));
}

#[test]
fn q20_a_project_has_up_to_ten_active_keys() {
    let keyward = Keyward::dev("qanapi");
    let ((project, _), (other, _)) = (keyward.new_project("P"), keyward.new_project("Q"));
    let keys: Vec<_> = (0..10).map(|_| Key::of(&create(&keyward, &project).expect(201))).collect();
    let problem = create(&keyward, &project).expect_problem(409, "active_key_limit").json();
    assert!(problem["detail"].as_str().unwrap().contains("10"), "{problem}");
    keyward.revoke(&keys[3].id).expect(200);
    create(&keyward, &project).expect(201);
    create(&keyward, &project).expect_problem(409, "active_key_limit");
    create(&keyward, &other).expect(201);
    assert_eq!((keyward.live(&project), keyward.live(&other)), (10, 1));
}

#[test]
fn q20b_the_operator_raises_a_projects_limit() {
    let keyward = Keyward::dev("qanapi");
    let (project, _) = keyward.new_project("P");
    (0..10).for_each(|_| drop(create(&keyward, &project).expect(201)));
    create(&keyward, &project).expect_problem(409, "active_key_limit");
    let raised =
        keyward.patch(&format!("/v1/projects/{project}"), json!({"active_key_limit": 12})).expect(200).json();
    assert_eq!(raised["project"]["active_key_limit"], 12, "{raised}");
    (0..2).for_each(|_| drop(create(&keyward, &project).expect(201)));
    create(&keyward, &project).expect_problem(409, "active_key_limit");
    // For this project only, and back to the contract's when it is taken back.
    let (other, _) = keyward.new_project("Q");
    (0..10).for_each(|_| drop(create(&keyward, &other).expect(201)));
    create(&keyward, &other).expect_problem(409, "active_key_limit");
    let reset =
        keyward.patch(&format!("/v1/projects/{project}"), json!({"active_key_limit": null})).expect(200).json();
    assert_eq!(reset["project"]["active_key_limit"], 10, "{reset}");
    assert_eq!(keyward.live(&project), 12, "keys that are there stay");
    create(&keyward, &project).expect_problem(409, "active_key_limit");
}

#[test]
fn q21_a_key_does_not_open_another_project() {
    let (keyward, upstream) = behind("qanapi");
    let key = make(&keyward, "App");
    let (other, _) = keyward.new_project("Other");
    let anothers = keyward.send(&proxy(&other, &key.secret)).expect_refused(&another_projects());
    let nobodys =
        keyward.send(&proxy("proj_0000000000000000000000", &key.secret)).expect_refused(&another_projects());
    let nothing = keyward.send(&proxy("your-project-id", &key.secret)).expect_refused(&another_projects());
    assert_eq!(anothers.body, nobodys.body);
    assert_eq!(anothers.body, nothing.body);
    let below = Request::post(&format!("/proxy/{other}/more")).with("X-Qanapi-Authorization", &key.secret);
    keyward.send(&below).expect_refused(&another_projects());
    for trick in [format!("/proxy/{}/../{other}", keyward.project()), format!("/proxy/%70{}", &other[1..])] {
        let answer = keyward.send(&Request::post(&trick).with("X-Qanapi-Authorization", &key.secret));
        assert!([400, 403].contains(&answer.status), "{trick}: {}", answer.text());
    }
    assert_eq!(upstream.count(), 0, "a request about another project reached the upstream");
    let event = event(&keyward, keyward.project(), "key.refused", &key.id);
    assert_eq!(event["outcome"], "wrong_project", "{event}");
    assert!(
        events(&keyward, &other).iter().all(|event| event["key"] != json!(key.id)),
        "told to the other project"
    );
    keyward.send(&proxy(keyward.project(), &key.secret)).expect(200);
}

#[test]
fn q23_the_next_steps_are_there_and_data_is_encrypted_on_its_way_to_the_projects_own_api() {
    let links = Keyward::dev("qanapi").terms();
    let links = links.at("dashboard.links").and_then(toml::Value::as_array).unwrap().clone();
    let urls: Vec<_> = links.iter().map(|link| link["url"].as_str().unwrap()).collect();
    for step in ["data-classifications", "data-proxies/overview", "data-proxies/encryption"] {
        assert!(urls.iter().any(|url| url.ends_with(step)), "{step} is not among {urls:?}");
    }
    let keyward = Keyward::dev_with_env("qanapi", &[], &[("KEYWARD_DESTINATIONS_ALLOWED_NETWORKS", "127.0.0.1")]);
    let own_api = Upstream::start(Scripted::json(200, r#"{"stored":true}"#));
    let path = format!("/v1/projects/{}/destination", keyward.project());
    keyward.control(reqwest::Method::PUT, &path, Some(json!({"url": own_api.url}))).expect(200);
    let key = make(&keyward, "App");
    let answer = keyward.send(&proxy(keyward.project(), &key.secret)).expect(200);
    assert_eq!(answer.text(), r#"{"stored":true}"#);
    let stored: Value = serde_json::from_slice(&own_api.last().body).unwrap();
    expect_ciphertext(&stored["title"]);
}

#[test]
fn q24_a_tenants_host_does_not_open_with_another_tenants_key() {
    let (keyward, upstream) = behind("qanapi");
    let other_upstream = Upstream::start(Scripted::json(200, "{}"));
    keyward.amend("[gateway]\nhosts = [\"a.qanapi.test\"]\n");
    let contract = format!(
        "schema = 1\nextends = \"qanapi\"\n[gateway]\nhosts = [\"b.qanapi.test\"]\nupstream = \"{}\"\n",
        other_upstream.url
    );
    keyward.put_contract("tenant-b", &contract).expect(201);
    let path = format!("/v1/organizations/{}/projects", keyward.started.organization);
    let made = keyward.post(&path, json!({"name": "B", "api": "tenant-b"})).expect(201).json();
    let project_b = made["project"]["id"].as_str().unwrap().to_owned();
    let (a, b) = (make(&keyward, "A"), Key::of(&create(&keyward, &project_b).expect(201)));
    let list = |key: &Key| Request::get("/api/v3/list").with("X-Qanapi-Authorization", &key.secret);
    let at = |host: &str, key: &Key| keyward.send(&list(key).host(host));
    at("a.qanapi.test", &a).expect(200);
    at("b.qanapi.test:443", &b).expect(200);
    assert_eq!((upstream.count(), other_upstream.count()), (1, 1));
    at("a.qanapi.test", &b).expect_refused(&invalid());
    at("A.QANAPI.TEST", &b).expect_refused(&invalid());
    at("b.qanapi.test", &a).expect_refused(&invalid());
    assert_eq!((upstream.count(), other_upstream.count()), (1, 1));
}
