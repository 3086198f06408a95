//! Signing in with OpenID Connect, up to who somebody is at the provider: with one that does as it should, and with one
//! that does all it can to be believed what it may not say (trust.md T09).

mod answers;
mod keys;
mod people;
mod provider;
mod signer;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use keyward_control::openid::{Begun, Finished, OpenId, OpenIdError, OpenIdSettings, Purpose};
use keyward_core::clock::Clock as _;
use keyward_core::clock::{ManualClock, SystemEntropy, Timestamp};
use keyward_core::id::PersonId;
use keyward_core::log::LogKeys;
use keyward_core::secret::Secret;
use serde_json::json;

use provider::{CLIENT_ID, CLIENT_SECRET, Provider};
use signer::Signer;

const REDIRECT: &str = "https://keys.example.com/sign-in/openid/callback";
const NOW: i64 = 1_795_218_680;

/// Our side of a sign-in, and the provider.
struct World {
    openid: OpenId,
    provider: Provider,
    clock: ManualClock,
}

impl World {
    async fn new() -> Self {
        let provider = Provider::start(NOW as u64).await;
        let openid = at(&provider.issuer);
        World { openid, provider, clock: ManualClock::at(Timestamp::from_millis(NOW * 1000)) }
    }

    async fn begin(&self, purpose: Purpose) -> Result<Begun, OpenIdError> {
        self.openid.begin(self.clock.now(), REDIRECT, purpose, "/account").await
    }

    async fn finish(&self, cookie: Option<&str>, query: &str) -> Result<Finished, OpenIdError> {
        self.openid.finish(self.clock.now(), REDIRECT, cookie, query).await
    }

    /// The whole way, from the button to who came back.
    async fn sign_in(&self) -> Result<Finished, OpenIdError> {
        self.go(Purpose::SignIn).await
    }

    async fn go(&self, purpose: Purpose) -> Result<Finished, OpenIdError> {
        let begun = self.begin(purpose).await?;
        let query = self.provider.sign_in(&begun.url);
        self.finish(Some(&begun.cookie), &query).await
    }

    /// The whole way, which must end in disbelief with this reason.
    #[track_caller]
    fn assert_refused(ended: Result<Finished, OpenIdError>, reason: &str) {
        match ended {
            Err(OpenIdError::Refused(said)) if said.contains(reason) => {}
            other => panic!("expected a refusal with {reason:?}, not {other:?}"),
        }
    }

    fn later(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.provider.plan().now += seconds;
    }
}

/// Our side of a provider.
fn at(issuer: &str) -> OpenId {
    let settings = OpenIdSettings {
        issuer: issuer.into(),
        client_id: CLIENT_ID.into(),
        client_secret: Some(Secret::new(CLIENT_SECRET.into())),
        title: "Example".into(),
        scopes: vec!["email".into(), "profile".into()],
    };
    OpenId::new(settings, Arc::new(LogKeys::new(&[1; 32], &[2; 32])), Arc::new(SystemEntropy)).unwrap()
}

#[tokio::test]
async fn somebody_comes_back_as_who_they_are_at_the_provider() {
    let world = World::new().await;
    for signer in [Signer::eddsa(), Signer::es256(), Signer::rs256()] {
        world.provider.plan().key = (signer.algorithm().into(), signer);
        let finished = world.sign_in().await.unwrap();
        let claims = finished.claims;
        assert_eq!(
            (claims.identity.issuer.as_str(), claims.identity.subject.as_str()),
            (world.openid.issuer(), "ada")
        );
        assert_eq!(
            (claims.verified_email.as_deref(), claims.name.as_deref()),
            (Some("ada@example.com"), Some("Ada"))
        );
        assert!(matches!(finished.purpose, Purpose::SignIn));
        assert_eq!(finished.next, "/account");
        world.later(60);
    }
    assert_eq!(world.provider.asked("/userinfo"), 0, "who signs in is known by the token alone");
}

#[tokio::test]
async fn the_browser_is_sent_with_all_that_binds_the_answer_to_it() {
    let world = World::new().await;
    let begun = world.begin(Purpose::SignIn).await.unwrap();
    let url = reqwest::Url::parse(&begun.url).unwrap();
    let asked: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!((asked["scope"].as_str(), asked["redirect_uri"].as_str()), ("openid email profile", REDIRECT));
    assert_eq!([asked["state"].len(), asked["nonce"].len(), asked["code_challenge"].len()], [22, 22, 43]);
    for of_url in ["state", "nonce", "code_challenge"] {
        assert!(!begun.cookie.contains(asked[of_url].as_str()), "the cookie shows the {of_url}");
    }
    let other = world.begin(Purpose::SignIn).await.unwrap();
    assert!(other.url != begun.url && other.cookie != begun.cookie);
    assert_eq!(world.provider.asked("/jwks"), 1, "what is known is kept");
}

#[tokio::test]
async fn what_somebody_came_for_comes_back_with_them() {
    let world = World::new().await;
    let person = PersonId::from_u128(7);
    let finished = world.go(Purpose::Link(person)).await.unwrap();
    assert!(matches!(finished.purpose, Purpose::Link(found) if found == person));
    let finished = world.go(Purpose::Invitation(Secret::new("invite_x".into()))).await.unwrap();
    assert!(matches!(finished.purpose, Purpose::Invitation(secret) if secret.expose() == "invite_x"));
}

#[tokio::test]
async fn an_invited_persons_name_and_address_are_asked_for_where_the_token_has_none() {
    let world = World::new().await;
    world.provider.plan().claims = json!({"email": null, "email_verified": null, "name": null});
    let invited = || Purpose::Invitation(Secret::new("invite_x".into()));
    let claims = world.go(invited()).await.unwrap().claims;
    assert_eq!((claims.verified_email.as_deref(), claims.name.as_deref()), (Some("ada@example.com"), Some("Ada")));
    // Of somebody else, or with a token that no header can hold: as good as nothing.
    world.provider.plan().pages.insert(
        "/userinfo",
        provider::Page::Json(json!({"sub": "eve", "email": "eve@example.com", "email_verified": true})),
    );
    assert_eq!(world.go(invited()).await.unwrap().claims.verified_email, None);
    world.provider.plan().answer = json!({"access_token": "with\r\na line end"});
    assert_eq!(world.go(invited()).await.unwrap().claims.verified_email, None);
}

#[tokio::test]
async fn t09_only_an_address_that_the_provider_has_verified_is_one() {
    let world = World::new().await;
    for claims in [
        json!({"email_verified": false}),
        json!({"email_verified": null}),
        json!({"email": "ada@example.com\r\nBcc: all@example.com"}),
    ] {
        world.provider.plan().claims = claims;
        assert_eq!(world.sign_in().await.unwrap().claims.verified_email, None);
    }
}

#[test]
fn t09_a_provider_is_asked_over_https() {
    use keyward_control::openid::check_issuer;
    for issuer in
        ["https://id.example.com", "https://id.example.com/realms/one", "http://127.0.0.1:1", "http://[::1]:1"]
    {
        assert!(check_issuer(issuer).is_ok(), "{issuer}");
    }
    for issuer in [
        "http://id.example.com",
        "http://127.0.0.1.example.com",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "https://me:secret@id.example.com",
        "https://id.example.com/?a=b",
        "https://id.example.com/#a",
        "id.example.com",
        "",
    ] {
        assert!(check_issuer(issuer).is_err(), "{issuer}");
    }
}
