//! Sessions: one begins anew at every sign-in, ends on the server when somebody signs out, and can be seen and ended by
//! whoever it is; and where one is sent after signing in.

use crate::harness::contract::escaped;
use crate::harness::person::{PASSWORD, links};
use crate::harness::{Keyward, Person};

/// The address of whoever signs in.
const EMAIL: &str = "ada@example.test";

/// The session's cookie.
fn session(person: &Person) -> (String, String) {
    person.cookies().into_iter().find(|(name, _)| name == "keyward-session").expect("a session")
}

fn is_in(person: &Person) -> bool {
    let reply = person.visit("/");
    if reply.status == 200 {
        return true;
    }
    let target = reply.header("location").unwrap_or_else(|| panic!("{}: {}", reply.status, reply.text));
    assert!(
        target == "/sign-in" || target.starts_with("/organizations/") || target.starts_with("/operator/"),
        "{target}"
    );
    target != "/sign-in"
}

#[test]
fn w04_a_session_begins_anew_at_sign_in() {
    let keyward = Keyward::dev("standard");
    let first = Person::invited(&keyward, EMAIL, "owner");
    let fields = [("email", EMAIL), ("password", PASSWORD)];
    // Somebody else's cookie, made up or a session of their own, is what the victim's browser holds before.
    for planted in [format!("session_{}", "0".repeat(43)), "planted".to_owned(), session(&first).1] {
        let victim = Person::with_cookies(&keyward, [("keyward-session".to_owned(), planted.clone())]);
        victim.send("/sign-in", &fields).expect(303);
        assert_ne!(session(&victim).1, planted);
        assert!(is_in(&victim));
    }
    let stranger = Person::with_cookies(&keyward, [("keyward-session".to_owned(), "planted".to_owned())]);
    assert!(!is_in(&stranger));
    // A cookie that stands there twice is nobody's.
    let (name, value) = session(&first);
    let request = stranger.request(reqwest::Method::GET, "/").header("accept", "text/html");
    let reply = stranger.sent(request.header("cookie", format!("{name}={value}; {name}=planted")));
    assert_eq!(reply.header("location"), Some("/sign-in"));
}

#[test]
fn w04_the_cookie_is_out_of_reach_of_scripts_and_other_sites() {
    let keyward = Keyward::dev("standard");
    Person::invited(&keyward, EMAIL, "owner");
    let reply = Person::nobody(&keyward).send("/sign-in", &[("email", EMAIL), ("password", PASSWORD)]).expect(303);
    let cookies: Vec<&str> =
        reply.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap()).collect();
    assert!(!cookies.is_empty());
    for cookie in cookies {
        for part in ["HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
}

#[test]
fn w05_a_session_ends_on_the_server() {
    let keyward = Keyward::dev("standard");
    Person::invited(&keyward, EMAIL, "owner");
    let signed_in = || {
        let person = Person::nobody(&keyward);
        person.send("/sign-in", &[("email", EMAIL), ("password", PASSWORD)]).expect(303);
        person
    };
    // Signing out.
    let person = signed_in();
    let kept = Person::with_cookies(&keyward, person.cookies());
    assert!(is_in(&kept));
    person.send("/sign-out", &[]).expect(303);
    assert!(!is_in(&kept) && !is_in(&person));
    // A new password ends all others.
    let (mine, other) = (signed_in(), signed_in());
    let fields = [("old_password", PASSWORD), ("password", "quite another phrase than before")];
    mine.send("/account/password", &fields).expect(303);
    assert!(!is_in(&other));
}

#[test]
fn w05_a_restart_keeps_sessions_and_what_ended_them() {
    let mut keyward = Keyward::dev("standard");
    let person = Person::operator(&keyward);
    let cookies = person.cookies();
    keyward.restart();
    let person = Person::with_cookies(&keyward, cookies);
    assert!(is_in(&person));
    let kept = Person::with_cookies(&keyward, person.cookies());
    person.send("/sign-out", &[]).expect(303);
    let cookies = kept.cookies();
    keyward.restart();
    assert!(!is_in(&Person::with_cookies(&keyward, cookies)));
}

#[test]
fn w05_a_link_signs_in_once() {
    let keyward = Keyward::dev("standard");
    Person::operator(&keyward);
    let path = keyward.started.sign_in_url.trim_start_matches(&keyward.started.control_url);
    let nobody = Person::nobody(&keyward);
    assert_eq!(nobody.visit(path).status, 404);
    assert_eq!(nobody.send(path, &[]).status, 404);
    assert!(nobody.cookies().is_empty());
}

#[test]
fn w09_nobody_is_sent_elsewhere_after_signing_in() {
    let keyward = Keyward::dev("standard");
    Person::invited(&keyward, EMAIL, "owner");
    let person = Person::nobody(&keyward);
    for next in [
        "//evil.test",
        "///evil.test",
        "/\\evil.test",
        "\\\\evil.test",
        "https://evil.test",
        "http:evil.test",
        "javascript:alert(1)",
        "data:text/html,x",
        "/%2fevil.test",
        "%2f%2fevil.test",
        "/\tevil.test",
        "/a\r\nLocation: https://evil.test",
        ".evil.test",
        "@evil.test",
        "/..//evil.test",
        "/sign-out",
        "/account/../..//evil.test",
    ] {
        let page = person.visit(&format!("/sign-in?next={}", escaped(next))).expect(200);
        assert!(!page.text.contains("evil.test"), "{next:?}");
        assert!(
            links(&page.text).iter().all(|to| to.is_empty() || to.starts_with('/') && !to.starts_with("//")),
            "{next:?}"
        );
        let fields = [("email", EMAIL), ("password", PASSWORD), ("next", next)];
        let reply = person.send("/sign-in", &fields).expect(303);
        assert_eq!(reply.header("location"), Some("/"), "{next:?}");
    }
    let fields = [("email", EMAIL), ("password", PASSWORD), ("next", "/account?a=b")];
    assert_eq!(person.send("/sign-in", &fields).header("location"), Some("/account?a=b"));
}
