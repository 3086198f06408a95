//! An API made ready for one door to ask about, and the steps of asking: the path that is decided on, what is presented
//! and needed, the decision, the contract's answer to a refusal.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderValue, Response};
use keyward_core::decision::{Grant, RequestFacts, ResourceNamed};
use keyward_core::denial::{Kind, Refusal};
use keyward_core::id::{ApiName, KeyId};
use keyward_verify::limits::Charge;
use keyward_verify::{ApiInForce, Ask, Decision, Engine, Exchange};
use metrics::Counter;

use super::Asked;
use super::credential::{self, Place};
use super::headers;
use super::limits::{self, LimitFields};
use super::needs::{self, Needed};
use super::path::{self, Strictness};
use super::refusal::Refusals;

/// An API made ready for one door.
#[derive(Debug)]
pub(crate) struct Entrance {
    pub in_force: Arc<ApiInForce>,
    pub places: Vec<Place>,
    pub refusals: Refusals,
    pub limits: LimitFields,
    pub strictness: Strictness,
    door: &'static str,
    granted: Counter,
    refused: Vec<OnceLock<Counter>>,
}

/// Whether paths must be read in one way whatever the contract's routes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wall {
    /// Only routes ask for it.
    None,
    /// Below a base path, which is a wall as well: dot segments must not lead out of it.
    BasePath,
}

/// What a request presents and needs.
#[derive(Debug)]
pub(crate) struct Question<'q> {
    pub presented: Cow<'q, str>,
    pub needed: Needed<'q>,
    pub address: IpAddr,
}

/// A granted question.
#[derive(Debug)]
pub(crate) struct Permit {
    pub grant: Grant,
    pub charge: Charge,
    pub exchange: Option<Exchange>,
}

/// A request that gets no answer but the contract's to its refusal.
#[derive(Debug)]
pub(crate) struct Refused {
    pub refusal: Refusal,
    /// How limits stand, where the key is good.
    pub charge: Charge,
    /// Where it was granted and failed on its way.
    pub grant: Option<Grant>,
    /// The field of its body that is at fault.
    pub field: Option<Box<str>>,
    /// The key that was presented, where it is known.
    pub key: Option<KeyId>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Refused { refusal, charge: Charge::default(), grant: None, field: None, key: None }
    }
}

impl Entrance {
    /// An API's, for the door of this name.
    pub fn new(in_force: &Arc<ApiInForce>, door: &'static str, wall: Wall) -> Self {
        let contract = &in_force.contract;
        Entrance {
            places: contract.places.iter().filter_map(Place::of).collect(),
            refusals: Refusals::of(contract),
            limits: LimitFields::of(contract),
            strictness: match contract.routes.are_open() && wall == Wall::None {
                true => Strictness::Lenient,
                false => Strictness::Strict,
            },
            door,
            granted: requests(door, &in_force.name, "valid"),
            refused: Refusal::ALL.iter().map(|_| OnceLock::new()).collect(),
            in_force: Arc::clone(in_force),
        }
    }

    /// How much of a path is the contract's prefix, which only tells the API.
    pub fn prefix_length(&self, path: &str) -> usize {
        let prefix = self.in_force.contract.gateway.path_prefix.as_deref();
        prefix.filter(|prefix| begins_with(path, prefix)).map_or(0, str::len)
    }

    /// The path that is decided on, of one without the prefix that only told the API.
    pub fn canonical<'p>(&self, path: &'p str) -> Result<Cow<'p, str>, Refusal> {
        let path = if path.is_empty() { "/" } else { path };
        path::canonical(path, self.strictness).ok_or(Refusal::BadRequest)
    }

    /// What a request presents and needs; `path` is its canonical one.
    pub fn question<'q>(&'q self, asked: &Asked<'q>, path: &'q str) -> Result<Question<'q>, Refusal> {
        if self.strictness == Strictness::Strict && headers::overrides_method(asked.headers) {
            return Err(Refusal::BadRequest);
        }
        let presented = credential::find(&self.places, asked.headers, asked.query)?;
        let needed = needs::of(&self.in_force.contract, asked.method, path);
        Ok(Question { presented, needed, address: asked.address })
    }

    /// Decides, notes the use or refusal, and opens an exchange with a grant.
    pub async fn decide(&self, engine: &Engine, question: &Question<'_>) -> Result<Permit, Refused> {
        let Question { presented, needed, address } = question;
        let resources: Vec<_> =
            needed.resources.iter().map(|r| ResourceNamed { kind: r.kind, id: r.id.as_deref() }).collect();
        let facts = RequestFacts {
            api: None,
            project: needed.project,
            scopes: needed.scopes,
            resources: &resources,
            address: Some(*address),
            is_closed: needed.is_closed,
            cost: needed.cost,
        };
        let ask = Ask { api: Some(&self.in_force), presented, facts };
        let opened = engine.open(&ask).await;
        let Decision { outcome, charge, key } = opened.decision;
        match (outcome.map_err(Refusal::from), needed.is_closed) {
            (Ok(grant), _) => Ok(Permit { grant, charge, exchange: opened.exchange }),
            // Only who holds a good key is told which routes there are.
            (Err(Refusal::InsufficientScope), true) => {
                Err(Refused { refusal: Refusal::NoSuchRoute, charge, grant: None, field: None, key })
            }
            (Err(refusal), _) => Err(Refused { refusal, charge, grant: None, field: None, key }),
        }
    }

    /// The contract's answer to a refusal, which is counted.
    pub fn refuse(&self, refused: &Refused, request_id: &HeaderValue) -> Response<Bytes> {
        let Refused { refusal, charge, grant, field, .. } = refused;
        self.count_refused(*refusal);
        let mut reply = match field {
            None => self.refusals.answer(*refusal, request_id),
            Some(field) => self.refusals.answer_naming(*refusal, field, request_id),
        };
        // All refusals of a credential are the same bytes, whatever is known of the key.
        if refusal.kind() != Kind::Credential {
            self.limits.tell(reply.headers_mut(), &self.in_force.contract, charge, grant.as_ref());
            limits::tell_wait(reply.headers_mut(), charge.retry_after());
            limits::tell_refuser(reply.headers_mut(), charge.denied_by());
        }
        reply
    }

    /// Counts a request that was granted.
    pub fn count_granted(&self) {
        self.granted.increment(1);
    }

    fn count_refused(&self, refusal: Refusal) {
        let counter =
            self.refused[refusal as usize].get_or_init(|| requests(self.door, &self.in_force.name, refusal.code()));
        counter.increment(1);
    }
}

/// Whether a path stands at or below a prefix.
pub(crate) fn begins_with(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn requests(door: &'static str, api: &ApiName, outcome: &'static str) -> Counter {
    let api = api.as_str().to_owned();
    metrics::counter!("keyward_requests_total", "door" => door, "api" => api, "outcome" => outcome)
}
