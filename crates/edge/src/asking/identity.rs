//! What the upstream is told of a caller, as headers; and the same for the verify API's callers, as JSON.
//! Both are the same for every request with a key, so each worker keeps what it wrote last.

use std::fmt::Display;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use keyward_core::change::Revision;
use keyward_core::decision::Grant;
use keyward_core::id::KeyId;
use parking_lot::Mutex;

const PROJECT: HeaderName = HeaderName::from_static("x-keyward-project");
const ORGANIZATION: HeaderName = HeaderName::from_static("x-keyward-organization");
const KEY_ID: HeaderName = HeaderName::from_static("x-keyward-key-id");
const PLAN: HeaderName = HeaderName::from_static("x-keyward-plan");
const SCOPES: HeaderName = HeaderName::from_static("x-keyward-scopes");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-keyward-request-id");

/// How many are kept; a power of two.
const KEPT: usize = 1024;

/// What is told of one key.
#[derive(Debug)]
pub(crate) struct Identity {
    key: KeyId,
    revision: Revision,
    project: HeaderValue,
    organization: HeaderValue,
    key_id: HeaderValue,
    plan: HeaderValue,
    scopes: HeaderValue,
    /// What the verify API answers to a grant, written when it is first asked for.
    pub answer: OnceLock<Bytes>,
}

impl Identity {
    fn of(grant: &Grant) -> Self {
        let (key, project) = (grant.key(), grant.project());
        Identity {
            key: key.id,
            revision: key.revision,
            project: value(project.id),
            organization: value(project.organization),
            key_id: value(key.id),
            plan: value(&project.plan),
            scopes: value(&key.scopes),
            answer: OnceLock::new(),
        }
    }

    fn is_of(&self, grant: &Grant) -> bool {
        let (key, project) = (grant.key(), grant.project());
        self.key == key.id && self.revision == key.revision && self.plan.as_bytes() == project.plan.as_bytes()
    }

    /// Tells the upstream.
    pub fn tell(&self, headers: &mut HeaderMap, request_id: &HeaderValue) {
        headers.insert(PROJECT, self.project.clone());
        headers.insert(ORGANIZATION, self.organization.clone());
        headers.insert(KEY_ID, self.key_id.clone());
        headers.insert(PLAN, self.plan.clone());
        headers.insert(SCOPES, self.scopes.clone());
        headers.insert(REQUEST_ID, request_id.clone());
    }
}

/// Ids, plans and scopes are made of characters that headers can hold.
fn value(text: impl Display) -> HeaderValue {
    HeaderValue::try_from(text.to_string()).unwrap_or(HeaderValue::from_static(""))
}

/// The identities a worker wrote last.
#[derive(Debug)]
pub(crate) struct Identities(Mutex<Vec<Option<Arc<Identity>>>>);

impl Default for Identities {
    fn default() -> Self {
        Identities(Mutex::new(vec![None; KEPT]))
    }
}

impl Identities {
    /// What is told of the key of a grant.
    pub fn of(&self, grant: &Grant) -> Arc<Identity> {
        // Ids are random: any of their bits spread them.
        let place = grant.key().id.as_u128() as usize % KEPT;
        let mut kept = self.0.lock();
        match &kept[place] {
            Some(identity) if identity.is_of(grant) => Arc::clone(identity),
            _ => {
                let identity = Arc::new(Identity::of(grant));
                kept[place] = Some(Arc::clone(&identity));
                identity
            }
        }
    }
}
