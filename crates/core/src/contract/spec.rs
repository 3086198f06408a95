//! The contract file as it is written: one TOML schema for every vendor (docs/contracts.md explains each
//! field). Everything is optional here, because a contract may extend another; what must be there in the
//! end, and what goes with what, is checked in `compile`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::dashboard::DashboardSpec;
use super::encryption::EncryptionSpec;

/// A whole contract file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The schema's version: 1.
    pub schema: Option<u32>,
    /// The preset or contract whose parts this one starts from.
    pub extends: Option<String>,
    /// The API's name where the file itself does not say otherwise when applied.
    pub api: Option<String>,
    /// What people call the API.
    pub title: Option<String>,
    /// One sentence on it.
    pub description: Option<String>,
    /// Where people get help.
    pub support: Option<SupportSpec>,
    /// Where the credential travels.
    pub credential: Option<CredentialSpec>,
    /// What a key is.
    pub key: Option<KeySpec>,
    /// How keys are rotated.
    pub rotation: Option<RotationSpec>,
    /// What people must acknowledge before an action, statement by statement.
    pub acknowledge: Option<AcknowledgeSpec>,
    /// Scopes that keys can have, each with what it allows.
    pub scopes: Option<BTreeMap<String, String>>,
    /// Kinds of resources that keys can be limited to, each with what it is.
    pub resources: Option<BTreeMap<String, String>>,
    /// What requests need.
    pub routes: Option<Vec<RouteSpec>>,
    /// What happens to requests that no route names: `allow` or `refuse`.
    pub other_routes: Option<String>,
    /// What a project is called here, and what comes with it.
    pub project: Option<ProjectSpec>,
    /// What a key's project may do.
    pub plans: Option<BTreeMap<String, PlanSpec>>,
    /// How callers are told about limits.
    pub limit_headers: Option<LimitHeadersSpec>,
    /// Rates of what is no request to the API.
    pub guards: Option<GuardsSpec>,
    /// How fields of bodies are encrypted.
    pub encryption: Option<EncryptionSpec>,
    /// The answer to everything that is refused.
    pub refusals: Option<RefusalsSpec>,
    /// How the gateway serves the API.
    pub gateway: Option<GatewaySpec>,
    /// The environment variable in which callers keep the key.
    pub environment_variable: Option<String>,
    /// Documented requests, for `dev`, the docs and the dashboard.
    pub examples: Option<Vec<ExampleSpec>>,
    /// How the dashboard names and explains the API's keys.
    pub dashboard: Option<DashboardSpec>,
}

/// Where people get help.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SupportSpec {
    /// A mail address.
    pub email: Option<String>,
    /// A page.
    pub url: Option<String>,
}

/// Where the credential travels.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialSpec {
    /// The places, in order: the first that a request uses decides alone.
    pub from: Option<Vec<PlaceSpec>>,
}

/// One place a credential can travel in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceSpec {
    /// A header's name.
    pub header: Option<String>,
    /// The authentication scheme before the credential, such as `Bearer`; only with `header`.
    pub scheme: Option<String>,
    /// A query parameter's name.
    pub query: Option<String>,
}

/// What a key is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    /// `keyward`, `uuid` or `base64`.
    pub format: Option<String>,
    /// What live keys begin with.
    pub prefix: Option<String>,
    /// What keys of test projects begin with.
    pub test_prefix: Option<String>,
    /// Whether keys issued elsewhere may be brought in by their SHA-256.
    pub import: Option<bool>,
    /// How many live keys a project may have; 0 for no limit.
    pub active_limit: Option<u32>,
    /// The key's name.
    pub name: Option<NameSpec>,
    /// The key's expiry.
    pub expiry: Option<ExpirySpec>,
    /// Whether keys can be limited to scopes (and to resources).
    pub scopes: Option<bool>,
    /// The scopes of a key for which none are asked.
    pub default_scopes: Option<Vec<String>>,
    /// Whether keys can be limited to networks.
    pub addresses: Option<bool>,
    /// Whether keys can be switched off and on.
    pub disable: Option<bool>,
    /// Whether keys can carry metadata.
    pub metadata: Option<bool>,
}

/// Rules of a key's name.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameSpec {
    /// Whether keys have names at all.
    pub offered: Option<bool>,
    /// Whether every key must have one.
    pub required: Option<bool>,
    /// Fewest Unicode scalar values, after trimming.
    pub min_chars: Option<u32>,
    /// Most Unicode scalar values, after trimming.
    pub max_chars: Option<u32>,
}

/// Rules of a key's expiry.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpirySpec {
    /// Whether keys can have an expiry at all.
    pub offered: Option<bool>,
    /// Whether every key must have one.
    pub required: Option<bool>,
    /// Longest life, such as `365d`; `none` for any.
    pub max: Option<String>,
    /// The life of a key for which none is asked; `none` for no end.
    pub default: Option<String>,
}

/// How keys are rotated.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotationSpec {
    /// Whether the old key may stop at once.
    pub in_place: Option<bool>,
    /// Whether the old key may go on for a stated time.
    pub overlap: Option<bool>,
    /// The longest overlap, such as `7d`.
    pub overlap_max: Option<String>,
    /// The overlap where none is asked; without one, rotation is in place.
    pub overlap_default: Option<String>,
}

/// What people must acknowledge.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcknowledgeSpec {
    /// Before a key is made.
    pub create: Option<Vec<String>>,
    /// Before a key is revoked.
    pub revoke: Option<Vec<String>>,
}

/// What requests to some paths need.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteSpec {
    /// The methods; all where none is named.
    pub methods: Option<Vec<String>>,
    /// The path: literal segments, `{name}` for one segment, `{*name}` at the end for the rest.
    pub path: Option<String>,
    /// The scopes a key needs, all of them.
    pub scopes: Option<Vec<String>>,
    /// What one request costs; 1 where nothing is said.
    pub cost: Option<u64>,
    /// What the gateway answers by itself, for a good key, as JSON in which facts are filled in.
    pub answer: Option<toml::Value>,
    /// The capture that names the project the request is about.
    pub project: Option<String>,
    /// What the gateway does with fields: `encrypt`, `decrypt` or `proxy`.
    pub encryption: Option<String>,
    /// The resource that the request touches.
    pub resource: Option<ResourceSpec>,
}

/// Where a request names the resource it touches.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceSpec {
    /// Its kind: one of `resources`.
    pub kind: Option<String>,
    /// The capture of the path that holds it.
    pub path: Option<String>,
    /// The JSON pointer (RFC 6901) into the body that holds it.
    pub body: Option<String>,
}

/// What a project is called here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectSpec {
    /// The vendor's noun: app, account, organization, project.
    pub noun: Option<String>,
    /// Whether a project's first key is issued with it.
    pub first_key: Option<bool>,
    /// The plan of a project for which none is asked.
    pub default_plan: Option<String>,
}

/// What a plan gives.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanSpec {
    /// What people call it.
    pub title: Option<String>,
    /// Whether it includes the API at all.
    pub access: Option<bool>,
    /// Whether each project needs the operator's word for its access besides.
    pub on_request: Option<bool>,
    /// What the plan gives, for people.
    pub features: Option<Vec<String>>,
    /// How fast, by name.
    pub rates: Option<BTreeMap<String, RateSpec>>,
    /// How much, by name.
    pub quotas: Option<BTreeMap<String, QuotaSpec>>,
}

/// A rate limit.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateSpec {
    /// How many in the time.
    pub limit: Option<u64>,
    /// The time, such as `1m`.
    pub per: Option<String>,
    /// How many at once; the limit where nothing is said.
    pub burst: Option<u64>,
    /// Whose requests share it: `key`, `project`, `organization` or `address`.
    pub by: Option<String>,
    /// What is counted: `requests` (where nothing is said) or `cost`.
    pub counts: Option<String>,
}

/// A quota.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaSpec {
    /// How much in a period.
    pub limit: Option<u64>,
    /// `day`, `month` or `lifetime`.
    pub per: Option<String>,
    /// Whose requests share it: `key`, `project` or `organization`.
    pub by: Option<String>,
    /// What is counted: `cost` (where nothing is said) or `requests`.
    pub counts: Option<String>,
    /// Whether what the upstream fails is given back.
    pub failures_free: Option<bool>,
}

/// How callers are told about limits.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitHeadersSpec {
    /// Whether the standard fields `RateLimit-Policy` and `RateLimit` are sent.
    pub standard: Option<bool>,
    /// Further headers, each with its value, in which facts are filled in.
    pub own: Option<BTreeMap<String, String>>,
}

/// Rates of what is no request to the API.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardsSpec {
    /// Making, rotating and changing keys, by project.
    pub key_management: Option<GuardSpec>,
    /// Requests whose credential is refused, by address.
    pub failed_authentication: Option<GuardSpec>,
}

/// A rate of what is no request to the API.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardSpec {
    /// How many in the time; 0 for any number.
    pub limit: Option<u64>,
    /// The time, such as `1m`.
    pub per: Option<String>,
    /// How many at once; the limit where nothing is said.
    pub burst: Option<u64>,
}

/// The answers to what is refused.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusalsSpec {
    /// The body's shape: JSON, in which `{message}` and `{code}` are filled in.
    pub body: Option<toml::Value>,
    /// The body's media type.
    pub content_type: Option<String>,
    /// The answer to each refusal by its code, and to `invalid_key`: all that concern the credential.
    pub answers: Option<BTreeMap<String, AnswerSpec>>,
}

/// The answer to one refusal.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerSpec {
    /// The HTTP status.
    pub status: Option<u16>,
    /// What `{message}` stands for.
    pub message: Option<String>,
    /// A body of its own shape.
    pub body: Option<toml::Value>,
    /// Further headers.
    pub headers: Option<BTreeMap<String, String>>,
}

/// How the gateway serves the API.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewaySpec {
    /// Hosts whose requests are for this API; `*.` in front stands for one label.
    pub hosts: Option<Vec<String>>,
    /// A path prefix whose requests are for this API; taken off before the upstream.
    pub path_prefix: Option<String>,
    /// The API behind: an http or https URL.
    pub upstream: Option<String>,
    /// The same where there are several alike.
    pub upstreams: Option<Vec<String>>,
    /// How it is looked whether they are well.
    pub health: Option<HealthSpec>,
    /// How long the upstream may take to begin its answer.
    pub timeout: Option<String>,
    /// How long a stream may stay silent.
    pub idle_timeout: Option<String>,
    /// The largest request body, in bytes.
    pub body_max_bytes: Option<u64>,
    /// The most bytes of a body that are read for a resource.
    pub inspect_max_bytes: Option<u64>,
}

/// How it is looked whether upstreams are well.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthSpec {
    /// The path that is asked for.
    pub path: Option<String>,
    /// How often.
    pub interval: Option<String>,
    /// How long an answer may take.
    pub timeout: Option<String>,
    /// So many bad answers in a row make an upstream unhealthy.
    pub unhealthy_after: Option<u32>,
    /// So many good answers in a row make it healthy again.
    pub healthy_after: Option<u32>,
}

/// A documented request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExampleSpec {
    /// What it shows.
    pub title: Option<String>,
    /// Its method.
    pub method: Option<String>,
    /// Its path, without the credential; `{project}` stands for the project's id.
    pub path: Option<String>,
    /// Its headers beside the credential.
    pub headers: Option<BTreeMap<String, String>>,
    /// Its body, as text.
    pub body: Option<String>,
    /// Fields that the development upstream answers with, as JSON.
    pub answer: Option<toml::Value>,
}
