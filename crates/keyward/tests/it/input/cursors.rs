//! Cursors that were altered, cut or taken from elsewhere: refused, and never a way to another's rows.

use crate::harness::{Keyward, Reply};
use reqwest::Method;
use serde_json::{Value, json};

struct Listed {
    keyward: Keyward,
    /// Another organization's project, and its keys' ids.
    foreign: String,
    foreign_keys: Vec<String>,
}

impl Listed {
    fn new() -> Self {
        let keyward = Keyward::dev("standard");
        for n in 0..5 {
            keyward.make(keyward.project(), json!({"name": format!("own {n}")}));
        }
        let (_, foreign, _) = keyward.new_organization("Foreign");
        let foreign_keys =
            (0..5).map(|n| keyward.make(&foreign, json!({"name": format!("foreign {n}")})).id).collect();
        Listed { keyward, foreign, foreign_keys }
    }

    fn page(&self, path: &str, cursor: &str) -> Reply {
        let separator = if path.contains('?') { '&' } else { '?' };
        let cursor: String = cursor.bytes().map(|byte| format!("%{byte:02X}")).collect();
        self.keyward.get(&format!("{path}{separator}limit=2&cursor={cursor}"))
    }

    /// The cursor behind the first two items of a list.
    #[track_caller]
    fn cursor(&self, path: &str) -> String {
        let separator = if path.contains('?') { '&' } else { '?' };
        let page = self.keyward.get(&format!("{path}{separator}limit=2")).expect(200).json();
        page["next_cursor"].as_str().unwrap_or_else(|| panic!("{page}")).to_owned()
    }

    fn keys(&self) -> String {
        format!("/v1/projects/{}/keys", self.keyward.project())
    }
}

#[test]
fn i05_every_changed_character_makes_a_cursor_a_bad_one() {
    let listed = Listed::new();
    let cursor = listed.cursor(&listed.keys());
    listed.page(&listed.keys(), &cursor).expect(200);
    let refuse = |cursor: &str| {
        let reply = listed.page(&listed.keys(), cursor).expect_problem(400, "bad_cursor");
        assert!(!listed.foreign_keys.iter().any(|key| reply.text.contains(key)));
    };
    for at in 0..cursor.len() {
        for other in ['A', 'b', '0', '_'] {
            let mut changed: Vec<char> = cursor.chars().collect();
            // The last character of base64 may hold bits that mean nothing; those too must be as they were.
            if changed[at] != other {
                changed[at] = other;
                refuse(&changed.into_iter().collect::<String>());
            }
        }
    }
    for at in 0..cursor.len() {
        refuse(&cursor[..at]);
        refuse(&cursor[at + 1..]);
    }
    for extended in [
        format!("{cursor}A"),
        format!("A{cursor}"),
        format!("{cursor}="),
        format!("{cursor} "),
        format!("{cursor}{cursor}"),
        cursor.to_uppercase(),
        cursor.chars().rev().collect(),
    ] {
        if extended != cursor {
            refuse(&extended);
        }
    }
    for made_up in [
        "",
        "0",
        "1",
        "null",
        "{}",
        "eyJhIjoxfQ",
        "AAAA",
        "../..",
        "\u{0}",
        "é",
        "%00",
        &"A".repeat(1000),
        &listed.foreign_keys[0],
        &listed.foreign,
    ] {
        refuse(made_up);
    }
}

#[test]
fn i05_a_cursor_is_good_for_its_own_list_only() {
    let listed = Listed::new();
    let foreign = format!("/v1/projects/{}/keys", listed.foreign);
    let events = format!("/v1/projects/{}/events", listed.keyward.project());
    let lists = [
        listed.keys(),
        foreign,
        format!("{}?state=active", listed.keys()),
        format!("{}?state=revoked", listed.keys()),
        format!("{}?name=own%201", listed.keys()),
        events,
        "/v1/organizations".into(),
        "/v1/management-keys".into(),
    ];
    let with_cursor = [listed.keys(), lists[1].clone(), lists[2].clone(), lists[5].clone()];
    for from in &with_cursor {
        let cursor = listed.cursor(from);
        listed.page(from, &cursor).expect(200);
        for to in lists.iter().filter(|to| *to != from) {
            let reply = listed.page(to, &cursor);
            let filter_only = to.split('?').next() == from.split('?').next();
            // Within one project another filter may be let through: it can show nothing that is not the caller's.
            assert!(
                reply.status == 400 || (filter_only && reply.status == 200),
                "{from} -> {to}: {} {}",
                reply.status,
                reply.text
            );
            if reply.status == 400 {
                assert_eq!(reply.json()["code"], "bad_cursor");
            }
        }
    }
}

#[test]
fn i05_a_cursor_gives_no_reach() {
    let listed = Listed::new();
    let within =
        json!({"name": "bounded", "scopes": ["keys:*", "projects:*"], "within": {"project": listed.foreign}});
    let bounded = listed.keyward.post("/v1/management-keys", within).expect(201).json()["secret"]
        .as_str()
        .unwrap()
        .to_owned();
    let cursor = listed.cursor(&listed.keys());
    let ask = |path: &str| listed.keyward.control_as(&bounded, Method::GET, path, None);
    // The own list with another's cursor; another's list with its own good cursor.
    let own = ask(&format!("/v1/projects/{}/keys?limit=2&cursor={cursor}", listed.foreign));
    own.expect_problem(400, "bad_cursor");
    let elsewhere = ask(&format!("{}?limit=2&cursor={cursor}", listed.keys()));
    let nowhere = ask(&format!(
        "/v1/projects/{}/keys?limit=2&cursor={cursor}",
        listed.keyward.started.key_id.replace("key_", "proj_")
    ));
    assert!([400, 404].contains(&elsewhere.status) && elsewhere.status == nowhere.status, "{}", elsewhere.text);
    ask(&listed.keys()).expect_problem(404, "not_found");
    let page = ask(&format!("/v1/projects/{}/keys?limit=200", listed.foreign)).expect(200).json();
    assert_eq!(page["items"].as_array().unwrap().len(), 5);
}

#[test]
fn i05_following_cursors_shows_every_row_once_whatever_happens_meanwhile() {
    let listed = Listed::new();
    let mut seen: Vec<String> = Vec::new();
    let mut page: Value = listed.keyward.get(&format!("{}?limit=2", listed.keys())).expect(200).json();
    let before: Vec<String> = listed
        .keyward
        .list(listed.keyward.project())
        .iter()
        .map(|key| key["id"].as_str().unwrap().to_owned())
        .collect();
    loop {
        seen.extend(page["items"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str().map(str::to_owned) else { break };
        let new = listed.keyward.make(listed.keyward.project(), json!({"name": "meanwhile"}));
        listed.keyward.revoke(&new.id).expect(200);
        page = listed.page(&listed.keys(), &cursor).expect(200).json();
    }
    assert_eq!(seen, before);
}
