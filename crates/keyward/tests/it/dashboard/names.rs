//! Odd characters in what people write: taken exactly or refused, never an error of ours, and always drawn.

use crate::harness::{Keyward, Person};
use serde_json::json;

/// Three hundred names: every control and formatting character in three places, and what else goes wrong with text.
fn odd_names() -> Vec<String> {
    let controls = ('\u{0}'..'\u{20}').chain('\u{7f}'..'\u{a0}');
    let formats = "\u{ad}\u{61c}\u{180e}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\
        \u{202d}\u{202e}\u{2060}\u{2066}\u{2067}\u{2068}\u{2069}\u{feff}\u{fff9}\u{fffd}\u{fffe}\u{ffff}\u{e0001}\u{e0041}";
    let odd = controls.chain(formats.chars());
    let mut names: Vec<String> = odd.flat_map(|c| [format!("a{c}b"), format!("{c}ab"), format!("ab{c}")]).collect();
    names.extend(
        [
            "e\u{301}",
            "\u{1100}\u{1161}",
            "раураl",
            "👩\u{200d}👩\u{200d}👧",
            "\u{1f1e9}\u{1f1ea}",
            "  a  ",
            "\u{3000}a",
        ]
        .map(str::to_owned),
    );
    names.extend(["x".repeat(60_000), "\u{301}".repeat(90), "ﷺ".repeat(100), "𝒜".repeat(101), "é".repeat(100)]);
    names
}

#[test]
fn i01_odd_names_are_taken_exactly_or_refused() {
    let keyward = Keyward::dev("standard");
    let person = Person::operator(&keyward);
    let names = odd_names();
    assert!(names.len() >= 280, "{}", names.len());
    let (mut taken, mut refused) = (0, 0);
    for name in &names {
        let reply = keyward.post("/v1/organizations", json!({"name": name}));
        match reply.status {
            201 => {
                let made = reply.json()["organization"].clone();
                let stored = made["name"].as_str().unwrap().to_owned();
                assert!(!stored.chars().any(char::is_control), "{name:?} is stored as {stored:?}");
                assert!(stored.chars().count() <= 100 && stored.trim() == stored, "{stored:?}");
                assert!(!stored.contains(['\u{202e}', '\u{2066}', '\u{2028}']), "{stored:?}");
                keyward.delete(&format!("/v1/organizations/{}", made["id"].as_str().unwrap()));
                taken += 1;
            }
            400 | 413 | 422 => refused += 1,
            status => panic!("{name:?}: {status} {}", reply.text),
        }
    }
    assert!(taken > 5 && refused > 200, "{taken} taken, {refused} refused");
    // The same through a form: what one is called oneself.
    for name in names.iter().step_by(3) {
        let reply = person.send("/account/name", &[("name", name)]);
        assert!([303, 400, 413, 422].contains(&reply.status), "{name:?}: {} {}", reply.status, reply.text);
        is_shown(&person);
    }
}

/// The account page still is one, with nothing in it that would turn its text around.
fn is_shown(person: &Person) {
    let page = person.visit("/account").expect(200).text;
    assert!(!page.contains(['\u{202e}', '\u{2066}', '\u{0}', '\u{1b}']), "{page}");
}
