//! The event log as a file: whole, without secrets, and nothing in it that a spreadsheet would run.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Keyward, Person, eventually};

/// What spreadsheets take for the beginning of a formula.
const FORMULAS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// The rows of a CSV file (RFC 4180).
fn rows(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut is_quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, is_quoted) {
            ('"', true) if characters.peek() == Some(&'"') => field.extend(characters.next()),
            ('"', _) => is_quoted = !is_quoted,
            (',', false) => row.push(std::mem::take(&mut field)),
            ('\r', false) => {}
            ('\n', false) => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            (other, _) => field.push(other),
        }
    }
    assert!(!is_quoted && row.is_empty() && field.is_empty(), "the file breaks off");
    rows
}

#[test]
fn w10_no_field_of_an_export_is_a_formula() {
    let keyward = Keyward::dev("standard");
    let person = Person::operator(&keyward);
    let names = ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", "=HYPERLINK(\"https://evil.test\",\"x\")"];
    for name in names {
        // What somebody is called stands in the log beside what they did.
        let wish = json!({"name": name, "scopes": ["keys:write"]});
        let made = keyward.post("/v1/management-keys", wish).expect(201).json();
        let path = format!("/v1/projects/{}/keys", keyward.project());
        keyward
            .control_as(made["secret"].as_str().unwrap(), Method::POST, &path, Some(json!({"name": name})))
            .expect(201);
    }
    let csv = person.visit(&format!("/projects/{}/events.csv", keyward.project())).expect(200);
    assert!(csv.header("content-type").unwrap().starts_with("text/csv"));
    assert!(csv.header("content-disposition").unwrap().starts_with("attachment"));
    let rows = rows(&csv.text);
    assert!(rows.len() > names.len() && rows.iter().all(|row| row.len() == rows[0].len()), "{rows:?}");
    for name in names {
        assert!(rows.iter().flatten().any(|field| *field == format!("'{name}")), "{name}: {rows:?}");
    }
    let formulas: Vec<_> = rows.iter().flatten().filter(|field| field.starts_with(FORMULAS)).collect();
    assert!(formulas.is_empty(), "{formulas:?}");
}

#[test]
fn q18_exports_hold_what_the_page_shows_and_no_secret() {
    let keyward = Keyward::dev("qanapi");
    let person = Person::operator(&keyward);
    let key = keyward.make(keyward.project(), json!({"name": "Exported", "acknowledge": true}));
    let terms = keyward.terms();
    let request = terms.places()[0].carry(&terms.example(keyward.project()), &key.secret);
    keyward.send(&request).expect_success();
    keyward.revoke(&key.id).expect(200);
    keyward.send(&request).expect_refused(&terms.refusal("revoked"));
    let events = format!("/projects/{}/events", keyward.project());
    let json = || person.visit(&format!("{events}.json?key={}", key.id)).expect(200);
    let found =
        eventually("four events", || Some(json()).filter(|reply| reply.json().as_array().unwrap().len() == 4));
    let names: Vec<_> = found.json().as_array().unwrap().iter().map(|event| event["name"].clone()).collect();
    for name in ["key.created", "key.used", "key.revoked", "key.refused"] {
        assert!(names.contains(&json!(name)), "{names:?}");
    }
    let csv = person.visit(&format!("{events}.csv?key={}", key.id)).expect(200);
    assert_eq!(rows(&csv.text).len(), 5, "{}", csv.text);
    for text in [&found.text, &csv.text] {
        assert!(
            text.contains(&key.id) && !text.contains(&key.secret) && !text.contains(&key.secret[12..]),
            "{text}"
        );
    }
    let used = person.visit(&format!("{events}.csv?name=key.used")).expect(200);
    assert!(rows(&used.text).iter().skip(1).all(|row| row[2] == "key.used"), "{}", used.text);
}
