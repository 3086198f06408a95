//! What is known of a provider: its addresses and its keys, asked for when they are needed, kept for an hour, and asked
//! for again at most once a minute.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use keyward_core::clock::Timestamp;
use keyward_core::secret::Secret;
use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
    CoreSubjectIdentifierType,
};
use openidconnect::{
    AdditionalProviderMetadata, AuthType, ClientId, ClientSecret, EndpointMaybeSet, EndpointNotSet, EndpointSet,
    IssuerUrl, JsonWebKeySet, ProviderMetadata,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::error::{OpenIdError, Unusable, of_discovery};
use super::transport::{Transport, is_loopback, may_ask};

/// How long what is known is used before it is asked for again.
const FRESH: Duration = Duration::from_secs(3600);
/// How long it is used where the provider does not answer.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// How long after one question the next may be asked, where the first gave an answer.
const BETWEEN: Duration = Duration::from_secs(60);
/// The same, where it gave none.
const BETWEEN_FAILURES: Duration = Duration::from_secs(10);

/// What a provider announces beside what the crate knows of.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Announced {
    /// That it tells who it is when it sends a browser back (RFC 9207).
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for Announced {}

type Metadata = ProviderMetadata<
    Announced,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// What a provider said of itself.
pub struct Known {
    /// Makes requests to it.
    pub client: Client,
    metadata: Metadata,
    at: Timestamp,
}

impl Known {
    /// Whether it tells who it is when it sends a browser back.
    pub fn tells_issuer(&self) -> bool {
        self.metadata.additional_metadata().authorization_response_iss_parameter_supported
    }

    /// Its issuer identifier.
    pub fn issuer(&self) -> &IssuerUrl {
        self.metadata.issuer()
    }

    /// The keys it signs with.
    pub fn keys(&self) -> &JsonWebKeySet<CoreJsonWebKey> {
        self.metadata.jwks()
    }
}

/// A provider.
pub struct Provider {
    issuer: IssuerUrl,
    client_id: ClientId,
    client_secret: Option<Secret>,
    transport: Transport,
    known: RwLock<Option<Arc<Known>>>,
    /// When it was last asked, and whether it answered. Held while it is being asked: once, however many want to know.
    asked: Mutex<Option<(Timestamp, bool)>>,
}

impl Provider {
    /// The provider with this issuer identifier, where we are called `client_id`.
    ///
    /// # Errors
    /// Where it is no address that can be asked.
    pub fn new(issuer: &str, client_id: String, client_secret: Option<Secret>) -> Result<Self, Unusable> {
        let issuer = usable(issuer)?;
        let transport = Transport::new(is_loopback(issuer.url()))?;
        if client_id.is_empty() {
            return Err(Unusable("a provider needs a client id".into()));
        }
        let client_id = ClientId::new(client_id);
        let (known, asked) = (RwLock::default(), Mutex::default());
        Ok(Provider { issuer, client_id, client_secret, transport, known, asked })
    }

    /// Its issuer identifier, as it was configured.
    pub fn issuer(&self) -> &str {
        self.issuer.as_str()
    }

    /// What we are called there.
    pub fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// How it is asked.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// What is known of it, at `now`.
    ///
    /// # Errors
    /// [`OpenIdError::Unavailable`] where nothing is, and it does not tell.
    pub async fn known(&self, now: Timestamp) -> Result<Arc<Known>, OpenIdError> {
        if let Some(known) = self.kept(now, FRESH) {
            return Ok(known);
        }
        let mut asked = self.asked.lock().await;
        // Somebody may have asked while we waited.
        if let Some(known) = self.kept(now, FRESH) {
            return Ok(known);
        }
        let pause = asked.map(|(at, answered)| (at, if answered { BETWEEN } else { BETWEEN_FAILURES }));
        let failure = match pause {
            Some((at, pause)) if now.since(at) < pause => {
                OpenIdError::unavailable("it did not answer a moment ago")
            }
            _ => match self.ask(&mut asked, now).await {
                Ok(known) => return Ok(known),
                Err(error) => error,
            },
        };
        self.kept(now, STALE).ok_or(failure)
    }

    /// Asks again, because a token is signed with a key that `than` does not have; none where it was asked less than a
    /// minute ago and told nothing newer.
    ///
    /// # Errors
    /// [`OpenIdError::Unavailable`] where it does not tell.
    pub async fn again(&self, than: &Arc<Known>, now: Timestamp) -> Result<Option<Arc<Known>>, OpenIdError> {
        let mut asked = self.asked.lock().await;
        let newer = self.kept(now, FRESH).filter(|known| !Arc::ptr_eq(known, than));
        match *asked {
            _ if newer.is_some() => Ok(newer),
            Some((at, _)) if now.since(at) < BETWEEN => Ok(None),
            _ => self.ask(&mut asked, now).await.map(Some),
        }
    }

    fn kept(&self, now: Timestamp, for_how_long: Duration) -> Option<Arc<Known>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|known| now.since(known.at) < for_how_long).cloned()
    }

    async fn ask(&self, asked: &mut Option<(Timestamp, bool)>, now: Timestamp) -> Result<Arc<Known>, OpenIdError> {
        // Set before the question: a caller who gives up while it is open has asked too.
        *asked = Some((now, false));
        let answer = match Metadata::discover_async(self.issuer.clone(), &self.transport).await {
            Ok(metadata) => self.understood(metadata, now),
            Err(error) => Err(of_discovery(error)),
        };
        match answer {
            Ok(known) => {
                *asked = Some((now, true));
                let known = Arc::new(known);
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&known));
                Ok(known)
            }
            Err(error) => {
                tracing::warn!(issuer = self.issuer(), reason = %error, "the OpenID provider does not tell of itself");
                Err(error)
            }
        }
    }

    fn understood(&self, metadata: Metadata, now: Timestamp) -> Result<Known, OpenIdError> {
        let token_endpoint = metadata.token_endpoint().map(|endpoint| endpoint.url());
        let addresses = [Some(metadata.authorization_endpoint().url()), token_endpoint];
        if !addresses.iter().all(|url| url.is_some_and(|url| self.transport.may_ask(url))) {
            return Err(OpenIdError::unavailable(
                "it names no https address to sign in at, or to take the code to",
            ));
        }
        let secret = self.client_secret.as_ref().map(|secret| ClientSecret::new(secret.expose().to_owned()));
        let client = Client::from_provider_metadata(metadata.clone(), self.client_id.clone(), secret)
            .set_auth_type(authentication(&metadata));
        Ok(Known { client, metadata, at: now })
    }
}

/// How we show our secret: in a header, as everybody must understand, unless the provider says that it takes it in the body
/// only.
fn authentication(metadata: &Metadata) -> AuthType {
    match metadata.token_endpoint_auth_methods_supported() {
        Some(methods)
            if methods.contains(&CoreClientAuthMethod::ClientSecretPost)
                && !methods.contains(&CoreClientAuthMethod::ClientSecretBasic) =>
        {
            AuthType::RequestBody
        }
        _ => AuthType::BasicAuth,
    }
}

/// Whether a text can be the issuer identifier of a provider that we ask: an https URL, or http on loopback, without query,
/// fragment and user.
///
/// # Errors
/// What is wrong with it.
pub fn check_issuer(issuer: &str) -> Result<(), Unusable> {
    usable(issuer).map(drop)
}

fn usable(issuer: &str) -> Result<IssuerUrl, Unusable> {
    let issuer = IssuerUrl::new(issuer.to_owned()).map_err(|_| unusable(issuer, "is no URL"))?;
    let url = issuer.url();
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err(unusable(&issuer, "cannot have a query, a fragment or a user"));
    }
    if !may_ask(url, is_loopback(url)) {
        return Err(unusable(&issuer, "must be an https URL, or http on loopback"));
    }
    Ok(issuer)
}

fn unusable(issuer: &str, reason: &str) -> Unusable {
    Unusable(format!("the issuer {issuer:?} {reason}"))
}
