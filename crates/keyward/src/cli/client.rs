//! Calls to the server: JSON there and back, problem documents as failures with the exit code they mean.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::PageArgs;
use super::target::Target;
use crate::failure::{Doing, Exit, Failure, Outcome};

/// How long a call may take: longer than any lease a revocation waits for.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A query's parameters.
pub type Query<'a> = Vec<(&'a str, String)>;

/// A client of one server.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    target: Target,
    authorization: HeaderValue,
}

/// What a call sends.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// Nothing.
    Empty,
    /// JSON.
    Json(&'a Value),
    /// A contract.
    Contract(&'a str),
}

/// Whether a call waits until what it takes away is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// It does.
    Yes,
    /// It only waits until it is written.
    No,
}

impl Waiting {
    /// As the flag `--no-wait` says it.
    pub fn unless(no_wait: bool) -> Self {
        if no_wait { Waiting::No } else { Waiting::Yes }
    }
}

impl Client {
    /// For one server.
    ///
    /// # Errors
    /// Where the management key cannot be sent.
    pub fn new(target: Target) -> Outcome<Client> {
        let bearer = Zeroizing::new(format!("Bearer {}", target.key.expose()));
        let mut authorization = HeaderValue::from_str(&bearer)
            .map_err(|_| Failure::usage("the management key has characters that no key has"))?;
        authorization.set_sensitive(true);
        let builder = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(Duration::from_secs(5))
            // A redirect would hand the management key to whoever it names.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("keyward/", env!("CARGO_PKG_VERSION")));
        let http = if target.url.starts_with("http://") { builder.no_proxy() } else { builder };
        Ok(Client { http: http.build().doing("prepare a connection")?, target, authorization })
    }

    /// The server and what is known of it.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Reads something.
    pub async fn get(&self, path: &str, query: &Query<'_>) -> Outcome<Value> {
        self.call(Method::GET, path, query, Payload::Empty).await
    }

    /// Asks for something to be done.
    pub async fn post(&self, path: &str, body: &Value) -> Outcome<Value> {
        self.call(Method::POST, path, &Vec::new(), Payload::Json(body)).await
    }

    /// Asks for something to be taken away, and waits until that is in force, or only until it is written.
    ///
    /// # Errors
    /// As for every call.
    pub async fn restrict(&self, path: &str, body: &Value, waiting: Waiting) -> Outcome<Value> {
        let url = format!("{}{path}", self.target.url);
        self.send(Method::POST, &url, &Vec::new(), Payload::Json(body), waiting).await
    }

    /// Changes something.
    pub async fn patch(&self, path: &str, body: &Value) -> Outcome<Value> {
        self.call(Method::PATCH, path, &Vec::new(), Payload::Json(body)).await
    }

    /// Puts something in the place of what is there.
    pub async fn put(&self, path: &str, body: &Value) -> Outcome<Value> {
        self.call(Method::PUT, path, &Vec::new(), Payload::Json(body)).await
    }

    /// Takes something away.
    pub async fn delete(&self, path: &str) -> Outcome<Value> {
        self.call(Method::DELETE, path, &Vec::new(), Payload::Empty).await
    }

    /// A part of a list, or with `--all` the whole of it in one.
    pub async fn list(&self, path: &str, mut query: Query<'_>, page: &PageArgs) -> Outcome<Value> {
        if !page.all {
            query.extend(page.limit.map(|limit| ("limit", limit.to_string())));
            query.extend(page.cursor.clone().map(|cursor| ("cursor", cursor)));
            return self.get(path, &query).await;
        }
        let mut items = Vec::new();
        query.push(("limit", "200".into()));
        let mut cursor: Option<String> = None;
        loop {
            let mut asked = query.clone();
            asked.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let mut part = self.get(path, &asked).await?;
            if let Some(found) = part["items"].as_array_mut() {
                items.append(found);
            }
            match part["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok(json!({"items": items, "next_cursor": null})),
            }
        }
    }

    /// Asks the check listener.
    pub async fn check(&self, url: Option<&str>, body: &Value) -> Outcome<Value> {
        let url = match url {
            Some(url) => Some(self.target.checked(url)?),
            None => self.target.check_url.clone(),
        };
        let url = url.ok_or_else(|| {
            Failure::usage("the check listener's address is not known").advise(
                "Give --check-url or KEYWARD_CHECK_URL, or --dir with the folder of a server on this machine.",
            )
        })?;
        self.send(Method::POST, &format!("{url}/v1/verify"), &Vec::new(), Payload::Json(body), Waiting::Yes).await
    }

    /// A call to the control plane.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        query: &Query<'_>,
        payload: Payload<'_>,
    ) -> Outcome<Value> {
        self.send(method, &format!("{}{path}", self.target.url), query, payload, Waiting::Yes).await
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        query: &Query<'_>,
        payload: Payload<'_>,
        waiting: Waiting,
    ) -> Outcome<Value> {
        let mut url = reqwest::Url::parse(url).map_err(|error| Failure::usage(format!("{url}: {error}")))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.request(method, url.clone()).header(AUTHORIZATION, self.authorization.clone());
        let request = match waiting {
            Waiting::Yes => request,
            Waiting::No => request.header("prefer", "respond-async"),
        };
        let request = match payload {
            Payload::Empty => request,
            Payload::Json(body) => request.json(body),
            Payload::Contract(source) => request.header(CONTENT_TYPE, "application/toml").body(source.to_owned()),
        };
        let response = request.send().await.map_err(|error| unreachable_server(&url, &error))?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| unreachable_server(&url, &error))?;
        let answer = if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&bytes) };
        match answer {
            Ok(answer) if status.is_success() => Ok(answer),
            Ok(problem) if problem.is_object() => Err(refused(status, problem)),
            _ => Err(Failure::failed(format!("{url} answered {status}, and not like Keyward"))
                .advise("Is the address that of the control plane?")),
        }
    }
}

/// One part of a path, whatever is in it.
pub fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => encoded.push(byte as char),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

fn unreachable_server(url: &reqwest::Url, error: &reqwest::Error) -> Failure {
    let at = url.origin().ascii_serialization();
    let message = match error {
        error if error.is_timeout() => format!("{at} did not answer in {} s", TIMEOUT.as_secs()),
        error if error.is_connect() => format!("{at} cannot be reached"),
        _ => format!("the connection to {at} broke; whether the call was carried out is not known"),
    };
    Failure::new(Exit::Unreachable, message)
        .advise("Is the server running (keyward serve), and is the address right?")
}

/// A problem document as a failure.
fn refused(status: StatusCode, problem: Value) -> Failure {
    let exit = match status.as_u16() {
        401 | 403 => Exit::NotPermitted,
        404 => Exit::NotFound,
        502..=504 => Exit::Unreachable,
        _ => Exit::Failed,
    };
    let word = |field: &str| problem[field].as_str().unwrap_or_default().to_owned();
    let (title, detail, code) = (word("title"), word("detail"), word("code"));
    let mut message = [title, detail].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
    if !code.is_empty() {
        message.push_str(&format!(" ({code})"));
    }
    for wrong in problem["errors"].as_array().into_iter().flatten() {
        let (field, reason) = (wrong["field"].as_str(), wrong["message"].as_str());
        message.push_str(&format!("\n  {}: {}", field.unwrap_or("?"), reason.unwrap_or("?")));
    }
    for statement in problem["statements"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        message.push_str(&format!("\n  - {statement}"));
    }
    let advice = match (status.as_u16(), code.as_str()) {
        (401, _) => {
            Some("The management key is missing, revoked or expired; see --management-key-file.".to_owned())
        }
        (428, _) => Some("Add --acknowledge where you have read this.".to_owned()),
        (_, "outcome_unknown") => Some("Look whether it happened before trying again.".to_owned()),
        (500..=599, _) => problem["request_id"].as_str().map(|id| format!("The server's log has more under {id}.")),
        _ => None,
    };
    Failure { exit, message, advice, problem: Some(problem) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_be_left_through_an_argument() {
        assert_eq!(segment("key_1aZ"), "key_1aZ");
        assert_eq!(segment("../x?y#z"), "%2E%2E%2Fx%3Fy%23z");
    }

    #[test]
    fn problems_become_exit_codes() {
        let exit = |status: u16| refused(StatusCode::from_u16(status).unwrap(), json!({"code": "c"})).exit;
        assert_eq!(exit(401), Exit::NotPermitted);
        assert_eq!(exit(404), Exit::NotFound);
        assert_eq!(exit(503), Exit::Unreachable);
        assert_eq!(exit(409), Exit::Failed);
    }
}
