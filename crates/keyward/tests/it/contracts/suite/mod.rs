//! What a contract says, checked against a running Keyward: for any contract, read from Keyward itself.

mod answers;
mod credential;
mod rotation;
mod rules;

use serde_json::{Value, json};

use crate::harness::{Key, Keyward, Place, Request, Seen, Terms, Upstream, in_seconds};

/// Checks that the contract in force for `keyward.started.api` holds in everything it says about keys:
/// where credentials count, what refusals are answered with, names, expiry, limits and acknowledgement,
/// rotation as offered, immediate revocation, and what the upstream is told. `upstream` is the one behind
/// the gateway.
pub fn run_generic_suite(keyward: &Keyward, upstream: &Upstream) {
    let subject = Subject { keyward, upstream, terms: keyward.terms() };
    subject.upstream_is_told_who_calls();
    credential::counts_only_where_the_contract_says(&subject);
    credential::the_first_place_decides(&subject);
    answers::a_wrong_credential_gets_the_contracts_answer(&subject);
    answers::a_revoked_key_gets_the_contracts_answer_at_once(&subject);
    answers::a_disabled_key_gets_the_contracts_answer_at_once(&subject);
    answers::an_expired_key_gets_the_contracts_answer(&subject);
    answers::a_suspended_project_gets_the_contracts_answer_at_once(&subject);
    rules::keys_have_the_contracts_shape(&subject);
    rules::names_follow_the_contract(&subject);
    rules::expiries_follow_the_contract(&subject);
    rules::the_limit_of_active_keys_is_the_contracts(&subject);
    rules::statements_are_acknowledged_first(&subject);
    rules::what_the_contract_does_not_offer_is_refused(&subject);
    rotation::in_place_as_offered(&subject);
    rotation::with_overlap_as_offered(&subject);
    rotation::not_where_it_is_not_offered(&subject);
}

/// A running Keyward with the contract that it says is in force.
struct Subject<'k> {
    keyward: &'k Keyward,
    upstream: &'k Upstream,
    terms: Terms,
}

impl Subject<'_> {
    /// What a key is asked for with so that the contract has nothing against it.
    fn wish(&self) -> Value {
        let mut wish = json!({"acknowledge": true});
        if self.terms.is("key.name.required") {
            wish["name"] = self.name().into();
        }
        if self.terms.is("key.expiry.required") && self.terms.duration("key.expiry.default").is_none() {
            let max = self.terms.duration("key.expiry.max").map_or(3600, |max| max.as_secs().cast_signed() / 2);
            wish["expires_at"] = in_seconds(max).into();
        }
        wish
    }

    /// The same with something different.
    fn wish_with(&self, field: &str, value: impl Into<Value>) -> Value {
        let mut wish = self.wish();
        wish[field] = value.into();
        wish
    }

    /// The shortest name that the contract takes.
    fn name(&self) -> String {
        "n".repeat(self.terms.number("key.name.min_chars").max(1).try_into().unwrap())
    }

    /// A project without live keys.
    fn project(&self) -> String {
        let (project, first) = self.keyward.new_project("Suite");
        if let Some(first) = first {
            self.keyward.revoke(&first.id).expect(200);
        }
        project
    }

    /// A project with one key.
    fn key(&self) -> (String, Key) {
        let project = self.project();
        let key = self.keyward.make(&project, self.wish());
        (project, key)
    }

    /// The first place in which a credential counts.
    fn place(&self) -> Place {
        self.terms.places().remove(0)
    }

    /// The documented request with a credential in its first place.
    fn request(&self, project: &str, credential: &str) -> Request {
        self.place().carry(&self.terms.example(project), credential)
    }

    /// What the upstream saw of a request that it was just sent.
    #[track_caller]
    fn forwarded(&self, request: &Request) -> Seen {
        let before = self.upstream.count();
        let mut request = request.clone();
        if self.terms.at("encryption").is_some() {
            // The documented request is answered by the gateway itself: another path of the API is asked for.
            let query = request.target.split_once('?').map(|(_, query)| format!("?{query}"));
            request.target = format!("/elsewhere{}", query.unwrap_or_default());
        }
        self.keyward.send(&request).expect_success();
        assert_eq!(self.upstream.count(), before + 1);
        self.upstream.last()
    }

    fn upstream_is_told_who_calls(&self) {
        let (project, key) = self.key();
        let spoofed = self.request(&project, &key.secret).with("X-Keyward-Project", "proj_spoofed");
        let seen = self.forwarded(&spoofed.with("x_keyward_key_id", "key_spoofed"));
        let plan = self.terms.text("project.default_plan");
        assert_eq!(seen.header("x-keyward-project"), Some(project.as_str()));
        assert_eq!(seen.header("x-keyward-organization"), Some(self.keyward.started.organization.as_str()));
        assert_eq!(seen.header("x-keyward-key-id"), Some(key.id.as_str()));
        assert_eq!(seen.header("x-keyward-plan"), plan);
        assert!(seen.header("x-keyward-scopes").is_some());
        assert!(!seen.text().contains("spoofed") && !seen.text().contains(&key.secret), "{seen:?}");
    }
}
