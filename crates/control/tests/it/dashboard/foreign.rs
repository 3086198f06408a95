//! What other sites' pages can send in somebody's name changes nothing (W01), and no other origin is let read (H18).

use serde_json::json;

use super::{Browse, FORM, addresses, cookie};
use crate::support::World;

#[tokio::test]
async fn w01_what_other_sites_send_is_refused_at_every_address() {
    let world = World::with("standard").await;
    let operator = world.first_operator().await;
    let session = cookie(operator.secret.expose());
    let addresses = addresses(&world).await;
    let before = world.revision().await;
    // A form that sends itself, a fetch without CORS, JSON in a type that no preflight asks about, a sandboxed frame, a
    // sibling host, and a program that says nothing of where it comes from.
    let forgeries: [&[(&str, &str)]; 6] = [
        &[
            ("origin", "https://evil.example"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("content-type", FORM),
        ],
        &[
            ("origin", "https://evil.example"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "no-cors"),
            ("content-type", "text/plain"),
        ],
        &[("origin", "https://evil.example"), ("content-type", "text/plain")],
        &[("origin", "null"), ("content-type", FORM)],
        &[("origin", "https://other.keys.test"), ("sec-fetch-site", "same-site"), ("content-type", FORM)],
        &[("content-type", FORM)],
    ];
    for address in addresses.iter().filter(|address| address.is_sent_to) {
        for forged in forgeries {
            for body in [
                "",
                "name=Evil&email=evil@example.com&role=owner&password=tangerine+boat+eight",
                r#"{"name":"Evil"}"#,
            ] {
                let headers = forged.iter().copied().chain([("cookie", session.as_str())]).collect();
                let answer =
                    world.send(Browse { method: "POST", path: &address.path, headers, body }.request()).await;
                assert_eq!(answer.status.as_u16(), 403, "{} {forged:?}", address.path);
                assert!(answer.headers.get("set-cookie").is_none(), "{}", address.path);
            }
        }
    }
    assert_eq!(world.revision().await, before, "nothing was changed");
    assert_eq!(
        world.open(operator.secret.expose(), "/account").await.status.as_u16(),
        200,
        "and nobody signed out"
    );
}

#[tokio::test]
async fn w01_looking_changes_nothing() {
    let world = World::with("standard").await;
    let operator = world.first_operator().await;
    let addresses = addresses(&world).await;
    let before = world.revision().await;
    for address in &addresses {
        let question = "?name=Evil&email=evil@example.com&role=owner&confirm=yes";
        let answer = world.open(operator.secret.expose(), &format!("{}{question}", address.path)).await;
        let status = answer.status.as_u16();
        match address.is_shown {
            true => {
                assert!(matches!(status, 200 | 303 | 400 | 404 | 422), "{} {status} {}", address.path, answer.body)
            }
            false => assert_eq!(status, 405, "{}", address.path),
        }
        let cookie = cookie(operator.secret.expose());
        let headers = vec![("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin")];
        for method in ["PUT", "PATCH", "DELETE"] {
            let request = Browse { method, path: &address.path, headers: headers.clone(), body: "" };
            assert_eq!(world.send(request.request()).await.status.as_u16(), 405, "{method} {}", address.path);
        }
    }
    assert_eq!(world.revision().await, before);
    assert_eq!(world.open(operator.secret.expose(), "/account").await.status.as_u16(), 200);
}

#[tokio::test]
async fn w01_a_page_takes_forms_alone_and_rest_json_alone() {
    let world = World::with("standard").await;
    let operator = world.first_operator().await;
    let session = cookie(operator.secret.expose());
    let before = world.revision().await;
    let send = |path: &'static str, kind: &'static str, site: &'static str, body: &'static str| {
        let headers = vec![("cookie", session.as_str()), ("sec-fetch-site", site), ("content-type", kind)];
        let request = Browse { method: "POST", path, headers, body }.request();
        world.send(request)
    };
    for kind in ["text/plain", "application/json", "multipart/form-data; boundary=x"] {
        let answer = send("/account/name", kind, "same-origin", r#"{"name":"Evil"}"#).await;
        assert_eq!(answer.status.as_u16(), 400, "{kind}");
    }
    let answer = send("/v1/organizations", "text/plain", "same-origin", r#"{"name":"Evil"}"#).await;
    assert!(matches!(answer.status.as_u16(), 400 | 415 | 422), "{}", answer.body);
    for kind in ["application/json", "text/plain", FORM] {
        let answer = send("/v1/organizations", kind, "cross-site", r#"{"name":"Evil"}"#).await;
        assert_eq!(answer.status.as_u16(), 403, "{kind} {}", answer.body);
    }
    assert_eq!(world.revision().await, before);
}

#[tokio::test]
async fn h18_no_answer_lets_another_origin_read_it() {
    let world = World::with("standard").await;
    let operator = world.first_operator().await;
    let session = cookie(operator.secret.expose());
    let mut paths: Vec<String> = addresses(&world).await.into_iter().map(|address| address.path).collect();
    paths.extend(
        ["/v1/organizations", "/v1/whoami", "/openapi.json", "/nowhere", "/assets/x/app.css"].map(String::from),
    );
    for path in &paths {
        for method in ["GET", "OPTIONS", "POST"] {
            for origin in ["https://evil.example", "null", "https://keys.test.evil.example"] {
                let headers = vec![
                    ("cookie", session.as_str()),
                    ("origin", origin),
                    ("access-control-request-method", "POST"),
                    ("access-control-request-headers", "content-type"),
                ];
                let answer = world.send(Browse { method, path, headers, body: "" }.request()).await;
                let told = answer.headers.keys().find(|name| name.as_str().starts_with("access-control-"));
                assert!(told.is_none(), "{method} {path}: {told:?}");
            }
        }
    }
    let answer = world.post("/v1/organizations", json!({ "name": "Fine" })).await.expect(201);
    assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-")));
}
