//! Asking the engine of this process.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use keyward_core::clock::{Entropy, SystemEntropy};
use keyward_core::denial::Refusal;
use keyward_core::id::ApiName;
use keyward_edge::asking::{Answer, Asked, Asking, Granted};
use keyward_verify::Engine;

use crate::Caller;
use crate::service::{Head, Permit, Verdict, unavailable};

/// Verification by an [`Engine`] of the same process, for one API.
#[derive(Clone)]
pub struct InProcess {
    engine: Arc<Engine>,
    api: ApiName,
    asking: Arc<Asking>,
}

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InProcess").field("api", &self.api).finish_non_exhaustive()
    }
}

/// There is no contract in force under this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no contract is in force for the API \"{0}\"; `keyward apply FILE` puts one there")]
pub struct NoSuchApi(pub ApiName);

impl InProcess {
    /// Asks `engine` about requests to `api`.
    ///
    /// # Errors
    /// [`NoSuchApi`] where the engine knows no contract of that name.
    pub fn new(engine: Arc<Engine>, api: ApiName) -> Result<Self, NoSuchApi> {
        match engine.api(&api) {
            Some(_) => Ok(InProcess { engine, api, asking: Arc::new(Asking::new("middleware")) }),
            None => Err(NoSuchApi(api)),
        }
    }

    pub(crate) async fn verify(&self, head: &Head<'_>) -> Verdict {
        let Some(api) = self.engine.api(&self.api) else { return Verdict::Denied(unavailable()) };
        let request_id = request_id();
        let asked = Asked {
            method: head.method.as_str(),
            path: head.uri.path(),
            query: head.uri.query(),
            headers: head.headers,
            address: head.address,
        };
        match self.asking.ask(&self.engine, &api, &asked, &request_id).await {
            Answer::Denied(denied) => Verdict::Denied(denied.response),
            Answer::Granted(granted) => Verdict::Granted(Box::new(permit(granted, head, &request_id))),
        }
    }

    /// The contract's answer to a request whose key was taken away while it was served.
    pub(crate) fn cut(&self) -> Response<Bytes> {
        let Some(api) = self.engine.api(&self.api) else { return unavailable() };
        self.asking.refuse(&api, Refusal::Revoked, &request_id()).response
    }
}

fn permit(mut granted: Box<Granted>, head: &Head<'_>, request_id: &HeaderValue) -> Permit {
    let mut identity = HeaderMap::new();
    granted.tell_upstream(&mut identity, request_id);
    let (key, project) = (granted.grant.key(), granted.grant.project());
    let caller = Caller {
        key: key.id,
        project: project.id,
        organization: project.organization,
        plan: project.plan.clone(),
        scopes: key.scopes.iter().map(|scope| scope.to_string()).collect(),
    };
    Permit {
        caller,
        identity,
        remove: granted.headers_to_remove(head.headers).cloned().collect(),
        query: head.uri.query().and_then(|query| granted.stripped_query(query)),
        exchange: granted.exchange.take(),
        tell: HeaderMap::new(),
        granted: Some(granted),
    }
}

/// 128 random bits: they collide nowhere and open nothing.
fn request_id() -> HeaderValue {
    let mut random = [0; 16];
    SystemEntropy.fill(&mut random);
    let text = format!("{:032x}", u128::from_be_bytes(random));
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("none"))
}
