//! Rotation as the contract offers it: in place, with an overlap, or not at all.

use serde_json::{Value, json};

use super::Subject;
use crate::harness::{Key, Reply};

/// A project with room for one key more than its first.
fn roomy(subject: &Subject) -> (String, Key) {
    let (project, key) = subject.key();
    if subject.terms.number("key.active_limit") == 1 {
        let room = json!({"active_key_limit": 2});
        subject.keyward.patch(&format!("/v1/projects/{project}"), room).expect(200);
    }
    (project, key)
}

/// Panics unless a rotation kept what it has to keep.
#[track_caller]
fn keeps_all_but_the_secret(before: &Value, reply: &Reply, old: &Key) {
    let made = reply.json();
    for kept in ["project", "lineage", "name", "scopes", "addresses", "metadata", "expires_at"] {
        assert_eq!(made["key"][kept], before[kept], "{kept}");
    }
    assert_ne!(made["key"]["id"], before["id"]);
    assert_ne!(made["secret"], old.secret);
    assert_eq!((&made["replaced"]["id"], &made["replaced"]["replaced_by"]), (&before["id"], &made["key"]["id"]));
}

pub(super) fn in_place_as_offered(subject: &Subject) {
    let (project, old) = subject.key();
    let before = subject.keyward.key(&old.id);
    let mut in_use = subject.keyward.use_key(subject.request(&project, &old.secret));
    let rotated = subject.keyward.rotate(&old.id, json!({"overlap_seconds": 0}));
    if !subject.terms.is("rotation.in_place") {
        let code =
            if subject.terms.is("rotation.overlap") { (422, "invalid") } else { (409, "action_not_offered") };
        rotated.expect_problem(code.0, code.1);
        return in_use.expect_accepted();
    }
    let rotated = rotated.expect(201);
    in_use.expect_refused(&subject.terms.refusal("revoked"));
    keeps_all_but_the_secret(&before, &rotated, &old);
    let new = Key::of(&rotated);
    subject.keyward.use_key(subject.request(&project, &new.secret)).expect_accepted();
    assert_eq!(subject.keyward.key(&old.id)["state"], "revoked");
    assert_eq!(subject.keyward.live(&project), 1);
    subject.keyward.rotate(&old.id, json!({"overlap_seconds": 0})).expect_problem(409, "key_not_active");
}

pub(super) fn with_overlap_as_offered(subject: &Subject) {
    let (project, old) = roomy(subject);
    let before = subject.keyward.key(&old.id);
    let mut in_use = subject.keyward.use_key(subject.request(&project, &old.secret));
    let rotate = |seconds: u64| subject.keyward.rotate(&old.id, json!({"overlap_seconds": seconds}));
    if !subject.terms.is("rotation.overlap") {
        let code =
            if subject.terms.is("rotation.in_place") { (422, "invalid") } else { (409, "action_not_offered") };
        rotate(1800).expect_problem(code.0, code.1);
        return in_use.expect_accepted();
    }
    let max = subject.terms.duration("rotation.overlap_max").unwrap();
    rotate(max.as_secs() + 1).expect_problem(422, "invalid");
    let rotated = rotate(max.as_secs().min(1800)).expect(201);
    keeps_all_but_the_secret(&before, &rotated, &old);
    let new = Key::of(&rotated);
    in_use.expect_accepted();
    let mut new_in_use = subject.keyward.use_key(subject.request(&project, &new.secret));
    let shown = subject.keyward.key(&old.id);
    assert_eq!(shown["state"], "retiring");
    assert!(shown["ends_at"].is_string(), "{shown}");
    assert_eq!(subject.keyward.live(&project), 2);
    // The overlap need not be waited for.
    subject.keyward.revoke(&old.id).expect(200);
    in_use.expect_refused(&subject.terms.refusal("revoked"));
    new_in_use.expect_accepted();
}

pub(super) fn not_where_it_is_not_offered(subject: &Subject) {
    let (project, old) = roomy(subject);
    let mut in_use = subject.keyward.use_key(subject.request(&project, &old.secret));
    let unsaid = subject.keyward.rotate(&old.id, json!({}));
    let is_offered = |how: &str| subject.terms.is(&format!("rotation.{how}"));
    let default = subject.terms.duration("rotation.overlap_default").filter(|_| is_offered("overlap"));
    match (is_offered("in_place"), is_offered("overlap"), default) {
        (false, false, _) => {
            unsaid.expect_problem(409, "action_not_offered");
            in_use.expect_accepted();
        }
        (false, true, None) => {
            unsaid.expect_problem(422, "invalid");
            in_use.expect_accepted();
        }
        (_, _, Some(_)) => {
            assert_eq!(unsaid.expect(201).json()["replaced"]["state"], "retiring");
            in_use.expect_accepted();
        }
        (true, _, None) => {
            assert_eq!(unsaid.expect(201).json()["replaced"]["state"], "revoked");
            in_use.expect_refused(&subject.terms.refusal("revoked"));
        }
    }
}
