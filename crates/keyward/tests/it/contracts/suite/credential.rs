//! Where a credential counts: in the contract's places and nowhere else.

use super::Subject;
use crate::harness::{Place, Request};

/// Places that callers might try.
fn elsewhere() -> Vec<Place> {
    let header =
        |name: &str, scheme: Option<&str>| Place::Header { name: name.into(), scheme: scheme.map(Into::into) };
    let query = |name: &str| Place::Query { name: name.into() };
    vec![
        header("Authorization", Some("Bearer")),
        header("Authorization", Some("Token")),
        header("Authorization", Some("Basic")),
        header("Authorization", None),
        header("X-Api-Key", None),
        header("Api-Key", None),
        header("X-Auth-Token", None),
        header("X-Keyward-Key", None),
        header("Cookie", None),
        query("api_key"),
        query("key"),
        query("access_token"),
        query("token"),
    ]
}

/// Whether two places are looked for at the same spot of a request.
fn is_same_spot(one: &Place, other: &Place) -> bool {
    match (one, other) {
        (Place::Header { name: one, .. }, Place::Header { name: other, .. }) => one.eq_ignore_ascii_case(other),
        (Place::Query { name: one }, Place::Query { name: other }) => one == other,
        _ => false,
    }
}

pub(super) fn counts_only_where_the_contract_says(subject: &Subject) {
    let (project, key) = subject.key();
    let bare = subject.terms.example(&project);
    let places = subject.terms.places();
    for place in &places {
        let seen = subject.forwarded(&place.carry(&bare, &key.secret));
        assert!(!seen.text().contains(&key.secret), "the credential reached the upstream: {seen:?}");
        if let Place::Header { name, scheme } = place {
            for name in [name.to_uppercase(), name.to_lowercase()] {
                let scheme = scheme.as_ref().map(|scheme| scheme.to_uppercase());
                subject.forwarded(&Place::Header { name, scheme }.carry(&bare, &key.secret));
            }
        }
    }
    let before = subject.upstream.count();
    let (missing, malformed) = (subject.terms.refusal("missing_key"), subject.terms.refusal("malformed_key"));
    subject.keyward.send(&bare).expect_refused(&missing);
    for place in elsewhere() {
        let request = place.carry(&bare, &key.secret);
        if places.iter().any(|own| is_same_spot(own, &place)) {
            continue;
        }
        subject.keyward.send(&request).expect_refused(&missing);
    }
    for request in places.iter().flat_map(|place| misshapen(place, &bare, &key.secret)) {
        let answer = subject.keyward.send(&request);
        let fits = [&missing, &malformed]
            .iter()
            .any(|refused| answer.status == refused.status && answer.json() == refused.body);
        assert!(fits, "{request:?}: {answer:?}");
    }
    assert_eq!(subject.upstream.count(), before);
}

/// A credential in its own header, but not as the contract has it there.
fn misshapen(place: &Place, bare: &Request, secret: &str) -> Vec<Request> {
    let Place::Header { name, scheme } = place else {
        return vec![place.carry(bare, &format!("{secret}x"))];
    };
    let with = |value: String| bare.clone().with(name, &value);
    match scheme {
        Some(scheme) => vec![
            with(secret.to_owned()),
            with(format!("{scheme}{secret}")),
            with(format!("x{scheme} {secret}")),
            with(format!("{scheme} {secret} {secret}")),
            with(format!("{scheme} {secret},{scheme} {secret}")),
            with(scheme.clone()),
            with(String::new()),
        ],
        None => vec![
            with(format!("Bearer {secret}")),
            with(format!("{secret} {secret}")),
            with(format!("{secret},{secret}")),
            with(String::new()),
        ],
    }
}

pub(super) fn the_first_place_decides(subject: &Subject) {
    let (project, key) = subject.key();
    let places = subject.terms.places();
    let valid = subject.request(&project, &key.secret);
    let malformed = subject.terms.refusal("malformed_key");
    let before = subject.upstream.count();
    if let first @ Place::Header { .. } = &places[0] {
        for other in ["garbage", ""] {
            let twice = first.carry(&valid, other);
            subject.keyward.send(&twice).expect_refused(&malformed);
        }
    }
    for later in &places[1..] {
        let garbage_first = subject.request(&project, "garbage");
        subject.keyward.send(&later.carry(&garbage_first, &key.secret)).expect_refused(&malformed);
    }
    assert_eq!(subject.upstream.count(), before);
    for later in &places[1..] {
        let seen = subject.forwarded(&later.carry(&valid, "garbage"));
        assert!(!seen.text().contains("garbage"), "what stood in the other place went on: {seen:?}");
    }
}
