//! SQL in every text that reaches a query: it stays text.

use crate::harness::{Keyward, Reply};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Texts in the manner of sqlmap: tautologies, unions, stacked statements, comments, delays, functions.
const SQL: &[&str] = &[
    "'",
    "\"",
    "`",
    "''",
    "';",
    "\\'",
    "%27",
    "%",
    "_",
    "*",
    "' OR '1'='1",
    "' OR 1=1 --",
    "' OR 1=1 #",
    "\" OR \"\"=\"",
    "') OR ('1'='1",
    "1 OR 1=1",
    "' AND 1=2 --",
    "' UNION SELECT NULL --",
    "' UNION SELECT digest FROM keys --",
    "' UNION ALL SELECT sql FROM sqlite_master --",
    "1; DROP TABLE keys",
    "'; DROP TABLE keys; --",
    "'; DELETE FROM keys; --",
    "'; UPDATE keys SET state='active'; --",
    "'; ATTACH DATABASE '/tmp/x' AS x; --",
    "'; PRAGMA writable_schema=1; --",
    "' || load_extension('x') --",
    "' || randomblob(1000000000) --",
    "' AND randomblob(300000000) --",
    "'; SELECT pg_sleep(10) --",
    "' || pg_sleep(10) --",
    "1 AND (SELECT COUNT(*) FROM generate_series(1,100000000)) > 0",
    "$1",
    "?1",
    ":name",
    "@p",
    "x' AND substr((SELECT name FROM sqlite_master),1,1)='a",
    "/**/OR/**/1=1",
    "'/*",
    "*/",
    "--",
    "#",
    "0x27",
    "char(39)",
    "\u{2019} OR 1=1",
    "\u{ff07} OR 1=1",
    "' GLOB '*",
    "' LIKE '%",
    "' ESCAPE '\\",
    "NULL",
    "(SELECT 1)",
    "1e1",
    "'\u{b}OR\u{b}1=1",
];

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Nothing of an answer may come from a database's own words; what was sent may come back.
#[track_caller]
fn expect_no_sql(reply: &Reply, sql: &str, what: &str) {
    assert!(reply.status < 500, "{what}: {} {}", reply.status, reply.text);
    let sent = json!(sql).to_string();
    let text = reply.text.replace(sent.trim_matches('"'), "").to_lowercase();
    for word in
        ["sqlite", "syntax error", "near \"", "constraint failed", "no such table", "no such column", "sqlstate"]
    {
        assert!(!text.contains(word), "{what}: {}", reply.text);
    }
}

#[test]
fn i04_sql_in_every_query_parameter_and_path_is_text() {
    let keyward = Keyward::dev("standard");
    let (other, _) = keyward.new_project("Other");
    let foreign = keyward.make(&other, json!({"name": "foreign"}));
    let (project, key) = (keyward.project(), &keyward.started.key_id);
    let templates = [
        format!("/v1/projects/{project}/keys?state=@"),
        format!("/v1/projects/{project}/keys?name=@"),
        format!("/v1/projects/{project}/keys?cursor=@"),
        format!("/v1/projects/{project}/keys?limit=@"),
        format!("/v1/projects/{project}/keys?@=1"),
        format!("/v1/projects/{project}/events?name=@"),
        format!("/v1/projects/{project}/events?key=@"),
        format!("/v1/projects/{project}/events?cursor=@"),
        format!("/v1/projects/{project}/usage?from=@"),
        format!("/v1/projects/{project}/usage?step=@"),
        format!("/v1/projects/{project}/usage?by=@"),
        "/v1/organizations?cursor=@".into(),
        "/v1/changes?after=@".into(),
        "/v1/management-keys?cursor=@".into(),
        "/v1/apis/@".into(),
        "/v1/keys/@".into(),
        format!("/v1/keys/{key}@"),
        "/v1/projects/@".into(),
        format!("/v1/projects/{project}@/keys"),
        "/v1/organizations/@".into(),
        "/v1/revocations/@".into(),
        "/v1/management-keys/@".into(),
    ];
    let began = Instant::now();
    for template in &templates {
        for sql in SQL {
            let reply = keyward.get(&template.replace('@', &encoded(sql)));
            expect_no_sql(&reply, sql, &format!("{template} {sql}"));
            assert!(
                !reply.text.contains(&foreign.id) && !reply.text.contains("\"digest"),
                "{template} {sql}: {}",
                reply.text
            );
            let is_filter = template.contains("name=");
            assert!(
                is_filter || [400, 404, 422].contains(&reply.status),
                "{template} {sql}: {} {}",
                reply.status,
                reply.text
            );
            if is_filter && reply.status == 200 {
                assert_eq!(reply.json()["items"], json!([]), "{template} {sql}");
            }
        }
    }
    // About a thousand requests; one delay of ten seconds that a database obeyed would show.
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert!(keyward.is_valid(&foreign.secret) && keyward.is_valid(&keyward.first_key().secret));
}

#[test]
fn i04_sql_in_every_field_is_kept_as_text_or_refused() {
    let keyward = Keyward::dev("standard");
    let project = keyward.project();
    let mut made = Vec::new();
    for (n, sql) in SQL.iter().enumerate() {
        let created = keyward.create(project, json!({"name": sql, "metadata": {*sql: sql}}));
        expect_no_sql(&created, sql, sql);
        if created.status == 201 {
            let key = created.json();
            assert_eq!((&key["key"]["name"], &key["key"]["metadata"]), (&json!(sql), &json!({*sql: sql})));
            made.push(key["secret"].as_str().unwrap().to_owned());
            let revoked = keyward
                .post(&format!("/v1/keys/{}/revoke", key["key"]["id"].as_str().unwrap()), json!({"reason": sql}));
            assert_eq!(revoked.expect(200).json()["key"]["revoked_reason"], *sql);
        }
        for (path, body) in [
            (format!("/v1/projects/{project}/keys"), json!({"name": "a", "scopes": [sql]})),
            (format!("/v1/projects/{project}/keys"), json!({"name": "a", "addresses": [sql]})),
            (format!("/v1/projects/{project}/keys"), json!({"name": "a", "expires_at": sql})),
            (
                format!("/v1/organizations/{}/projects", keyward.started.organization),
                json!({"name": "a", "api": sql}),
            ),
            (
                format!("/v1/organizations/{}/projects", keyward.started.organization),
                json!({"name": "a", "api": "standard", "plan": sql}),
            ),
            (
                format!("/v1/organizations/{}/projects", keyward.started.organization),
                json!({"name": "a", "api": "standard", "environment": sql}),
            ),
            ("/v1/management-keys".into(), json!({"name": "a", "scopes": [sql]})),
            (
                "/v1/management-keys".into(),
                json!({"name": "a", "scopes": ["keys:read"], "within": {"project": sql}}),
            ),
            ("/v1/revocations".into(), json!({"keys": [sql]})),
            ("/v1/revocations".into(), json!({"project": sql})),
            (format!("/v1/projects/{project}/keys/regenerate"), json!({"overlap_seconds": sql})),
        ] {
            let reply = keyward.post(&path, body.clone());
            expect_no_sql(&reply, sql, &body.to_string());
            // `*` is a scope, `_` and the like may be one.
            let is_scope = body["scopes"] == json!([sql]);
            assert!([400, 404, 422].contains(&reply.status) || is_scope, "{body}: {} {}", reply.status, reply.text);
        }
        let verified = keyward.verify(json!({"key": sql}));
        expect_no_sql(&verified, sql, sql);
        assert_eq!(verified.expect(200).json()["valid"], false, "{sql}");
        let request = keyward
            .http
            .post(format!("{}/v1/organizations", keyward.started.control_url))
            .bearer_auth(&keyward.started.management_key);
        if let Ok(value) = reqwest::header::HeaderValue::from_str(sql) {
            let body = json!({"name": format!("organization {n}")});
            let reply: Reply = request.header("Idempotency-Key", value).json(&body).send().unwrap().into();
            expect_no_sql(&reply, sql, sql);
        }
    }
    assert!(made.iter().all(|secret| !keyward.is_valid(secret)), "what was revoked stays revoked");
    assert!(keyward.is_valid(&keyward.first_key().secret));
    let verdict: Value = keyward.get("/v1/changes/verify").expect(200).json();
    assert!(!verdict.to_string().contains("first_bad"), "{verdict}");
}
