//! A secret is in one answer and in no other, ever (K06, K07).

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::traces::Traces;
use crate::harness::{Ids, Key, Keyward, Reply};

/// A POST with an `Idempotency-Key`.
fn post_once(keyward: &Keyward, path: &str, once: &str, body: &Value) -> Reply {
    let request = keyward.http.post(format!("{}{path}", keyward.started.control_url));
    let request = request.bearer_auth(&keyward.started.management_key).header("idempotency-key", once);
    request.json(body).send().unwrap().into()
}

/// What there is to crawl, and every secret that was shown.
fn a_busy_server() -> (Keyward, Ids, Vec<String>) {
    let keyward = Keyward::dev("standard");
    let mut secrets = vec![keyward.first_key().secret];
    let key = keyward.make(keyward.project(), json!({"name": "first", "metadata": {"team": "a"}}));
    let rotated = Key::of(&keyward.rotate(&key.id, json!({"overlap_seconds": 600})).expect(201));
    let revoked = keyward.make(keyward.project(), json!({}));
    keyward.revoke(&revoked.id).expect(200);
    let many = keyward.make(keyward.project(), json!({}));
    let revocation = keyward.post("/v1/revocations", json!({"keys": [many.id]})).expect(200).json();
    let (management_key, management_secret) = keyward.management_key("ci", &["keys:read"], None);
    secrets.extend([key.secret.clone(), rotated.secret, revoked.secret, many.secret, management_secret]);
    for secret in &secrets {
        keyward.verify(json!({"key": secret})).expect(200);
    }
    // Uses are in the event log a second later; only then is it worth crawling.
    crate::harness::eventually("uses are in the event log", || {
        let events = keyward.get(&format!("/v1/projects/{}/events?name=key.used", keyward.project())).json();
        (!events["items"].as_array().unwrap().is_empty()).then_some(())
    });
    let ids = Ids {
        api: keyward.started.api.clone(),
        organization: keyward.started.organization.clone(),
        project: keyward.started.project.clone(),
        key: key.id,
        management_key,
        revocation: revocation["id"].as_str().unwrap().to_owned(),
        ..Ids::of_nothing()
    };
    (keyward, ids, secrets)
}

#[test]
fn k06_no_answer_but_the_first_holds_a_secret() {
    let (keyward, ids, secrets) = a_busy_server();
    let traces = Traces::of(&secrets);
    let mut pages = 0;
    for operation in keyward.operations().iter().filter(|operation| operation.is_read()) {
        let mut path = operation.at(&ids);
        loop {
            let reply = operation.ask_with(&keyward, &keyward.started.management_key, &path, None).expect(200);
            traces.must_not_be_in(&path, format!("{:?}\n{}", reply.headers, reply.text));
            pages += 1;
            match reply.json()["next_cursor"].as_str() {
                Some(next) => path = format!("{}?cursor={next}", operation.at(&ids)),
                None => break,
            }
        }
    }
    assert!(pages >= 15, "{pages} pages");
    for page in ["/openapi.json", "/metrics", "/healthz", "/readyz"] {
        traces.must_not_be_in(page, keyward.get(page).expect(200).text);
    }
    for command in
        [&["log", "show", "--json"][..], &["key", "list", "--project", &ids.project], &["config", "show"]]
    {
        let (_, stdout, stderr) = keyward.cli(command);
        traces.must_not_be_in(&command.join(" "), stdout + &stderr);
    }
    traces.must_not_be_in("standard error", keyward.stderr());
}

#[test]
fn k06_a_repeated_request_is_answered_without_the_secret() {
    let keyward = Keyward::dev("standard");
    let key = keyward.make(keyward.project(), json!({}));
    let (management_key, _) = keyward.management_key("ci", &["keys:read"], None);
    let project = keyward.project();
    let requests = [
        (format!("/v1/projects/{project}/keys"), json!({"name": "once"}), "key"),
        (format!("/v1/keys/{}/rotate", key.id), json!({"overlap_seconds": 60}), "key"),
        ("/v1/management-keys".to_owned(), json!({"name": "once", "scopes": ["keys:read"]}), "management_key"),
        (format!("/v1/management-keys/{management_key}/rotate"), json!({}), "management_key"),
    ];
    for (path, body, what) in requests {
        let once = format!("once for {path}");
        let first = post_once(&keyward, &path, &once, &body).expect(201).json();
        let secret = first["secret"].as_str().unwrap_or_else(|| panic!("{path}: {first}"));
        let revision = keyward.revision();
        for _ in 0..2 {
            let again = post_once(&keyward, &path, &once, &body).expect(200);
            Traces::of([secret]).must_not_be_in(&path, &again.text);
            let again = again.json();
            assert_eq!(again["secret_shown"], true, "{path}: {again}");
            assert_eq!(again[what]["id"], first[what]["id"], "{path}");
            assert!(again.get("secret").is_none(), "{path}: {again}");
        }
        assert_eq!(keyward.revision(), revision, "{path}: a repeated request changed something");
        // With another request it is refused, whatever that is, and shows nothing either.
        let another = post_once(&keyward, "/v1/organizations", &once, &json!({"name": "another"}));
        Traces::of([secret]).must_not_be_in(&path, &another.expect_problem(422, "idempotency_key_reused").text);
    }
}

#[test]
fn k06_a_first_key_that_came_with_its_project_is_not_shown_again() {
    let keyward = Keyward::dev("scrapegraphai");
    let path = format!("/v1/organizations/{}/projects", keyward.started.organization);
    let wish = json!({"name": "app", "api": keyward.started.api});
    let first = post_once(&keyward, &path, "once", &wish).expect(201).json();
    let secret = first["secret"].as_str().unwrap();
    assert!(keyward.is_valid(secret));
    let again = post_once(&keyward, &path, "once", &wish).expect(200);
    Traces::of([secret]).must_not_be_in("the repeated answer", &again.text);
    assert_eq!(again.json()["secret_shown"], true, "{}", again.text);
    let project = first["project"]["id"].as_str().unwrap();
    let path = format!("/v1/projects/{project}/keys/regenerate");
    let first = post_once(&keyward, &path, "once more", &json!({})).expect(201).json();
    let again = post_once(&keyward, &path, "once more", &json!({})).expect(200);
    Traces::of([first["secret"].as_str().unwrap()]).must_not_be_in("the repeated answer", &again.text);
    assert!(keyward.is_valid(first["secret"].as_str().unwrap()), "the repetition did not rotate again");
}

#[test]
fn k07_an_answer_with_a_secret_is_kept_by_nobody_on_the_way() {
    let keyward = Keyward::dev("standard");
    let made = keyward.create(keyward.project(), json!({})).expect(201);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    assert_eq!(made.header("location"), None, "nothing to come back to that would show it");
    let key = Key::of(&made);
    let rotated = keyward.rotate(&key.id, json!({})).expect(201);
    assert_eq!(rotated.header("cache-control"), Some("no-store"));
    for operation in keyward.operations() {
        // Whatever is asked without a body in a GET can be in a history or a log: none of that reveals.
        if operation.method == Method::GET {
            let path = operation.path.clone();
            assert!(!operation.query.iter().any(|name| name == "key_secret" || name == "secret"), "{path}");
        }
    }
    let verified = keyward.verify(json!({"key": Key::of(&rotated).secret})).expect(200);
    assert_eq!(verified.header("cache-control"), Some("no-store"), "nor is a decision");
}
