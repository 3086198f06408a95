//! T04: what each role may do through REST, operation by operation, from the OpenAPI document.

use std::collections::BTreeSet;

use keyward_core::people::Role;
use keyward_core::permission::Permission;
use serde_json::{Value, json};

use crate::support::World;

/// What stands in the places of a path: things that are not there, so that nothing is changed by what is allowed.
fn absent(path: &str) -> String {
    let id = |kind: &str| format!("{kind}_0000000000000000000001");
    path.replace("{organization}", &id("org"))
        .replace("{project}", &id("proj"))
        .replace("{key}", &id("key"))
        .replace("{api}", "no-such-api")
        .replace("{management_key}", &id("mgmt"))
        .replace("{person}", &id("person"))
        .replace("{invitation}", &id("inv"))
        .replace("{revocation}", "x")
}

#[tokio::test]
async fn t04_every_role_may_exactly_what_its_permissions_say() {
    let world = World::with("standard").await;
    let document = world.get("/openapi.json").await.json;
    let operator = world.first_operator().await;
    let mut people = vec![(Permission::ALL.iter().map(|one| one.scope()).collect::<BTreeSet<_>>(), operator)];
    for role in Role::ALL {
        let scopes = role.permissions().iter().map(|one| one.scope()).collect();
        people.push((scopes, world.member(&format!("{}@example.com", role.as_str()), role).await));
    }
    let (mut allowed, mut refused) = (0, 0);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let scope = operation["x-scope"].as_str().unwrap();
            for (scopes, person) in &people {
                let (method, at) = (method.to_uppercase(), absent(path));
                // Nothing that could be done: what is let in fails on this, what is not never comes so far.
                let body = if method == "GET" { Value::Null } else { json!({"no such field": 1}) };
                let answer = world.by_session(&person.secret, &method, &at, body).await;
                let (status, code) = answer.problem();
                let is_forbidden = (status, code) == (403, "forbidden");
                let name = format!("{method} {path} as {}: {}", person.person.email, answer.body);
                if scope == "any" || scopes.contains(scope) {
                    // Some of what a member may, they may within their organization only.
                    let is_bounded = is_forbidden && answer.body.contains("reach is bounded");
                    assert!(status != 401 && status < 500 && (!is_forbidden || is_bounded), "{name}");
                    allowed += 1;
                } else {
                    // One operation takes one of two permissions, by what of it is asked for.
                    let has_parts = path == "/v1/projects/{project}" && method == "PATCH";
                    assert!(is_forbidden || has_parts, "{name}");
                    refused += 1;
                }
            }
        }
    }
    assert!(allowed > 80 && refused > 50, "{allowed} allowed, {refused} refused");
}

#[tokio::test]
async fn t04_a_session_asks_in_the_organization_that_it_names() {
    let world = World::with("standard").await;
    let ada = world.member("ada@example.com", Role::Viewer).await;
    let (other, other_project) = world.another_customer("standard").await;
    let ask = |path: String, organization: Option<String>| {
        let organization = organization.unwrap_or_default();
        let headers = [("keyward-organization", organization.as_str())];
        let headers = if organization.is_empty() { &[][..] } else { &headers[..] };
        world.send(super::session_request(ada.secret.expose(), "GET", &path, headers, Value::Null))
    };
    let own = format!("/v1/projects/{}", world.project);
    ask(own.clone(), None).await.expect(200);
    ask(own.clone(), Some(world.organization.clone())).await.expect(200);
    for named in [other.clone(), "org_0000000000000000000001".into(), "nonsense".into()] {
        assert_eq!(ask(own.clone(), Some(named)).await.problem(), (404, "not_found"));
    }
    assert_eq!(ask(format!("/v1/projects/{other_project}"), None).await.problem(), (404, "not_found"));

    let to = keyward_core::people::InvitedTo::Organization { id: other.parse().unwrap(), role: Role::Owner };
    let link =
        world.control.invite(&World::machine(), to, "ada@example.com").await.unwrap().secret.secret().unwrap();
    let current = super::current(&world.control, &ada).await;
    let ada = world.control.accept_invitation(link.expose(), &current, &super::somebody()).await.unwrap();
    let ask = |path: String, organization: &'static str, named: String| {
        let headers = [(organization, named.as_str())];
        world.send(super::session_request(ada.secret.expose(), "GET", &path, &headers, Value::Null))
    };
    assert_eq!(ask(own.clone(), "x-nothing", String::new()).await.problem(), (422, "invalid"), "which of two");
    ask(own.clone(), "keyward-organization", world.organization.clone()).await.expect(200);
    assert_eq!(ask(own, "keyward-organization", other.clone()).await.problem(), (404, "not_found"));
    let who = ask("/v1/whoami".into(), "keyward-organization", other).await.expect(200);
    assert_eq!(who.text("/person/email"), "ada@example.com");
    assert!(who.json["scopes"].as_array().unwrap().contains(&json!("members:write")));
}
