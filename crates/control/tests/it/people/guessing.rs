//! Guessing passwords: how many guesses are looked at (W06), what they tell (W07), what they cost (W08).

use std::sync::Arc;
use std::time::{Duration, Instant};

use keyward_control::ControlError;
use keyward_core::people::Role;

use super::{PASSWORD, from, secret, somebody};
use crate::support::World;

/// Guesses once a second for an hour, each from another network; how many were looked at.
async fn guess_for_an_hour(world: &World, email: &str) -> u64 {
    let before = world.control.passwords_hashed();
    for second in 0..3_600u32 {
        let address = std::net::Ipv4Addr::from(0x0a00_0000 + second * 256).to_string();
        let guess = world.control.sign_in(email, &secret("a guess that is wrong"), None, &from(&address)).await;
        assert!(matches!(guess, Err(ControlError::BadCredentials | ControlError::RateLimited { .. })));
        world.clock.advance(Duration::from_secs(1));
    }
    world.control.passwords_hashed() - before
}

#[tokio::test]
async fn w06_fewer_than_a_hundred_guesses_an_hour_are_looked_at_and_the_owner_still_gets_in() {
    let world = World::with("standard").await;
    let ada = world.member("ada@example.com", Role::Owner).await;
    let looked_at = guess_for_an_hour(&world, "ada@example.com").await;
    assert!((10..100).contains(&looked_at), "{looked_at}");
    let right = secret(PASSWORD);
    let device = Some(ada.device.expose());
    // Nobody gets in by chance from elsewhere while it goes on, the owner does from where they were before.
    for _ in 0..10 {
        let _ = world.control.sign_in("ada@example.com", &secret("a guess that is wrong"), None, &somebody()).await;
    }
    let elsewhere = world.control.sign_in("ada@example.com", &right, None, &from("198.51.100.7")).await;
    assert!(matches!(elsewhere, Err(ControlError::RateLimited { .. })));
    let back = world.control.sign_in("ada@example.com", &right, device, &somebody()).await.unwrap();
    // A known device is one person's, and is known until the password changes.
    let bob = world.member("bob@example.com", Role::Owner).await;
    let borrowed = world.control.sign_in("ada@example.com", &right, Some(bob.device.expose()), &somebody()).await;
    assert!(matches!(borrowed, Err(ControlError::RateLimited { .. })));
    let asking = super::current(&world.control, &back).await;
    let new = secret("another boat entirely");
    world.control.change_password(&asking, Some(&right), &new, &somebody()).await.unwrap();
    let old_device = world.control.sign_in("ada@example.com", &new, device, &somebody()).await;
    assert!(matches!(old_device, Err(ControlError::RateLimited { .. })));
}

#[tokio::test]
async fn w06_a_known_device_guesses_no_faster() {
    let world = World::with("standard").await;
    let ada = world.member("ada@example.com", Role::Owner).await;
    let before = world.control.passwords_hashed();
    for _ in 0..50 {
        let guess = secret("a guess that is wrong");
        let _ = world.control.sign_in("ada@example.com", &guess, Some(ada.device.expose()), &somebody()).await;
    }
    assert_eq!(world.control.passwords_hashed() - before, 10);
}

#[tokio::test]
async fn w06_one_guess_for_each_of_many_accounts_is_limited_by_network() {
    let world = World::with("standard").await;
    let before = world.control.passwords_hashed();
    for number in 0..100 {
        // One network: an IPv6 site has as many addresses as it likes.
        let visitor = from(&format!("2001:db8::{number:x}"));
        let _ = world.control.sign_in(&format!("p{number}@example.com"), &secret("a guess"), None, &visitor).await;
    }
    assert_eq!(world.control.passwords_hashed() - before, 40);
    let other = world.control.sign_in("p@example.com", &secret("a guess"), None, &from("2001:db8:1::1")).await;
    assert!(matches!(other, Err(ControlError::BadCredentials)), "another network");
}

#[tokio::test]
async fn w07_the_answer_and_the_work_are_the_same_whoever_is_asked_for() {
    let world = World::with("standard").await;
    world.member("known@example.com", Role::Owner).await;
    let off = world.member("off@example.com", Role::Owner).await;
    world.control.disable_person(&World::machine(), off.person.id).await.unwrap();
    world.control.add_operator(&World::machine(), "none@example.com", "No password").await.unwrap();
    let long = "x".repeat(100_000);
    let guesses = [
        ("known@example.com", "a guess that is wrong"),
        ("unknown@example.com", "a guess that is wrong"),
        ("off@example.com", "a guess that is wrong"),
        ("off@example.com", PASSWORD),
        ("none@example.com", "a guess that is wrong"),
        ("none@example.com", ""),
        ("not an address", "a guess that is wrong"),
        ("known@example.com", &long),
        ("unknown@example.com", &long),
    ];
    for (email, guess) in guesses {
        let before = world.control.passwords_hashed();
        let answer = world.control.sign_in(email, &secret(guess), None, &somebody()).await;
        assert!(matches!(answer, Err(ControlError::BadCredentials)), "{email}");
        assert_eq!(world.control.passwords_hashed() - before, 1, "{email}");
    }
}

/// Mean and variance of the mean.
fn moments(samples: &[f64]) -> (f64, f64) {
    let count = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / count;
    let variance = samples.iter().map(|sample| (sample - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, variance / count)
}

#[tokio::test]
async fn w07_the_time_does_not_tell_whether_there_is_such_a_person() {
    let world = World::with("standard").await;
    world.member("known@example.com", Role::Owner).await;
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..120 {
        for (email, into) in [("known@example.com", &mut known), ("unknown@example.com", &mut unknown)] {
            world.clock.advance(Duration::from_secs(60));
            let began = Instant::now();
            let answer = world.control.sign_in(email, &secret("a guess that is wrong"), None, &somebody()).await;
            into.push(began.elapsed().as_secs_f64());
            assert!(matches!(answer, Err(ControlError::BadCredentials)));
        }
    }
    // The slowest tenth is the machine's doing, not ours.
    for samples in [&mut known, &mut unknown] {
        samples.sort_by(f64::total_cmp);
        samples.truncate(108);
    }
    let ((mean_known, error_known), (mean_unknown, error_unknown)) = (moments(&known), moments(&unknown));
    let t = (mean_known - mean_unknown) / (error_known + error_unknown).sqrt();
    let apart = (mean_known - mean_unknown).abs() / mean_unknown;
    assert!(t.abs() < 4.5 || apart < 0.03, "t = {t}, {mean_known} s against {mean_unknown} s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w08_five_hundred_at_once_are_refused_beyond_the_queue() {
    let world = World::with("standard").await;
    let tasks: Vec<_> = (0..500)
        .map(|number| {
            let control = Arc::clone(&world.control);
            tokio::spawn(async move {
                let visitor = from(&format!("192.0.{}.{}", number / 200, number % 200));
                control.sign_in(&format!("p{number}@example.com"), &secret("a guess"), None, &visitor).await.err()
            })
        })
        .collect();
    let (mut refused, mut looked_at) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            Some(ControlError::RateLimited { retry_after }) => {
                assert!(retry_after > Duration::ZERO);
                refused += 1;
            }
            Some(ControlError::BadCredentials) => looked_at += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(refused + looked_at, 500);
    assert!(looked_at >= 64 && refused > 0, "{looked_at} looked at, {refused} refused");
    assert_eq!(world.control.passwords_hashed(), looked_at);
}
