//! T04: what an operation takes stands in the OpenAPI document, and without it nothing is done.

use std::collections::HashSet;
use std::net::IpAddr;

use keyward_core::permission::Permission;
use reqwest::blocking::Client;
use serde_json::{Value, json};

use super::world::{Face, World, nothing};
use crate::harness::{Ids, Keyward, Operation, Reply};

fn asked_without(
    http: &Client,
    control: &str,
    operation: &Operation,
    ids: &Ids,
    credential: Option<&str>,
) -> Reply {
    let request = http.request(operation.method.clone(), format!("{control}{}", operation.at(ids)));
    let request = match credential {
        Some(credential) => request.header("authorization", credential),
        None => request,
    };
    match operation.body(ids) {
        Some(body) => request.json(&body),
        None => request,
    }
    .send()
    .unwrap()
    .into()
}

/// A management key for everything with these scopes.
fn with_scopes(keyward: &Keyward, scopes: &[&str]) -> String {
    keyward.management_key("some", scopes, None).1
}

#[test]
fn t04_every_operation_names_its_permission_and_is_refused_without_it() {
    let world = World::with(1, 1);
    let (keyward, tenant) = (&world.keyward, &world.tenants[0]);
    let own = &tenant.ids;
    let absent = Ids { api: "no-such-api".into(), ..nothing(own) };
    let operations = keyward.operations();
    let mut met = HashSet::new();
    for permission in Permission::ALL.iter().map(|permission| permission.scope()) {
        let others: Vec<_> =
            Permission::ALL.iter().map(|one| one.scope()).filter(|one| *one != permission).collect();
        let (without, only) = (with_scopes(keyward, &others), with_scopes(keyward, &[permission]));
        for operation in operations.iter().filter(|operation| operation.scope == permission) {
            let before = keyward.revision();
            let refused = operation.ask(keyward, &without, own).expect_problem(403, "forbidden");
            assert!(refused.json()["detail"].as_str().unwrap().contains(permission), "{}", refused.text);
            // It is refused before anything of it is looked at, but where a part of it may take another scope.
            let odd = Some(json!([{"odd": 1}]));
            let unread = operation.ask_with(keyward, &without, &operation.at(&absent), odd);
            let has_parts = operation.name() == "PATCH /v1/projects/{project}";
            assert!(has_parts || Face::of(&unread) == Face::of(&refused), "{} {unread:?}", operation.name());
            assert_eq!(keyward.revision(), before, "{}", operation.name());
            let with = operation.ask(keyward, &only, &absent);
            assert!(!matches!(with.status, 401 | 403 | 500..), "{}: {}", operation.name(), with.text);
            met.insert(operation.name());
        }
    }
    let others: Vec<_> = operations.iter().filter(|operation| !met.contains(&operation.name())).collect();
    // Who somebody is, and whether a change of theirs is in force: its sealed name tells whose it is.
    let paths: Vec<_> = others.iter().map(|operation| &*operation.path).collect();
    assert_eq!(paths, ["/v1/revocations/{revocation}", "/v1/whoami"]);
    assert!(others.iter().all(|operation| operation.scope == "any"), "{others:?}");
    let some = with_scopes(keyward, &["verify"]);
    others[0].ask(keyward, &some, own).expect(200);
    others[0].ask(keyward, &some, &absent).expect_problem(404, "not_found");
    others[1].ask(keyward, &some, own).expect(200);
    assert!(keyward.is_valid(&tenant.key.secret));
}

#[test]
fn t04_without_a_live_management_key_every_operation_says_the_same() {
    let world = World::with(1, 1);
    let (keyward, tenant) = (&world.keyward, &world.tenants[0]);
    let (revoked, secret) = keyward.management_key("revoked", &["*"], None);
    keyward.post(&format!("/v1/management-keys/{revoked}/revoke"), json!({})).expect(200);
    let own = &keyward.started.management_key;
    let wrong = [
        None,
        Some(format!("Bearer {secret}")),
        Some(format!("Bearer {}", tenant.key.secret)),
        Some(format!("Bearer {}x", own)),
        Some(format!("Basic {own}")),
        Some(own.clone()),
    ];
    let before = keyward.revision();
    for (number, operation) in keyward.operations().into_iter().enumerate() {
        // Each from an address of its own: too many failures from one would be refused for that (Q22).
        let address = IpAddr::from([127, 0, 1, u8::try_from(number + 1).unwrap()]);
        let http = Client::builder().local_address(address).no_proxy().build().unwrap();
        let faces = wrong.iter().map(|credential| {
            let control = &keyward.started.control_url;
            let reply = asked_without(&http, control, &operation, &tenant.ids, credential.as_deref());
            Face::of(&reply.expect_problem(401, "unauthenticated"))
        });
        let faces: Vec<_> = faces.collect();
        assert!(faces.iter().all(|face| *face == faces[0]), "{}: {faces:?}", operation.name());
    }
    assert_eq!(keyward.revision(), before);
}

#[test]
fn t04_a_question_about_a_key_takes_the_permission_for_it() {
    let keyward = Keyward::dev("standard");
    let verify = |credential: Option<&str>| -> Reply {
        let request = keyward.http.post(format!("{}/v1/verify", keyward.started.check_url));
        let request = request.json(&json!({"key": keyward.first_key().secret}));
        credential
            .map_or_else(|| request.try_clone().unwrap(), |own| request.try_clone().unwrap().bearer_auth(own))
            .send()
            .unwrap()
            .into()
    };
    let others: Vec<_> =
        Permission::ALL.iter().filter(|one| **one != Permission::Verify).map(|one| one.scope()).collect();
    verify(Some(&with_scopes(&keyward, &others))).expect_problem(403, "forbidden");
    verify(None).expect_problem(401, "unauthenticated");
    verify(Some(&keyward.first_key().secret)).expect_problem(401, "unauthenticated");
    let granted: Value = verify(Some(&with_scopes(&keyward, &["verify"]))).expect(200).json();
    assert_eq!(granted["valid"], true);
}
