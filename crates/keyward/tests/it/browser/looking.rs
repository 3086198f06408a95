//! The browser tests' own eyes: what they say is absent they would have seen. Pages here are the tests' own.

use std::io::Write as _;

use super::{Browser, Colours, Size};
use crate::harness::{Keyward, MailServer, OpenIdProvider, Scripted, Upstream};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; form-action 'self'";

/// Serves these pages, each an address and its HTML or script.
fn serve(pages: &'static [(&'static str, &'static str)]) -> Upstream {
    Upstream::start(Scripted::with(move |seen, socket| {
        let path = seen.target.split('?').next().unwrap();
        let found = pages.iter().find(|(name, _)| *name == path);
        let (status, body) = found.map_or(("404 Not Found", "<!doctype html>"), |(_, body)| ("200 OK", *body));
        let kind = if path.ends_with(".js") { "text/javascript" } else { "text/html; charset=utf-8" };
        let length = body.len();
        write!(
            socket,
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Security-Policy: {POLICY}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .is_ok()
    }))
}

const GOOD: &str = "<!doctype html><html lang=en><title>Good</title><link rel=icon href=data:,><main><h1>Good</h1>\
    <form action=/form><label>Name <input name=name></label><label>Kind <select name=kind><option>one<option>two</select>\
    </label><label><input type=checkbox name=sure> Sure</label><button>Save it</button></form>\
    <ul><li>first <button aria-label='Revoke first'>x</button></li><li>second <a href=/second>Revoke</a></li></ul></main>";

#[test]
fn a_browser_reads_clicks_and_fills_in() {
    let site = serve(&[("/", GOOD), ("/form", GOOD), ("/second", "<!doctype html><p>gone to <b>second</b>")]);
    let browser = Browser::open();
    browser.goto(&site.url);
    browser.is_sound();
    assert_eq!(browser.title(), "Good");
    browser.see("good");
    browser.see_not("gone");
    browser.fill("Name", "né");
    browser.fill("Kind", "two");
    browser.fill("Sure", "yes");
    browser.click("Save it");
    assert!(browser.url().ends_with("/form?name=n%C3%A9&kind=two&sure=on"), "{}", browser.url());
    assert!(browser.offers("Revoke first") && !browser.offers("Delete"));
    browser.click_within("second", "Revoke");
    browser.see("gone to second");
    assert_eq!(browser.texts("b"), ["second"]);
    browser.back();
    browser.see("Good");
}

#[test]
fn a_browser_sees_what_is_wrong_with_a_page() {
    let site = serve(&[
        ("/script", "<!doctype html><html lang=en><title>x</title><script>document.title = 'ran'</script>"),
        ("/style", "<!doctype html><html lang=en><title>x</title><p style='color: red'>red"),
        ("/image", "<!doctype html><html lang=en><title>x</title><img src=http://elsewhere.test/x.png alt=x>"),
        ("/throws", "<!doctype html><html lang=en><title>x</title><script src=/throws.js></script>"),
        ("/throws.js", "throw new Error('thrown by the page')"),
        ("/axe", "<!doctype html><title>x</title><input>"),
        ("/no-viewport", "<!doctype html><html lang=en><title>x</title><p>made for a desktop"),
        (
            "/wide",
            "<!doctype html><html lang=en><meta name=viewport content='width=device-width'><title>x</title><table width=900><tr><td>wide</table>",
        ),
    ]);
    let browser = Browser::open();
    for (path, fault) in [
        ("/script", "script-src"),
        ("/style", "style-src"),
        ("/image", "img-src"),
        ("/throws", "thrown by the page"),
    ] {
        browser.goto(&format!("{}{path}", site.url));
        let errors = browser.errors().join("\n");
        assert!(errors.contains(fault) || errors.contains("Content Security Policy"), "{path}: {errors}");
        assert_ne!(browser.title(), "ran");
    }
    browser.goto(&format!("{}/axe", site.url));
    let found = browser.axe().join("\n");
    assert!(found.contains("html-has-lang") && found.contains("label: <input>"), "{found}");
    browser.size(Size::Phone);
    for path in ["/wide", "/no-viewport"] {
        browser.goto(&format!("{}{path}", site.url));
        assert!(browser.sideways() > 400, "{path}: {}", browser.sideways());
    }
    let is_dark = "return matchMedia('(prefers-color-scheme: dark)').matches";
    assert_eq!(browser.run(is_dark, vec![]), false);
    browser.colours(Colours::Dark);
    assert_eq!(browser.run(is_dark, vec![]), true);
}

#[test]
fn a_browser_can_be_without_scripts() {
    let site = serve(&[
        (
            "/",
            "<!doctype html><title>x</title><noscript>no scripts here</noscript><script src=/a.js></script><a href=/b>on</a>",
        ),
        ("/a.js", "document.title = 'ran'"),
        ("/b", "<!doctype html><p>there"),
    ]);
    let browser = Browser::without_scripts();
    browser.goto(&site.url);
    browser.see("no scripts here");
    assert_eq!(browser.title(), "x");
    browser.click("on");
    browser.see("there");
}

#[test]
fn a_browser_reaches_keyward() {
    let keyward = Keyward::dev("standard");
    let browser = Browser::open();
    browser.goto(&format!("{}/openapi.json", keyward.started.control_url));
    browser.see("\"openapi\"");
}

#[test]
fn the_provider_signs_people_in() {
    let mut provider = OpenIdProvider::start();
    provider.person("ada", serde_json::json!({"email": "ada@elsewhere.test", "email_verified": false}));
    let authorization = format!(
        "{}/auth?client_id=keyward&response_type=code&scope=openid+email&state=s1&nonce=n1&code_challenge_method=S256\
         &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM\
         &redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fsign-in%2Fopenid%2Fcallback",
        provider.issuer
    );
    let back = provider.sign_in(&authorization, "ada");
    assert!(back.starts_with("http://127.0.0.1:9/sign-in/openid/callback?code="), "{back}");
    assert!(back.contains("state=s1"), "{back}");
}

#[test]
fn the_mail_server_tells_what_came_in() {
    use std::io::{BufRead as _, BufReader};
    let mut server = MailServer::start();
    let socket = std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
    let mut say = |line: &str, code: &str| {
        if !line.is_empty() {
            write!(&socket, "{line}\r\n").unwrap();
        }
        let answer = lines.by_ref().map(Result::unwrap).find(|answer| !answer[3..].starts_with('-')).unwrap();
        assert!(answer.starts_with(code), "{line}: {answer}");
    };
    say("", "220");
    say("EHLO test", "250");
    say("MAIL FROM:<a@example.test>", "250");
    say("RCPT TO:<b@example.test>", "250");
    say("DATA", "354");
    say("Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nhello\r\n.", "250");
    let mail = server.next();
    assert_eq!((mail.from.as_str(), mail.to.as_slice()), ("a@example.test", &["b@example.test".to_owned()][..]));
    assert!(mail.html.is_none() && mail.raw.contains("=?utf-8?q?"));
    assert_eq!((mail.subject.as_deref(), mail.text.as_deref().map(str::trim)), (Some("Grüße"), Some("hello")));
}
