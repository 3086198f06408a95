//! The provider's documents: what it says of itself and the keys that it shows. They are asked for rarely, read in bounded
//! time and size, and from nowhere else.

use keyward_control::openid::{OpenIdError, Purpose};
use serde_json::json;

use super::World;
use super::provider::Page;
use super::signer::Signer;

const METADATA: &str = "/.well-known/openid-configuration";

async fn unavailable(path: &'static str, page: Page, reason: &str) {
    let world = World::new().await;
    world.provider.plan().pages.insert(path, page);
    match world.begin(Purpose::SignIn).await {
        Err(OpenIdError::Unavailable(said)) if said.contains(reason) => {}
        other => panic!("expected {path} to fail with {reason:?}, not {other:?}"),
    }
}

#[tokio::test]
async fn t09_another_key_under_a_known_name_is_refused() {
    let world = World::new().await;
    assert!(world.sign_in().await.is_ok());
    world.provider.plan().key.1 = Signer::eddsa();
    world.later(120);
    World::assert_refused(world.sign_in().await, "does not hold");
    assert_eq!(world.provider.asked("/jwks"), 1, "and is no reason to ask for keys");
}

#[tokio::test]
async fn t09_a_new_key_is_asked_for_once_a_minute() {
    let world = World::new().await;
    assert!(world.sign_in().await.is_ok());
    world.provider.plan().key = ("two".into(), Signer::es256());
    for _ in 0..3 {
        World::assert_refused(world.sign_in().await, "a key that the provider does not show");
    }
    assert_eq!(world.provider.asked("/jwks"), 1, "less than a minute ago");
    world.later(60);
    assert!(world.sign_in().await.is_ok());
    assert_eq!(world.provider.asked("/jwks"), 2);
    // Made-up names of keys.
    world.provider.plan().header = json!({"kid": "made up"});
    for _ in 0..3 {
        World::assert_refused(world.sign_in().await, "a key that the provider does not show");
    }
    assert_eq!(world.provider.asked("/jwks"), 2);
}

#[tokio::test]
async fn t09_keys_that_cannot_sign_are_no_keys() {
    let world = World::new().await;
    let mut key = world.provider.plan().key.1.jwk("one");
    key["use"] = "enc".into();
    world.provider.plan().pages.insert("/jwks", Page::Json(json!({"keys": [key, {"kty": "new"}, 7]})));
    World::assert_refused(world.sign_in().await, "a key that the provider does not show");
}

#[tokio::test]
async fn t09_two_keys_of_one_name_prove_nothing() {
    let world = World::new().await;
    let keys = [world.provider.plan().key.1.jwk("one"), Signer::eddsa().jwk("one")];
    world.provider.plan().pages.insert("/jwks", Page::Json(json!({"keys": keys})));
    World::assert_refused(world.sign_in().await, "Ambiguous");
}

#[tokio::test]
async fn t09_documents_are_not_looked_for_elsewhere() {
    unavailable("/jwks", Page::Redirect("/elsewhere"), "302").await;
    unavailable(METADATA, Page::Redirect("/elsewhere"), "302").await;
    unavailable("/jwks", Page::Status(500), "500").await;
    unavailable("/jwks", Page::Text("<html>".into()), "not understood").await;
    let world = World::new().await;
    for metadata in [
        json!({"jwks_uri": "http://192.0.2.1/jwks"}),
        json!({"jwks_uri": "file:///etc/passwd"}),
        json!({"token_endpoint": "http://192.0.2.1/token"}),
        json!({"token_endpoint": null}),
        json!({"authorization_endpoint": "javascript:alert(1)"}),
        json!({"authorization_endpoint": "http://192.0.2.1/authorize"}),
    ] {
        world.provider.plan().metadata = metadata.clone();
        assert!(matches!(world.begin(Purpose::SignIn).await, Err(OpenIdError::Unavailable(_))), "{metadata}");
        world.later(10);
    }
}

#[tokio::test]
async fn t09_ten_megabytes_of_keys_are_refused() {
    let spaces = 10 * 1024 * 1024;
    for path in [METADATA, "/jwks"] {
        for with_length in [true, false] {
            unavailable(path, Page::Padded { spaces, with_length }, "longer than").await;
        }
    }
    let world = World::new().await;
    world.provider.plan().pages.insert("/jwks", Page::Padded { spaces: 1_000_000, with_length: false });
    assert!(world.sign_in().await.is_ok(), "within bounds");
}

#[tokio::test]
async fn t09_an_answer_to_the_code_is_bounded_and_of_the_provider() {
    for (page, reason) in [
        (Page::Padded { spaces: 2 * 1024 * 1024, with_length: false }, "longer than"),
        (Page::Redirect("/elsewhere"), ""),
        (Page::Status(500), ""),
        (Page::Json(json!({"access_token": "x", "token_type": "Bearer"})), "no ID token"),
        (Page::Json(json!({"access_token": "x", "token_type": "Bearer", "id_token": "a.b.c"})), "not understood"),
        (Page::Json(json!({"access_token": "a secret", "token_type": 7})), "not understood"),
    ] {
        let world = World::new().await;
        world.provider.plan().pages.insert("/token", page);
        let error = world.sign_in().await.unwrap_err();
        assert!(matches!(error, OpenIdError::Refused(_) | OpenIdError::Unavailable(_)), "{error:?}");
        assert!(error.to_string().contains(reason) && !error.to_string().contains("a secret"), "{error}");
    }
}

#[tokio::test]
async fn t09_a_provider_that_keeps_us_waiting_is_given_five_seconds() {
    let waits =
        [(METADATA, Page::Silence), (METADATA, Page::Drip), ("/jwks", Page::Silence), ("/jwks", Page::Drip)];
    let mut all = tokio::task::JoinSet::new();
    for (path, page) in waits {
        all.spawn(unavailable(path, page, "took longer than 5 seconds"));
    }
    all.spawn(async {
        let world = World::new().await;
        world.provider.plan().pages.insert("/token", Page::Drip);
        let error = world.sign_in().await.unwrap_err();
        assert!(error.to_string().contains("took longer than 5 seconds"), "{error}");
    });
    for ended in all.join_all().await {
        ended
    }
}

#[tokio::test]
async fn a_provider_that_is_down_is_asked_every_ten_seconds_and_what_is_known_serves_for_a_day() {
    let world = World::new().await;
    world.provider.plan().pages.insert(METADATA, Page::Status(503));
    for _ in 0..3 {
        assert!(world.begin(Purpose::SignIn).await.is_err());
    }
    assert_eq!(world.provider.asked(METADATA), 1);
    world.later(10);
    world.provider.plan().pages.clear();
    assert!(world.begin(Purpose::SignIn).await.is_ok());
    world.provider.plan().pages.insert(METADATA, Page::Status(503));
    world.later(3600);
    assert!(world.begin(Purpose::SignIn).await.is_ok());
    assert_eq!(world.provider.asked(METADATA), 3, "asked again, in vain");
    world.later(23 * 3600);
    assert!(world.begin(Purpose::SignIn).await.is_err());
}

#[tokio::test]
async fn many_who_begin_at_once_ask_once() {
    let world = std::sync::Arc::new(World::new().await);
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let world = std::sync::Arc::clone(&world);
        all.spawn(async move { world.begin(Purpose::SignIn).await.is_ok() });
    }
    assert!(all.join_all().await.into_iter().all(|ok| ok));
    assert_eq!((world.provider.asked(METADATA), world.provider.asked("/jwks")), (1, 1));
}
