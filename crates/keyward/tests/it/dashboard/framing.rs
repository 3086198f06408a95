//! What every answer of the dashboard's says to browsers: not to be framed, not to be kept, not to load anything from
//! elsewhere, and to tell nobody where one was.

use std::io::Write as _;

use reqwest::Method;

use crate::browser::Browser;
use crate::harness::{Keyward, Person, Reply, Scripted, Upstream};

/// Every page, and every kind of page that says something went wrong.
fn answers(keyward: &Keyward, person: &Person) -> Vec<(String, Reply)> {
    let mut answers: Vec<(String, Reply)> = person.all_pages().into_iter().collect();
    let nobody = Person::nobody(keyward);
    for path in ["/", "/sign-in", "/sign-in?next=//evil.test", "/none", "/projects/none/keys", "/sign-in/link/none"]
    {
        answers.push((format!("nobody at {path}"), nobody.visit(path)));
    }
    for path in
        ["/invitations/none", "/setup/none", "/projects/proj_0000000000000000000000/keys", "/organizations/x"]
    {
        answers.push((path.to_owned(), person.visit(path)));
    }
    answers.push(("a foreign form".to_owned(), person.send_from("/sign-out", &[], &[])));
    answers.push(("an odd form".to_owned(), nobody.send("/sign-in", &[("odd", "1")])));
    answers.push((
        "a wrong password".to_owned(),
        nobody.send("/sign-in", &[("email", "a@b.test"), ("password", "x")]),
    ));
    let request = nobody.request(Method::DELETE, "/sign-in").header("sec-fetch-site", "same-origin");
    answers.push(("another method".to_owned(), nobody.sent(request.header("accept", "text/html"))));
    answers
}

#[test]
fn w03_every_answer_forbids_framing() {
    let keyward = Keyward::dev("standard");
    let person = Person::operator(&keyward);
    let answers = answers(&keyward, &person);
    assert!(answers.len() > 25, "{}", answers.len());
    for (what, reply) in answers {
        let header = |name| reply.header(name).unwrap_or_default().to_owned();
        let status = reply.status;
        let policy = header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{what} ({status}): {policy:?}");
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{what} ({status}): {policy:?}"
        );
        assert!(header("cache-control").contains("no-store"), "{what} ({status}): {}", header("cache-control"));
        assert_eq!(header("x-content-type-options"), "nosniff", "{what} ({status})");
        assert_eq!(header("referrer-policy"), "no-referrer", "{what} ({status})");
    }
}

#[test]
fn w03_a_browser_shows_no_page_in_a_frame() {
    let keyward = Keyward::dev("standard");
    let browser = Browser::open();
    browser.goto(&keyward.started.sign_in_url);
    browser.click("Sign in");
    browser.see("Account menu");
    let url = keyward.started.control_url.clone();
    let (keys, lost) = (format!("{url}/projects/{}/keys", keyward.project()), format!("{url}/none"));
    let frames = format!(
        "<iframe src='{keys}'></iframe><iframe src='{url}/sign-in'></iframe><iframe src='{lost}'></iframe>"
    );
    let page = format!("<!doctype html><html lang=en><title>evil</title>{frames}");
    let evil = Upstream::start(Scripted::with(move |_, socket| {
        let length = page.len();
        write!(socket, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n{page}")
            .is_ok()
    }));
    browser.errors();
    browser.goto(&evil.url);
    let refused = browser.errors().iter().filter(|error| error.contains("frame-ancestors")).count();
    assert_eq!(refused, 3);
}
