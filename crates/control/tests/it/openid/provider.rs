//! An OpenID provider on loopback that does what it should until it is told otherwise: then it lies in its documents, its
//! tokens or its signatures, swaps keys, sends elsewhere, floods, or keeps silent.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use http_body::Frame;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::signer::{Signer, base64, hmac_signed, unsigned};

pub const CLIENT_ID: &str = "keyward";
pub const CLIENT_SECRET: &str = "a client secret of 32 bytes long";

/// What stands at one of the provider's addresses instead of what should.
#[derive(Clone)]
pub enum Page {
    /// This, as JSON.
    Json(Value),
    /// This, as it is.
    Text(String),
    /// This status.
    Status(u16),
    /// A redirection to another of its addresses, where the right thing stands.
    Redirect(&'static str),
    /// So many spaces after the right thing, in chunks without a length told beforehand, or with one.
    Padded { spaces: usize, with_length: bool },
    /// Nothing, ever.
    Silence,
    /// A byte now and then, for ever.
    Drip,
}

/// What signs a token.
pub enum Signature {
    /// The provider's key.
    Own,
    /// A key that the provider does not show.
    Stranger(Signer),
    /// Nothing.
    None,
    /// The secret that the provider shares with the client.
    ClientSecret,
    /// What everybody can read of the provider's key, as if it were a secret.
    PublicKey,
}

/// What the provider does.
pub struct Plan {
    /// Changes of its discovery document; null takes a member out.
    pub metadata: Value,
    /// Changes of the claims of ID tokens.
    pub claims: Value,
    /// Changes of the header of ID tokens.
    pub header: Value,
    /// What signs ID tokens.
    pub signature: Signature,
    /// The provider's key, and how it names it.
    pub key: (String, Signer),
    /// What else is in the way.
    pub pages: HashMap<&'static str, Page>,
    /// Changes of the answer that an ID token comes in.
    pub answer: Value,
    /// The addresses that were asked for.
    pub asked: Vec<String>,
    /// Its clock, in seconds.
    pub now: u64,
    codes: usize,
    grants: HashMap<String, Grant>,
}

/// What a code stands for.
struct Grant {
    nonce: String,
    challenge: String,
    redirect: String,
}

/// The provider.
pub struct Provider {
    pub issuer: String,
    plan: Arc<Mutex<Plan>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Provider {
    /// A provider whose clock stands at `now`, in seconds.
    pub async fn start(now: u64) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let plan = Arc::new(Mutex::new(Plan {
            metadata: json!({}),
            claims: json!({}),
            header: json!({}),
            signature: Signature::Own,
            key: ("one".into(), Signer::eddsa()),
            pages: HashMap::new(),
            answer: json!({}),
            asked: Vec::new(),
            now,
            codes: 0,
            grants: HashMap::new(),
        }));
        let state = (issuer.clone(), Arc::clone(&plan));
        let router = Router::new().route("/{*path}", axum::routing::any(serve)).with_state(state);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Provider { issuer, plan, server }
    }

    /// What it does from now on.
    pub fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap()
    }

    /// How often an address was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.plan().asked.iter().filter(|asked| *asked == path).count()
    }

    /// Somebody signs in there: the query that their browser comes back with.
    pub fn sign_in(&self, authorization: &str) -> String {
        let url = reqwest::Url::parse(authorization).unwrap();
        assert!(authorization.starts_with(&format!("{}/authorize?", self.issuer)), "{authorization}");
        let asked: HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(
            (asked["response_type"].as_str(), asked["client_id"].as_str(), asked["code_challenge_method"].as_str()),
            ("code", CLIENT_ID, "S256")
        );
        let grant = Grant {
            nonce: asked["nonce"].clone(),
            challenge: asked["code_challenge"].clone(),
            redirect: asked["redirect_uri"].clone(),
        };
        let mut plan = self.plan();
        plan.codes += 1;
        let code = format!("code-{}", plan.codes);
        plan.grants.insert(code.clone(), grant);
        format!("code={code}&state={}&iss={}", asked["state"], self.issuer.replace(':', "%3A").replace('/', "%2F"))
    }
}

type Shared = (String, Arc<Mutex<Plan>>);

async fn serve(
    State((issuer, plan)): State<Shared>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let path = format!("/{path}");
    let (page, right) = {
        let mut plan = plan.lock().unwrap();
        plan.asked.push(path.clone());
        let right = plan.answer(&issuer, &path, &headers, &body);
        (plan.pages.get(path.as_str()).cloned(), right)
    };
    match page {
        None => right.map_or_else(IntoResponse::into_response, as_json),
        Some(Page::Json(value)) => as_json(value),
        Some(Page::Text(text)) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Some(Page::Status(status)) => StatusCode::from_u16(status).unwrap().into_response(),
        Some(Page::Redirect(to)) => {
            (StatusCode::FOUND, [(header::LOCATION, format!("{issuer}{to}"))]).into_response()
        }
        Some(Page::Padded { spaces, with_length }) => {
            let text = format!("{}{}", right.unwrap(), " ".repeat(spaces));
            let body = if with_length { Body::from(text) } else { Body::new(Pieces::of(text)) };
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Some(Page::Silence) => std::future::pending().await,
        Some(Page::Drip) => {
            ([(header::CONTENT_TYPE, "application/json")], Body::new(Drip::default())).into_response()
        }
    }
}

fn as_json(value: Value) -> Response {
    axum::Json(value).into_response()
}

impl Plan {
    /// What stands at an address where nothing is in the way.
    fn answer(&mut self, issuer: &str, path: &str, headers: &HeaderMap, body: &str) -> Result<Value, StatusCode> {
        match path {
            "/.well-known/openid-configuration" => Ok(changed(described(issuer), &self.metadata)),
            "/jwks" | "/elsewhere" => Ok(json!({"keys": [self.key.1.jwk(&self.key.0)]})),
            "/userinfo" => match headers.get(header::AUTHORIZATION).map(|value| value.as_bytes()) {
                Some(b"Bearer an-access-token") => {
                    Ok(json!({"sub": "ada", "email": "ada@example.com", "email_verified": true, "name": "Ada"}))
                }
                _ => Err(StatusCode::UNAUTHORIZED),
            },
            "/token" => self.exchange(issuer, headers, body),
            _ => Err(StatusCode::NOT_FOUND),
        }
    }

    /// Takes a code, once, from the client that it was made for and with the verifier that it is bound to.
    fn exchange(&mut self, issuer: &str, headers: &HeaderMap, body: &str) -> Result<Value, StatusCode> {
        let url = reqwest::Url::parse(&format!("http://x/?{body}")).unwrap();
        let given: HashMap<_, _> = url.query_pairs().into_owned().collect();
        let encoded = base64::engine::general_purpose::STANDARD
            .encode(format!("{CLIENT_ID}:{}", CLIENT_SECRET.replace(' ', "+")));
        let is_client =
            headers.get(header::AUTHORIZATION).is_some_and(|value| *value == format!("Basic {encoded}"));
        let grant = self.grants.remove(&given["code"]).ok_or(StatusCode::BAD_REQUEST)?;
        let challenge = base64(&Sha256::digest(&given["code_verifier"]));
        assert!(is_client && grant.challenge == challenge && grant.redirect == given["redirect_uri"]);
        let claims = json!({
            "iss": issuer, "sub": "ada", "aud": CLIENT_ID, "nonce": grant.nonce, "iat": self.now, "exp": self.now + 300,
            "email": "ada@example.com", "email_verified": true, "name": "Ada",
        });
        let answer =
            json!({"access_token": "an-access-token", "token_type": "Bearer", "id_token": self.token(claims)});
        Ok(changed(answer, &self.answer))
    }

    fn token(&self, claims: Value) -> String {
        let (kid, key) = &self.key;
        let claims = changed(claims, &self.claims);
        let header = |algorithm: &str| changed(json!({"alg": algorithm, "typ": "JWT", "kid": kid}), &self.header);
        match &self.signature {
            Signature::Own => key.token(&header(key.algorithm()), &claims),
            Signature::Stranger(stranger) => stranger.token(&header(stranger.algorithm()), &claims),
            Signature::None => unsigned(&header("none"), &claims),
            Signature::ClientSecret => hmac_signed(&header("HS256"), &claims, CLIENT_SECRET.as_bytes()),
            Signature::PublicKey => hmac_signed(&header("HS256"), &claims, key.public_pem().as_bytes()),
        }
    }
}

fn described(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA", "HS256", "none"],
        "authorization_response_iss_parameter_supported": true,
    })
}

/// An object with other members; null takes one out.
fn changed(mut object: Value, changes: &Value) -> Value {
    let members = object.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
    object
}

/// A text in pieces, without a length told beforehand.
struct Pieces(Bytes);

impl Pieces {
    fn of(text: String) -> Self {
        Pieces(text.into())
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.0.len().min(16 * 1024);
        Poll::Ready(Some(Ok(Frame::data(self.0.split_to(length)))))
    }
}

/// A space twice a second.
#[derive(Default)]
struct Drip(Option<Pin<Box<tokio::time::Sleep>>>);

impl http_body::Body for Drip {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let pause = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::from_millis(500))));
        match pause.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                self.0 = None;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b" ")))))
            }
        }
    }
}
