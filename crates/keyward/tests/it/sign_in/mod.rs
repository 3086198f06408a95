//! Ways to sign in that need somebody else: a real OpenID provider, and a real mail server.

mod mail;
mod openid;

use reqwest::Method;
use reqwest::blocking::{Client, Response};
use serde_json::json;

use crate::harness::Keyward;

/// Invites somebody to the first project's organization: the secret of the link.
fn invite(keyward: &Keyward, email: &str) -> String {
    let project = keyward.get(&format!("/v1/projects/{}", keyward.project())).expect(200).json();
    let organization = project["project"]["organization"].as_str().unwrap().to_owned();
    let path = format!("/v1/organizations/{organization}/invitations");
    let made = keyward.post(&path, json!({"email": email, "role": "developer"})).expect(201).json();
    made["link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

/// A browser without scripts.
struct Visitor {
    http: Client,
    site: String,
    cookies: Vec<(String, String)>,
}

impl Visitor {
    fn of(keyward: &Keyward) -> Self {
        let http = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        Visitor { http, site: format!("http://{}", keyward.control_address()), cookies: Vec::new() }
    }

    fn get(&mut self, path: &str) -> Response {
        self.send(Method::GET, path, String::new())
    }

    fn post(&mut self, path: &str, fields: &str) -> Response {
        self.send(Method::POST, path, fields.to_owned())
    }

    fn send(&mut self, method: Method, path: &str, fields: String) -> Response {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request =
            self.http.request(method, format!("{}{path}", self.site)).header("cookie", cookies.join("; "));
        let request = request.header("accept", "text/html").header("sec-fetch-site", "same-origin");
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(fields);
        let answer = request.send().unwrap();
        for cookie in answer.headers().get_all("set-cookie") {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            self.cookies.push((name.to_owned(), rest.split(';').next().unwrap().to_owned()));
        }
        answer
    }

    fn is_signed_in(&self) -> bool {
        self.cookies.iter().any(|(name, value)| name == "keyward-session" && !value.is_empty())
    }
}
