//! Checks a merged contract as a whole and compiles it. Every complaint names its field; the caller finds
//! the line.

use std::time::Duration;

use super::encryption::EncryptionRules;
use super::load::Complaint;
use super::routes::Known;
use super::spec::{ExampleSpec, ExpirySpec, GatewaySpec, KeySpec, NameSpec, PlaceSpec, RotationSpec, Spec};
use super::{
    Acknowledgements, Contract, DashboardWords, Example, ExpiryRule, GatewayRules, KeyRules, LimitHeaders,
    NameRule, Place, Plan, ProjectRules, Refusals, RotationRules, Routes, Support, duration, is_token, plans,
    upstreams,
};
use crate::scope::Scopes;
use crate::secret::Format;

pub(super) type Result<T> = std::result::Result<T, Complaint>;

/// Headers that carry the message itself or our own word to the upstream: never a credential's place.
const RESERVED_HEADERS: [&str; 10] = [
    "host",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "cookie",
];

pub(super) fn compile(spec: Spec, resolved: String) -> Result<Contract> {
    match spec.schema {
        Some(1) => {}
        Some(other) => return fail("schema", format!("{other} is not known; this Keyward reads schema 1")),
        None => return fail("schema", "is missing; write schema = 1"),
    }
    let scopes = spec.scopes.clone().unwrap_or_default();
    let resources = spec.resources.clone().unwrap_or_default();
    check_scope_names(&scopes, "scopes")?;
    check_scope_names(&resources, "resources")?;
    let plans = plans::compile(&spec)?;
    let limit_names = plans::limit_names(&plans);
    let project = project(&spec, &plans)?;
    let key = key(&required("key", spec.key.clone())?)?;
    let known_scope = |scope: &str| scopes.contains_key(scope);
    let known_resource = |kind: &str| resources.contains_key(kind);
    let routes = spec.routes.clone().unwrap_or_default();
    let encryption = EncryptionRules::compile(spec.encryption.as_ref())?;
    Ok(Contract {
        api: match &spec.api {
            None => None,
            Some(name) => Some(name.parse().map_err(|error: crate::id::NotAnApiName| complain("api", error))?),
        },
        title: required("title", spec.title.clone())?,
        description: spec.description.clone().unwrap_or_default(),
        support: spec.support.clone().map_or_else(Support::default, |s| Support { email: s.email, url: s.url }),
        places: places(&spec)?,
        rotation: rotation(&spec.rotation.clone().unwrap_or_default())?,
        acknowledge: spec.acknowledge.clone().map_or_else(Acknowledgements::default, |a| Acknowledgements {
            create: a.create.unwrap_or_default(),
            revoke: a.revoke.unwrap_or_default(),
        }),
        routes: Routes::compile(
            &routes,
            spec.other_routes.as_deref(),
            &Known {
                scope: &known_scope,
                resource: &known_resource,
                limits: &limit_names,
                encryption: encryption.as_ref(),
            },
        )?,
        limit_headers: LimitHeaders::compile(spec.limit_headers.as_ref(), &limit_names)?,
        guards: plans::guards(spec.guards.as_ref())?,
        encryption,
        refusals: Refusals::compile(&required("refusals", spec.refusals.clone())?)?,
        gateway: gateway(&spec.gateway.clone().unwrap_or_default())?,
        environment_variable: environment_variable(&spec)?,
        dashboard: DashboardWords::compile(&spec.dashboard.clone().unwrap_or_default())?,
        examples: examples(spec.examples.as_deref().unwrap_or_default())?,
        project,
        plans,
        key,
        scopes,
        resources,
        resolved,
    })
}

pub(super) fn complain(field: &str, reason: impl ToString) -> Complaint {
    Complaint::new(field, reason.to_string())
}

pub(super) fn fail<T>(field: &str, reason: impl Into<String>) -> Result<T> {
    Err(Complaint::new(field, reason))
}

fn required<T>(field: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| complain(field, "is missing; give it or extend a preset that has it"))
}

fn check_scope_names(names: &std::collections::BTreeMap<String, String>, field: &str) -> Result<()> {
    match names.keys().find(|name| name.contains('*') || Scopes::new([name]).is_err()) {
        Some(bad) => fail(&format!("{field}.{bad}"), "is made of letters, digits and _ . : / -"),
        None => Ok(()),
    }
}

fn places(spec: &Spec) -> Result<Vec<Place>> {
    let from = spec.credential.as_ref().and_then(|c| c.from.clone()).unwrap_or_default();
    if from.is_empty() {
        return fail("credential.from", "names no place; a credential has to travel somewhere");
    }
    let places = from.iter().enumerate().map(|(i, place)| compile_place(&format!("credential.from.{i}"), place));
    let places: Vec<Place> = places.collect::<Result<_>>()?;
    match (1..places.len()).find(|&i| places[..i].contains(&places[i])) {
        Some(i) => fail(&format!("credential.from.{i}"), "stands there twice"),
        None => Ok(places),
    }
}

fn compile_place(field: &str, spec: &PlaceSpec) -> Result<Place> {
    match (&spec.header, &spec.query) {
        (Some(header), None) => {
            let name = header.to_ascii_lowercase();
            if !is_token(&name) || RESERVED_HEADERS.contains(&name.as_str()) || name.starts_with("x-keyward-") {
                return fail(field, format!("\"{header}\" is no header that can carry a credential"));
            }
            if spec.scheme.as_deref().is_some_and(|scheme| !is_token(scheme)) {
                return fail(field, "the scheme is one word, such as Bearer");
            }
            Ok(Place::Header { name, scheme: spec.scheme.clone() })
        }
        (None, Some(_)) if spec.scheme.is_some() => fail(field, "a query parameter has no scheme"),
        (None, Some(query)) if is_plain(query) => Ok(Place::Query { name: query.clone() }),
        (None, Some(query)) => fail(field, format!("\"{query}\" is not made of letters, digits, _ and -")),
        _ => fail(field, "a place is either a header or a query parameter"),
    }
}

pub(super) fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn key(spec: &KeySpec) -> Result<KeyRules> {
    let live = format(spec, "key.prefix", spec.prefix.as_deref())?;
    let test = match &spec.test_prefix {
        Some(prefix) => format(spec, "key.test_prefix", Some(prefix))?,
        None => live.clone(),
    };
    if live.prefix() == test.prefix() && live.is_tagged() {
        return fail("key.test_prefix", "is the same as key.prefix: the prefix must tell live keys from test keys");
    }
    let default_scopes = Scopes::new(spec.default_scopes.clone().unwrap_or_else(|| vec!["*".into()]))
        .map_err(|error| complain("key.default_scopes", error))?;
    Ok(KeyRules {
        live,
        test,
        import: spec.import.unwrap_or(false),
        active_limit: spec.active_limit.filter(|&limit| limit > 0),
        name: name(&spec.name.clone().unwrap_or_default())?,
        expiry: expiry(&spec.expiry.clone().unwrap_or_default())?,
        scopes: spec.scopes.unwrap_or(false),
        default_scopes,
        addresses: spec.addresses.unwrap_or(false),
        disable: spec.disable.unwrap_or(false),
        metadata: spec.metadata.unwrap_or(false),
    })
}

fn format(spec: &KeySpec, field: &str, prefix: Option<&str>) -> Result<Format> {
    let prefix = prefix.unwrap_or_default().to_owned();
    if prefix.len() > 40 || !(prefix.is_empty() || is_plain(&prefix)) {
        return fail(field, "is at most 40 letters, digits, _ and -");
    }
    match spec.format.as_deref() {
        Some("keyward") if prefix.is_empty() => fail(field, "is missing: keys of this format begin with one"),
        Some("keyward") if prefix.ends_with('_') => fail(field, "ends without _; one is put behind it"),
        Some("keyward") => Ok(Format::Keyward { prefix }),
        Some("uuid") => Ok(Format::Uuid { prefix }),
        Some("base64") if !prefix.is_empty() => fail(field, "must be empty: keys of this format have no prefix"),
        Some("base64") => Ok(Format::Base64),
        Some(other) => fail("key.format", format!("\"{other}\" is none of keyward, uuid and base64")),
        None => fail("key.format", "is missing: keyward, uuid or base64"),
    }
}

fn name(spec: &NameSpec) -> Result<NameRule> {
    let rule = NameRule {
        offered: spec.offered.unwrap_or(false),
        required: spec.required.unwrap_or(false),
        min_chars: spec.min_chars.unwrap_or(1),
        max_chars: spec.max_chars.unwrap_or(100),
    };
    if rule.min_chars == 0 || rule.min_chars > rule.max_chars || rule.max_chars > 256 {
        return fail("key.name", "1 ≤ min_chars ≤ max_chars ≤ 256 must hold");
    }
    if rule.required && !rule.offered {
        return fail("key.name.required", "a name cannot be required where it is not offered");
    }
    Ok(rule)
}

fn expiry(spec: &ExpirySpec) -> Result<ExpiryRule> {
    let rule = ExpiryRule {
        offered: spec.offered.unwrap_or(false),
        required: spec.required.unwrap_or(false),
        max: optional_duration("key.expiry.max", spec.max.as_deref())?,
        default: optional_duration("key.expiry.default", spec.default.as_deref())?,
    };
    if !rule.offered && (rule.required || rule.max.is_some() || rule.default.is_some()) {
        return fail("key.expiry", "an expiry cannot be required or limited where it is not offered");
    }
    if let (Some(default), Some(max)) = (rule.default, rule.max)
        && default > max
    {
        return fail("key.expiry.default", "is longer than key.expiry.max");
    }
    Ok(rule)
}

pub(super) fn optional_duration(field: &str, text: Option<&str>) -> Result<Option<Duration>> {
    match text {
        None | Some("none") => Ok(None),
        Some(text) => duration::parse(text).map(Some).map_err(|reason| complain(field, reason)),
    }
}

fn rotation(spec: &RotationSpec) -> Result<RotationRules> {
    let max = optional_duration("rotation.overlap_max", spec.overlap_max.as_deref())?;
    let default = optional_duration("rotation.overlap_default", spec.overlap_default.as_deref())?;
    let overlap = spec.overlap.unwrap_or(false);
    if overlap && max.is_none() {
        return fail("rotation.overlap_max", "is missing: say how long an overlap may be, such as 7d");
    }
    if let (true, Some(max), Some(default)) = (overlap, max, default)
        && default > max
    {
        return fail("rotation.overlap_default", "is longer than rotation.overlap_max");
    }
    Ok(RotationRules {
        in_place: spec.in_place.unwrap_or(false),
        overlap_max: max.filter(|_| overlap),
        overlap_default: default.filter(|_| overlap),
    })
}

fn project(spec: &Spec, plans: &std::collections::BTreeMap<String, Plan>) -> Result<ProjectRules> {
    let project = required("project", spec.project.clone())?;
    let default_plan = required("project.default_plan", project.default_plan)?;
    if !plans.contains_key(&default_plan) {
        return fail("project.default_plan", format!("\"{default_plan}\" is not among [plans]"));
    }
    Ok(ProjectRules {
        noun: project.noun.unwrap_or_else(|| "project".into()),
        first_key: project.first_key.unwrap_or(false),
        default_plan,
    })
}

fn gateway(spec: &GatewaySpec) -> Result<GatewayRules> {
    let time = |field: &str, text: &Option<String>, seconds: u64| {
        let given = optional_duration(field, text.as_deref())?;
        Ok(given.unwrap_or(Duration::from_secs(seconds)))
    };
    let hosts: Vec<String> = spec.hosts.iter().flatten().map(|host| host.to_ascii_lowercase()).collect();
    let is_host = |host: &str| {
        let host = host.strip_prefix("*.").unwrap_or(host);
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
    };
    if let Some(bad) = hosts.iter().position(|host| !is_host(host)) {
        return fail(&format!("gateway.hosts.{bad}"), "is no host name; write it without scheme and port");
    }
    let path_prefix = spec.path_prefix.clone().filter(|prefix| !prefix.is_empty());
    if let Some(prefix) = &path_prefix {
        let plain =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let fits =
            prefix.strip_prefix('/').is_some_and(|rest| rest.split('/').all(|p| plain(p) && p != "." && p != ".."));
        if !fits {
            return fail("gateway.path_prefix", "is a path such as /v1, with no slash at its end");
        }
    }
    Ok(GatewayRules {
        hosts,
        path_prefix,
        upstreams: upstreams::compile(spec)?,
        health: upstreams::health(spec.health.as_ref())?,
        timeout: time("gateway.timeout", &spec.timeout, 60)?,
        idle_timeout: time("gateway.idle_timeout", &spec.idle_timeout, 300)?,
        body_max_bytes: spec.body_max_bytes.unwrap_or(100 * 1024 * 1024),
        inspect_max_bytes: spec.inspect_max_bytes.unwrap_or(64 * 1024).min(1024 * 1024) as usize,
    })
}

fn environment_variable(spec: &Spec) -> Result<String> {
    let name = spec.environment_variable.clone().unwrap_or_else(|| "API_KEY".into());
    let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    match fits {
        true => Ok(name),
        false => fail("environment_variable", "is made of capital letters, digits and _"),
    }
}

fn examples(specs: &[ExampleSpec]) -> Result<Vec<Example>> {
    let compiled = specs.iter().enumerate().map(|(i, spec)| {
        let field = |part: &str| format!("examples.{i}{part}");
        let path = spec.path.clone().filter(|path| path.starts_with('/'));
        let answer = match &spec.answer {
            None => serde_json::Map::new(),
            Some(answer) => match serde_json::to_value(answer) {
                Ok(serde_json::Value::Object(fields)) => fields,
                _ => return fail(&field(".answer"), "is a table of JSON fields"),
            },
        };
        Ok(Example {
            title: spec.title.clone().unwrap_or_else(|| "Example".into()),
            method: spec.method.clone().filter(|m| is_token(m)).unwrap_or_else(|| "GET".into()),
            path: path.ok_or_else(|| complain(&field(".path"), "is missing or does not begin with /"))?,
            headers: spec.headers.clone().unwrap_or_default().into_iter().collect(),
            body: spec.body.clone(),
            answer,
        })
    });
    compiled.collect()
}
