//! What every page says to browsers: that nothing may frame it, that it loads and runs nothing but our own (W03).

use keyward_core::people::Role;

use super::{Browse, addresses};
use crate::support::{Answer, World};

fn is_well_wrapped(answer: &Answer, what: &str) {
    let get = |name: &str| answer.headers.get(name).map_or("", |value| value.to_str().unwrap());
    let policy = get("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{what}: {policy}"
    );
    assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"), "{what}: {policy}");
    assert_eq!(get("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(get("referrer-policy"), "no-referrer", "{what}");
    assert_eq!(get("cache-control"), "no-store", "{what}");
    if get("content-type").starts_with("text/html") {
        assert!(policy.contains("script-src 'self'") && policy.contains("form-action 'self'"), "{what}: {policy}");
        assert!(policy.contains("base-uri 'none'"), "{what}: {policy}");
        assert_eq!(get("cross-origin-opener-policy"), "same-origin", "{what}");
    }
}

#[tokio::test]
async fn w03_every_answer_forbids_to_be_framed() {
    let world = World::with("standard").await;
    let operator = world.first_operator().await;
    let viewer = world.member("viewer@example.com", Role::Viewer).await;
    let mut pages = 0;
    for address in addresses(&world).await {
        for session in [operator.secret.expose(), viewer.secret.expose(), ""] {
            let answer = world.open(session, &address.path).await;
            is_well_wrapped(&answer, &address.path);
            pages += usize::from(answer.status.is_success());
            let sent = world.submit(session, &format!("{}-and-nothing", address.path), "").await;
            is_well_wrapped(&sent, &address.path);
        }
    }
    assert!(pages > 30, "pages were shown: {pages}");
}

#[tokio::test]
async fn w03_error_pages_too() {
    let world = World::with("standard").await;
    let viewer = world.member("viewer@example.com", Role::Viewer).await;
    let session = viewer.secret.expose();
    let members = format!("/organizations/{}/members", world.organization);
    let forbidden = world.submit(session, &members, "email=a@example.com&role=owner").await;
    let foreign =
        world.send(Browse { method: "POST", path: "/sign-in", headers: vec![], body: "" }.request()).await;
    for (answer, status, words) in [
        (world.open(session, "/nowhere").await, 404, "There is nothing here"),
        (world.open("", "/sign-in/link/x").await, 404, "This link does not work"),
        (world.open(session, "/operator/people").await, 404, "There is nothing here"),
        (forbidden, 403, "Your role does not allow this"),
        (foreign, 403, "This did not come from here"),
        (world.submit("", "/sign-in", "email=a@example.com").await, 400, "The form cannot be read"),
        (
            world.submit("", "/sign-in", "email=a@example.com&password=wrong").await,
            401,
            "E-mail address or password is wrong",
        ),
    ] {
        assert_eq!(answer.status.as_u16(), status, "{words}: {}", answer.body);
        assert!(answer.body.contains(words), "{words}: {}", answer.body);
        is_well_wrapped(&answer, words);
    }
    for _ in 0..10 {
        world.submit("", "/sign-in", "email=a@example.com&password=wrong").await;
    }
    let limited = world.submit("", "/sign-in", "email=a@example.com&password=wrong").await;
    assert_eq!(limited.status.as_u16(), 429);
    assert!(limited.body.contains("Try again in"), "{}", limited.body);
    is_well_wrapped(&limited, "429");
}
