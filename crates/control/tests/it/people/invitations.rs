//! Invitations: once, for a week, for one address, and never more than the inviter has.

use std::time::Duration;

use keyward_control::ControlError;
use keyward_control::use_cases::people::Claims;
use keyward_core::change::Origin;
use keyward_core::people::{Identity, InvitedTo, Role};
use keyward_core::session::SignedInBy;
use serde_json::json;

use super::{PASSWORD, asked, current, secret, somebody};
use crate::support::World;

fn claims(subject: &str, email: Option<&str>) -> Claims {
    let identity = Identity { issuer: "https://id.example.com".into(), subject: subject.into() };
    Claims { identity, verified_email: email.map(str::to_owned), name: Some("Ada".into()) }
}

#[tokio::test]
async fn an_invitation_is_accepted_once_within_a_week() {
    let world = World::with("standard").await;
    let link = world.invited("Ada@Example.com", Role::Developer).await.secret.secret().unwrap();
    let seen = world.control.look_at_invitation(link.expose()).await.unwrap();
    assert_eq!((seen.invitation.email.as_str(), seen.is_known), ("ada@example.com", false));
    let weak =
        world.control.accept_invitation_as_new(link.expose(), "Ada", &secret("password1234"), &somebody()).await;
    assert!(matches!(weak, Err(ControlError::Invalid(_))));
    let accept = || world.control.accept_invitation_as_new(link.expose(), "Ada", &PASSWORD_SECRET, &NOWHERE);
    let (one, two) = tokio::join!(accept(), accept());
    let (won, lost) = if one.is_ok() { (one, two) } else { (two, one) };
    assert_eq!(won.unwrap().person.membership(world.home()).unwrap().role, Role::Developer);
    assert!(matches!(lost, Err(ControlError::NotFound | ControlError::SignInFirst)));
    assert!(matches!(accept().await, Err(ControlError::NotFound)));

    let late = world.invited("bob@example.com", Role::Viewer).await.secret.secret().unwrap();
    world.clock.advance(Duration::from_secs(7 * 86_400));
    assert!(matches!(world.control.look_at_invitation(late.expose()).await, Err(ControlError::NotFound)));
    for made_up in ["", "invite_", "invite_0000"] {
        assert!(matches!(world.control.look_at_invitation(made_up).await, Err(ControlError::NotFound)));
    }
}

static PASSWORD_SECRET: std::sync::LazyLock<keyward_core::secret::Secret> =
    std::sync::LazyLock::new(|| secret(PASSWORD));
static NOWHERE: std::sync::LazyLock<keyward_control::use_cases::people::Visitor> =
    std::sync::LazyLock::new(somebody);

#[tokio::test]
async fn one_address_is_one_person_who_signs_in_first() {
    let world = World::with("standard").await;
    let ada = world.member("ada@example.com", Role::Viewer).await;
    let bob = world.member("bob@example.com", Role::Viewer).await;
    let (other, _) = world.another_customer("standard").await;
    let to = InvitedTo::Organization { id: other.parse().unwrap(), role: Role::Owner };
    let link =
        world.control.invite(&World::machine(), to, "ada@example.com").await.unwrap().secret.secret().unwrap();
    let as_new = world.control.accept_invitation_as_new(link.expose(), "Eve", &PASSWORD_SECRET, &NOWHERE).await;
    assert!(matches!(as_new, Err(ControlError::SignInFirst)));
    let by_provider = world
        .control
        .accept_invitation_with_identity(link.expose(), &claims("eve", Some("ada@example.com")), &NOWHERE)
        .await;
    assert!(matches!(by_provider, Err(ControlError::SignInFirst)), "an address links nobody");
    let as_bob =
        world.control.accept_invitation(link.expose(), &current(&world.control, &bob).await, &NOWHERE).await;
    assert!(matches!(as_bob, Err(ControlError::Invalid(_))));
    let as_ada =
        world.control.accept_invitation(link.expose(), &current(&world.control, &ada).await, &NOWHERE).await;
    assert_eq!(as_ada.unwrap().person.memberships.len(), 2);
    let again = world.control.invite(&World::machine(), to, "ada@example.com").await;
    assert!(matches!(again, Err(ControlError::AlreadyExists(_))));
}

#[tokio::test]
async fn a_new_invitation_takes_the_place_of_the_one_before_and_can_be_withdrawn() {
    let world = World::with("standard").await;
    let first = world.invited("ada@example.com", Role::Viewer).await.secret.secret().unwrap();
    let second = world.invited("ada@example.com", Role::Owner).await;
    let link = second.secret.secret().unwrap();
    assert!(matches!(world.control.look_at_invitation(first.expose()).await, Err(ControlError::NotFound)));
    world.control.look_at_invitation(link.expose()).await.unwrap();
    let path = format!("/v1/invitations/{}", second.invitation.id);
    let withdrawn = world.ask(&world.operator, "DELETE", &path, serde_json::Value::Null).await.expect(200);
    assert_eq!(withdrawn.text("/invitation/state"), "withdrawn");
    assert!(matches!(world.control.look_at_invitation(link.expose()).await, Err(ControlError::NotFound)));
    let listed = world.get(&format!("/v1/organizations/{}/invitations", world.organization)).await.expect(200);
    assert_eq!(listed.json["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_invitation_is_told_once_and_a_repeated_request_makes_no_second() {
    let world = World::with("standard").await;
    let path = format!("/v1/organizations/{}/invitations", world.organization);
    let ask = || {
        let body = json!({"email": "ada@example.com", "role": "viewer"});
        let headers = [("idempotency-key", "one")];
        world.send(crate::support::request(&world.operator, "POST", &path, &headers, body))
    };
    let made = ask().await.expect(201);
    assert!(made.text("/link").contains("/invitations/invite_"));
    let again = ask().await.expect(200);
    assert_eq!((again.json["link"].is_null(), &again.json["secret_shown"]), (true, &json!(true)));
    assert_eq!(again.text("/invitation/id"), made.text("/invitation/id"));
}

#[tokio::test]
async fn t06_nobody_invites_to_more_than_they_have_or_have_left() {
    let world = World::with("standard").await;
    let owner = world.member("ada@example.com", Role::Owner).await;
    let as_owner = asked(&world.control, &owner, world.home()).await;
    let to = |role| InvitedTo::Organization { id: world.home(), role };
    let operators = world.control.invite(&as_owner, InvitedTo::Operators, "eve@example.com").await;
    assert!(matches!(operators, Err(ControlError::Forbidden(_) | ControlError::OutOfReach(_))));
    for role in [Role::Developer, Role::Viewer] {
        let member = world.member(&format!("{}@example.com", role.as_str()), role).await;
        let asked = asked(&world.control, &member, world.home()).await;
        let made = world.control.invite(&asked, to(Role::Viewer), "eve@example.com").await;
        assert!(matches!(made, Err(ControlError::Forbidden(_))), "{role:?}");
    }
    // A management key that may only manage members names no owner.
    let narrow = world.management_key(&["members:write"], json!({"organization": world.organization})).await;
    let path = format!("/v1/organizations/{}/invitations", world.organization);
    let body = json!({"email": "eve@example.com", "role": "owner"});
    assert_eq!(world.ask(&narrow, "POST", &path, body).await.problem(), (403, "forbidden"));
    // What an inviter who is none any more has sent opens nothing.
    let sent = world.control.invite(&as_owner, to(Role::Owner), "eve@example.com").await.unwrap();
    let link = sent.secret.secret().unwrap();
    world.member("second@example.com", Role::Owner).await;
    let id = owner.person.id;
    world.control.set_role(&World::machine(), world.home(), id, Role::Viewer).await.unwrap();
    let late = world.control.accept_invitation_as_new(link.expose(), "Eve", &PASSWORD_SECRET, &NOWHERE).await;
    assert!(matches!(late, Err(ControlError::NotFound)));
}

#[tokio::test]
async fn t09_an_identity_is_issuer_and_subject_and_never_an_address() {
    let world = World::with("standard").await;
    let ada = world.member("ada@example.com", Role::Owner).await;
    let unknown = world.control.sign_in_with_identity(&claims("1", Some("ada@example.com")), &NOWHERE).await;
    assert!(matches!(unknown, Err(ControlError::BadCredentials)), "the same address, another subject");
    let me = current(&world.control, &ada).await;
    let own = claims("1", None);
    world.control.link_identity(&me, &own.identity, &Origin::default()).await.unwrap();
    let signed_in = world.control.sign_in_with_identity(&own, &NOWHERE).await.unwrap();
    assert_eq!(signed_in.person.id, ada.person.id);
    assert!(matches!(signed_in.session.signed_in_by, SignedInBy::OpenIdConnect { .. }));
    let mut elsewhere = own.clone();
    elsewhere.identity.issuer = "https://other.example.com".into();
    assert!(world.control.sign_in_with_identity(&elsewhere, &NOWHERE).await.is_err(), "another issuer");
    let bob = world.member("bob@example.com", Role::Owner).await;
    let as_bob = current(&world.control, &bob).await;
    let taken = world.control.link_identity(&as_bob, &own.identity, &Origin::default()).await;
    assert!(matches!(taken, Err(ControlError::AlreadyExists(_))));

    let link = world.invited("new@example.com", Role::Viewer).await.secret.secret().unwrap();
    let accept = |claims: Claims| {
        let (control, link) = (world.control.clone(), link.clone());
        async move { control.accept_invitation_with_identity(link.expose(), &claims, &NOWHERE).await }
    };
    let other = accept(claims("2", Some("eve@example.com"))).await;
    assert!(matches!(other, Err(ControlError::Invalid(_))), "for another address");
    let made = accept(claims("2", Some("new@example.com"))).await.unwrap();
    assert_eq!(made.person.email, "new@example.com");
    let back =
        world.control.sign_in_with_identity(&claims("2", Some("moved@example.com")), &NOWHERE).await.unwrap();
    assert_eq!(back.person.id, made.person.id, "whatever the address is by then");
    world.control.disable_person(&World::machine(), made.person.id).await.unwrap();
    let off = world.control.sign_in_with_identity(&claims("2", None), &NOWHERE).await;
    assert!(matches!(off, Err(ControlError::BadCredentials)));
}

#[tokio::test]
async fn an_invitation_is_mailed_at_every_door_once() {
    use keyward_control::mail::{MailSettings, Mailer};
    // A mail server that takes nothing: what counts is that it was asked.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("smtp://{}", listener.local_addr().unwrap()).parse().unwrap();
    let (told, mut letters) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            told.send(()).unwrap();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"554 no\r\n").await;
        }
    });
    let settings = MailSettings { server, credentials: None, from: "Keyward <keys@example.com>".into() };
    let mailer = Mailer::new(settings, std::sync::Arc::new(keyward_core::clock::SystemEntropy)).unwrap();
    let preset = crate::support::preset_text("standard");
    let world = World::with_sign_in("standard", &preset, None, Some(mailer)).await;

    let path = format!("/v1/organizations/{}/invitations", world.organization);
    for again in [false, true] {
        let wish = json!({"email": "ada@example.com", "role": "viewer"});
        let headers = [("idempotency-key", "once")];
        let request = crate::support::request(&world.operator, "POST", &path, &headers, wish);
        let answer = world.send(request).await;
        assert!(answer.status.is_success(), "{} {}", answer.status, answer.body);
        assert_eq!(letters.try_recv().is_err(), again, "mailed once");
    }
    let owner = world.member("owner@example.com", Role::Owner).await;
    let members = format!("/organizations/{}/members", world.organization);
    let page = world.submit(owner.secret.expose(), &members, "email=bob@example.com&role=viewer").await.expect(200);
    assert!(letters.try_recv().is_ok() && page.body.contains("The mail could not be sent"), "{}", page.body);
}
