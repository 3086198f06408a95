//! Asking: how every door makes a question of a request, and what it tells of the outcome. The gateway, forward-auth and
//! ext_authz ask through this module and through nothing else, so the same request gets the same decision at each.
//!
//! [`Asking`] is the whole of it for a door that has a request's head and no more: it is also what a server in Rust uses
//! to verify in its own process. The gateway goes the same steps (`entrance`) one by one, because it may have to read a
//! body between them. What becomes of the request afterwards is the door's business.

pub(crate) mod credential;
pub(crate) mod entrance;
pub(crate) mod facts;
pub(crate) mod forwarded;
pub(crate) mod headers;
pub(crate) mod identity;
pub(crate) mod limits;
pub(crate) mod needs;
pub(crate) mod path;
mod refusal;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderMap;
use http::{HeaderName, HeaderValue, Response};
use keyward_core::decision::Grant;
use keyward_core::denial::Refusal;
use keyward_core::id::ApiName;
use keyward_verify::limits::Charge;
use keyward_verify::{ApiInForce, Engine, Exchange};
use parking_lot::Mutex;

use self::entrance::{Entrance, Permit, Refused};
use self::identity::{Identities, Identity};

/// A request's head, as a door was handed it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its method, as it came.
    pub method: &'a str,
    /// Its path, percent-encoded as it came.
    pub path: &'a str,
    /// Its query without the question mark, percent-encoded as it came.
    pub query: Option<&'a str>,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Where it comes from: the caller's own address, not a proxy's.
    pub address: IpAddr,
}

/// One door's way of asking. Keeps what is made ready of each contract; make one, or one a thread, and share it.
#[derive(Debug)]
pub struct Asking {
    door: &'static str,
    identities: Identities,
    entrances: Mutex<BTreeMap<ApiName, Arc<Entrance>>>,
}

/// What a question ended in.
#[derive(Debug)]
pub enum Answer {
    /// The request may be served.
    Granted(Box<Granted>),
    /// It may not.
    Denied(Denied),
}

/// A permit, and what is told with it.
#[derive(Debug)]
pub struct Granted {
    /// The permit: whose key it is and what it may do.
    pub grant: Grant,
    /// How limits stand. Dropping it keeps what was spent; [`Charge::refund`] gives it back.
    pub charge: Charge,
    /// Open for as long as the request is under way: it tells when the key is taken away. Dropping it ends it.
    pub exchange: Option<Exchange>,
    entrance: Arc<Entrance>,
    identity: Arc<Identity>,
}

/// A refusal, as the contract has it told.
#[derive(Debug)]
pub struct Denied {
    /// Which one it is.
    pub refusal: Refusal,
    /// The contract's status, headers and body.
    pub response: Response<Bytes>,
}

impl Asking {
    /// A door's; its name is the label of what is counted (`keyward_requests_total`).
    pub fn new(door: &'static str) -> Self {
        Asking { door, identities: Identities::default(), entrances: Mutex::default() }
    }

    /// Asks whether a request may be served by an API, notes the use or refusal, and spends what it costs. Routes that
    /// the contract answers itself, and those that encrypt, are there at the gateway only: here they count as no route.
    pub async fn ask(
        &self,
        engine: &Engine,
        api: &Arc<ApiInForce>,
        asked: &Asked<'_>,
        request_id: &HeaderValue,
    ) -> Answer {
        let entrance = self.entrance(api);
        match permit(&entrance, engine, asked).await {
            Ok(Permit { grant, charge, exchange }) => {
                entrance.count_granted();
                let identity = self.identities.of(&grant);
                Answer::Granted(Box::new(Granted { grant, charge, exchange, entrance, identity }))
            }
            Err(refused) => {
                let response = entrance.refuse(&refused, request_id);
                Answer::Denied(Denied { refusal: refused.refusal, response })
            }
        }
    }

    /// The contract's answer to a refusal that was told before. Decides and counts nothing.
    pub fn refusal(&self, api: &Arc<ApiInForce>, refusal: Refusal, request_id: &HeaderValue) -> Response<Bytes> {
        self.entrance(api).refusals.answer(refusal, request_id)
    }

    /// Refuses a request that the door itself found wanting.
    pub fn refuse(&self, api: &Arc<ApiInForce>, refusal: Refusal, request_id: &HeaderValue) -> Denied {
        Denied { refusal, response: self.entrance(api).refuse(&refusal.into(), request_id) }
    }

    /// Whether a credential would be looked for in this query and is there.
    pub(crate) fn finds_in_query(&self, api: &Arc<ApiInForce>, query: &str) -> bool {
        !credential::parameters(&self.entrance(api).places, query).is_empty()
    }

    /// An API made ready for asking, kept until its contract changes.
    fn entrance(&self, api: &Arc<ApiInForce>) -> Arc<Entrance> {
        let mut entrances = self.entrances.lock();
        match entrances.get(&api.name) {
            Some(entrance) if Arc::ptr_eq(&entrance.in_force, api) => Arc::clone(entrance),
            _ => {
                let entrance = Arc::new(Entrance::new(api, self.door, entrance::Wall::None));
                entrances.insert(api.name.clone(), Arc::clone(&entrance));
                entrance
            }
        }
    }
}

async fn permit(entrance: &Entrance, engine: &Engine, asked: &Asked<'_>) -> Result<Permit, Refused> {
    headers::check_method(asked.method)?;
    // Some servers end the target where a fragment begins, others do not.
    if asked.path.contains('#') || asked.query.is_some_and(|query| query.contains('#')) {
        return Err(Refusal::BadRequest.into());
    }
    let prefix_length = entrance.prefix_length(asked.path);
    let path = entrance.canonical(&asked.path[prefix_length..])?;
    let mut question = entrance.question(asked, &path)?;
    // Whoever asks here goes on to an upstream, which has no such route.
    question.needed.is_closed |= question.needed.answer.is_some() || question.needed.encryption.is_some();
    entrance.decide(engine, &question).await
}

impl Granted {
    /// Tells whoever serves the request who calls: `x-keyward-project` and the like. Take out what a caller sent under
    /// such names first ([`Granted::clean`]).
    pub fn tell_upstream(&self, headers: &mut HeaderMap, request_id: &HeaderValue) {
        self.identity.tell(headers, request_id);
    }

    /// Tells the caller how its limits stand, as the contract has it told.
    pub fn tell_caller(&self, headers: &mut HeaderMap) {
        self.entrance.limits.tell(headers, &self.entrance.in_force.contract, &self.charge, Some(&self.grant));
    }

    /// The headers of a request that must not go on: the credential's, and every spelling of ours.
    pub fn headers_to_remove<'h>(&'h self, headers: &'h HeaderMap) -> impl Iterator<Item = &'h HeaderName> {
        headers
            .keys()
            .filter(|name| headers::is_ours(name.as_str()) || credential::is_header_of(&self.entrance.places, name))
    }

    /// Takes out of a request's headers what must not go on.
    pub fn clean(&self, headers: &mut HeaderMap) {
        let doomed: Vec<HeaderName> = self.headers_to_remove(headers).cloned().collect();
        for name in doomed {
            headers.remove(name);
        }
    }

    /// The parameters of a query that hold the credential, as they are written there.
    pub fn parameters_to_remove<'q>(&self, query: &'q str) -> Vec<&'q str> {
        credential::parameters(&self.entrance.places, query)
    }

    /// The query without the credential; none where nothing is to be taken out.
    pub fn stripped_query(&self, query: &str) -> Option<String> {
        credential::strip_query(&self.entrance.places, query)
    }
}
