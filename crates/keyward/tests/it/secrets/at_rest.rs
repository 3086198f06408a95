//! What somebody gets who takes the whole folder away, backups included: nothing that opens anything (K04).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::json;

use crate::harness::traces::{Traces, files};
use crate::harness::{Key, Keyward, offline};

/// Everything that has a secret, made in every way there is, by three formats of keys.
struct Issued {
    keyward: Keyward,
    secrets: Vec<String>,
}

impl Issued {
    fn all() -> Self {
        let keyward = Keyward::dev("standard");
        let mut secrets = vec![keyward.first_key().secret];
        secrets.extend(keys_of(&keyward, keyward.project()));
        for api in ["metriport", "scrapegraphai", "qanapi"] {
            let contract = format!("{}/../../contracts/{api}.toml", env!("CARGO_MANIFEST_DIR"));
            let source = std::fs::read_to_string(contract).unwrap();
            keyward.put_contract(api, &source).expect(201);
            let path = format!("/v1/organizations/{}/projects", keyward.started.organization);
            let made = keyward.post(&path, json!({"name": api, "api": api})).expect(201).json();
            secrets.extend(made["secret"].as_str().map(str::to_owned));
            secrets.extend(keys_of(&keyward, made["project"]["id"].as_str().unwrap()));
        }
        for name in ["one", "two"] {
            let (id, secret) = keyward.management_key(name, &["keys:read"], None);
            let rotated = keyward.post(&format!("/v1/management-keys/{id}/rotate"), json!({})).expect(201);
            secrets.extend([secret, rotated.json()["secret"].as_str().unwrap().to_owned()]);
        }
        // Used and refused, so that whatever notes uses has seen them too.
        for secret in &secrets {
            keyward.verify(json!({"key": secret})).expect(200);
            keyward.call("GET", "/v1/hello", &[("authorization", &format!("Bearer {secret}"))]);
            keyward.control_as(secret, Method::GET, "/v1/whoami", None);
        }
        Issued { keyward, secrets }
    }
}

/// Keys of a project: made, made again by a repeated request, rotated, regenerated, revoked.
fn keys_of(keyward: &Keyward, project: &str) -> Vec<String> {
    let mut secrets = Vec::new();
    let url = format!("{}/v1/projects/{project}/keys", keyward.started.control_url);
    let repeated = || {
        let request = keyward.http.post(&url).bearer_auth(&keyward.started.management_key);
        request.header("idempotency-key", "only-once").json(&json!({"acknowledge": true})).send().unwrap().json()
    };
    for made in [repeated(), repeated()] {
        let made: serde_json::Value = made.unwrap();
        secrets.extend(made["secret"].as_str().map(str::to_owned));
    }
    for _ in 0..3 {
        let made = keyward.create(project, json!({"acknowledge": true}));
        if made.status == 201 {
            let key = Key::of(&made);
            keyward.revoke(&key.id).expect(200);
            secrets.push(key.secret);
        }
    }
    let list = keyward.get(&format!("/v1/projects/{project}/keys?state=active")).expect(200).json();
    for key in list["items"].as_array().unwrap() {
        let rotated = keyward.rotate(key["id"].as_str().unwrap(), json!({"overlap_seconds": 60}));
        let rotated =
            if rotated.status == 201 { rotated } else { keyward.rotate(key["id"].as_str().unwrap(), json!({})) };
        secrets.extend(rotated.json()["secret"].as_str().map(str::to_owned));
    }
    assert!(!secrets.is_empty());
    secrets
}

#[test]
fn k04_the_whole_folder_holds_no_secret_in_any_shape() {
    let Issued { mut keyward, secrets } = Issued::all();
    assert!(secrets.len() >= 15, "{}", secrets.len());
    let backup = keyward.post("/v1/backups", json!({"name": "dump.db"})).expect(201).json();
    assert!(std::fs::metadata(backup["path"].as_str().unwrap()).unwrap().len() > 0);
    let traces = Traces::of(&secrets);
    // While it runs, as kill -9 leaves it (with a write-ahead log), and after an orderly stop.
    traces.must_not_be_in_files(&keyward.dir(), &[]);
    keyward.kill();
    let has_log = files(&keyward.dir()).iter().any(|file| file.ends_with("keyward.db-wal"));
    assert!(has_log, "a kill leaves a write-ahead log");
    traces.must_not_be_in_files(&keyward.dir(), &[]);
    keyward.restart();
    assert_eq!(keyward.stop(), Some(0));
    traces.must_not_be_in_files(&keyward.dir(), &[]);
    traces.must_not_be_in("standard error", keyward.stderr());
}

#[test]
fn k04_only_the_owner_can_read_what_is_kept() {
    use std::os::unix::fs::PermissionsExt;
    let keyward = Keyward::dev("standard");
    keyward.post("/v1/backups", json!({})).expect(201);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&keyward.dir()), 0o700);
    for file in files(&keyward.dir()) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    // The one secret in the clear: the management key that `dev` leaves for the CLI, in a file of its own.
    let profile = std::fs::read_to_string(keyward.dir().join("cli.toml")).unwrap();
    assert!(profile.contains(&keyward.started.management_key));
    Traces::of([&keyward.started.management_key]).must_not_be_in_files(&keyward.dir(), &["cli.toml"]);
}

#[test]
fn k04_what_the_database_holds_of_keys_opens_nothing() {
    let Issued { keyward, .. } = Issued::all();
    let copy = keyward.folder().join("stolen.db");
    let backup = keyward.post("/v1/backups", json!({"name": "stolen.db"})).expect(201).json();
    std::fs::copy(backup["path"].as_str().unwrap(), &copy).unwrap();
    let mut digests = offline::sql(&copy, "SELECT digest FROM digests");
    let keys = digests.len();
    digests.extend(offline::sql(&copy, "SELECT digest FROM management_keys"));
    assert!(keys >= 15 && digests.len() > keys, "{} digests", digests.len());
    let mut checker = keyward.checker();
    for digest in &digests {
        let bytes: [u8; 32] = keyward_core::log::from_hex(digest).unwrap().try_into().unwrap();
        let body = keyward_core::base62::encode_32(&bytes);
        let uuid = format!(
            "{}-{}-4{}-8{}-{}",
            &digest[..8],
            &digest[8..12],
            &digest[13..16],
            &digest[17..20],
            &digest[20..32]
        );
        let shapes = [
            digest.clone(),
            STANDARD.encode(bytes),
            body.clone(),
            format!("kw_live_{body}"),
            format!("cd_{body}"),
            format!("sgai-{uuid}"),
        ];
        for shape in shapes {
            let told = checker.ask(&keyward.question(&json!({"key": shape})));
            assert!(told.status == 200 && told.says("\"valid\":false"), "{shape}: {told:?}");
        }
        let reply = keyward.control_as(&format!("kwm_{body}"), Method::GET, "/v1/whoami", None);
        reply.expect_problem(401, "unauthenticated");
    }
}
