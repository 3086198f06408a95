//! A fresh Keyward lets nobody in who does not hold its setup token; whoever does becomes the first operator, once.

use std::os::unix::fs::PermissionsExt as _;

use crate::harness::person::PASSWORD;
use crate::harness::{Person, Serving};

/// What people try first.
const EMAILS: [&str; 7] = [
    "admin",
    "root",
    "admin@localhost",
    "operator@localhost",
    "dev@localhost",
    "admin@example.com",
    "operator@example.com",
];
const PASSWORDS: [&str; 8] = ["", "admin", "password", "keyward", "changeme", "operator", "12345678", "default"];

/// What the form of the setup page sends.
const WISH: [(&str, &str); 3] = [("email", "ada@example.test"), ("name", "Ada"), ("password", PASSWORD)];

fn is_in(person: &Person) -> bool {
    person.cookies().iter().any(|(name, _)| name == "keyward-session")
}

/// The address of the setup page, without the host.
fn setup_path(server: &Serving) -> String {
    server.setup_url.as_ref().expect("nobody is an operator").trim_start_matches(&server.url).to_owned()
}

#[test]
fn w11_no_password_works_on_a_fresh_start() {
    let server = Serving::fresh();
    let somebody = Person::at(&server.url);
    for email in EMAILS {
        for password in PASSWORDS {
            let reply = somebody.send("/sign-in", &[("email", email), ("password", password)]);
            assert!([401, 422, 429].contains(&reply.status), "{email} {password}: {}", reply.status);
            assert!(!is_in(&somebody), "{email} {password}");
        }
    }
}

#[test]
fn w12_of_a_hundred_at_once_one_becomes_the_first_operator() {
    let server = Serving::fresh();
    let path = setup_path(&server);
    let race = |paths: Vec<String>| -> (Vec<u16>, usize) {
        let threads = paths.into_iter().map(|path| {
            let person = Person::at(&server.url);
            std::thread::spawn(move || (person.send(&path, &WISH).status, is_in(&person)))
        });
        let threads: Vec<_> = threads.collect();
        let ended: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        (ended.iter().map(|(status, _)| *status).collect(), ended.iter().filter(|(_, is_in)| *is_in).count())
    };
    // Without the token, or with one that is nearly it.
    let forged = (0..100).map(|number| match number % 3 {
        0 => "/setup/setup_".to_owned() + &"0".repeat(43),
        1 => path[..path.len() - 1].to_owned() + if path.ends_with('A') { "B" } else { "A" },
        _ => "/setup/".to_owned(),
    });
    let (statuses, let_in) = race(forged.collect());
    assert_eq!(let_in, 0);
    assert!(statuses.iter().all(|status| *status == 404), "{statuses:?}");
    // With it.
    let (statuses, let_in) = race(vec![path.clone(); 100]);
    assert_eq!(let_in, 1);
    assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [303, 404, 429, 503].contains(status)), "{statuses:?}");
    // Afterwards there is nothing to set up.
    let late = Person::at(&server.url);
    assert_eq!((late.visit(&path).status, late.send(&path, &WISH).status), (404, 404));
    assert!(!is_in(&late));
    let server = server.restarted();
    assert_eq!(server.setup_url, None);
    assert!(!server.dir().join("setup-token").exists());
    let back = Person::at(&server.url);
    back.send("/sign-in", &[("email", "ada@example.test"), ("password", PASSWORD)]).expect(303);
    assert!(is_in(&back));
}

#[test]
fn w12_the_token_is_the_owners_alone_and_of_one_start() {
    let server = Serving::fresh();
    let first = setup_path(&server);
    let file = server.dir().join("setup-token");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(first.ends_with(std::fs::read_to_string(&file).unwrap().trim()));
    // Looking at the page uses nothing up.
    let person = Person::at(&server.url);
    for _ in 0..3 {
        person.visit(&first).expect(200);
    }
    let server = server.restarted();
    let second = setup_path(&server);
    assert_ne!(first, second);
    let person = Person::at(&server.url);
    assert_eq!(person.send(&first, &WISH).status, 404);
    // A password that anybody would guess is none.
    let weak = [("email", "ada@example.test"), ("name", "Ada"), ("password", "password1234")];
    person.send(&second, &weak).expect(422);
    person.send(&second, &WISH).expect(303);
    assert!(is_in(&person));
}
