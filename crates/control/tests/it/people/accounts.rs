//! One's own account, and passwords under a newer pepper.

use std::time::Duration;

use keyward_control::ControlError;
use keyward_core::people::Role;

use super::{current, secret, somebody};
use crate::support::World;

#[tokio::test]
async fn i01_a_name_is_changed_to_a_name_only() {
    let world = World::with("standard").await;
    let ada = world.member("ada@example.com", Role::Viewer).await;
    let me = current(&world.control, &ada).await;
    for bad in ["", " ", "a\u{202E}b", "a\nb", &"x".repeat(101)] {
        let done = world.control.rename_self(&me, bad, &somebody()).await;
        assert!(matches!(done, Err(ControlError::Invalid(_))), "{bad:?}");
    }
    let renamed = world.control.rename_self(&me, " Ada Zu\u{0308}rich ", &somebody()).await.unwrap();
    assert_eq!(renamed.name, "Ada Z\u{fc}rich");
    assert_eq!(current(&world.control, &ada).await.person.name, "Ada Z\u{fc}rich");
}

#[tokio::test]
async fn w05_a_password_where_there_was_none_is_set_shortly_after_signing_in_only() {
    let world = World::with("standard").await;
    let operator = world.control.add_operator(&World::machine(), "op@example.com", "Op").await.unwrap();
    let sign_in = || async {
        let link = world.control.make_sign_in_link(&World::machine(), operator.id).await.unwrap();
        world.control.sign_in_with_link(link.expose(), &somebody()).await.unwrap()
    };
    let new = secret("tangerine boat seven");
    let left_open = current(&world.control, &sign_in().await).await;
    world.clock.advance(Duration::from_secs(16 * 60));
    let late = world.control.change_password(&left_open, None, &new, &somebody()).await;
    assert!(matches!(late, Err(ControlError::Invalid(_))));
    let fresh = current(&world.control, &sign_in().await).await;
    world.control.change_password(&fresh, None, &new, &somebody()).await.unwrap();
    world.control.sign_in("op@example.com", &new, None, &somebody()).await.unwrap();
}

#[tokio::test]
async fn k05_a_password_moves_to_the_newest_pepper_and_ends_no_session_by_that() {
    let world = World::with("standard").await;
    let ada = world.member("ada@example.com", Role::Viewer).await;
    let later = world.with_another_pepper().await;
    let right = secret(super::PASSWORD);
    let moved = later.sign_in("ada@example.com", &right, None, &somebody()).await.unwrap();
    assert_eq!(later.passwords_hashed(), 2, "checked under the old, hashed under the new");
    assert!(later.current(moved.secret.expose()).await.unwrap().is_some());
    assert!(later.current(ada.secret.expose()).await.unwrap().is_some(), "a session from before");
    later.sign_in("ada@example.com", &right, None, &somebody()).await.unwrap();
    assert_eq!(later.passwords_hashed(), 3, "once is enough");
    let wrong = later.sign_in("ada@example.com", &secret("a guess that is wrong"), None, &somebody()).await;
    assert!(matches!(wrong, Err(ControlError::BadCredentials)));
}
