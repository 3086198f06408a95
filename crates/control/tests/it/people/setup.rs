//! The first operator (W12), and an operator's way back in (W13).

use std::sync::Arc;

use keyward_control::ControlError;
use keyward_control::use_cases::people::NewPerson;
use serde_json::{Value, json};

use super::{from, is_signed_in, new_person, secret, somebody};
use crate::support::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w12_a_hundred_at_once_make_one_operator_and_afterwards_nobody() {
    let world = World::with("standard").await;
    let control = &world.control;
    assert!(control.needs_setup().await.unwrap());
    let token = control.begin_setup().await.unwrap().unwrap();
    for number in 0..100 {
        let wish = new_person(&format!("p{number}@example.com"), "Somebody");
        let done = control.set_up("setup_made-up", &wish, &somebody()).await;
        assert!(matches!(done, Err(ControlError::NotFound)));
    }
    assert_eq!(world.control.passwords_hashed(), 0, "a made-up token costs nothing");
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let (control, token) = (Arc::clone(&world.control), token.clone());
            tokio::spawn(async move {
                let wish = new_person(&format!("p{number}@example.com"), "Somebody");
                control.set_up(token.expose(), &wish, &somebody()).await
            })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            Ok(signed_in) => winners.push(signed_in),
            Err(error) => assert!(matches!(error, ControlError::NotFound), "{error}"),
        }
    }
    assert_eq!(winners.len(), 1);
    assert!(winners[0].person.is_operator && is_signed_in(&world.control, &winners[0]).await);
    assert!(!world.control.needs_setup().await.unwrap());
    assert!(world.control.begin_setup().await.unwrap().is_none());
    assert!(matches!(world.control.look_at_setup(token.expose()).await, Err(ControlError::NotFound)));
}

#[tokio::test]
async fn w12_a_token_ends_after_a_day_and_with_the_next() {
    let world = World::with("standard").await;
    let control = &world.control;
    let first = control.begin_setup().await.unwrap().unwrap();
    let second = control.begin_setup().await.unwrap().unwrap();
    assert!(control.look_at_setup(first.expose()).await.is_err());
    control.look_at_setup(second.expose()).await.unwrap();
    world.clock.advance(std::time::Duration::from_secs(24 * 3600));
    assert!(matches!(control.look_at_setup(second.expose()).await, Err(ControlError::NotFound)));
    let done = control.set_up(second.expose(), &new_person("op@example.com", "Op"), &somebody()).await;
    assert!(matches!(done, Err(ControlError::NotFound)));
}

#[tokio::test]
async fn w11_no_password_that_anybody_would_try_sets_keyward_up() {
    let world = World::with("standard").await;
    let token = world.control.begin_setup().await.unwrap().unwrap();
    for bad in ["", "short", "password1234", "op.example.com", "keyward-keyward"] {
        let wish = NewPerson { password: secret(bad), ..new_person("op.example@example.com", "Op") };
        let done = world.control.set_up(token.expose(), &wish, &somebody()).await;
        let Err(ControlError::Invalid(faults)) = done else { panic!("{bad:?} was taken") };
        assert_eq!(faults[0].field, "password");
    }
    assert_eq!(world.control.passwords_hashed(), 0);
}

#[tokio::test]
async fn w13_an_operators_way_back_is_the_machines_alone_and_stands_in_the_log() {
    let world = World::with("standard").await;
    let operator = world.first_operator().await;
    let id = operator.person.id;
    // Over HTTP: neither with a management key that may do everything, nor as the operator.
    let path = format!("/v1/people/{id}/sign-in-link");
    assert_eq!(world.post(&path, json!({})).await.problem(), (403, "forbidden"));
    let asked = world.by_session(&operator.secret, "POST", &path, json!({})).await;
    assert_eq!(asked.problem(), (403, "forbidden"));
    // At the machine.
    let link = world.control.make_sign_in_link(&World::machine(), id).await.unwrap();
    let log = world.get("/v1/changes?after=0&limit=200").await.expect(200);
    let last = log.json["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["name"], &last["actor"]["kind"]), (&json!("person.sign_in_link_made"), &json!("operator")));
    let seen = world.control.look_at_link(link.expose()).await.unwrap();
    assert_eq!(seen.person.id, id);
    let back = world.control.sign_in_with_link(link.expose(), &from("192.0.2.1")).await.unwrap();
    assert!(is_signed_in(&world.control, &back).await);
    let again = world.control.sign_in_with_link(link.expose(), &somebody()).await;
    assert!(matches!(again, Err(ControlError::NotFound)), "once");
    // And then another password, without the one that was lost; not for long.
    let current = super::current(&world.control, &back).await;
    assert!(!world.control.needs_old_password(&current).await.unwrap());
    world.clock.advance(std::time::Duration::from_secs(15 * 60));
    assert!(world.control.needs_old_password(&current).await.unwrap());
}

#[tokio::test]
async fn w13_a_link_ends_after_a_quarter_of_an_hour_and_of_many_at_once_one_signs_in() {
    let world = World::with("standard").await;
    let operator = world.first_operator().await;
    let machine = World::machine();
    let make = || world.control.make_sign_in_link(&machine, operator.person.id);
    let old = make().await.unwrap();
    world.clock.advance(std::time::Duration::from_secs(15 * 60));
    assert!(matches!(
        world.control.sign_in_with_link(old.expose(), &somebody()).await,
        Err(ControlError::NotFound)
    ));
    let link = make().await.unwrap();
    let visitor = somebody();
    let (one, two, three) = tokio::join!(
        world.control.sign_in_with_link(link.expose(), &visitor),
        world.control.sign_in_with_link(link.expose(), &visitor),
        world.control.sign_in_with_link(link.expose(), &visitor),
    );
    assert_eq!([one.is_ok(), two.is_ok(), three.is_ok()].iter().filter(|is_in| **is_in).count(), 1);
    assert_eq!(world.get("/v1/people?operator=true").await.expect(200).json["items"][0]["email"], "op@example.com");
    assert_eq!(
        world.get("/v1/people?email=nobody@example.com").await.expect(200).json["items"],
        Value::Array(vec![])
    );
}
