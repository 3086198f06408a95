//! T01: whoever asks about another customer's things, by whatever operation, hears what he hears of nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::world::{Face, World, nothing, requests};
use crate::harness::{Ids, Keyward, Operation, Reply};

/// Who asks, and all that is not his.
struct Asker<'a> {
    secret: &'a str,
    own: &'a Ids,
    others: Vec<&'a Ids>,
}

fn askers<'a>(world: &'a World, operators: &'a Ids) -> Vec<Asker<'a>> {
    let mut askers = Vec::new();
    for (number, tenant) in world.tenants.iter().enumerate() {
        let own = &tenant.ids;
        let all = || world.tenants.iter().map(|other| &other.ids).chain([operators]).enumerate();
        // The other project of the same organization, and one of every other: the other one is asked about by
        // this one's neighbour.
        let is_mine = |at: usize, ids: &Ids| ids.organization == own.organization || at % 2 == number % 2;
        let others = all().filter(|(at, ids)| ids.project != own.project && is_mine(*at, ids));
        askers.push(Asker { secret: &tenant.for_project, own, others: others.map(|(_, ids)| ids).collect() });
        if number % 2 == 0 {
            let others = all().filter(|(_, ids)| ids.organization != own.organization);
            askers.push(Asker {
                secret: &tenant.for_organization,
                own,
                others: others.map(|(_, ids)| ids).collect(),
            });
        }
    }
    askers
}

/// Asks every operation about everything that is not this asker's; how many requests that were.
fn ask_about_others(keyward: &Keyward, operations: &[Operation], asker: &Asker<'_>) -> usize {
    let mut asked = 0;
    for operation in operations {
        let face = |(path, body): &(String, _)| {
            Face::of(&operation.ask_with(keyward, asker.secret, path, Option::clone(body)))
        };
        let absent: Vec<_> = requests(operation, &nothing(asker.own)).iter().map(face).collect();
        for others in &asker.others {
            for (request, absent) in requests(operation, others).iter().zip(&absent) {
                let found = face(request);
                let in_path = !operation.places().is_empty();
                let is_refused = found.status == 404 || (found.status == 422 && !in_path);
                assert!(is_refused, "{} {request:?}: {found:?}", operation.name());
                assert_eq!(&found, absent, "{} {request:?}", operation.name());
                asked += 1;
            }
        }
    }
    asked
}

#[test]
fn t01_another_projects_things_answer_like_nothing() {
    let world = World::with(8, 2);
    let keyward = &world.keyward;
    let (operators, operations) = (world.operators(), keyward.operations());
    let askers = askers(&world, &operators);
    for asker in &askers {
        // A key that reached nothing would prove nothing.
        keyward
            .control_as(asker.secret, reqwest::Method::GET, &format!("/v1/keys/{}", asker.own.key), None)
            .expect(200);
    }
    let (revision, next, asked) = (keyward.revision(), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(asker) = askers.get(next.fetch_add(1, Ordering::Relaxed)) {
                    asked.fetch_add(ask_about_others(keyward, &operations, asker), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(askers.len(), 24);
    let asked = asked.into_inner();
    assert!(asked > 24 * 10 * 30, "{asked} requests: nearly every operation names something");
    assert_eq!(keyward.revision(), revision, "something was changed");
    for tenant in &world.tenants {
        assert!(keyward.is_valid(&tenant.key.secret));
    }
}

#[test]
fn t01_lists_end_at_the_wall() {
    let world = World::with(8, 1);
    for tenant in &world.tenants {
        let others = world.tenants.iter().filter(|other| other.ids != tenant.ids);
        let others: Vec<_> = others.map(|other| &other.ids).collect();
        for operation in world.keyward.operations().iter().filter(|operation| operation.is_read()) {
            for secret in [&tenant.for_organization, &tenant.for_project] {
                let reply = operation.ask(&world.keyward, secret, &tenant.ids);
                for ids in &others {
                    let named = [&ids.organization, &ids.project, &ids.key, &ids.management_key];
                    assert!(
                        !named.iter().any(|id| reply.text.contains(*id)),
                        "{}: {}",
                        operation.name(),
                        reply.text
                    );
                }
            }
        }
    }
}

/// What the check listener says of a key to the holder of a management key.
fn checked(keyward: &Keyward, asking: &str, secret: &str) -> Reply {
    let request = keyward.http.post(format!("{}/v1/verify", keyward.started.check_url));
    request.bearer_auth(asking).json(&json!({"key": secret})).send().unwrap().into()
}

#[test]
fn t01_another_projects_key_is_not_valid_here() {
    let world = World::with(8, 2);
    let keyward = &world.keyward;
    for (at, key) in world.tenants.iter().map(|tenant| &tenant.key).enumerate() {
        for (there, tenant) in world.tenants.iter().enumerate() {
            let answer =
                keyward.verify(json!({"key": key.secret, "project": tenant.ids.project})).expect(200).json();
            assert_eq!(answer["valid"], at == there, "{answer}");
            assert!(at == there || answer["code"] == "wrong_project", "{answer}");
        }
        let named = keyward.verify(json!({"key": key.secret, "project": Ids::of_nothing().project})).expect(200);
        assert_eq!(named.json()["code"], "wrong_project", "{}", named.text);
    }
    // A well-formed key of what is gone stands for a key that there is not.
    let (gone, _) = keyward.new_project("gone");
    let unknown = keyward.make(&gone, json!({}));
    keyward.delete(&format!("/v1/projects/{gone}")).expect(200);
    for asking in &world.tenants {
        let of_nothing = Face::of(&checked(keyward, &asking.for_project, &unknown.secret));
        assert_eq!(of_nothing.body, r#"{"valid":false,"code":"unknown_key"}"#);
        for tenant in &world.tenants {
            let is_own = asking.ids.project == tenant.ids.project;
            let reply = checked(keyward, &asking.for_project, &tenant.key.secret);
            assert_eq!(reply.clone().expect(200).json()["valid"], is_own, "{}", reply.text);
            assert!(is_own || Face::of(&reply) == of_nothing, "{reply:?}");
            let is_own = asking.ids.organization == tenant.ids.organization;
            let reply = checked(keyward, &asking.for_organization, &tenant.key.secret);
            assert_eq!(reply.clone().expect(200).json()["valid"], is_own, "{}", reply.text);
            assert!(is_own || Face::of(&reply) == of_nothing, "{reply:?}");
        }
    }
}
