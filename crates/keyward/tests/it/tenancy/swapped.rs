//! T02: an id that is swapped for another's, anywhere in a request, is answered like one that nothing has.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::world::{Face, World, nothing, requests};
use crate::harness::{Ids, Reply};

/// Shapes that an id in a path could be given, none of which names a thing of this kind.
fn odd_shapes(own: &Ids) -> Vec<Ids> {
    let of = |change: &dyn Fn(&str) -> String| Ids {
        api: own.api.clone(),
        organization: change(&own.organization),
        project: change(&own.project),
        key: change(&own.key),
        management_key: change(&own.management_key),
        revocation: change(&own.revocation),
        person: change(&own.person),
        invitation: change(&own.invitation),
    };
    let mut shapes = vec![
        of(&|id| id.to_uppercase()),
        of(&|id| format!("{id}0")),
        of(&|id| id[..id.len() - 1].to_owned()),
        of(&|id| id.split_once('_').unwrap().1.to_owned()),
        of(&|id| format!("{id}%20")),
        of(&|id| format!("%00{id}")),
        of(&|id| format!("{id}%2F..%2F{id}")),
        of(&|_| "1".to_owned()),
        of(&|_| "%27%20OR%20%271%27=%271".to_owned()),
    ];
    // A thing's id in the place of another kind of thing.
    shapes.push(Ids {
        api: own.api.clone(),
        organization: own.project.clone(),
        project: own.organization.clone(),
        key: own.project.clone(),
        management_key: own.key.clone(),
        revocation: own.key.clone(),
        person: own.invitation.clone(),
        invitation: own.person.clone(),
    });
    shapes
}

#[test]
fn t02_ids_of_others_answer_exactly_like_ids_of_nothing() {
    let world = World::with(2, 1);
    let (keyward, [own, other]) = (&world.keyward, &world.tenants[..]) else { panic!() };
    let before = keyward.revision();
    let mut operations = keyward.operations();
    for operation in &operations {
        for secret in [&own.for_organization, &own.for_project] {
            let face = |(path, body): &(String, Option<Value>)| {
                Face::of(&operation.ask_with(keyward, secret, path, body.clone()))
            };
            let absent: Vec<_> = requests(operation, &nothing(&own.ids)).iter().map(face).collect();
            let mut swapped = vec![other.ids.clone()];
            if !operation.places().is_empty() {
                swapped.extend(odd_shapes(&own.ids));
            }
            for ids in swapped {
                for (request, absent) in requests(operation, &ids).iter().zip(&absent) {
                    let found = face(request);
                    assert!(matches!(found.status, 404 | 422), "{request:?}: {found:?}");
                    assert_eq!(&found, absent, "{} {request:?}", operation.name());
                }
            }
        }
    }
    assert_eq!(keyward.revision(), before);
    // The same requests with nothing swapped are no 404: it was the swapping that was answered so.
    // What is deleted goes last, and what stands below something before that.
    operations.sort_by_key(|operation| match operation.method == Method::DELETE {
        true => (true, Reverse(operation.path.len())),
        false => (false, Reverse(0)),
    });
    for operation in &operations {
        for (path, body) in requests(operation, &own.ids) {
            let reply = operation.ask_with(keyward, &own.for_organization, &path, body);
            let is_projects = operation.path.contains("{revocation}");
            // People's accounts are the operator's: an organization's own are nothing to it but as members.
            let is_operators = operation.path.starts_with("/v1/people/");
            assert!(reply.status != 404 || is_projects || is_operators, "{} {}", operation.name(), reply.text);
        }
    }
    let others = keyward.list(&other.ids.project);
    assert_eq!(others.iter().filter(|key| key["state"] == "active").count(), 1, "{others:?}");
}

#[test]
fn t02_ids_beside_the_path_are_no_way_in_either() {
    let world = World::with(2, 1);
    let (keyward, [own, other]) = (&world.keyward, &world.tenants[..]) else { panic!() };
    let ask = |method: &str, path: &str, body: Option<Value>| -> Reply {
        keyward.control_as(&own.for_organization, method.parse().unwrap(), path, body)
    };
    let absent = nothing(&own.ids);
    // One of another's among one's own: none of them is revoked.
    let many = |key: &str| ask("POST", "/v1/revocations", Some(json!({"keys": [own.key.id, key]})));
    let refused = many(&other.key.id).expect_problem(422, "invalid");
    assert_eq!(Face::of(&refused), Face::of(&many(&absent.key)));
    assert!(keyward.is_valid(&own.key.secret) && keyward.is_valid(&other.key.secret));
    // In the query.
    let events = |key: &str| ask("GET", &format!("/v1/projects/{}/events?key={key}", own.ids.project), None);
    assert_eq!(Face::of(&events(&other.key.id)), Face::of(&events(&absent.key)));
    assert_ne!(Face::of(&events(&own.key.id)), Face::of(&events(&absent.key)));
    // A place in another's list.
    let path = |ids: &Ids| format!("/v1/projects/{}/keys?limit=1", ids.project);
    let theirs =
        keyward.control_as(&other.for_organization, Method::GET, &path(&other.ids), None).expect(200).json();
    let page = |cursor: &str| ask("GET", &format!("{}&cursor={cursor}", path(&own.ids)), None);
    let cursor = theirs["next_cursor"].as_str().expect("a second page");
    let refused = page(cursor).expect_problem(400, "bad_cursor");
    assert_eq!(Face::of(&refused), Face::of(&page("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")));
    // Another's idempotency key is one's own, and shows nothing of what it made there.
    let once = |secret: &str, ids: &Ids| -> Reply {
        let request =
            keyward.http.post(format!("{}/v1/projects/{}/keys", keyward.started.control_url, ids.project));
        let request = request.bearer_auth(secret).header("idempotency-key", "once").json(&json!({"name": "once"}));
        request.send().unwrap().into()
    };
    let theirs = once(&other.for_organization, &other.ids).expect(201).json();
    assert_eq!(once(&own.for_organization, &other.ids).status, 404, "not even their very request");
    let ours = once(&own.for_organization, &own.ids).expect(201).json();
    assert_ne!(ours["key"]["id"], theirs["key"]["id"]);
    assert_eq!(ours["key"]["project"], json!(own.ids.project));
}

#[test]
fn t02_the_time_does_not_tell_another_from_nothing() {
    const PAIRS: usize = 400;
    let world = World::with(2, 1);
    let (keyward, [own, other]) = (&world.keyward, &world.tenants[..]) else { panic!() };
    let timed = |ids: &Ids| {
        let began = Instant::now();
        let path = format!("/v1/keys/{}", ids.key);
        keyward.control_as(&own.for_organization, Method::GET, &path, None).expect(404);
        began.elapsed()
    };
    let absent = nothing(&own.ids);
    let (mut of_other, mut of_nothing): (Vec<_>, Vec<_>) =
        (0..PAIRS).map(|_| (timed(&other.ids), timed(&absent))).unzip();
    of_other.sort();
    of_nothing.sort();
    // Lower quartiles, as what else runs on the machine only ever adds; a commit or a second look-up on disk
    // would stand out of this margin.
    let (other, nothing) = (of_other[PAIRS / 4], of_nothing[PAIRS / 4]);
    let margin = nothing / 2 + Duration::from_micros(200);
    assert!(other.abs_diff(nothing) < margin, "{other:?} of another's, {nothing:?} of nothing");
}
