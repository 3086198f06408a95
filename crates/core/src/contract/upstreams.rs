//! The APIs behind the gateway: one or several of a kind, and how it is looked whether they are well.

use std::time::Duration;

use super::compile::{Result, fail, optional_duration};
use super::spec::{GatewaySpec, HealthSpec};

/// The most upstreams of an API.
const UPSTREAMS_MAX: usize = 64;

/// How it is looked whether upstreams are well.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HealthRules {
    /// The path that is asked for, below the upstream's own; any answer from 200 to 399 is a good one.
    pub path: String,
    /// How often.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// So many bad answers in a row make an upstream unhealthy.
    pub unhealthy_after: u32,
    /// So many good answers in a row make it healthy again.
    pub healthy_after: u32,
}

/// The upstreams of a contract, in their order; none where it names none.
pub(super) fn compile(spec: &GatewaySpec) -> Result<Vec<String>> {
    let urls = match (&spec.upstream, &spec.upstreams) {
        (Some(_), Some(_)) => {
            return fail(
                "gateway.upstreams",
                "stands beside gateway.upstream; name all of them in upstreams alone",
            );
        }
        (Some(url), None) => vec![("gateway.upstream".to_owned(), url)],
        (None, Some(urls)) if urls.is_empty() => {
            return fail("gateway.upstreams", "is empty; name the upstreams, or leave it out");
        }
        (None, Some(urls)) if urls.len() > UPSTREAMS_MAX => {
            return fail("gateway.upstreams", format!("names more than {UPSTREAMS_MAX} upstreams"));
        }
        (None, Some(urls)) => {
            urls.iter().enumerate().map(|(i, url)| (format!("gateway.upstreams.{i}"), url)).collect()
        }
        (None, None) => Vec::new(),
    };
    for (i, (field, url)) in urls.iter().enumerate() {
        let Some(path) = path_of(url) else { return fail(field, "is an http or https URL") };
        if urls[..i].iter().any(|(_, other)| other == url) {
            return fail(field, "stands there twice; each upstream gets an equal share");
        }
        // A request is sent to another one as it stands.
        if path_of(urls[0].1) != Some(path) {
            return fail(
                field,
                "has another path than the first; the upstreams of an API are alike but for their host",
            );
        }
    }
    Ok(urls.into_iter().map(|(_, url)| url.clone()).collect())
}

/// How it is looked whether they are well; not at all where nothing is said.
pub(super) fn health(spec: Option<&HealthSpec>) -> Result<Option<HealthRules>> {
    let Some(spec) = spec else { return Ok(None) };
    let time = |field: &str, text: &Option<String>, seconds: u64| {
        let given = optional_duration(field, text.as_deref())?;
        Ok(given.unwrap_or(Duration::from_secs(seconds)))
    };
    let count = |field: &str, given: Option<u32>| match given.unwrap_or(2) {
        count @ 1..=100 => Ok(count),
        _ => fail(field, "is a number from 1 to 100"),
    };
    let path = spec.path.clone().unwrap_or_else(|| "/".into());
    if !path.starts_with('/') || !path.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return fail("gateway.health.path", "is a path such as /healthz");
    }
    let interval = time("gateway.health.interval", &spec.interval, 10)?;
    let timeout = time("gateway.health.timeout", &spec.timeout, 2)?;
    if timeout > interval {
        return fail("gateway.health.timeout", "is no longer than the interval");
    }
    Ok(Some(HealthRules {
        path,
        interval,
        timeout,
        unhealthy_after: count("gateway.health.unhealthy_after", spec.unhealthy_after)?,
        healthy_after: count("gateway.health.healthy_after", spec.healthy_after)?,
    }))
}

/// The path of an http or https URL, without a slash at its end; none where it is no such URL.
fn path_of(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    (!host.is_empty()).then(|| path.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(text: &str) -> GatewaySpec {
        toml::from_str(text).unwrap()
    }

    fn complaint<T>(compiled: Result<T>) -> String {
        compiled.err().map(|complaint| complaint.field).unwrap_or_default()
    }

    #[test]
    fn one_upstream_and_several_are_read_in_their_order() {
        let read = |text| compile(&gateway(text)).unwrap();
        assert!(read("").is_empty());
        assert_eq!(read("upstream = \"http://a/base\""), ["http://a/base"]);
        assert_eq!(read("upstreams = [\"http://b/x\", \"https://a/x/\"]"), ["http://b/x", "https://a/x/"]);
    }

    #[test]
    fn upstreams_that_do_not_go_together_are_refused_by_their_place() {
        for (text, field) in [
            ("upstream = \"a\"", "gateway.upstream"),
            ("upstream = \"http://\"", "gateway.upstream"),
            ("upstream = \"http://a\"\nupstreams = [\"http://b\"]", "gateway.upstreams"),
            ("upstreams = []", "gateway.upstreams"),
            ("upstreams = [\"http://a\", \"b\"]", "gateway.upstreams.1"),
            ("upstreams = [\"http://a\", \"http://b\", \"http://a\"]", "gateway.upstreams.2"),
            ("upstreams = [\"http://a/x\", \"http://b/y\"]", "gateway.upstreams.1"),
        ] {
            assert_eq!(complaint(compile(&gateway(text))), field, "{text}");
        }
    }

    #[test]
    fn health_has_defaults_and_bounds() {
        let read = |text: &str| {
            let spec: HealthSpec = toml::from_str(text).unwrap();
            health(Some(&spec))
        };
        let rules = read("path = \"/healthz\"").unwrap().unwrap();
        assert_eq!((rules.interval.as_secs(), rules.timeout.as_secs()), (10, 2));
        assert_eq!((rules.unhealthy_after, rules.healthy_after), (2, 2));
        assert_eq!(health(None).unwrap(), None);
        for (text, field) in [
            ("path = \"healthz\"", "gateway.health.path"),
            ("path = \"/a b\"", "gateway.health.path"),
            ("interval = \"1s\"", "gateway.health.timeout"),
            ("interval = \"often\"", "gateway.health.interval"),
            ("unhealthy_after = 0", "gateway.health.unhealthy_after"),
            ("healthy_after = 101", "gateway.health.healthy_after"),
        ] {
            assert_eq!(complaint(read(text)), field, "{text}");
        }
    }
}
