//! Sessions: begun anew at every sign-in (W04), and over when they must be (W05).

use std::time::Duration;

use keyward_control::ControlError;
use keyward_core::people::Role;
use serde_json::{Value, json};

use super::{PASSWORD, current, is_signed_in, secret, session_request, somebody};
use crate::support::World;

#[tokio::test]
async fn w04_a_session_begins_anew_at_sign_in() {
    let world = World::with("standard").await;
    let member = world.member("ada@example.com", Role::Owner).await;
    let sign_in = || async {
        world.control.sign_in(" Ada@Example.com ", &secret(PASSWORD), None, &somebody()).await.unwrap()
    };
    let (one, two) = (sign_in().await, sign_in().await);
    assert_ne!(one.secret.expose(), two.secret.expose());
    assert_ne!(one.session.id, member.session.id);
    // What was made up or brought along opens nothing, before and after.
    for made_up in ["", "x", "session_", &format!("session_{}", "0".repeat(43)), &one.secret.expose()[1..]] {
        assert!(world.control.current(made_up).await.unwrap().is_none(), "{made_up}");
    }
}

#[tokio::test]
async fn w04_accepting_an_invitation_replaces_the_session() {
    let world = World::with("standard").await;
    let member = world.member("ada@example.com", Role::Viewer).await;
    let (other, _) = world.another_customer("standard").await;
    let to = keyward_core::people::InvitedTo::Organization { id: other.parse().unwrap(), role: Role::Owner };
    let link =
        world.control.invite(&World::machine(), to, "ada@example.com").await.unwrap().secret.secret().unwrap();
    let before = current(&world.control, &member).await;
    let after = world.control.accept_invitation(link.expose(), &before, &somebody()).await.unwrap();
    assert!(!is_signed_in(&world.control, &member).await && is_signed_in(&world.control, &after).await);
    assert_eq!(after.person.memberships.len(), 2);
}

#[tokio::test]
async fn w05_a_session_ends_without_use_and_at_the_latest_after_its_time() {
    let world = World::with("standard").await;
    let member = world.member("ada@example.com", Role::Owner).await;
    world.clock.advance(Duration::from_secs(59 * 60));
    assert!(is_signed_in(&world.control, &member).await, "and is used by this");
    world.clock.advance(Duration::from_secs(59 * 60));
    assert!(is_signed_in(&world.control, &member).await);
    world.clock.advance(Duration::from_secs(60 * 60));
    assert!(!is_signed_in(&world.control, &member).await, "an hour without use");
    let another = world.control.sign_in("ada@example.com", &secret(PASSWORD), None, &somebody()).await.unwrap();
    for _ in 0..23 {
        world.clock.advance(Duration::from_secs(30 * 60));
        assert!(is_signed_in(&world.control, &another).await);
    }
    world.clock.advance(Duration::from_secs(30 * 60));
    assert!(!is_signed_in(&world.control, &another).await, "twelve hours, however much it is used");
}

#[tokio::test]
async fn w05_what_a_cookie_held_opens_nothing_after_signing_out_or_a_new_password_or_being_disabled() {
    let world = World::with("standard").await;
    let member = world.member("ada@example.com", Role::Owner).await;
    let sign_in = |password: &'static str| {
        let control = &world.control;
        async move { control.sign_in("ada@example.com", &secret(password), None, &somebody()).await }
    };
    let is_let_in = |session: &keyward_core::secret::Secret| {
        let request = session_request(session.expose(), "GET", "/v1/whoami", &[], Value::Null);
        let world = &world;
        async move { world.send(request).await.status.as_u16() }
    };
    assert_eq!(is_let_in(&member.secret).await, 200);
    world.control.sign_out(&current(&world.control, &member).await).await.unwrap();
    assert_eq!(is_let_in(&member.secret).await, 401, "signed out");

    let (one, two) = (sign_in(PASSWORD).await.unwrap(), sign_in(PASSWORD).await.unwrap());
    let asking = current(&world.control, &one).await;
    let new = secret("another boat entirely");
    let wrong = world.control.change_password(&asking, Some(&secret("not the old one")), &new, &somebody()).await;
    assert!(matches!(wrong, Err(ControlError::BadCredentials)));
    let none = world.control.change_password(&asking, None, &new, &somebody()).await;
    assert!(matches!(none, Err(ControlError::BadCredentials)));
    let changed = world.control.change_password(&asking, Some(&secret(PASSWORD)), &new, &somebody()).await.unwrap();
    assert_eq!((is_let_in(&one.secret).await, is_let_in(&two.secret).await), (401, 401), "another password");
    assert_eq!(is_let_in(&changed.secret).await, 200);
    assert!(matches!(sign_in(PASSWORD).await, Err(ControlError::BadCredentials)));
    let last = sign_in("another boat entirely").await.unwrap();

    let path = format!("/v1/people/{}", member.person.id);
    world.patch(&path, json!({"disabled": true})).await.expect(200);
    assert_eq!((is_let_in(&changed.secret).await, is_let_in(&last.secret).await), (401, 401), "disabled");
    assert!(matches!(sign_in("another boat entirely").await, Err(ControlError::BadCredentials)));
    world.patch(&path, json!({"disabled": false})).await.expect(200);
    assert_eq!(is_let_in(&last.secret).await, 401, "what ended stays ended");
    sign_in("another boat entirely").await.unwrap();
}

#[tokio::test]
async fn w05_sessions_are_listed_and_ended_one_by_one_or_all_others() {
    let world = World::with("standard").await;
    let first = world.member("ada@example.com", Role::Owner).await;
    let other = world.member("bob@example.com", Role::Owner).await;
    let sign_in = || world.control.sign_in("ada@example.com", first_password(), None, &NOWHERE);
    let (second, third) = (sign_in().await.unwrap(), sign_in().await.unwrap());
    let me = current(&world.control, &third).await;
    let listed = world.control.sessions(&me).await.unwrap();
    assert_eq!(listed.len(), 3);
    assert_eq!(
        listed.iter().filter(|seen| seen.is_current).map(|seen| seen.session.id).collect::<Vec<_>>(),
        [third.session.id]
    );
    let theirs = world.control.end_session(&me, other.session.id).await;
    assert!(matches!(theirs, Err(ControlError::NotFound)), "another's is none");
    world.control.end_session(&me, first.session.id).await.unwrap();
    assert!(!is_signed_in(&world.control, &first).await && is_signed_in(&world.control, &second).await);
    world.control.end_other_sessions(&me).await.unwrap();
    assert!(!is_signed_in(&world.control, &second).await && is_signed_in(&world.control, &third).await);
    assert!(is_signed_in(&world.control, &other).await);
}

static NOWHERE: std::sync::LazyLock<keyward_control::use_cases::people::Visitor> =
    std::sync::LazyLock::new(somebody);

fn first_password() -> &'static keyward_core::secret::Secret {
    static KEPT: std::sync::LazyLock<keyward_core::secret::Secret> = std::sync::LazyLock::new(|| secret(PASSWORD));
    &KEPT
}

#[tokio::test]
async fn w01_a_session_changes_things_from_our_own_pages_only() {
    let world = World::with("standard").await;
    let member = world.member("ada@example.com", Role::Owner).await;
    let path = format!("/v1/projects/{}", world.project);
    let ask = |headers: &'static [(&'static str, &'static str)]| {
        let request = session_request(member.secret.expose(), "PATCH", &path, headers, json!({"name": "Mine"}));
        let world = &world;
        async move { world.send(request).await }
    };
    for foreign in [
        &[][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
    ] {
        assert_eq!(ask(foreign).await.problem(), (403, "cross_origin"), "{foreign:?}");
    }
    ask(&[("sec-fetch-site", "same-origin")]).await.expect(200);
    let typed = session_request(
        member.secret.expose(),
        "PATCH",
        &path,
        &[("sec-fetch-site", "same-origin"), ("content-type", "text/plain")],
        Value::Null,
    );
    let plain = axum::http::Request::from_parts(typed.into_parts().0, axum::body::Body::from(r#"{"name":"x"}"#));
    assert_eq!(world.send(plain).await.problem(), (415, "unsupported_media_type"));
    let read =
        session_request(member.secret.expose(), "GET", &path, &[("sec-fetch-site", "cross-site")], Value::Null);
    world.send(read).await.expect(200);
}

#[tokio::test]
async fn w04_a_session_begun_anew_is_no_fresher_than_the_one_before() {
    let world = World::with("standard").await;
    let member = world.member("ada@example.com", Role::Viewer).await;
    let link = world.control.make_sign_in_link(&World::machine(), member.person.id).await.unwrap();
    let first = world.control.sign_in_with_link(link.expose(), &somebody()).await.unwrap();
    world.clock.advance(Duration::from_secs(10 * 60));
    let (other, _) = world.another_customer("standard").await;
    let to = keyward_core::people::InvitedTo::Organization { id: other.parse().unwrap(), role: Role::Owner };
    let invited =
        world.control.invite(&World::machine(), to, "ada@example.com").await.unwrap().secret.secret().unwrap();
    let before = current(&world.control, &first).await;
    assert!(!world.control.needs_old_password(&before).await.unwrap());
    let second = world.control.accept_invitation(invited.expose(), &before, &somebody()).await.unwrap();
    assert_ne!(second.session.id, first.session.id);
    assert_eq!(
        (second.session.created_at, second.session.ends_at),
        (first.session.created_at, first.session.ends_at)
    );
    world.clock.advance(Duration::from_secs(5 * 60));
    let after = current(&world.control, &second).await;
    assert!(world.control.needs_old_password(&after).await.unwrap(), "a quarter of an hour after the link");
}

#[tokio::test]
async fn w04_who_becomes_an_operator_by_invitation_has_no_session_or_link_from_before() {
    let world = World::with("standard").await;
    let member = world.member("ada@example.com", Role::Viewer).await;
    let other = world.control.sign_in("ada@example.com", &secret(PASSWORD), None, &somebody()).await.unwrap();
    let spare = world.control.make_sign_in_link(&World::machine(), member.person.id).await.unwrap();
    let to = keyward_core::people::InvitedTo::Operators;
    let invited =
        world.control.invite(&World::machine(), to, "ada@example.com").await.unwrap().secret.secret().unwrap();
    let accepting = current(&world.control, &member).await;
    let operator = world.control.accept_invitation(invited.expose(), &accepting, &somebody()).await.unwrap();
    assert!(operator.person.is_operator && is_signed_in(&world.control, &operator).await);
    assert!(!is_signed_in(&world.control, &member).await && !is_signed_in(&world.control, &other).await);
    let by_link = world.control.sign_in_with_link(spare.expose(), &somebody()).await;
    assert!(matches!(by_link, Err(ControlError::NotFound)), "{by_link:?}");
}

#[tokio::test]
async fn w13_a_link_that_is_made_while_somebody_becomes_an_operator_signs_nobody_in() {
    let world = World::with("standard").await;
    let first = world.first_operator().await;
    let as_operator = current(&world.control, &first).await.asked_everywhere(Default::default());
    for n in 0..10 {
        let ada = world.member(&format!("ada{n}@example.com"), Role::Viewer).await.person.id;
        let machine = World::machine();
        let (link, set) = tokio::join!(
            world.control.make_sign_in_link(&as_operator, ada),
            world.control.set_operator(&machine, ada, true)
        );
        set.unwrap();
        if let Ok(link) = link {
            assert!(matches!(world.control.look_at_link(link.expose()).await, Err(ControlError::NotFound)));
        }
    }
}
