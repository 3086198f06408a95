//! Every edit that takes something away holds for the very next request, on open connections too (L05).

use serde_json::{Value, json};

use crate::harness::{Caller, Key, Keyward, in_seconds};

/// A contract with scopes, a route that takes one, and a plan without access.
const CONTRACT: &str = r#"
[scopes]
"reports:read" = "Read reports"
"reports:write" = "Write reports"

[plans.none]
title = "None"
access = false

[[routes]]
path = "/v1/reports/{*rest}"
scopes = ["reports:read"]
"#;

/// A key in use on open connections: at the check listener and at the gateway.
struct InUse {
    checker: Caller,
    question: Vec<u8>,
    caller: Caller,
    request: Vec<u8>,
}

impl InUse {
    fn new(keyward: &Keyward, key: &Key) -> Self {
        let question = json!({"key": key.secret, "scopes": ["reports:read"], "ip": "127.0.0.1"});
        let mut in_use = InUse {
            checker: keyward.checker(),
            question: keyward.question(&question),
            caller: keyward.caller(),
            request: keyward.request("/v1/reports/today", &key.secret),
        };
        in_use.expect_granted();
        in_use
    }

    #[track_caller]
    fn expect_granted(&mut self) {
        let told = self.checker.ask(&self.question);
        assert!(told.is_grant(), "{told:?}");
        let told = self.caller.ask(&self.request);
        assert_eq!(told.status, 200, "{told:?}");
    }

    #[track_caller]
    fn expect_refused(&mut self, code: &str, status: u16) {
        let told = self.checker.ask(&self.question);
        assert!(told.says("\"valid\":false") && told.says(&format!("\"code\":\"{code}\"")), "{code}: {told:?}");
        let told = self.caller.ask(&self.request);
        assert_eq!(told.status, status, "{told:?}");
    }
}

fn server() -> Keyward {
    let keyward = Keyward::dev("standard");
    keyward.amend(CONTRACT);
    keyward
}

fn edit_key(keyward: &Keyward, key: &Key, edit: Value) {
    let reply = keyward.patch(&format!("/v1/keys/{}", key.id), edit).expect(200).json();
    assert_eq!(reply["in_force"]["by"], "acknowledged", "{reply}");
}

#[test]
fn l05_fewer_scopes_addresses_and_time_hold_for_the_next_request() {
    let keyward = server();
    let key = keyward.make(keyward.project(), json!({"scopes": ["reports:read", "reports:write"]}));
    let mut in_use = InUse::new(&keyward, &key);
    edit_key(&keyward, &key, json!({"scopes": ["reports:write"]}));
    in_use.expect_refused("insufficient_scope", 403);
    edit_key(&keyward, &key, json!({"scopes": ["reports:read"]}));
    in_use.expect_granted();

    edit_key(&keyward, &key, json!({"addresses": ["192.0.2.0/24"]}));
    in_use.expect_refused("address_forbidden", 403);
    edit_key(&keyward, &key, json!({"addresses": ["127.0.0.0/8"]}));
    in_use.expect_granted();

    edit_key(&keyward, &key, json!({"expires_at": in_seconds(2)}));
    in_use.expect_granted();
    crate::harness::eventually("the key expires", || {
        let expired = in_use.checker.ask(&in_use.question).says("\"code\":\"expired\"");
        expired.then_some(())
    });
    in_use.expect_refused("expired", 401);
}

#[test]
fn l05_disabling_and_suspending_hold_for_the_next_request_and_so_does_their_end() {
    let keyward = server();
    let (organization, project, _) = keyward.new_organization("customer");
    let key = keyward.make(&project, json!({}));
    let mut in_use = InUse::new(&keyward, &key);
    let key = format!("/v1/keys/{}", key.id);
    let project = format!("/v1/projects/{project}");
    let organization = format!("/v1/organizations/{organization}");
    for (path, off, on, code) in [
        (&key, "disable", "enable", "disabled"),
        (&project, "suspend", "resume", "project_suspended"),
        (&organization, "suspend", "resume", "project_suspended"),
    ] {
        keyward.post(&format!("{path}/{off}"), json!({})).expect(200);
        in_use.expect_refused(code, 401);
        keyward.post(&format!("{path}/{on}"), json!({})).expect(200);
        in_use.expect_granted();
    }
}

#[test]
fn l05_deleting_a_project_or_its_organization_holds_for_the_next_request() {
    let keyward = server();
    let (organization, first, _) = keyward.new_organization("customer");
    let (second, _) = {
        let path = format!("/v1/organizations/{organization}/projects");
        let made = keyward.post(&path, json!({"name": "second", "api": keyward.started.api})).expect(201).json();
        (made["project"]["id"].as_str().unwrap().to_owned(), ())
    };
    let keys = [keyward.make(&first, json!({})), keyward.make(&second, json!({}))];
    let mut in_use: Vec<InUse> = keys.iter().map(|key| InUse::new(&keyward, key)).collect();
    keyward.delete(&format!("/v1/projects/{first}")).expect(200);
    in_use[0].expect_refused("unknown_key", 401);
    in_use[1].expect_granted();
    keyward.delete(&format!("/v1/organizations/{organization}")).expect(200);
    in_use[1].expect_refused("unknown_key", 401);
    for path in [format!("/v1/projects/{second}"), format!("/v1/keys/{}", keys[1].id)] {
        keyward.get(&path).expect_problem(404, "not_found");
    }
}

#[test]
fn l05_a_plan_without_access_and_a_tighter_contract_hold_for_the_next_request() {
    let keyward = server();
    let key = keyward.make(keyward.project(), json!({"scopes": ["reports:read"]}));
    let mut in_use = InUse::new(&keyward, &key);
    let project = format!("/v1/projects/{}", keyward.project());
    keyward.patch(&project, json!({"plan": "none"})).expect(200);
    in_use.expect_refused("plan_forbids", 403);
    keyward.patch(&project, json!({"plan": "standard"})).expect(200);
    in_use.expect_granted();

    // The route takes a scope more: what the check listener is asked stays the same, the gateway knows.
    let tighter = "[[routes]]\npath = \"/v1/reports/{*rest}\"\nscopes = [\"reports:read\", \"reports:write\"]\n";
    let applied = keyward.amend(tighter).json();
    assert_eq!(applied["in_force"]["by"], "acknowledged", "{applied}");
    let told = in_use.caller.ask(&in_use.request);
    assert_eq!(told.status, 403, "{told:?}");

    keyward.amend("[plans.standard]\ntitle = \"Standard\"\naccess = false\n");
    in_use.expect_refused("plan_forbids", 403);

    // Keys travel elsewhere from now on: where they did, there is none.
    keyward.amend("[plans.standard]\naccess = true\n[credential]\nfrom = [{ header = \"X-Elsewhere\" }]\n");
    let told = in_use.caller.ask(&in_use.request);
    assert_eq!(told.status, 401, "{told:?}");
}
