//! Contracts: all that differs between APIs, as data. A contract is read ([`Contract::read`]), checked as a
//! whole and compiled once; what is invalid is refused with its line and field, so that nothing of it can
//! fail while a request is served.
//!
//! `spec` is the file as written, `load` parses and merges, `compile` checks; `rules`, `routes` and
//! `refusals` are what decisions and use cases ask.

mod compile;
pub mod dashboard;
pub mod duration;
mod encryption;
mod load;
mod plans;
mod refusals;
mod routes;
mod rules;
pub mod spec;
mod tell;
mod upstreams;

use std::collections::BTreeMap;
use std::time::Duration;

pub use dashboard::DashboardWords;
pub use encryption::{EncryptionRules, FieldRoute};
pub use load::{CONTRACT_BYTES_MAX, ContractError, Difference, Presets, differences};
pub use plans::{Guards, Plan};
pub use refusals::{Answer, INVALID_KEY, Refusals};
pub use routes::{Needs, OtherRoutes, Resource, ResourceFrom, Route, Routes};
pub use rules::{ExpiryRule, KeyRules, NameRule, RotationRefused, RotationRules};
pub use tell::{Fact, LimitFact, LimitHeaders, Piece, Template, Told};
pub use upstreams::HealthRules;

/// A contract, complete and checked.
#[derive(Debug, Clone)]
pub struct Contract {
    /// The API's name that the file suggests.
    pub api: Option<crate::id::ApiName>,
    /// What people call the API.
    pub title: String,
    /// One sentence on it.
    pub description: String,
    /// Where people get help.
    pub support: Support,
    /// The places a credential can travel in, in order.
    pub places: Vec<Place>,
    /// What a key is.
    pub key: KeyRules,
    /// How keys are rotated.
    pub rotation: RotationRules,
    /// What people must acknowledge.
    pub acknowledge: Acknowledgements,
    /// Scopes that keys can have, each with what it allows.
    pub scopes: BTreeMap<String, String>,
    /// Kinds of resources that keys can be limited to, each with what it is.
    pub resources: BTreeMap<String, String>,
    /// What requests need.
    pub routes: Routes,
    /// What a project is called, and what comes with it.
    pub project: ProjectRules,
    /// The plans, by name.
    pub plans: BTreeMap<String, Plan>,
    /// How callers are told about limits.
    pub limit_headers: LimitHeaders,
    /// Rates of what is no request to the API.
    pub guards: Guards,
    /// How fields of bodies are encrypted, where routes do that.
    pub encryption: Option<EncryptionRules>,
    /// The answers to what is refused.
    pub refusals: Refusals,
    /// How the gateway serves the API.
    pub gateway: GatewayRules,
    /// The environment variable in which callers keep the key.
    pub environment_variable: String,
    /// Documented requests.
    pub examples: Vec<Example>,
    /// How the dashboard names and explains the API's keys.
    pub dashboard: DashboardWords,
    /// The contract with everything it extends merged in, as TOML.
    pub resolved: String,
}

/// Where people get help.
#[derive(Debug, Clone, Default)]
pub struct Support {
    /// A mail address.
    pub email: Option<String>,
    /// A page.
    pub url: Option<String>,
}

/// One place a credential can travel in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A header, in lower case, with the scheme that stands before the credential.
    Header {
        /// Its name.
        name: String,
        /// The authentication scheme, compared without regard to case.
        scheme: Option<String>,
    },
    /// A query parameter.
    Query {
        /// Its name.
        name: String,
    },
}

/// What people must acknowledge before an action, statement by statement; nothing where empty.
#[derive(Debug, Clone, Default)]
pub struct Acknowledgements {
    /// Before a key is made.
    pub create: Vec<String>,
    /// Before a key is revoked.
    pub revoke: Vec<String>,
}

/// What a project is called, and what comes with it.
#[derive(Debug, Clone)]
pub struct ProjectRules {
    /// The vendor's noun.
    pub noun: String,
    /// Whether a project's first key is issued with it.
    pub first_key: bool,
    /// The plan of a project for which none is asked.
    pub default_plan: String,
}

/// How the gateway serves the API.
#[derive(Debug, Clone)]
pub struct GatewayRules {
    /// Hosts whose requests are for this API, in lower case.
    pub hosts: Vec<String>,
    /// A path prefix whose requests are for this API, without a slash at its end.
    pub path_prefix: Option<String>,
    /// The API behind: none, one, or several alike.
    pub upstreams: Vec<String>,
    /// How it is looked whether they are well.
    pub health: Option<HealthRules>,
    /// How long the upstream may take to begin its answer.
    pub timeout: Duration,
    /// How long a stream may stay silent.
    pub idle_timeout: Duration,
    /// The largest request body, in bytes.
    pub body_max_bytes: u64,
    /// The most bytes of a body that are read for a resource.
    pub inspect_max_bytes: usize,
}

/// A documented request.
#[derive(Debug, Clone)]
pub struct Example {
    /// What it shows.
    pub title: String,
    /// Its method.
    pub method: String,
    /// Its path; `{project}` stands for the project's id.
    pub path: String,
    /// Its headers beside the credential.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Option<String>,
    /// Fields that the development upstream answers with.
    pub answer: serde_json::Map<String, serde_json::Value>,
}

impl Contract {
    /// Reads, merges, checks and compiles a contract.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line in `source` and its field.
    pub fn read(source: &str, presets: &Presets) -> Result<Self, ContractError> {
        let (spec, table) = load::resolve(source, presets)?;
        let resolved = toml::to_string(&table).map_err(|error| ContractError {
            line: None,
            field: String::new(),
            reason: format!("cannot be written back: {error}"),
        })?;
        compile::compile(spec, resolved).map_err(|complaint| complaint.at(source))
    }

    /// Whether a project on this plan may use the API at all; `is_granted`: whether the operator gave it access,
    /// which some plans ask for besides.
    pub fn gives_access(&self, plan: &str, is_granted: bool) -> bool {
        self.plans.get(plan).is_some_and(|plan| plan.access && (is_granted || !plan.on_request))
    }

    /// How many live keys a project may have, given its own limit; none for any number.
    pub fn active_key_limit(&self, project: &crate::tenancy::Project) -> Option<u32> {
        project.active_key_limit.or(self.key.active_limit)
    }
}

/// Whether a text is a token of RFC 9110: what header names and methods are made of.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests;
