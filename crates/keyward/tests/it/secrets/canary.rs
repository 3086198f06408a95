//! A canary flown through every door, at the most talkative log level (K09): it comes out nowhere.

use std::io::Write;

use serde_json::{Value, json};

use crate::harness::raw::exchange;
use crate::harness::traces::Traces;
use crate::harness::{Ids, Keyward, Operation, Request};

/// Answers in which a canary came back, and what was asked.
struct Flight {
    keyward: Keyward,
    canary: String,
    traces: Traces,
    answers: usize,
}

impl Flight {
    /// `canary` looks like one of the server's own keys, and a real key it is where it can be.
    fn with(canary: impl FnOnce(&Keyward) -> String) -> Self {
        let keyward = Keyward::dev_with_env(
            "standard",
            &["--log-level", "trace"],
            &[("RUST_LOG", "trace"), ("RUST_BACKTRACE", "full")],
        );
        let canary = canary(&keyward);
        let traces = Traces::of([&canary]);
        Flight { keyward, canary, traces, answers: 0 }
    }

    /// Sends bytes to an address, and looks at what comes back.
    fn send(&mut self, address: &str, what: &str, request: impl AsRef<[u8]>) {
        if let Some(answer) = exchange(address, request) {
            self.traces.must_not_be_in(&format!("the answer to {what}"), &answer.head);
            self.traces.must_not_be_in(&format!("the answer to {what}"), &answer.body);
            self.answers += 1;
        }
    }

    fn request(&self, address: &str, start: &str, credential: &str, body: &str) -> Vec<u8> {
        let mut request = Vec::new();
        let length = body.len();
        write!(
            request,
            "{start} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {credential}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .unwrap();
        request
    }

    /// Everything that can be wrong with a request, with the canary where it can stand.
    fn try_operation(&mut self, operation: &Operation, ids: &Ids) {
        let address = self.keyward.control_address();
        let key = self.keyward.started.management_key.clone();
        let (method, path, canary) = (operation.method.to_string(), operation.at(ids), self.canary.clone());
        let in_places = Ids {
            api: canary.clone(),
            organization: canary.clone(),
            project: canary.clone(),
            key: canary.clone(),
            management_key: canary.clone(),
            revocation: canary.clone(),
            person: canary.clone(),
            invitation: canary.clone(),
        };
        let right = operation.body(ids).map(|body| body.to_string()).unwrap_or_default();
        let query: Vec<String> =
            operation.query.iter().chain([&"unknown".to_owned()]).map(|name| format!("{name}={canary}")).collect();
        let starts = [
            path.clone(),
            operation.at(&in_places),
            format!("{path}/{canary}"),
            format!("{path}?{}", query.join("&")),
        ];
        for start in &starts[1..] {
            let request = self.request(&address, &format!("{method} {start}"), &key, &right);
            self.send(&address, &format!("{method} {start}"), request);
        }
        let start = format!("{method} {path}");
        for body in bodies(operation.body(ids), &canary) {
            let request = self.request(&address, &start, &key, &body);
            self.send(&address, &format!("{start} {body}"), request);
        }
        let request = self.request(&address, &start, &canary, &right);
        self.send(&address, &format!("{start} as the canary"), request);
        for header in
            ["Idempotency-Key", "X-Request-Id", "Cookie", "X-Api-Key", "Content-Type", "Accept", "Content-Encoding"]
        {
            let request = format!(
                "{start} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n{header}: {canary}\r\n\
                 Content-Length: 2\r\nConnection: close\r\n\r\n{{}}"
            );
            self.send(&address, &format!("{start} with {header}"), request);
        }
    }

    /// Panics where the canary is in a log or a metric.
    fn land(self) {
        let Flight { keyward, traces, answers, .. } = self;
        traces.must_not_be_in("the metrics", keyward.get("/metrics").expect(200).text);
        let logged = keyward.stderr();
        traces.must_not_be_in("standard error", &logged);
        assert!(
            logged.contains("TRACE") || logged.contains("DEBUG") || logged.contains("INFO"),
            "nothing was logged"
        );
        assert!(!logged.contains("panicked"), "a handler panicked:\n{logged}");
        assert!(answers > 50, "{answers} answers");
    }
}

/// Bodies with the canary in them: as a value where no such value belongs, and where no JSON is.
fn bodies(right: Option<Value>, canary: &str) -> Vec<String> {
    let mut bodies = vec![
        canary.to_owned(),
        format!("\"{canary}\""),
        format!("{{\"key\": \"{canary}\""),
        format!("{{\"key\": {canary}}}"),
        format!("[\"{canary}\"]"),
        format!("{{\"secret\": \"{canary}\", \"secret\": \"{canary}\"}}"),
        format!("{}\"{canary}\"", "[".repeat(100)),
        format!("{{\"x\": \"{canary}\\u12\"}}"),
    ];
    if let Some(right) = right {
        let mut unknown = right.clone();
        unknown["unknown"] = json!(canary);
        bodies.push(unknown.to_string());
        for (name, _) in right.as_object().unwrap() {
            for wrong in [json!({"is": canary}), json!([canary]), json!(canary.repeat(30))] {
                // A scope is a word of the caller's own, like a name: told back to the caller, and to nobody else.
                if name == "scopes" && wrong.is_array() {
                    continue;
                }
                let mut body = right.clone();
                body[name] = wrong;
                bodies.push(body.to_string());
            }
        }
    }
    bodies
}

fn ids(keyward: &Keyward) -> Ids {
    Ids {
        api: keyward.started.api.clone(),
        organization: keyward.started.organization.clone(),
        project: keyward.started.project.clone(),
        key: keyward.started.key_id.clone(),
        ..Ids::of_nothing()
    }
}

#[test]
fn k09_a_canary_through_the_control_plane_leaves_no_trace() {
    let mut flight = Flight::with(|keyward| keyward.make(keyward.project(), json!({})).secret);
    let (ids, nothing) = (ids(&flight.keyward), Ids::of_nothing());
    for operation in flight.keyward.operations() {
        // What would end the things that the others are asked about is asked about nothing.
        let ends = operation.method == reqwest::Method::DELETE || operation.path.ends_with("/suspend");
        flight.try_operation(&operation, if ends { &nothing } else { &ids });
    }
    flight.land();
}

#[test]
fn k09_a_canary_through_verification_and_the_gateway_leaves_no_trace() {
    let mut flight = Flight::with(|keyward| keyward.make(keyward.project(), json!({})).secret);
    let (check, gateway) = (flight.keyward.check_address(), flight.keyward.gateway_address());
    let (management, canary) = (flight.keyward.started.management_key.clone(), flight.canary.clone());
    let rights = [
        json!({"key": canary}),
        json!({"key": "kw_live_x", "project": canary}),
        json!({"key": "x", "api": canary}),
    ];
    for body in rights.iter().map(Value::to_string).chain(bodies(Some(json!({"key": "x", "scopes": []})), &canary))
    {
        for (start, credential) in
            [("POST /v1/verify", &management), ("POST /v1/verify", &canary), ("GET /v1/verify", &management)]
        {
            let request = flight.request(&check, start, credential, &body);
            flight.send(&check, &format!("{start} {body}"), request);
        }
    }
    for path in [
        format!("/{canary}"),
        format!("/v1/hello?api_key={canary}"),
        format!("/%2f{canary}"),
        format!("/..;/{canary}"),
    ] {
        for door in [&check, &gateway] {
            let request = flight.request(door, &format!("GET {path}"), "nobody", "");
            flight.send(door, &path, request);
        }
    }
    // What the echo upstream gives back is its own doing; it must not have been given the key.
    for credential in [
        format!("Bearer {canary}"),
        format!("bearer  {canary}"),
        canary.clone(),
        format!("Basic {canary}"),
        format!("Bearer {canary}, Bearer {canary}"),
        format!("Bearer {canary}x"),
        format!("Bearer {}", canary.repeat(9)),
    ] {
        let request = Request::get("/v1/hello").with("Authorization", &credential);
        let request = request.bytes(&gateway).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        flight.send(&gateway, &credential, request);
    }
    for broken in [
        format!("GET /{canary}\r\n\r\n"),
        format!("{canary}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{canary}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nAuthorization: Bearer {canary}\0\r\n\r\n"),
        format!("POST / HTTP/1.1\r\nContent-Length: {canary}\r\n\r\n"),
    ] {
        for door in [&check, &gateway, &flight.keyward.control_address()] {
            flight.send(door, "a broken request", &broken);
        }
    }
    flight.land();
}

#[test]
fn k09_a_management_key_leaves_no_trace_either() {
    let mut flight = Flight::with(|keyward| keyward.started.management_key.clone());
    let ids = ids(&flight.keyward);
    for operation in flight.keyward.operations() {
        if operation.is_read() || operation.path.ends_with("/keys") {
            flight.try_operation(&operation, &ids);
        }
    }
    flight.land();
}
