//! Other sites' pages in a browser in which somebody is signed in: they change nothing and read nothing.

use std::io::Write as _;

use reqwest::Method;
use serde_json::json;

use crate::browser::Browser;
use crate::harness::person::forms;
use crate::harness::{Keyward, Person, Scripted, Upstream};

/// Headers as they come with a request that one of our own pages did not send.
const FOREIGN: [&[(&str, &str)]; 7] = [
    &[],
    &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")],
    &[("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:1")],
    &[("sec-fetch-site", "cross-site")],
    &[("origin", "https://evil.test")],
    &[("origin", "null")],
    &[("origin", "http://127.0.0.1.evil.test")],
];

/// A page for people who are signed in.
fn home(keyward: &Keyward) -> String {
    format!("/organizations/{}", keyward.started.organization)
}

#[test]
fn w01_a_form_of_another_site_changes_nothing() {
    let keyward = Keyward::dev("standard");
    let person = Person::operator(&keyward);
    let mut actions: Vec<String> = person.all_pages().values().flat_map(|page| forms(&page.text)).collect();
    actions.push("/sign-in".to_owned());
    actions.sort();
    actions.dedup();
    assert!(actions.len() > 10 && actions.contains(&"/sign-out".to_owned()), "{actions:?}");
    let before = keyward.revision();
    for action in &actions {
        for headers in FOREIGN {
            let reply = person.send_from(action, &[], headers);
            assert_eq!(reply.status, 403, "{action} {headers:?}: {}", reply.text);
        }
    }
    assert_eq!(keyward.revision(), before);
    person.visit(&home(&keyward)).expect(200);
}

#[test]
fn w01_rest_takes_a_session_from_our_own_pages_alone() {
    let keyward = Keyward::dev("standard");
    let person = Person::operator(&keyward);
    let before = keyward.revision();
    let wish = json!({"name": "made by another site"}).to_string();
    for headers in FOREIGN {
        for kind in ["application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
            let request = person.request(Method::POST, "/v1/organizations").header("content-type", kind);
            let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            let reply = person.sent(request.body(wish.clone()));
            assert!([401, 403, 415].contains(&reply.status), "{kind} {headers:?}: {} {}", reply.status, reply.text);
        }
    }
    // Even one of our own pages says that it sends JSON.
    for kind in ["text/plain", "application/x-www-form-urlencoded"] {
        let request = person.request(Method::POST, "/v1/organizations").header("content-type", kind);
        let reply = person.sent(request.header("sec-fetch-site", "same-origin").body(wish.clone()));
        assert_eq!(reply.status, 415, "{}", reply.text);
    }
    assert_eq!(keyward.revision(), before);
    let request = person.request(Method::POST, "/v1/organizations").header("content-type", "application/json");
    person.sent(request.header("sec-fetch-site", "same-origin").body(wish)).expect(201);
}

#[test]
fn w01_looking_changes_nothing() {
    let keyward = Keyward::dev("standard");
    let person = Person::operator(&keyward);
    let before = keyward.revision();
    let pages = person.all_pages();
    assert!(pages.len() > 15, "{:?}", pages.keys());
    let actions: Vec<String> = pages.values().flat_map(|page| forms(&page.text)).collect();
    for action in actions {
        // What a form sends to is either a page as well, or not there for GET.
        let status = person.visit(&action).status;
        assert!([200, 303, 404, 405].contains(&status), "{action}: {status}");
    }
    assert_eq!(keyward.revision(), before);
    person.visit(&home(&keyward)).expect(200);
}

#[test]
fn w01_a_browser_sends_no_form_of_another_site() {
    let keyward = Keyward::dev("standard");
    let browser = Browser::open();
    browser.goto(&keyward.started.sign_in_url);
    browser.click("Sign in");
    browser.see("Account menu");
    // The same host on another port is another origin, though the same site: SameSite alone would let it pass.
    let target = format!("{}/sign-out", keyward.started.control_url);
    let page = format!(
        "<!doctype html><title>evil</title><form method=post action={target}><button>Win a prize</button></form>"
    );
    let evil = Upstream::start(Scripted::with(move |_, socket| {
        let length = page.len();
        write!(socket, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n{page}")
            .is_ok()
    }));
    for host in [evil.url.clone(), evil.url.replace("127.0.0.1", "localhost")] {
        browser.goto(&host);
        browser.click("Win a prize");
        browser.see("This did not come from here");
    }
    browser.goto(&format!("{}{}", keyward.started.control_url, home(&keyward)));
    browser.see("Account menu");
}

#[test]
fn h18_no_other_origin_may_read_anything() {
    let keyward = Keyward::dev("standard");
    let person = Person::operator(&keyward);
    let mut paths: Vec<String> = person.all_pages().into_keys().collect();
    paths.extend(
        ["/v1/organizations", "/v1/projects/none/keys", "/openapi.json", "/sign-in", "/none"].map(str::to_owned),
    );
    for path in paths {
        for origin in ["https://evil.test", "null", "http://localhost:1"] {
            for method in [Method::GET, Method::OPTIONS] {
                let request = person.request(method.clone(), &path).header("origin", origin);
                let request = request.header("access-control-request-method", "POST");
                let reply = person.sent(request.header("access-control-request-headers", "authorization"));
                let allowed: Vec<_> =
                    reply.headers.keys().filter(|name| name.as_str().starts_with("access-control-")).collect();
                assert!(allowed.is_empty(), "{method} {path} for {origin}: {allowed:?}");
            }
        }
    }
}
