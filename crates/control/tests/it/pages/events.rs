//! The event log's page and its exports: in plain words (Q18), without formulas (W10), with cursors that open nothing
//! else (I05), and in parts however long it is.

use http_body_util::BodyExt as _;
use keyward_core::clock::Timestamp;
use keyward_core::people::Role;
use keyward_core::store::Store as _;
use keyward_core::usage::{UsageBatch, UsageRow};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::by_browser;
use crate::support::World;

/// Folded uses of the first key: one line a minute.
async fn used(world: &World, lines: i64) {
    let row = |number: i64| {
        let minute = Timestamp::from_millis(1_795_218_660_000 - 60_000 * number);
        UsageRow {
            key: world.key.0.parse().unwrap(),
            project: world.project.parse().unwrap(),
            minute,
            outcome: if number % 2 == 0 { "valid".into() } else { "expired".into() },
            count: 3,
            first_at: minute,
            last_at: Timestamp::from_millis(minute.as_millis() + 1_000),
            last_address: Some([192, 0, 2, 9].into()),
        }
    };
    let rows = (0..lines).map(row).collect();
    world.store.record_usage(&UsageBatch { incarnation: 1, sequence: 1, rows }).await.unwrap();
}

fn events(world: &World, rest: &str) -> String {
    format!("/projects/{}/events{rest}", world.project)
}

#[tokio::test]
async fn q18_what_happened_is_told_in_words_and_without_secrets() {
    let world = World::with("standard").await;
    let ada = world.member("ada@example.com", Role::Viewer).await;
    let made = world.create(json!({ "name": "Nightly <b>report</b>" })).await.expect(201);
    let (key, secret) = (made.text("/key/id").to_owned(), made.text("/secret").to_owned());
    world.post(&format!("/v1/keys/{key}/revoke"), json!({ "reason": "left on a bus" })).await.expect(200);
    used(&world, 2).await;
    let page = world.page(&ada.secret, &events(&world, "")).await.expect(200);
    for told in [
        "Key created",
        "Key revoked",
        "left on a bus",
        "Key used",
        "Key refused",
        "3 times",
        "Expired",
        "192.0.2.9",
    ] {
        assert!(page.body.contains(told), "{told} in {}", page.body);
    }
    assert!(!page.body.contains("<b>report") && page.body.contains("&lt;b&gt;report"));
    let mut texts = vec![page.body];
    for form in [".csv", ".json"] {
        texts.push(world.page(&ada.secret, &events(&world, form)).await.expect(200).body);
    }
    for text in &texts {
        assert!(!text.contains(&secret) && !text.contains(&world.key.1) && !text.contains("digest"));
    }
    // One key, one name.
    let narrow = events(&world, &format!("?key={key}&name=key.revoked"));
    let page = world.page(&ada.secret, &narrow).await.expect(200);
    assert!(page.body.contains("left on a bus") && !page.body.contains("192.0.2.9"));
    let none = world.page(&ada.secret, &events(&world, "?from=2001-01-01&to=2001-01-31")).await.expect(200);
    assert!(none.body.contains("Nothing fits"));
    let wrong = world.page(&ada.secret, &events(&world, "?key=nonsense")).await.expect(200);
    assert!(wrong.body.contains("is no id of a key") && !wrong.body.contains("left on a bus"));
}

#[tokio::test]
async fn w10_an_export_holds_no_formula() {
    let world = World::with("standard").await;
    let ada = world.member("ada@example.com", Role::Viewer).await;
    let evil = ["=1+1", "+1", "-1", "@SUM(A1:A9)"];
    for name in evil {
        world.management_key_named(name).await;
    }
    let page = world.page(&ada.secret, &events(&world, ".csv")).await.expect(200);
    assert_eq!(page.headers["content-type"], "text/csv; charset=utf-8");
    let disposition = page.headers["content-disposition"].to_str().unwrap();
    assert_eq!(disposition, format!("attachment; filename=\"events-{}.csv\"", world.project));
    assert_eq!(page.headers["x-content-type-options"], "nosniff");
    let mut reader = csv::Reader::from_reader(page.body.as_bytes());
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let told: Vec<&str> = records.iter().map(|record| &record[4]).collect();
    for name in evil {
        assert!(told.contains(&format!("'{name}").as_str()), "{name} in {told:?}");
    }
    for field in records.iter().flatten() {
        assert!(!field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{field}");
    }
    let file = world.page(&ada.secret, &events(&world, ".json")).await.expect(200);
    assert_eq!(file.json.as_array().unwrap().len(), records.len());
}

impl World {
    /// A management key of this name creates a key: its name stands in the log.
    async fn management_key_named(&self, name: &str) {
        let body = json!({ "name": name, "scopes": ["keys:*"], "within": { "project": self.project } });
        let secret = self.post("/v1/management-keys", body).await.expect(201).text("/secret").to_owned();
        let path = format!("/v1/projects/{}/keys", self.project);
        self.ask(&secret, "POST", &path, json!({ "name": "key" })).await.expect(201);
    }
}

#[tokio::test]
async fn an_export_of_any_length_is_written_in_parts() {
    let world = World::with("standard").await;
    let ada = world.member("ada@example.com", Role::Viewer).await;
    used(&world, 2_500).await;
    for (form, ends) in [(".csv", "\n"), (".json", "\n]\n")] {
        let request = by_browser(&ada.secret, "GET", &events(&world, form), "same-origin", "");
        let mut body = world.router().oneshot(request).await.unwrap().into_body();
        let mut parts: Vec<String> = Vec::new();
        while let Some(frame) = body.frame().await {
            let bytes = frame.unwrap().into_data().unwrap();
            parts.push(String::from_utf8(bytes.to_vec()).unwrap());
        }
        let lines: Vec<usize> = parts.iter().map(|part| part.lines().count()).collect();
        assert_eq!(parts.len(), 3, "{lines:?}");
        assert!(lines.iter().all(|lines| *lines <= 1_003), "{lines:?}");
        let whole = parts.concat();
        assert!(whole.ends_with(ends));
        assert!(whole.matches("2026-").count() > 5_000);
        if form == ".json" {
            let all: Value = serde_json::from_str(&whole).unwrap();
            assert!(all.as_array().unwrap().len() > 2_500);
        }
    }
    // With a filter that nothing fits, each is still a whole file.
    let none = "?name=project.deleted";
    let empty = world.page(&ada.secret, &events(&world, &format!(".json{none}"))).await.expect(200);
    assert_eq!(empty.json, json!([]));
    let empty = world.page(&ada.secret, &events(&world, &format!(".csv{none}"))).await.expect(200);
    assert_eq!(empty.body.lines().count(), 1);
    world.page(&ada.secret, &events(&world, ".csv?name=nonsense")).await.expect(422);
}

#[tokio::test]
async fn i05_a_cursor_opens_the_list_it_is_of_and_no_other() {
    let world = World::with("standard").await;
    let operator = world.first_operator().await;
    let (_, theirs) = world.another_customer("standard").await;
    used(&world, 120).await;
    let first = world.page(&operator.secret, &events(&world, "")).await.expect(200);
    let (_, cursor) = first.body.split_once("events?cursor=").expect("there is more");
    let cursor = cursor.split('"').next().unwrap();
    let second = world.page(&operator.secret, &events(&world, &format!("?cursor={cursor}"))).await.expect(200);
    assert!(second.body.contains("Back to the newest"));
    world.page(&operator.secret, &format!("/projects/{theirs}/events?cursor={cursor}")).await.expect(400);
    world.page(&operator.secret, &events(&world, &format!("?name=key.used&cursor={cursor}"))).await.expect(400);
    let altered = format!("{}{}", if cursor.starts_with('A') { 'B' } else { 'A' }, &cursor[1..]);
    world.page(&operator.secret, &events(&world, &format!("?cursor={altered}"))).await.expect(400);
    world.page(&operator.secret, &format!("/operator/log?cursor={cursor}")).await.expect(400);
    world.page(&operator.secret, &format!("/operator/projects?cursor={cursor}")).await.expect(400);
}
