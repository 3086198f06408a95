//! The dashboard through its router, as browsers and those who forge their requests would ask it: the rows W01, W03 to W05,
//! W09, W12 and H18 of trust.md. Every address of the table in `dashboard/pages/mod.rs` is asked, also those to come.

mod foreign;
mod headers;
mod keys;
mod places;
mod roles;
mod sessions;
mod ways_in;

use axum::body::Body;
use axum::http::{Method, Request};
use keyward_core::people::Role;
use serde_json::json;

use crate::support::{Answer, World};

/// A form's type.
const FORM: &str = "application/x-www-form-urlencoded";

/// A request of a browser.
pub struct Browse<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub headers: Vec<(&'a str, &'a str)>,
    pub body: &'a str,
}

impl Browse<'_> {
    pub fn request(&self) -> Request<Body> {
        let method = Method::from_bytes(self.method.as_bytes()).unwrap();
        let mut request = Request::builder().method(method).uri(self.path).header("accept", "text/html");
        for (name, value) in &self.headers {
            request = request.header(*name, *value);
        }
        request.body(Body::from(self.body.to_owned())).unwrap()
    }
}

/// A cookie of the https site that the tests' world is.
pub fn cookie(secret: &str) -> String {
    format!("__Host-keyward-session={secret}")
}

impl World {
    /// Opens a page with a session.
    pub async fn open(&self, session: &str, path: &str) -> Answer {
        let cookie = cookie(session);
        let headers = vec![("cookie", cookie.as_str())];
        self.send(Browse { method: "GET", path, headers, body: "" }.request()).await
    }

    /// Sends a form of one of our own pages, with a session.
    pub async fn submit(&self, session: &str, path: &str, body: &str) -> Answer {
        let cookie = cookie(session);
        let headers = vec![("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin"), ("content-type", FORM)];
        self.send(Browse { method: "POST", path, headers, body }.request()).await
    }

    /// How far the log is: what is the same before and after has changed nothing.
    pub async fn revision(&self) -> String {
        self.get("/v1/changes/head").await.expect(200).json["revision"].to_string()
    }
}

/// Where an answer sends the browser.
pub fn target(answer: &Answer) -> &str {
    assert_eq!(answer.status.as_u16(), 303, "{}", answer.body);
    answer.headers["location"].to_str().unwrap()
}

/// The value that an answer sets the session's cookie to.
pub fn new_session(answer: &Answer) -> Option<String> {
    let cookies = answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
    let mut found = cookies.filter_map(|cookie| cookie.strip_prefix("__Host-keyward-session="));
    found.next().map(|rest| rest.split(';').next().unwrap().to_owned())
}

/// An address of the dashboard.
#[derive(Debug)]
pub struct Address {
    /// As it stands in the table.
    pub pattern: String,
    pub path: String,
    pub is_shown: bool,
    pub is_sent_to: bool,
}

/// Every address of the dashboard, read from its table, with things that are there in the places of ids.
pub async fn addresses(world: &World) -> Vec<Address> {
    let member = world.member("member@example.com", Role::Developer).await;
    let invitation = world.invited("invited@example.com", Role::Viewer).await.invitation.id;
    let within = json!({ "organization": world.organization });
    let made = json!({ "name": "a helper", "scopes": ["keys:read"], "within": within });
    let management_key = world.post("/v1/management-keys", made).await.expect(201);
    let table = concat!(
        include_str!("../../../src/dashboard/pages/mod.rs"),
        include_str!("../../../src/dashboard/pages/keys/mod.rs")
    );
    let table = table.replace("OpenId::CALLBACK", "\"/sign-in/openid/callback\"");
    let entries = table.split(".route(").skip(1).map(|entry| {
        let (path, rest) = entry.split_once('"').and_then(|(_, rest)| rest.split_once('"')).unwrap();
        let is_of_management = path.contains("management-keys");
        let key = if is_of_management { management_key.text("/management_key/id") } else { world.key.0.as_str() };
        let filled = path
            .replace("{organization}", &world.organization)
            .replace("{project}", &world.project)
            .replace("{person}", &member.person.id.to_string())
            .replace("{session}", &member.session.id.to_string())
            .replace("{invitation}", &invitation.to_string())
            .replace("{key}", key)
            .replace("{api}", "standard")
            .replace("{secret}", "x");
        assert!(!filled.contains('{'), "the tests know nothing to stand for {filled}");
        let handlers = rest.split("\n    }").next().unwrap_or(rest);
        let is_shown = handlers.contains("get(");
        Address { pattern: path.to_owned(), path: filled, is_shown, is_sent_to: handlers.contains("post(") }
    });
    let addresses: Vec<Address> = entries.collect();
    assert!(addresses.len() > 40, "the table was not read: {addresses:?}");
    addresses
}
