//! What goes with somebody's place (T07), that somebody must remain, and that keys are never wider than seats (T06).

use keyward_control::ControlError;
use keyward_control::use_cases::NewManagementKey;
use keyward_core::people::{InvitedTo, Role};
use keyward_core::permission::Permission;
use keyward_core::tenancy::Boundary;
use serde_json::{Value, json};

use super::{asked, is_signed_in, somebody};
use crate::support::World;

impl World {
    async fn whoami(&self, key: &str) -> u16 {
        self.ask(key, "GET", "/v1/whoami", Value::Null).await.status.as_u16()
    }
}

/// A management key made with a session; its secret.
async fn minted(world: &World, session: &keyward_core::secret::Secret, scopes: &[&str], within: Value) -> String {
    let body = json!({"name": "mine", "scopes": scopes, "within": within});
    world.by_session(session, "POST", "/v1/management-keys", body).await.expect(201).text("/secret").to_owned()
}

#[tokio::test]
async fn t07_a_removed_member_has_nothing_left() {
    let world = World::with("standard").await;
    world.member("stays@example.com", Role::Owner).await;
    let ada = world.member("ada@example.com", Role::Owner).await;
    let home = json!({"organization": world.organization});
    let by_person = minted(&world, &ada.secret, &["keys:read", "management-keys:write"], home.clone()).await;
    let for_project = minted(&world, &ada.secret, &["keys:read"], json!({"project": world.project})).await;
    // Made through a key of theirs, and rotated by it.
    let body = json!({"name": "hidden", "scopes": ["keys:read"], "within": home});
    let through = world.ask(&by_person, "POST", "/v1/management-keys", body).await.expect(201);
    let hidden = through.text("/secret").to_owned();
    let of_others = world.management_key(&["keys:read"], json!({"organization": world.organization})).await;
    let as_ada = asked(&world.control, &ada, world.home()).await;
    let to = InvitedTo::Organization { id: world.home(), role: Role::Owner };
    let sent = world.control.invite(&as_ada, to, "friend@example.com").await.unwrap().secret.secret().unwrap();
    for key in [&by_person, &for_project, &hidden, &of_others] {
        assert_eq!(world.whoami(key).await, 200);
    }

    let path = format!("/v1/organizations/{}/members/{}", world.organization, ada.person.id);
    let removed = world.ask(&world.operator, "DELETE", &path, Value::Null).await.expect(200);
    assert_eq!(removed.text("/member/email"), "ada@example.com");
    assert!(!is_signed_in(&world.control, &ada).await);
    assert_eq!(world.by_session(&ada.secret, "GET", "/v1/whoami", Value::Null).await.problem().0, 401);
    for key in [&by_person, &for_project, &hidden] {
        assert_eq!(world.whoami(key).await, 401);
    }
    assert_eq!(world.whoami(&of_others).await, 200, "not theirs");
    assert!(matches!(world.control.look_at_invitation(sent.expose()).await, Err(ControlError::NotFound)));
    // What was asked before they were removed and is carried out after changes nothing.
    let late = world.control.rename_organization(&as_ada, world.home(), "Mine").await;
    assert!(matches!(late, Err(ControlError::Unauthenticated)));
    // They may sign in, and are nobody there.
    let back =
        world.control.sign_in("ada@example.com", &super::secret(super::PASSWORD), None, &somebody()).await.unwrap();
    let path = format!("/v1/organizations/{}", world.organization);
    assert!(matches!(world.by_session(&back.secret, "GET", &path, Value::Null).await.status.as_u16(), 403 | 404));
}

#[tokio::test]
async fn t07_one_change_takes_place_sessions_keys_and_invitations_together() {
    let world = World::with("standard").await;
    world.member("stays@example.com", Role::Owner).await;
    let ada = world.member("ada@example.com", Role::Owner).await;
    minted(&world, &ada.secret, &["keys:read"], json!({"organization": world.organization})).await;
    let as_ada = asked(&world.control, &ada, world.home()).await;
    let to = InvitedTo::Organization { id: world.home(), role: Role::Viewer };
    world.control.invite(&as_ada, to, "friend@example.com").await.unwrap();
    let before = world.get("/v1/changes/head").await.expect(200).json["revision"].as_i64().unwrap();
    world.control.remove_member(&World::machine(), world.home(), ada.person.id).await.unwrap();
    let log = world.get(&format!("/v1/changes?after={before}")).await.expect(200);
    let names: Vec<_> = log.json["items"].as_array().unwrap().iter().map(|item| item["name"].clone()).collect();
    assert_eq!(names, ["member.removed", "management_key.revoked", "invitation.withdrawn"]);
}

#[tokio::test]
async fn t06_a_lower_role_ends_the_keys_that_the_higher_one_made() {
    let world = World::with("standard").await;
    world.member("stays@example.com", Role::Owner).await;
    let ada = world.member("ada@example.com", Role::Owner).await;
    let key = minted(&world, &ada.secret, &["keys:write"], json!({"organization": world.organization})).await;
    let path = format!("/v1/organizations/{}/members/{}", world.organization, ada.person.id);
    let set = world.patch(&path, json!({"role": "viewer"})).await.expect(200);
    assert_eq!(set.text("/member/role"), "viewer");
    assert_eq!(world.whoami(&key).await, 401);
    assert!(is_signed_in(&world.control, &ada).await, "and may look");
    let refused =
        world.by_session(&ada.secret, "POST", "/v1/management-keys", json!({"name": "x", "scopes": ["keys:read"]}));
    assert_eq!(refused.await.problem(), (403, "forbidden"));
}

#[tokio::test]
async fn t07_an_operator_who_is_none_any_more_or_disabled_has_nothing_left() {
    let world = World::with("standard").await;
    let first = world.first_operator().await;
    for (number, body) in [json!({"operator": false}), json!({"disabled": true})].into_iter().enumerate() {
        let email = format!("op{number}@example.com");
        world.control.add_operator(&World::machine(), &email, "Op").await.unwrap();
        let id = world.control.person_by_email(&World::machine(), &email).await.unwrap().id;
        let link = world.control.make_sign_in_link(&World::machine(), id).await.unwrap();
        let second = world.control.sign_in_with_link(link.expose(), &somebody()).await.unwrap();
        let everything = world
            .by_session(&second.secret, "POST", "/v1/management-keys", json!({"name": "all", "scopes": ["*"]}))
            .await
            .expect(201)
            .text("/secret")
            .to_owned();
        let spare = world.control.make_sign_in_link(&World::machine(), id).await.unwrap();
        let path = format!("/v1/people/{id}");
        world.by_session(&first.secret, "PATCH", &path, body).await.expect(200);
        assert!(!is_signed_in(&world.control, &second).await);
        assert_eq!(world.whoami(&everything).await, 401);
        assert!(world.control.sign_in_with_link(spare.expose(), &somebody()).await.is_err());
    }
}

#[tokio::test]
async fn somebody_must_remain_who_can() {
    let world = World::with("standard").await;
    let operator = world.first_operator().await;
    let path = format!("/v1/people/{}", operator.person.id);
    for body in [json!({"operator": false}), json!({"disabled": true})] {
        assert_eq!(world.patch(&path, body).await.problem(), (409, "last_one"));
    }
    let owner = world.member("ada@example.com", Role::Owner).await;
    let path = format!("/v1/organizations/{}/members/{}", world.organization, owner.person.id);
    assert_eq!(world.patch(&path, json!({"role": "developer"})).await.problem(), (409, "last_one"));
    assert_eq!(world.ask(&world.operator, "DELETE", &path, Value::Null).await.problem(), (409, "last_one"));
    let me = super::current(&world.control, &owner).await;
    let left = world.control.leave(&me, world.home(), &somebody()).await;
    assert!(matches!(left, Err(ControlError::LastOne("owner"))));
    // Keeping an account out is never held up by it.
    let alone = world.another_customer("standard").await.0;
    let to = InvitedTo::Organization { id: alone.parse().unwrap(), role: Role::Owner };
    let link =
        world.control.invite(&World::machine(), to, "eve@example.com").await.unwrap().secret.secret().unwrap();
    let password = super::secret(super::PASSWORD);
    let eve = world.control.accept_invitation_as_new(link.expose(), "Eve", &password, &somebody()).await.unwrap();
    world.patch(&format!("/v1/people/{}", eve.person.id), json!({"disabled": true})).await.expect(200);
    // Of two owners who leave at once, one stays.
    let other = world.member("bob@example.com", Role::Owner).await;
    let them = super::current(&world.control, &other).await;
    let visitor = somebody();
    let (one, two) = tokio::join!(
        world.control.leave(&me, world.home(), &visitor),
        world.control.leave(&them, world.home(), &visitor)
    );
    assert_eq!(u8::from(one.is_ok()) + u8::from(two.is_ok()), 1, "{one:?} {two:?}");
}

#[tokio::test]
async fn t06_whatever_a_member_asks_for_a_key_is_never_wider_than_their_seat() {
    let world = World::with("standard").await;
    let (other, other_project) = world.another_customer("standard").await;
    let boundaries = [
        None,
        Some(Boundary::Everything),
        Some(Boundary::Organization(world.home())),
        Some(Boundary::Project(world.project.parse().unwrap())),
        Some(Boundary::Organization(other.parse().unwrap())),
        Some(Boundary::Project(other_project.parse().unwrap())),
    ];
    let mut wishes: Vec<String> = Permission::ALL.iter().map(|permission| permission.scope().to_owned()).collect();
    wishes.extend(["*", "keys:*", "people:*", "organizations:*", "members:*"].map(str::to_owned));
    let (mut made, mut refused) = (0, 0);
    for role in Role::ALL {
        let member = world.member(&format!("{}@example.com", role.as_str()), role).await;
        let asked = asked(&world.control, &member, world.home()).await;
        for scope in &wishes {
            for boundary in boundaries {
                let wish =
                    NewManagementKey { name: "k".into(), scopes: vec![scope.clone()], boundary, expires_at: None };
                match world.control.create_management_key(&asked, &wish).await {
                    Ok(key) => {
                        made += 1;
                        assert_eq!(role, Role::Owner);
                        assert!(key.key.scopes.is_within(&role.scopes()), "{scope}");
                        assert_eq!(key.key.minted_by, Some(member.person.id));
                        let is_within = match key.key.boundary {
                            Boundary::Everything => false,
                            Boundary::Organization(id) => id == world.home(),
                            Boundary::Project(id) => id.to_string() == world.project,
                        };
                        assert!(is_within, "{scope} {boundary:?}");
                    }
                    Err(
                        ControlError::Forbidden(_) | ControlError::WiderThanCaller(_) | ControlError::Invalid(_),
                    ) => {
                        refused += 1;
                    }
                    Err(error) => panic!("{scope} {boundary:?}: {error}"),
                }
            }
        }
    }
    let allowed = wishes.iter().filter(|scope| Role::Owner.scopes().allow(scope)).count();
    assert_eq!((made, made + refused), (allowed * 3, wishes.len() * boundaries.len() * 3));
}

#[tokio::test]
async fn t06_a_key_that_may_manage_people_makes_no_operator_and_signs_in_as_nobody_who_may_more() {
    let world = World::with("standard").await;
    let owner = world.member("ada@example.com", Role::Owner).await;
    let narrow = world
        .post("/v1/management-keys", json!({"name": "people", "scopes": ["people:write"]}))
        .await
        .expect(201)
        .text("/secret")
        .to_owned();
    let path = format!("/v1/people/{}", owner.person.id);
    let asked = world.ask(&narrow, "PATCH", &path, json!({"operator": true})).await;
    assert_eq!(asked.problem(), (403, "forbidden"));
    let asked = world.ask(&narrow, "POST", &format!("{path}/sign-in-link"), json!({})).await;
    assert_eq!(asked.problem(), (403, "forbidden"));
    world.ask(&narrow, "PATCH", &path, json!({"disabled": true})).await.expect(200);
}
