//! ScrapeGraphAI: one key an account, `sgai-<UUID>` in `SGAI-APIKEY`, issued with the account and regenerated
//! in place.

use std::sync::Barrier;

use serde_json::json;

use super::{behind, event, expect_secret_nowhere, refused};
use crate::harness::{Key, Keyward, Refused, Request, Sdk};

const PATH: &str = "/api/extract";

const CURL: &str = r#"curl -X POST https://v2-api.scrapegraphai.com/api/extract \
    -H "SGAI-APIKEY: your-api-key" \
    -H "Content-Type: application/json" \
    -d '{"url": "https://example.com", "prompt": "Extract the title"}'"#;

const BODY: &str = r#"{"url": "https://example.com", "prompt": "Extract the title"}"#;

fn extract(secret: &str) -> Request {
    Request::post(PATH).with("SGAI-APIKEY", secret).json(BODY)
}

fn invalid() -> Refused {
    let message = "Invalid API key";
    refused(401, json!({"detail": message, "error": {"type": "invalid_key", "message": message}}))
}

fn missing() -> Refused {
    let message = "Missing API key";
    refused(401, json!({"detail": message, "error": {"type": "missing_key", "message": message}}))
}

fn regenerate(keyward: &Keyward, project: &str) -> crate::harness::Reply {
    keyward.post(&format!("/v1/projects/{project}/keys/regenerate"), json!({}))
}

#[test]
fn s01_the_key_authenticates_every_request() {
    let (keyward, upstream) = behind("scrapegraphai");
    let key = keyward.first_key();
    let routes =
        [("POST", PATH), ("POST", "/api/scrape"), ("GET", "/api/credits"), ("GET", "/api/history/1"), ("GET", "/")];
    for (method, path) in routes {
        // How the credits stand is for the gateway to say.
        let reaches_upstream = path != "/api/credits";
        let before = upstream.count();
        keyward.send(&Request::new(method, path)).expect_refused(&missing());
        keyward.send(&Request::new(method, path).with("SGAI-APIKEY", "sgai-none")).expect_refused(&invalid());
        assert_eq!(upstream.count(), before);
        keyward.send(&Request::new(method, path).with("SGAI-APIKEY", &key.secret)).expect(200);
        assert_eq!(upstream.count(), before + usize::from(reaches_upstream), "{path}");
    }
}

#[test]
fn s01b_keys_are_created_rotated_and_revoked() {
    let keyward = Keyward::dev("scrapegraphai");
    let issued = keyward.first_key();
    let rotated = Key::of(&keyward.rotate(&issued.id, json!({})).expect(201));
    let mut in_use = keyward.use_key(extract(&rotated.secret));
    keyward.revoke(&rotated.id).expect(200);
    in_use.expect_refused(&invalid());
    assert_eq!(keyward.live(keyward.project()), 0);
    let created = keyward.make(keyward.project(), json!({}));
    keyward.use_key(extract(&created.secret)).expect_accepted();
}

#[test]
fn s03_the_key_is_always_shown_masked() {
    let keyward = Keyward::dev("scrapegraphai");
    let (account, first) = keyward.new_project("Account");
    let first = first.expect("a key is issued with the account");
    let masked = |key: &Key| format!("sgai-…{}", &key.secret[key.secret.len() - 4..]);
    for _ in 0..2 {
        assert_eq!(keyward.key(&first.id)["hint"], masked(&first));
        assert_eq!(keyward.list(&account)[0]["hint"], masked(&first));
    }
    expect_secret_nowhere(&keyward, &account, &first.id, &first.secret);
}

#[test]
fn s04_the_key_counts_only_in_sgai_apikey() {
    let (keyward, upstream) = behind("scrapegraphai");
    let Key { secret, .. } = keyward.first_key();
    for name in ["SGAI-APIKEY", "sgai-apikey", "Sgai-ApiKey"] {
        keyward.send(&Request::post(PATH).with(name, &secret)).expect(200);
    }
    let elsewhere = [
        Request::post(PATH).with("Authorization", &format!("Bearer {secret}")),
        Request::post(PATH).with("x-api-key", &secret),
        Request::post(PATH).query("api_key", &secret),
        Request::post(PATH).query("SGAI-APIKEY", &secret),
    ];
    for request in elsewhere {
        keyward.send(&request).expect_refused(&missing());
    }
    assert_eq!(upstream.count(), 3);
}

#[test]
fn s05_the_clients_read_the_key_from_the_environment_and_an_argument_wins() {
    let keyward = Keyward::dev("scrapegraphai");
    let (first, second) = (keyward.first_key(), keyward.new_project("Second").1.unwrap());
    for client in ["scrapegraph-py", "scrapegraph-js"] {
        let by_environment = Sdk::new(client, &keyward).environment("SGAI_API_KEY", &first.secret).call();
        assert_eq!(by_environment["ok"], true, "{by_environment}");
        let by_argument =
            Sdk::new(client, &keyward).environment("SGAI_API_KEY", "sgai-wrong").key(&second.secret).call();
        assert_eq!(by_argument["ok"], true, "{by_argument}");
    }
    super::used(&keyward, &first.id, 2);
    super::used(&keyward, &second.id, 2);
}

#[test]
fn s06_the_python_client_extracts() {
    let keyward = Keyward::dev("scrapegraphai");
    let got = Sdk::new("scrapegraph-py", &keyward).key(&keyward.first_key().secret).call();
    assert_eq!((&got["ok"], &got["data"]["json"]["title"]), (&json!(true), &json!("Example Domain")), "{got}");
}

#[test]
fn s07_the_javascript_client_extracts() {
    let keyward = Keyward::dev("scrapegraphai");
    let got = Sdk::new("scrapegraph-js", &keyward).key(&keyward.first_key().secret).call();
    assert_eq!((&got["ok"], &got["data"]["json"]["title"]), (&json!(true), &json!("Example Domain")), "{got}");
}

#[test]
fn s08_the_documented_curl_line_is_answered_by_the_upstream() {
    let (keyward, upstream) = behind("scrapegraphai");
    let key = keyward.first_key();
    let host = ("https://v2-api.scrapegraphai.com", keyward.started.gateway_url.as_str());
    let curled = keyward.curl(CURL, &[host, ("your-api-key", &key.secret)]).expect(200);
    assert_eq!(curled.json(), json!({"ok": true}));
    let seen = upstream.last();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", PATH));
    assert_eq!(seen.body, BODY.as_bytes());
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert!(!seen.text().contains(&key.secret));
}

#[test]
fn s10_a_regenerated_key_is_shown_only_once() {
    let keyward = Keyward::dev("scrapegraphai");
    let project = keyward.project();
    let reply = regenerate(&keyward, project).expect(201);
    let new = Key::of(&reply);
    assert_eq!(reply.text.matches(&new.secret).count(), 1);
    let uuid = new.secret.strip_prefix("sgai-").unwrap();
    let lengths: Vec<_> = uuid.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12], "{uuid}");
    assert!(uuid.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)));
    keyward.use_key(extract(&new.secret)).expect_accepted();
    expect_secret_nowhere(&keyward, project, &new.id, &new.secret);
}

#[test]
fn s11_the_old_key_is_invalidated_immediately() {
    let keyward = Keyward::dev("scrapegraphai");
    let mut in_use = keyward.use_key(extract(&keyward.first_key().secret));
    let new = Key::of(&regenerate(&keyward, keyward.project()).expect(201));
    in_use.expect_refused(&invalid());
    let mut new_in_use = keyward.use_key(extract(&new.secret));
    Key::of(&keyward.rotate(&new.id, json!({})).expect(201));
    new_in_use.expect_refused(&invalid());
}

#[test]
fn s12_services_on_the_old_key_get_401_unauthorized() {
    let keyward = Keyward::dev("scrapegraphai");
    let old = keyward.first_key();
    keyward.rotate(&old.id, json!({})).expect(201);
    let host = ("https://v2-api.scrapegraphai.com", keyward.started.gateway_url.as_str());
    let curled = keyward.curl(CURL, &[host, ("your-api-key", &old.secret)]).expect(401);
    assert_eq!(curled.json(), invalid().body);
    let raw = keyward.send(&extract(&old.secret));
    assert!(raw.head.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{}", raw.head);
    for client in ["scrapegraph-py", "scrapegraph-js"] {
        let got = Sdk::new(client, &keyward).key(&old.secret).call();
        assert_eq!(got["ok"], false, "{got}");
        assert_eq!(got["message"], "Invalid or missing API key: Invalid API key", "{got}");
    }
}

#[test]
fn s13_the_rotation_stands_in_the_event_log() {
    let keyward = Keyward::dev("scrapegraphai");
    let old = keyward.first_key();
    let before = crate::harness::in_seconds(-1);
    keyward.rotate(&old.id, json!({})).expect(201);
    let event = event(&keyward, keyward.project(), "key.rotated", &old.id);
    assert!(event["at"].as_str().unwrap() > before.as_str(), "{event}");
}

#[test]
fn s14_an_account_has_one_key() {
    let keyward = Keyward::dev("scrapegraphai");
    let (account, first) = keyward.new_project("Account");
    assert_eq!(keyward.live(&account), 1);
    keyward.create(&account, json!({})).expect_problem(409, "active_key_limit");
    keyward.use_key(extract(&first.unwrap().secret)).expect_accepted();
    assert_eq!(keyward.list(&account).len(), 1);
}

#[test]
fn s15_five_regenerations_at_once_leave_one_active_key() {
    let keyward = Keyward::dev("scrapegraphai");
    let (account, first) = keyward.new_project("Account");
    let first = first.unwrap();
    let at_once = |ask: &(dyn Fn() -> crate::harness::Reply + Sync)| -> Vec<crate::harness::Reply> {
        let start = Barrier::new(5);
        std::thread::scope(|threads| {
            let one = || {
                start.wait();
                ask()
            };
            let started: Vec<_> = (0..5).map(|_| threads.spawn(one)).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    };
    let rotations = at_once(&|| keyward.rotate(&first.id, json!({})));
    let won = rotations.iter().filter(|reply| reply.status == 201).count();
    let lost = rotations.iter().filter(|reply| reply.status == 409).count();
    assert_eq!((won, lost), (1, 4));
    assert_eq!(keyward.live(&account), 1);
    let regenerations = at_once(&|| regenerate(&keyward, &account));
    let secrets: Vec<_> = regenerations.iter().filter(|reply| reply.status == 201).map(Key::of).collect();
    assert!(!secrets.is_empty());
    assert_eq!(keyward.live(&account), 1);
    // Of all secrets handed out, the one of the active key opens and no other.
    let open: Vec<_> = secrets.iter().filter(|key| keyward.send(&extract(&key.secret)).status == 200).collect();
    assert_eq!(open.len(), 1);
    assert_eq!(keyward.key(&open[0].id)["state"], "active");
}
