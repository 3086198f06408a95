//! Signing in with OpenID Connect: the authorization code flow with PKCE (RFC 9700, OpenID Connect Core 1.0), by the
//! `openidconnect` crate.
//!
//! Here it ends in [`Claims`]: who somebody is at a provider. Who that is with us, and whether they may come in, is left to
//! the use cases; cookies, pages and redirections to the dashboard. A person is found by issuer and subject, never by mail
//! address (trust.md T09).
//!
//! One [`OpenId`] is one provider. Nothing in it is global, and what a browser holds is sealed for its issuer, so several
//! providers would be several of them, each with a callback of its own.

mod attempt;
mod callback;
mod error;
mod once;
mod provider;
mod token;
mod transport;

use std::borrow::Cow;
use std::sync::Arc;

use keyward_core::clock::{Entropy, Timestamp};
use keyward_core::log::LogKeys;
use openidconnect::core::{CoreAuthenticationFlow, CoreUserInfoClaims};
use openidconnect::{
    AccessToken, AuthorizationCode, CsrfToken, OAuth2TokenResponse as _, PkceCodeChallenge, RedirectUrl, Scope,
    SubjectIdentifier, TokenResponse as _,
};
use tokio::sync::Semaphore;

pub use attempt::{ATTEMPT_LIFE, Purpose};
pub use error::{OpenIdError, Unusable};
pub use provider::check_issuer;

use crate::use_cases::Claims;

use attempt::Attempt;
use callback::Callback;
use once::Once;
use provider::{Known, Provider};
use transport::Transport;

/// How many answers of the provider are looked at at once; who comes beyond them is told to try again.
const EXCHANGES_MAX: usize = 32;

/// A provider that people sign in with, as the operator configured it.
pub struct OpenIdSettings {
    /// Its issuer identifier, exactly as it writes it.
    pub issuer: String,
    /// What we are called there.
    pub client_id: String,
    /// What we show it to be believed; none for a public client.
    pub client_secret: Option<keyward_core::secret::Secret>,
    /// What the button says the provider is.
    pub title: String,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
}

/// A provider that people sign in with.
pub struct OpenId {
    title: String,
    scopes: Vec<String>,
    provider: Provider,
    log_keys: Arc<LogKeys>,
    entropy: Arc<dyn Entropy>,
    used: Once,
    exchanges: Semaphore,
}

/// A sign-in that has begun.
#[derive(Debug)]
pub struct Begun {
    /// Where the browser goes.
    pub url: String,
    /// What the browser keeps until it comes back, in a cookie that lives [`ATTEMPT_LIFE`].
    pub cookie: String,
}

/// A sign-in that has ended well.
#[derive(Debug)]
pub struct Finished {
    /// Who came back.
    pub claims: Claims,
    /// What they came for.
    pub purpose: Purpose,
    /// Where they wanted to go, as it was given when it began.
    pub next: String,
}

impl OpenId {
    /// Where the provider sends browsers back to, on our site.
    pub const CALLBACK: &'static str = "/sign-in/openid/callback";

    /// Gets ready to ask a provider. It is not asked yet: it may be down while Keyward starts.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(
        settings: OpenIdSettings,
        log_keys: Arc<LogKeys>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, Unusable> {
        let OpenIdSettings { issuer, client_id, client_secret, title, scopes } = settings;
        let provider = Provider::new(&issuer, client_id, client_secret)?;
        let used = Once::default();
        Ok(OpenId { title, scopes, provider, log_keys, entropy, used, exchanges: Semaphore::new(EXCHANGES_MAX) })
    }

    /// What the button says the provider is.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Its issuer identifier.
    pub fn issuer(&self) -> &str {
        self.provider.issuer()
    }

    /// Begins a sign-in. `redirect` is the address of [`OpenId::CALLBACK`] on our site; `next`, where the person wants to
    /// go, is left out where it is longer than a cookie has room for.
    ///
    /// # Errors
    /// [`OpenIdError::Unavailable`] where the provider cannot be asked where to send the browser.
    pub async fn begin(
        &self,
        now: Timestamp,
        redirect: &str,
        purpose: Purpose,
        next: &str,
    ) -> Result<Begun, OpenIdError> {
        let known = self.provider.known(now).await?;
        let attempt = Attempt::begin(self.entropy.as_ref(), now, purpose, next);
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&attempt.verifier());
        let (state, nonce) = (attempt.state(), attempt.nonce());
        let mut request = known
            .client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, || CsrfToken::new(state), || nonce)
            .set_redirect_uri(Cow::Owned(redirect_url(redirect)?))
            .set_pkce_challenge(challenge);
        for scope in &self.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (url, ..) = request.url();
        Ok(Begun { url: url.into(), cookie: attempt.sealed(&self.log_keys, self.issuer()) })
    }

    /// Ends a sign-in: `cookie` is what [`OpenId::begin`] gave to this browser, `query` what the provider sent it back
    /// with, `redirect` the same as at the beginning. Why it failed is logged here.
    ///
    /// # Errors
    /// Why nobody is signed in; [`OpenIdError::told`] has the words for the person.
    pub async fn finish(
        &self,
        now: Timestamp,
        redirect: &str,
        cookie: Option<&str>,
        query: &str,
    ) -> Result<Finished, OpenIdError> {
        let finished = self.finish_quietly(now, redirect, cookie, query).await;
        if let Err(error) = &finished {
            tracing::info!(issuer = self.issuer(), reason = %error, "a sign-in by OpenID Connect failed");
        }
        finished
    }

    async fn finish_quietly(
        &self,
        now: Timestamp,
        redirect: &str,
        cookie: Option<&str>,
        query: &str,
    ) -> Result<Finished, OpenIdError> {
        let sealed = cookie.ok_or(OpenIdError::NotBegun)?;
        let attempt = Attempt::opened(&self.log_keys, self.issuer(), sealed, now).ok_or(OpenIdError::NotBegun)?;
        let callback = Callback::read(query)?;
        // Both are the same browser's; nobody else learns from the time that this takes.
        if callback.state.as_deref() != Some(attempt.state().as_str()) {
            return Err(OpenIdError::NotBegun);
        }
        let _permit = self.exchanges.try_acquire().map_err(|_| OpenIdError::unavailable("too many at once"))?;
        let known = self.provider.known(now).await?;
        let code = callback.code(self.issuer(), known.tells_issuer())?;
        // Before the code is shown to anybody: of two that come at once, one goes on.
        if !self.used.first(attempt.state_bytes(), now) {
            return Err(OpenIdError::NotBegun);
        }
        let claims = self.claims(known, code, &attempt, redirect, now).await?;
        Ok(Finished { claims, purpose: attempt.purpose, next: attempt.next })
    }

    /// Exchanges the code for a token, and believes the token what it proves.
    async fn claims(
        &self,
        known: Arc<Known>,
        code: String,
        attempt: &Attempt,
        redirect: &str,
        now: Timestamp,
    ) -> Result<Claims, OpenIdError> {
        let request = known
            .client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|_| OpenIdError::refused("the provider names no token endpoint"))?
            .set_pkce_verifier(attempt.verifier())
            .set_redirect_uri(Cow::Owned(redirect_url(redirect)?));
        let answer = request.request_async(self.transport()).await.map_err(error::of_exchange)?;
        let token = answer.id_token().ok_or_else(|| OpenIdError::refused("its answer has no ID token"))?;
        let client_id = self.provider.client_id();
        let mut claims = match token::claims(token, &known, client_id, attempt, now) {
            Err(token::Doubt::UnknownKey) => match self.provider.again(&known, now).await? {
                Some(newer) => token::claims(token, &newer, client_id, attempt, now)?,
                None => return Err(token::Doubt::UnknownKey.into()),
            },
            claims => claims?,
        };
        // Only an invitation asks for more than who it is, and some providers do not put that into the token.
        if matches!(attempt.purpose, Purpose::Invitation(_)) && claims.verified_email.is_none() {
            self.describe(&mut claims, &known, answer.access_token()).await;
        }
        Ok(claims)
    }

    /// Asks for mail address and name. Nobody is let in for what is answered, so that a failure is none of the sign-in's.
    async fn describe(&self, claims: &mut Claims, known: &Known, access_token: &AccessToken) {
        // The crate would panic at a token that cannot stand in a header.
        let can_be_sent = access_token.secret().bytes().all(|byte| byte.is_ascii_graphic());
        let subject = SubjectIdentifier::new(claims.identity.subject.clone());
        let Some(Ok(request)) = can_be_sent.then(|| known.client.user_info(access_token.clone(), Some(subject)))
        else {
            return;
        };
        let answer: Result<CoreUserInfoClaims, _> = request.request_async(self.transport()).await;
        match answer {
            Ok(said) => {
                let (email, name) = token::described(said.email(), said.email_verified(), said.name());
                claims.verified_email = email;
                claims.name = claims.name.take().or(name);
            }
            Err(_) => tracing::info!(issuer = self.issuer(), "the provider does not tell name and mail address"),
        }
    }

    fn transport(&self) -> &Transport {
        self.provider.transport()
    }
}

fn redirect_url(text: &str) -> Result<RedirectUrl, OpenIdError> {
    RedirectUrl::new(text.to_owned()).map_err(|_| OpenIdError::refused("our own address is no URL"))
}
