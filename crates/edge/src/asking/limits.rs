//! Headers about limits: what callers are told of them with every answer, as the contract has it told; and when who
//! was refused may come again. How limits stand is the charge's matter (`keyward_verify::limits`).
//!
//! A project's policy hardly ever changes, so it is kept as written and compared with how the limits are; what is
//! left of them is written anew each time, into one buffer.

use std::time::Duration;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use keyward_core::contract::Contract;
use keyward_core::decision::Grant;
use keyward_core::id::ProjectId;
use keyward_verify::limits::{Charge, LimitState};
use parking_lot::Mutex;

use super::facts::{Facts, Header};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const OURS: HeaderName = HeaderName::from_static("x-keyward-limits");
const REFUSER: HeaderName = HeaderName::from_static("x-keyward-refused-by");

/// Published clients wait no longer than this for what `Retry-After` says; beyond it they are told not to retry.
const RETRY_MAX_SECONDS: u64 = 60;
/// The largest whole number of a structured field (RFC 9651).
const INTEGER_MAX: u64 = 999_999_999_999_999;
/// How many policies are kept as written; a power of two.
const KEPT: usize = 256;

/// How a contract has callers told about limits.
#[derive(Debug)]
pub(crate) struct LimitFields {
    is_standard: bool,
    own: Vec<Header>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    line: Vec<u8>,
    policies: Vec<Option<Policy>>,
}

/// A policy as written, and what it was written of.
#[derive(Debug)]
struct Policy {
    of: Vec<(Box<str>, u64, Option<Duration>)>,
    value: HeaderValue,
}

impl LimitFields {
    /// Those of a contract.
    pub fn of(contract: &Contract) -> Self {
        let headers = &contract.limit_headers;
        // The contract was checked when it was read: all of these are names of headers.
        let own = headers.own.iter().filter_map(|(name, template)| Header::of(name, template));
        LimitFields { is_standard: headers.standard, own: own.collect(), kept: Mutex::default() }
    }

    /// Tells how the limits stand in an answer's headers, in place of what the upstream says under the same names.
    /// `grant`: where the request was granted.
    pub fn tell(&self, headers: &mut HeaderMap, contract: &Contract, charge: &Charge, grant: Option<&Grant>) {
        if charge.is_empty() && self.own.is_empty() {
            return;
        }
        self.write(headers, &Facts::of(contract, charge, grant));
        tell_degraded(headers, charge);
    }

    fn write(&self, headers: &mut HeaderMap, facts: &Facts<'_>) {
        let kept = &mut *self.kept.lock();
        if self.is_standard && !facts.states.is_empty() {
            headers.insert(POLICY, kept.policy(facts.project_id(), &facts.states));
            kept.line.clear();
            facts.states.iter().for_each(|state| write_left(&mut kept.line, state));
            insert(headers, &LIMIT, &kept.line);
        }
        for header in &self.own {
            kept.line.clear();
            // What is not known (the plan has no such limit) is not told.
            if facts.write(&mut kept.line, &header.template).is_some() {
                insert(headers, &header.name, &kept.line);
            }
        }
    }
}

impl Kept {
    fn policy(&mut self, project: Option<ProjectId>, states: &[LimitState<'_>]) -> HeaderValue {
        if self.policies.is_empty() {
            self.policies.resize_with(KEPT, || None);
        }
        // Ids are random: any of their bits spread them.
        let place = project.map_or(0, |project| project.as_u128() as usize % KEPT);
        match &self.policies[place] {
            Some(policy) if policy.is_of(states) => policy.value.clone(),
            _ => self.policies[place].insert(Policy::of(states)).value.clone(),
        }
    }
}

impl Policy {
    fn of(states: &[LimitState<'_>]) -> Self {
        let mut line = Vec::new();
        states.iter().for_each(|state| write_policy(&mut line, state));
        Policy {
            of: states.iter().map(|state| (state.name.into(), state.limit, state.window)).collect(),
            value: HeaderValue::from_bytes(&line).unwrap_or(HeaderValue::from_static("")),
        }
    }

    fn is_of(&self, states: &[LimitState<'_>]) -> bool {
        let is_same = |(of, state): (&(Box<str>, u64, Option<Duration>), &LimitState<'_>)| {
            of.1 == state.limit && of.2 == state.window && *of.0 == *state.name
        };
        self.of.len() == states.len() && self.of.iter().zip(states).all(is_same)
    }
}

/// Tells that counters shared between nodes could not be reached, where that is so.
pub(crate) fn tell_degraded(headers: &mut HeaderMap, charge: &Charge) {
    if charge.is_degraded() {
        headers.insert(OURS, HeaderValue::from_static("degraded"));
    }
}

/// Tells a refused caller which limit refused, by its name in the contract.
pub(crate) fn tell_refuser(headers: &mut HeaderMap, name: Option<&str>) {
    if let Some(name) = name.and_then(|name| HeaderValue::from_str(name).ok()) {
        headers.insert(REFUSER, name);
    }
}

/// Tells a refused caller when to come again, where a limit refused.
pub(crate) fn tell_wait(headers: &mut HeaderMap, wait: Option<Duration>) {
    let Some(seconds) = wait.map(wait_seconds) else { return };
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    if seconds > RETRY_MAX_SECONDS {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
}

/// How long to wait, in whole seconds: never less than it takes, and never none.
pub(crate) fn wait_seconds(wait: Duration) -> u64 {
    whole_seconds(wait).max(1)
}

/// A time in whole seconds, rounded up: what is waited for is there when they are over.
pub(crate) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

/// How long until a limit is all there again; none where it never will be.
pub(crate) fn resets_after(state: &LimitState<'_>) -> Option<Duration> {
    state.window.map(|_| state.reset_after)
}

/// Writes a number in digits, at a fraction of what a formatter costs.
pub(crate) fn write_number(line: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    line.extend_from_slice(&digits[at..]);
}

/// A limit of `RateLimit-Policy`: how much there is in which time.
fn write_policy(line: &mut Vec<u8>, state: &LimitState<'_>) {
    write_name(line, state);
    write_parameter(line, b";q=", state.limit);
    if let Some(window) = state.window {
        write_parameter(line, b";w=", whole_seconds(window));
    }
}

/// A limit of `RateLimit`: how much is left, and when it is all there again.
fn write_left(line: &mut Vec<u8>, state: &LimitState<'_>) {
    write_name(line, state);
    write_parameter(line, b";r=", state.remaining);
    if let Some(reset_after) = resets_after(state) {
        write_parameter(line, b";t=", whole_seconds(reset_after));
    }
}

/// Names of limits are letters, digits, `_` and `-`: nothing in them needs an escape.
fn write_name(line: &mut Vec<u8>, state: &LimitState<'_>) {
    line.extend_from_slice(if line.is_empty() { b"\"" } else { b", \"" });
    line.extend_from_slice(state.name.as_bytes());
    line.push(b'"');
}

fn write_parameter(line: &mut Vec<u8>, name: &[u8], value: u64) {
    line.extend_from_slice(name);
    write_number(line, value.min(INTEGER_MAX));
}

/// What a header cannot hold is not told.
fn insert(headers: &mut HeaderMap, name: &HeaderName, line: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(line) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::tests::{contract, credits, facts, project, requests, trial};
    use super::*;

    const OWN: &str = "[limit_headers]\nstandard = false\n[limit_headers.own]\n\
                       X-RateLimit-Reset = \"{requests.reset_at}\"\nX-Credits = \"{credits.remaining} of {credits.limit}\"\n\
                       X-Plan = \"{plan.title}\"\nX-Trial = \"{trial.used}\"\n";

    fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
        headers.get(name).map(|value| std::str::from_utf8(value.as_bytes()).unwrap())
    }

    #[test]
    fn the_standard_fields_are_in_the_plans_order_and_rounded_up() {
        let (contract, project) = (contract(""), project());
        let fields = LimitFields::of(&contract);
        let mut headers = HeaderMap::new();
        headers.insert("ratelimit", HeaderValue::from_static("the upstream's"));
        headers.append("ratelimit", HeaderValue::from_static("and once more"));
        fields.write(&mut headers, &facts(&contract, &project, [requests(), credits(), trial()]));
        let policy = r#""requests";q=10;w=60, "credits";q=500;w=2592000, "trial";q=100"#;
        assert_eq!(text(&headers, "RateLimit-Policy"), Some(policy));
        let left = r#""requests";r=9;t=6, "credits";r=495;t=777600, "trial";r=93"#;
        assert_eq!(text(&headers, "RateLimit"), Some(left));
        assert_eq!((headers.len(), headers.keys_len()), (2, 2));
    }

    #[test]
    fn a_policy_that_was_kept_is_the_one_that_holds() {
        let (contract, project) = (contract(""), project());
        let fields = LimitFields::of(&contract);
        let mut headers = HeaderMap::new();
        let mut policy = |states: &[LimitState<'_>]| {
            fields.write(&mut headers, &facts(&contract, &project, states.iter().copied()));
            text(&headers, "ratelimit-policy").unwrap().to_owned()
        };
        let first = r#""requests";q=10;w=60"#;
        assert_eq!(policy(&[requests()]), first);
        assert_eq!(policy(&[LimitState { remaining: 0, ..requests() }]), first);
        assert_eq!(policy(&[LimitState { limit: 11, ..requests() }]), r#""requests";q=11;w=60"#);
        assert_eq!(policy(&[LimitState { name: "calls", ..requests() }]), r#""calls";q=10;w=60"#);
        assert_eq!(policy(&[requests(), trial()]), r#""requests";q=10;w=60, "trial";q=100"#);
        let february = LimitState { window: Some(Duration::from_secs(28 * 86_400)), ..credits() };
        assert_eq!(policy(&[february]), r#""credits";q=500;w=2419200"#);
        assert_eq!(policy(&[requests()]), first);
    }

    #[test]
    fn own_headers_are_left_out_where_the_plan_has_no_such_limit() {
        let (contract, project) = (contract(OWN), project());
        let fields = LimitFields::of(&contract);
        let mut headers = HeaderMap::new();
        headers.insert("x-credits", HeaderValue::from_static("the upstream's"));
        fields.write(&mut headers, &facts(&contract, &project, [requests(), credits()]));
        assert_eq!(text(&headers, "x-ratelimit-reset"), Some("1795262406"));
        assert_eq!(text(&headers, "x-credits"), Some("495 of 500"));
        assert_eq!(text(&headers, "x-plan"), Some("Größe S"));
        assert_eq!((headers.len(), headers.get("x-trial")), (3, None));
        let mut headers = HeaderMap::new();
        fields.write(&mut headers, &facts(&contract, &project, []));
        assert_eq!((headers.len(), text(&headers, "x-plan")), (1, Some("Größe S")));
    }

    #[test]
    fn q09_who_waits_as_told_has_waited_long_enough() {
        let told = |wait: Duration| {
            let mut headers = HeaderMap::new();
            tell_wait(&mut headers, Some(wait));
            let seconds = text(&headers, "retry-after").unwrap().parse::<u64>().unwrap();
            assert!(Duration::from_secs(seconds) >= wait);
            (seconds, text(&headers, "x-should-retry").map(str::to_owned))
        };
        assert_eq!(told(Duration::ZERO), (1, None));
        assert_eq!(told(Duration::from_nanos(1)), (1, None));
        assert_eq!(told(Duration::from_secs(1)), (1, None));
        assert_eq!(told(Duration::new(1, 1)), (2, None));
        assert_eq!(told(Duration::from_secs(60)), (60, None));
        assert_eq!(told(Duration::new(60, 1)), (61, Some("false".into())));
        assert_eq!(told(keyward_core::limits::NEVER), (365 * 86_400, Some("false".into())));
        let mut headers = HeaderMap::new();
        tell_wait(&mut headers, None);
        assert!(headers.is_empty());
    }

    #[test]
    fn i03_numbers_are_written_to_their_ends() {
        for number in [0, 9, 10, 99, 1_000_000_000_000_000, u64::MAX] {
            let mut line = Vec::new();
            write_number(&mut line, number);
            assert_eq!(line, number.to_string().as_bytes());
        }
        let mut line = Vec::new();
        write_policy(&mut line, &LimitState { limit: keyward_core::limits::QUOTA_MAX, ..trial() });
        assert_eq!(line, br#""trial";q=999999999999999"#);
    }
}
