//! ID tokens that a provider should not have made: none of them is believed.

use serde_json::{Value, json};

use super::NOW;
use super::World;
use super::provider::{CLIENT_ID, Signature};
use super::signer::Signer;

async fn refused(signature: Signature, header: Value, claims: Value, reason: &str) {
    let world = World::new().await;
    {
        let mut plan = world.provider.plan();
        (plan.signature, plan.header, plan.claims) = (signature, header, claims);
    }
    World::assert_refused(world.sign_in().await, reason);
}

#[tokio::test]
async fn t09_a_token_without_a_signature_is_refused() {
    refused(Signature::None, json!({}), json!({}), "No signature found").await;
    refused(Signature::Own, json!({"alg": "none"}), json!({}), "No signature found").await;
    refused(Signature::None, json!({"alg": "None"}), json!({}), "not understood").await;
    refused(Signature::None, json!({"alg": "EdDSA"}), json!({}), "does not hold").await;
}

#[tokio::test]
async fn t09_a_token_signed_with_a_shared_secret_is_refused() {
    refused(Signature::ClientSecret, json!({}), json!({}), "HS256` is not one of").await;
    refused(Signature::ClientSecret, json!({"kid": null}), json!({}), "HS256` is not one of").await;
}

#[tokio::test]
async fn t09_a_public_key_is_no_secret() {
    for signer in [Signer::eddsa(), Signer::es256(), Signer::rs256()] {
        let world = World::new().await;
        {
            let mut plan = world.provider.plan();
            plan.key.1 = signer;
            plan.signature = Signature::PublicKey;
        }
        World::assert_refused(world.sign_in().await, "HS256` is not one of");
    }
}

#[tokio::test]
async fn t09_a_signature_of_a_kind_that_is_not_asked_for_is_refused() {
    let world = World::new().await;
    {
        let mut plan = world.provider.plan();
        plan.key.1 = Signer::rs256();
        plan.header = json!({"alg": "PS256"});
    }
    World::assert_refused(world.sign_in().await, "PS256` is not one of");
}

#[tokio::test]
async fn t09_a_key_of_one_kind_proves_nothing_of_another() {
    refused(Signature::Own, json!({"alg": "ES256"}), json!({}), "a key that the provider does not show").await;
    refused(Signature::Stranger(Signer::eddsa()), json!({}), json!({}), "does not hold").await;
    let key_in_header = json!({"jwk": Signer::eddsa().jwk("one"), "jku": "http://127.0.0.1:1/jwks"});
    refused(Signature::Stranger(Signer::eddsa()), key_in_header, json!({}), "does not hold").await;
}

#[tokio::test]
async fn t09_a_token_for_another_audience_is_refused() {
    for claims in [
        json!({"aud": "another"}),
        json!({"aud": null}),
        json!({"aud": []}),
        json!({"aud": [CLIENT_ID, "another"]}),
        json!({"aud": format!("{CLIENT_ID} ")}),
    ] {
        refused(Signature::Own, json!({}), claims, "audience").await;
    }
    refused(Signature::Own, json!({}), json!({"azp": "another"}), "another party").await;
}

#[tokio::test]
async fn t09_a_token_of_another_issuer_is_refused() {
    let world = World::new().await;
    let issuer = world.provider.issuer.clone();
    for other in [format!("{issuer}/"), issuer.to_uppercase(), issuer.replace("127.0.0.1", "localhost")] {
        world.provider.plan().claims = json!({"iss": other});
        World::assert_refused(world.sign_in().await, "Invalid issuer");
    }
    world.provider.plan().claims = json!({"iss": null});
    World::assert_refused(world.sign_in().await, "not understood");
}

#[tokio::test]
async fn t09_a_token_with_another_nonce_is_refused() {
    for nonce in [json!("AAAAAAAAAAAAAAAAAAAAAA"), Value::Null, json!("")] {
        refused(Signature::Own, json!({}), json!({"nonce": nonce}), "nonce").await;
    }
}

#[tokio::test]
async fn t09_a_token_out_of_its_time_is_refused() {
    refused(Signature::Own, json!({}), json!({"exp": NOW - 60}), "expired").await;
    refused(Signature::Own, json!({}), json!({"exp": 0}), "expired").await;
    refused(Signature::Own, json!({}), json!({"iat": NOW + 61}), "of the future").await;
    refused(Signature::Own, json!({}), json!({"iat": NOW - 61}), "before the sign-in began").await;
    refused(Signature::Own, json!({}), json!({"exp": null}), "not understood").await;
    refused(Signature::Own, json!({}), json!({"iat": null}), "not understood").await;
    // Clocks are never quite the same.
    let world = World::new().await;
    for claims in [json!({"exp": NOW - 59}), json!({"iat": NOW + 60}), json!({"iat": NOW - 60})] {
        world.provider.plan().claims = claims.clone();
        assert!(world.sign_in().await.is_ok(), "{claims}");
    }
}

#[tokio::test]
async fn t09_a_token_of_another_kind_is_refused() {
    refused(Signature::Own, json!({"typ": "at+jwt"}), json!({}), "JWT type").await;
    refused(Signature::Own, json!({"crit": ["exp"]}), json!({}), "critical").await;
    refused(Signature::Own, json!({"cty": "JWT"}), json!({}), "nested").await;
}

#[tokio::test]
async fn t09_a_subject_is_one_word_of_bounded_length() {
    for subject in ["", "ada\nadmin", "ada\u{0}", &"x".repeat(256)] {
        refused(Signature::Own, json!({}), json!({"sub": subject}), "subject").await;
    }
    refused(Signature::Own, json!({}), json!({"sub": null}), "not understood").await;
}

#[tokio::test]
async fn t09_the_same_address_under_another_subject_is_another_identity() {
    let world = World::new().await;
    let ada = world.sign_in().await.unwrap().claims;
    world.provider.plan().claims = json!({"sub": "eve"});
    let eve = world.sign_in().await.unwrap().claims;
    assert_eq!(ada.verified_email, eve.verified_email);
    assert_ne!(ada.identity, eve.identity);
}

#[tokio::test]
async fn t09_a_huge_token_is_refused() {
    let world = World::new().await;
    world.provider.plan().claims = json!({"more": "x".repeat(2 * 1024 * 1024)});
    let error = world.sign_in().await.unwrap_err();
    assert!(error.to_string().contains("longer than 1048576 bytes"), "{error}");
}
