//! A real OpenID provider (oidc-provider, in tests/browser/node) with one client: Keyward.
//!
//! Who signs in types a login name and any password. The login name is the subject; the claims are
//! `<login>@example.test`, verified, and the login as the name, unless [`OpenIdProvider::person`] says otherwise.
//! Everybody consents. Give Keyward [`OpenIdProvider::issuer`], [`CLIENT_ID`] and [`CLIENT_SECRET`]; any port of
//! 127.0.0.1 may be returned to, at the path [`CALLBACK`].
//!
//! In a browser: fill `login` and `password` (placeholders "Enter any login", "and password") and click "Sign-in".
//! Over HTTP: [`OpenIdProvider::sign_in`].

use std::process::Command;

use serde_json::{Value, json};

use super::lines::{Lines, installed};

/// The client identifier that the provider knows.
pub const CLIENT_ID: &str = "keyward";
/// The client's secret.
pub const CLIENT_SECRET: &str = "a client secret of the tests";
/// Where the provider sends people back to.
pub const CALLBACK: &str = "/sign-in/openid/callback";

/// A running provider. Killed when dropped.
pub struct OpenIdProvider {
    /// Its issuer: `http://127.0.0.1:<port>`.
    pub issuer: String,
    lines: Lines,
}

impl OpenIdProvider {
    pub fn start() -> Self {
        let (node, script) = (installed("node/node"), installed("node/drivers/openid.mjs"));
        let mut command = Command::new(node);
        command.args(["--preserve-symlinks", "--preserve-symlinks-main"]).arg(script);
        let given = json!({"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "callback": CALLBACK});
        let mut lines = Lines::start(&mut command, &given);
        let issuer = lines.next()["issuer"].as_str().unwrap().to_owned();
        OpenIdProvider { issuer, lines }
    }

    /// From now on this login has these claims over the usual ones, as `{"email", "email_verified", "name"}`.
    pub fn person(&mut self, login: &str, claims: Value) {
        self.lines.tell(&json!({"login": login, "claims": claims}));
        assert_eq!(self.lines.next(), json!({}));
    }

    /// Goes where Keyward sent a person (the `Location` of its redirect), signs in there with a fresh session, and
    /// gives the address that the provider sends the person back to, `code` and `state` in its query.
    #[track_caller]
    pub fn sign_in(&self, authorization: &str, login: &str) -> String {
        let mut visit = Visit::new(&self.issuer);
        let form = visit.follow(authorization);
        let form = form.unwrap_or_else(|back| panic!("the provider sent back at once: {back}"));
        let fields = format!("prompt=login&login={login}&password=any");
        let next = visit.post(&form, &fields);
        visit.follow(&next).expect_err("the provider asks for more than a sign-in")
    }
}

/// A person's way through the provider's pages, with the cookies picked up on it.
struct Visit {
    issuer: String,
    http: reqwest::blocking::Client,
    cookies: Vec<(String, String)>,
}

impl Visit {
    fn new(issuer: &str) -> Self {
        let http = reqwest::blocking::Client::builder();
        let http = http.redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        Visit { issuer: issuer.to_owned(), http, cookies: Vec::new() }
    }

    /// Follows redirects: the provider's page that they end at, or as an error an address that is not the provider's.
    fn follow(&mut self, address: &str) -> Result<String, String> {
        let mut address = address.to_owned();
        loop {
            if !address.starts_with(&self.issuer) {
                return Err(address);
            }
            let request = self.http.get(&address);
            match self.send(request) {
                Some(next) => address = next,
                None => return Ok(address),
            }
        }
    }

    /// Posts a form: where it leads.
    fn post(&mut self, address: &str, fields: &str) -> String {
        let request = self.http.post(address).body(fields.to_owned());
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.send(request).expect("a redirect after the form")
    }

    fn send(&mut self, request: reqwest::blocking::RequestBuilder) -> Option<String> {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let reply = request.header("cookie", cookies.join("; ")).send().unwrap();
        for cookie in reply.headers().get_all("set-cookie") {
            let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        let status = reply.status();
        let location = reply.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        assert!(status.is_success() || location.is_some(), "{status}: {}", reply.text().unwrap());
        location.map(|to| if to.starts_with('/') { format!("{}{to}", self.issuer) } else { to })
    }
}
