//! A key's secret is on one page, once.

use serde_json::json;

use crate::harness::{Keyward, Person, in_seconds};

#[test]
fn k06_no_page_shows_a_secret_again() {
    for preset in ["standard", "getprofile", "profound", "metriport", "scrapegraphai", "qanapi"] {
        let keyward = Keyward::dev(preset);
        let person = Person::operator(&keyward);
        let mut secrets = vec![keyward.first_key().secret];
        let mut wish = json!({"acknowledge": true});
        if preset == "profound" {
            wish = json!({"name": "by hand", "expires_at": in_seconds(86_400)});
        }
        let made = keyward.create(keyward.project(), wish);
        if made.status == 201 {
            secrets.push(made.json()["secret"].as_str().unwrap().to_owned());
        }
        let pages = person.all_pages();
        assert!(pages.keys().any(|path| path.ends_with("/keys")), "{preset}: {:?}", pages.keys());
        assert!(pages.keys().any(|path| path.contains("/events")), "{preset}: {:?}", pages.keys());
        for (path, reply) in &pages {
            for secret in &secrets {
                assert!(!reply.text.contains(secret.as_str()), "{preset}: {path} shows a secret");
                // Nor without what is known of it anyway.
                let tail = secret.rsplit(['_', '-', ':']).next().unwrap();
                assert!(!reply.text.contains(tail), "{preset}: {path} shows most of a secret");
            }
            let cookies = person.cookies();
            assert!(
                cookies.iter().all(|(_, value)| !reply.text.contains(value)),
                "{preset}: {path} shows a session"
            );
        }
    }
}
