//! What an ID token proves (OpenID Connect Core 1.0, section 3.1.3.7): the crate checks signature, issuer, audience, expiry
//! and nonce; here stand what it is told to accept, and the checks that it leaves to its users.

use std::time::{Duration, UNIX_EPOCH};

use keyward_core::clock::Timestamp;
use keyward_core::people::Identity;
use keyward_core::text;
use openidconnect::core::{CoreIdToken, CoreIdTokenClaims, CoreIdTokenVerifier, CoreJwsSigningAlgorithm};
use openidconnect::{
    ClaimsVerificationError, ClientId, EndUserEmail, EndUserName, IssuerUrl, LocalizedClaim,
    SignatureVerificationError,
};

use crate::use_cases::Claims;

use super::attempt::Attempt;
use super::error::{OpenIdError, quoted};
use super::provider::Known;

/// How far the provider's clock may be off ours.
const LEEWAY: Duration = Duration::from_secs(60);

/// The signatures that are believed: by a key that only the provider has. Never `none`, never one by a shared secret.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 3] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// The longest subject (OpenID Connect Core 1.0, section 2).
const SUBJECT_MAX: usize = 255;
/// The longest name that is passed on.
const NAME_MAX: u32 = 100;

/// Why a token is not believed.
#[derive(Debug)]
pub enum Doubt {
    /// It is signed with a key that is not known; the provider may have a new one.
    UnknownKey,
    /// For this reason.
    Because(String),
}

impl From<Doubt> for OpenIdError {
    fn from(doubt: Doubt) -> Self {
        OpenIdError::Refused(match doubt {
            Doubt::UnknownKey => "the token is signed with a key that the provider does not show".into(),
            Doubt::Because(reason) => reason,
        })
    }
}

/// What a token proves of whoever came back from `attempt`.
///
/// # Errors
/// Why it proves nothing.
pub fn claims(
    token: &CoreIdToken,
    known: &Known,
    client_id: &ClientId,
    attempt: &Attempt,
    now: Timestamp,
) -> Result<Claims, Doubt> {
    let issuer = known.issuer().clone();
    let earliest = attempt.begun_at().as_millis() - LEEWAY.as_millis() as i64;
    let latest = now.saturating_add(LEEWAY).as_millis();
    // As for a client without a secret: no secret can be taken for a key.
    let verifier = CoreIdTokenVerifier::new_public_client(client_id.clone(), issuer.clone(), known.keys().clone())
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(move || {
            let now = u64::try_from(now.as_millis()).unwrap_or(0);
            (UNIX_EPOCH + Duration::from_millis(now).saturating_sub(LEEWAY)).into()
        })
        .set_issue_time_verifier_fn(move |issued_at| {
            let is_ours = (earliest..=latest).contains(&issued_at.timestamp_millis());
            if is_ours { Ok(()) } else { Err("it was issued before the sign-in began, or is of the future".into()) }
        });
    let claims = token.claims(&verifier, &attempt.nonce()).map_err(doubt)?;
    if claims.authorized_party().is_some_and(|party| party != client_id) {
        return Err(Doubt::Because("the token was made for another party".into()));
    }
    read(claims, &issuer)
}

fn read(claims: &CoreIdTokenClaims, issuer: &IssuerUrl) -> Result<Claims, Doubt> {
    let subject = claims.subject().as_str();
    if subject.is_empty() || subject.len() > SUBJECT_MAX || subject.contains(char::is_control) {
        return Err(Doubt::Because(format!("the subject {} is none", quoted(subject))));
    }
    let identity = Identity { issuer: issuer.as_str().to_owned(), subject: subject.to_owned() };
    let (verified_email, name) = described(claims.email(), claims.email_verified(), claims.name());
    Ok(Claims { identity, verified_email, name })
}

/// What a provider says of somebody beside who they are: the mail address only where it has seen that it is theirs, and
/// nothing that is not as we would take it from themselves.
pub fn described(
    email: Option<&EndUserEmail>,
    is_verified: Option<bool>,
    name: Option<&LocalizedClaim<EndUserName>>,
) -> (Option<String>, Option<String>) {
    let email = email.filter(|_| is_verified == Some(true)).and_then(|email| text::email(email).ok());
    let name = name.and_then(|name| name.get(None)).and_then(|name| text::name(name, 1, NAME_MAX).ok());
    (email, name)
}

fn doubt(error: ClaimsVerificationError) -> Doubt {
    match error {
        ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
            Doubt::UnknownKey
        }
        // The reason behind it says which of many, and quotes no more than the token's header.
        ClaimsVerificationError::SignatureVerification(reason) => {
            Doubt::Because(format!("the signature does not hold: {}", quoted(&reason.to_string())))
        }
        error => Doubt::Because(quoted(&error.to_string())),
    }
}
