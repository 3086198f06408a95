//! Routes: which scopes, project and resource a request needs, by its method and path.
//!
//! Paths are matched as they stand after the gateway made them unambiguous (no `..`, no encoded slashes).
//! The first route of the file that fits decides.

use std::collections::BTreeSet;

use super::encryption::{EncryptionRules, FieldRoute};
use super::load::Complaint;
use super::spec::{ResourceSpec, RouteSpec};
use super::tell::Told;
use crate::limits::COST_MAX;

/// All routes of a contract.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    routes: Vec<Route>,
    others: OtherRoutes,
}

/// What happens to requests that no route names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OtherRoutes {
    /// Any key of the API may make them.
    #[default]
    Allow,
    /// Only keys that nothing limits may make them.
    FullAccess,
    /// Nobody may.
    Refuse,
}

/// What requests to some paths need.
#[derive(Debug, Clone)]
pub struct Route {
    methods: Vec<String>,
    segments: Vec<Segment>,
    /// What one request costs.
    pub cost: u64,
    /// What the gateway answers by itself, for a good key, in the upstream's place.
    pub answer: Option<Told>,
    /// What the gateway does with fields of the body.
    pub encryption: Option<FieldRoute>,
    /// The scopes a key needs, all of them.
    pub scopes: Vec<Box<str>>,
    /// The capture that names the project.
    pub project: Option<String>,
    /// The resource that is touched.
    pub resource: Option<Resource>,
}

/// What a contract's routes may speak of.
pub(super) struct Known<'a> {
    pub scope: &'a dyn Fn(&str) -> bool,
    pub resource: &'a dyn Fn(&str) -> bool,
    pub limits: &'a BTreeSet<String>,
    pub encryption: Option<&'a EncryptionRules>,
}

/// A resource that a route touches.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Its kind.
    pub kind: String,
    /// Where the request names it.
    pub from: ResourceFrom,
}

/// Where a request names a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceFrom {
    /// A capture of the path.
    Path(String),
    /// A JSON pointer into the body.
    Body(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    One(String),
    Rest(String),
}

/// What a request needs, by its method and path.
#[derive(Debug, Clone)]
pub enum Needs<'c, 'p> {
    /// A route names it.
    Route {
        /// The route.
        route: &'c Route,
        /// The captured parts of the path, as they stand in it.
        captures: Vec<(&'c str, &'p str)>,
    },
    /// No route names it, and any key may make it.
    Nothing,
    /// No route names it, and only a key that nothing limits may make it.
    FullAccess,
    /// No route names it, and nobody may make it.
    NoSuchRoute,
}

impl Routes {
    /// What a request with this method and path needs.
    pub fn needs<'c, 'p>(&'c self, method: &str, path: &'p str) -> Needs<'c, 'p> {
        let found = self.routes.iter().find_map(|route| {
            let fits = route.methods.is_empty() || route.methods.iter().any(|m| m == method);
            let captures = if fits { route.captures(path) } else { None };
            captures.map(|captures| Needs::Route { route, captures })
        });
        found.unwrap_or(match self.others {
            OtherRoutes::Allow => Needs::Nothing,
            OtherRoutes::FullAccess => Needs::FullAccess,
            OtherRoutes::Refuse => Needs::NoSuchRoute,
        })
    }

    /// Whether nothing of a request's path matters: every key may call everything.
    pub fn are_open(&self) -> bool {
        self.routes.is_empty() && self.others == OtherRoutes::Allow
    }

    pub(super) fn compile(specs: &[RouteSpec], others: Option<&str>, known: &Known<'_>) -> Result<Self, Complaint> {
        let others = match others {
            None | Some("allow") => OtherRoutes::Allow,
            Some("full_access") => OtherRoutes::FullAccess,
            Some("refuse") => OtherRoutes::Refuse,
            Some(other) => {
                let reason = format!("\"{other}\" is none of allow, full_access and refuse");
                return Err(Complaint::new("other_routes", reason));
            }
        };
        let routes = specs.iter().enumerate().map(|(i, spec)| Route::compile(i, spec, known));
        Ok(Routes { routes: routes.collect::<Result<_, _>>()?, others })
    }
}

impl Route {
    /// How many segments of the path stand before the part that it captures as the rest; none where it captures none.
    pub fn rest_after(&self) -> Option<usize> {
        matches!(self.segments.last(), Some(Segment::Rest(_))).then(|| self.segments.len() - 1)
    }

    fn captures<'c, 'p>(&'c self, path: &'p str) -> Option<Vec<(&'c str, &'p str)>> {
        let mut captures = Vec::new();
        let mut rest = path.strip_prefix('/')?;
        let mut ended = false;
        for segment in &self.segments {
            if let Segment::Rest(name) = segment {
                captures.push((name.as_str(), rest));
                return Some(captures);
            }
            if ended {
                return None;
            }
            let (here, after) = match rest.split_once('/') {
                Some((here, after)) => (here, after),
                None => {
                    ended = true;
                    (rest, "")
                }
            };
            match segment {
                Segment::Literal(text) if text == here => {}
                Segment::One(name) if !here.is_empty() => captures.push((name.as_str(), here)),
                _ => return None,
            }
            rest = after;
        }
        ended.then_some(captures)
    }

    fn compile(index: usize, spec: &RouteSpec, known: &Known<'_>) -> Result<Self, Complaint> {
        let complain = |part: &str, reason: String| Complaint::new(format!("routes.{index}{part}"), reason);
        let path = spec.path.as_deref().ok_or_else(|| complain("", "a route has a path".into()))?;
        let segments = compile_path(path).map_err(|reason| complain(".path", reason))?;
        let captured = |name: &str| segments.iter().any(|s| matches!(s, Segment::One(n) if n == name));
        let methods = spec.methods.clone().unwrap_or_default();
        if let Some(bad) = methods.iter().find(|m| m.is_empty() || !m.bytes().all(|b| b.is_ascii_uppercase())) {
            return Err(complain(".methods", format!("\"{bad}\" is no method in capital letters")));
        }
        let needed = spec.scopes.clone().unwrap_or_default();
        if let Some(unknown) = needed.iter().find(|scope| !(known.scope)(scope)) {
            return Err(complain(".scopes", format!("\"{unknown}\" is not among [scopes]")));
        }
        if let Some(project) = spec.project.as_deref().filter(|name| !captured(name)) {
            return Err(complain(".project", format!("the path captures no {{{project}}}")));
        }
        let resource = match &spec.resource {
            None => None,
            Some(spec) => {
                Some(compile_resource(spec, &captured, known.resource).map_err(|r| complain(".resource", r))?)
            }
        };
        let cost = spec.cost.unwrap_or(1);
        if cost > COST_MAX {
            return Err(complain(".cost", format!("is a whole number from 0 to {COST_MAX}")));
        }
        let answer = match &spec.answer {
            None => None,
            Some(answer) => {
                Some(Told::compile(answer, known.limits).map_err(|reason| complain(".answer", reason))?)
            }
        };
        let encryption = compile_encryption(spec, known.encryption).map_err(|r| complain(".encryption", r))?;
        Ok(Route {
            cost,
            answer,
            encryption,
            methods,
            scopes: needed.into_iter().map(String::into_boxed_str).collect(),
            project: spec.project.clone(),
            resource,
            segments,
        })
    }
}

fn compile_path(path: &str) -> Result<Vec<Segment>, String> {
    let rest = path.strip_prefix('/').ok_or("a path begins with /")?;
    let parts: Vec<&str> = rest.split('/').collect();
    let mut segments = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        let inside = part.strip_prefix('{').and_then(|p| p.strip_suffix('}'));
        segments.push(match inside {
            Some(name) => match name.strip_prefix('*') {
                Some(_) if i + 1 != parts.len() => return Err(format!("{part} stands only at the end")),
                Some(name) => Segment::Rest(name.to_owned()),
                None if name.is_empty() => return Err("a capture has a name: {name}".into()),
                None => Segment::One(name.to_owned()),
            },
            None if part.contains(['{', '}', '%', '?', '#']) => {
                return Err(format!("\"{part}\": a segment is plain text, {{name}} or {{*name}}"));
            }
            None => Segment::Literal((*part).to_owned()),
        });
    }
    Ok(segments)
}

fn compile_encryption(spec: &RouteSpec, rules: Option<&EncryptionRules>) -> Result<Option<FieldRoute>, String> {
    let Some(word) = &spec.encryption else { return Ok(None) };
    let route = FieldRoute::parse(word)?;
    if spec.answer.is_some() {
        return Err("does not go with an answer of the gateway's own".into());
    }
    if spec.resource.as_ref().is_some_and(|resource| resource.body.is_some()) {
        return Err("does not go with a resource that the body names".into());
    }
    match EncryptionRules::misses(rules, route) {
        Some(missing) => Err(missing.into()),
        None => Ok(Some(route)),
    }
}

fn compile_resource(
    spec: &ResourceSpec,
    captured: &dyn Fn(&str) -> bool,
    resources: &dyn Fn(&str) -> bool,
) -> Result<Resource, String> {
    let kind = spec.kind.clone().ok_or("a resource has a kind")?;
    if !resources(&kind) {
        return Err(format!("\"{kind}\" is not among [resources]"));
    }
    let from = match (&spec.path, &spec.body) {
        (Some(name), None) if captured(name) => ResourceFrom::Path(name.clone()),
        (Some(name), None) => return Err(format!("the path captures no {{{name}}}")),
        (None, Some(pointer)) if pointer.starts_with('/') => ResourceFrom::Body(pointer.clone()),
        (None, Some(_)) => return Err("body is a JSON pointer and begins with /".into()),
        _ => return Err("a resource has either path or body".into()),
    };
    Ok(Resource { kind, from })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(paths: &[&str], others: &str) -> Routes {
        let specs: Vec<RouteSpec> =
            paths.iter().map(|p| RouteSpec { path: Some((*p).into()), ..RouteSpec::default() }).collect();
        let known = Known { scope: &|_| true, resource: &|_| true, limits: &BTreeSet::new(), encryption: None };
        Routes::compile(&specs, Some(others), &known).unwrap()
    }

    fn captured<'p>(routes: &Routes, path: &'p str) -> Option<Vec<(String, &'p str)>> {
        match routes.needs("GET", path) {
            Needs::Route { captures, .. } => Some(captures.into_iter().map(|(n, v)| (n.to_owned(), v)).collect()),
            _ => None,
        }
    }

    #[test]
    fn paths_are_captured() {
        let routes = routes(&["/proxy/{project}", "/v1/org/{*rest}"], "allow");
        assert_eq!(captured(&routes, "/proxy/p1"), Some(vec![("project".into(), "p1")]));
        assert_eq!(captured(&routes, "/v1/org/a/b"), Some(vec![("rest".into(), "a/b")]));
        assert_eq!(captured(&routes, "/v1/org"), Some(vec![("rest".into(), "")]));
        assert_eq!(captured(&routes, "/v1/org/"), Some(vec![("rest".into(), "")]));
        for other in ["/proxy", "/proxy/", "/proxy/p1/", "/proxy/p1/x", "/v1/organ", "/v1"] {
            assert_eq!(captured(&routes, other), None, "{other}");
        }
    }

    #[test]
    fn what_no_route_names_is_as_the_contract_says() {
        assert!(matches!(routes(&[], "allow").needs("GET", "/x"), Needs::Nothing));
        assert!(matches!(routes(&[], "full_access").needs("GET", "/x"), Needs::FullAccess));
        assert!(matches!(routes(&[], "refuse").needs("GET", "/x"), Needs::NoSuchRoute));
    }
}
