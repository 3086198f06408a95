//! Pages of projects and of operators, asked through the router with a session, as a browser asks for them: what they
//! tell, whom, and what their forms change.

mod events;
mod operators;
mod projects;

use axum::body::Body;
use axum::http::Request;
use keyward_core::secret::Secret;

use crate::support::{Answer, World};

impl World {
    /// A page.
    pub async fn page(&self, session: &Secret, path: &str) -> Answer {
        self.send(by_browser(session, "GET", path, "same-origin", "")).await
    }

    /// A form that is sent from one of our own pages.
    pub async fn form(&self, session: &Secret, path: &str, fields: &str) -> Answer {
        self.send(by_browser(session, "POST", path, "same-origin", fields)).await
    }
}

pub fn by_browser(session: &Secret, method: &str, path: &str, from: &str, fields: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("cookie", format!("__Host-keyward-session={}", session.expose()))
        .header("accept", "text/html")
        .header("sec-fetch-site", from)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(fields.to_owned()))
        .unwrap()
}

/// Where an answer leads.
pub fn location(answer: &Answer) -> &str {
    answer.headers["location"].to_str().unwrap()
}
