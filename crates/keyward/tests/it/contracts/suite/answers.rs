//! What refused callers get: the contract's own words, for the very next request after a change.

use serde_json::json;

use super::Subject;
use crate::harness::in_seconds;

/// What the check listener calls a credential.
fn code(subject: &Subject, credential: &str) -> String {
    let verdict = subject.keyward.verify(json!({"key": credential, "api": subject.keyward.started.api}));
    verdict.expect(200).json()["code"].as_str().unwrap().to_owned()
}

pub(super) fn a_wrong_credential_gets_the_contracts_answer(subject: &Subject) {
    let (project, key) = subject.key();
    let before = subject.upstream.count();
    let last = if key.secret.ends_with('1') { '2' } else { '1' };
    let changed = format!("{}{last}", &key.secret[..key.secret.len() - 1]);
    let truncated = &key.secret[..key.secret.len() - 1];
    for wrong in ["garbage", truncated, &changed, &key.id] {
        let code = code(subject, wrong);
        assert!(code == "malformed_key" || code == "unknown_key", "{code}");
        let refused = subject.terms.refusal(&code);
        subject.keyward.send(&subject.request(&project, wrong)).expect_refused(&refused);
    }
    assert_eq!(subject.upstream.count(), before);
}

pub(super) fn a_revoked_key_gets_the_contracts_answer_at_once(subject: &Subject) {
    let (project, key) = subject.key();
    let mut in_use = subject.keyward.use_key(subject.request(&project, &key.secret));
    let revoked = subject.keyward.revoke(&key.id).expect(200).json();
    in_use.expect_refused(&subject.terms.refusal("revoked"));
    assert_eq!(code(subject, &key.secret), "revoked");
    assert_eq!(revoked["key"]["state"], "revoked");
    subject.keyward.revoke(&key.id).expect(200);
    in_use.expect_refused(&subject.terms.refusal("revoked"));
}

pub(super) fn a_disabled_key_gets_the_contracts_answer_at_once(subject: &Subject) {
    let (project, key) = subject.key();
    let mut in_use = subject.keyward.use_key(subject.request(&project, &key.secret));
    let switch = |action: &str| subject.keyward.post(&format!("/v1/keys/{}/{action}", key.id), json!({}));
    if !subject.terms.is("key.disable") {
        switch("disable").expect_problem(409, "action_not_offered");
        return in_use.expect_accepted();
    }
    assert_eq!(switch("disable").expect(200).json()["key"]["state"], "disabled");
    in_use.expect_refused(&subject.terms.refusal("disabled"));
    assert_eq!(code(subject, &key.secret), "disabled");
    assert_eq!(switch("enable").expect(200).json()["key"]["state"], "active");
    in_use.expect_accepted();
}

pub(super) fn an_expired_key_gets_the_contracts_answer(subject: &Subject) {
    if !subject.terms.is("key.expiry.offered") {
        return;
    }
    let project = subject.project();
    let key = subject.keyward.make(&project, subject.wish_with("expires_at", in_seconds(4)));
    let mut in_use = subject.keyward.use_key(subject.request(&project, &key.secret));
    in_use.expect_refused_in_the_end(&subject.terms.refusal("expired"));
    assert_eq!(code(subject, &key.secret), "expired");
    assert_eq!(subject.keyward.key(&key.id)["state"], "expired");
}

pub(super) fn a_suspended_project_gets_the_contracts_answer_at_once(subject: &Subject) {
    let (project, key) = subject.key();
    let mut in_use = subject.keyward.use_key(subject.request(&project, &key.secret));
    subject.keyward.post(&format!("/v1/projects/{project}/suspend"), json!({})).expect(200);
    in_use.expect_refused(&subject.terms.refusal("project_suspended"));
    subject.keyward.post(&format!("/v1/projects/{project}/resume"), json!({})).expect(200);
    in_use.expect_accepted();
}
