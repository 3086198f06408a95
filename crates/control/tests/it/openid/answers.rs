//! What comes back with a browser: another browser's answer, an answer that was used, an answer of another provider.

use keyward_control::openid::{OpenIdError, Purpose};

use super::{World, at};

#[tokio::test]
async fn t09_an_answer_in_a_browser_that_did_not_ask_is_refused() {
    let world = World::new().await;
    let begun = world.begin(Purpose::SignIn).await.unwrap();
    let query = world.provider.sign_in(&begun.url);
    let other = world.begin(Purpose::SignIn).await.unwrap();
    for cookie in [None, Some(""), Some("x"), Some(other.cookie.as_str()), Some(&begun.cookie[1..])] {
        assert_eq!(world.finish(cookie, &query).await.unwrap_err(), OpenIdError::NotBegun, "{cookie:?}");
    }
    let without_state = query.split('&').filter(|part| !part.starts_with("state")).collect::<Vec<_>>().join("&");
    assert_eq!(world.finish(Some(&begun.cookie), &without_state).await.unwrap_err(), OpenIdError::NotBegun);
    assert_eq!(world.provider.asked("/token"), 0, "the code was shown to nobody");
    assert!(world.finish(Some(&begun.cookie), &query).await.is_ok());
}

#[tokio::test]
async fn t09_an_answer_is_good_once() {
    let world = World::new().await;
    let begun = world.begin(Purpose::SignIn).await.unwrap();
    let query = world.provider.sign_in(&begun.url);
    assert!(world.finish(Some(&begun.cookie), &query).await.is_ok());
    assert_eq!(world.finish(Some(&begun.cookie), &query).await.unwrap_err(), OpenIdError::NotBegun);
    assert_eq!(world.provider.asked("/token"), 1);
    // Also with a new attempt of one's own: the provider takes a code once.
    let code = query.split('&').next().unwrap();
    let begun = world.begin(Purpose::SignIn).await.unwrap();
    let fresh = world.provider.sign_in(&begun.url);
    let mixed = format!("{code}&{}", fresh.split_once('&').unwrap().1);
    let error = world.finish(Some(&begun.cookie), &mixed).await.unwrap_err();
    assert!(matches!(error, OpenIdError::Refused(_)) && world.provider.asked("/token") == 2, "{error:?}");
}

#[tokio::test]
async fn t09_an_answer_comes_within_ten_minutes() {
    let world = World::new().await;
    let begun = world.begin(Purpose::SignIn).await.unwrap();
    let query = world.provider.sign_in(&begun.url);
    world.later(600);
    assert_eq!(world.finish(Some(&begun.cookie), &query).await.unwrap_err(), OpenIdError::NotBegun);
    assert_eq!(world.provider.asked("/token"), 0);
}

#[tokio::test]
async fn t09_an_answer_of_another_provider_is_refused() {
    let (world, other) = (World::new().await, World::new().await);
    let begun = world.begin(Purpose::SignIn).await.unwrap();
    let query = world.provider.sign_in(&begun.url);
    // A mix-up: the code is ours, and the browser says that it is the other's (RFC 9207).
    let (before, _) = query.split_once("&iss=").unwrap();
    let elsewhere = other.provider.issuer.replace(':', "%3A").replace('/', "%2F");
    for said in [format!("{before}&iss={elsewhere}"), format!("{before}&iss="), before.to_owned()] {
        World::assert_refused(world.finish(Some(&begun.cookie), &said).await, "issuer");
    }
    // The other provider's answer, with the cookie that was sealed for this one.
    assert_eq!(other.finish(Some(&begun.cookie), &query).await.unwrap_err(), OpenIdError::NotBegun);
    assert_eq!(world.provider.asked("/token") + other.provider.asked("/token"), 0, "no code was shown to anybody");
}

#[tokio::test]
async fn t09_a_provider_that_says_it_is_another_is_refused() {
    let world = World::new().await;
    let issuer = world.provider.issuer.clone();
    for other in [format!("{issuer}/"), "https://id.example.com".to_owned()] {
        world.provider.plan().metadata = serde_json::json!({"issuer": other});
        assert!(matches!(world.begin(Purpose::SignIn).await, Err(OpenIdError::Unavailable(_))), "{other}");
        world.later(10);
    }
    // And where we were told a name that is not its own.
    assert!(matches!(
        at(&format!("{issuer}/"))
            .begin(super::Timestamp::from_millis(0), super::REDIRECT, Purpose::SignIn, "/")
            .await,
        Err(OpenIdError::Unavailable(_))
    ));
}

#[tokio::test]
async fn who_does_not_want_to_is_told_so() {
    let world = World::new().await;
    let begun = world.begin(Purpose::SignIn).await.unwrap();
    let query = world.provider.sign_in(&begun.url).replace("code=", "error=access_denied%0D%0A&x=");
    let error = world.finish(Some(&begun.cookie), &query).await.unwrap_err();
    assert_eq!(error, OpenIdError::Declined(r#""access_denied\r\n""#.into()));
    assert_eq!(error.told(), "The provider did not sign you in. You can begin again.");
}
