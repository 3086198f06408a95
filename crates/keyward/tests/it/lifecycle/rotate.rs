//! Rotation: nobody is refused while both keys hold, nobody is accepted once one does not, and of many at once
//! one wins (L06, L07).

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use super::race::{Door, Race};
use crate::harness::{Key, Keyward};

#[test]
fn l06_rotations_with_overlap_drop_no_request() {
    let keyward = Keyward::dev("standard");
    let first = keyward.make(keyward.project(), json!({}));
    // The old and the new key of the rotation that was last: both hold for a minute.
    let pair = Mutex::new((first.clone(), first));
    let (is_over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for door in [Door::Check, Door::Gateway, Door::Check] {
            let (pair, is_over, asked, keyward) = (&pair, &is_over, &asked, &keyward);
            scope.spawn(move || {
                let (mut checker, mut caller) = (keyward.checker(), keyward.caller());
                while !is_over.load(Ordering::SeqCst) {
                    let (old, new) = pair.lock().unwrap().clone();
                    for key in [old, new] {
                        let told = match door {
                            Door::Check => checker.ask(&keyward.question(&json!({"key": key.secret}))),
                            Door::Gateway => caller.ask(&keyward.request("/v1/hello", &key.secret)),
                        };
                        let is_granted = if door == Door::Check { told.is_grant() } else { told.status == 200 };
                        if !is_granted {
                            is_over.store(true, Ordering::SeqCst);
                            panic!("{door:?} refused {}: {told:?}", key.id);
                        }
                        asked.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        for rotation in 1..=60 {
            let old = pair.lock().unwrap().1.clone();
            let new = Key::of(&keyward.rotate(&old.id, json!({"overlap_seconds": 60})).expect(201));
            *pair.lock().unwrap() = (old, new);
            while asked.load(Ordering::SeqCst) < rotation * 60 && !is_over.load(Ordering::SeqCst) {
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
        }
        is_over.store(true, Ordering::SeqCst);
    });
    assert!(asked.load(Ordering::SeqCst) >= 3_600);
}

#[test]
fn l06_an_overlap_ends_when_it_was_said_to() {
    let keyward = Keyward::dev("standard");
    let old = keyward.make(keyward.project(), json!({}));
    let rotated = keyward.rotate(&old.id, json!({"overlap_seconds": 1})).expect(201);
    let new = Key::of(&rotated);
    let ends_at: keyward_core::clock::Timestamp =
        rotated.json()["replaced"]["ends_at"].as_str().unwrap().parse().unwrap();
    let mut checker = keyward.checker();
    let question = keyward.question(&json!({"key": old.secret}));
    loop {
        let before = now();
        let is_granted = checker.ask(&question).is_grant();
        let after = now();
        // Whether a request that was under way at the very moment is granted is nobody's business.
        if after < ends_at.as_millis() {
            assert!(is_granted, "refused {} ms before its end", ends_at.as_millis() - after);
        }
        if before > ends_at.as_millis() {
            assert!(!is_granted, "granted {} ms after its end", before - ends_at.as_millis());
            break;
        }
    }
    assert!(keyward.is_valid(&new.secret));
}

fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_millis() as i64
}

#[test]
fn l06_a_rotation_in_place_ends_the_old_key_before_it_returns() {
    let keyward = Keyward::dev("standard");
    let keys: Vec<Key> = (0..50).map(|_| keyward.make(keyward.project(), json!({}))).collect();
    let doors = [Door::Check, Door::Gateway, Door::Check];
    Race::new(&keyward, &keys).run(&doors, 60, |_, key| {
        let rotated = Key::of(&keyward.rotate(&key.id, json!({"overlap_seconds": 0})).expect(201));
        assert!(keyward.is_valid(&rotated.secret), "the new key holds when the call returns");
    });
}

#[test]
fn l07_of_fifty_rotations_at_once_one_wins_and_the_limit_holds() {
    // Overlapping, with at most two live keys; in place, with at most one; in place or overlapping.
    for (preset, overlap, live) in
        [("metriport", 60, 2), ("getprofile", 0, 1), ("standard", 0, 1), ("standard", 60, 2)]
    {
        let keyward = Keyward::dev(preset);
        let key = keyward.first_key();
        let answers = Mutex::new(Vec::new());
        let gate = std::sync::Barrier::new(50);
        std::thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(|| {
                    gate.wait();
                    let reply = keyward.rotate(&key.id, json!({"overlap_seconds": overlap}));
                    answers.lock().unwrap().push((reply.status, reply.text));
                });
            }
        });
        let answers = answers.into_inner().unwrap();
        let count = |status: u16| answers.iter().filter(|(own, _)| *own == status).count();
        assert_eq!((count(201), count(409)), (1, 49), "{preset}: {answers:?}");
        let list = keyward.get(&format!("/v1/projects/{}/keys", keyward.project())).expect(200).json();
        let states: Vec<&str> =
            list["items"].as_array().unwrap().iter().map(|key| key["state"].as_str().unwrap()).collect();
        let is_live = |state: &&&str| **state == "active" || **state == "retiring";
        assert_eq!(states.iter().filter(is_live).count(), live, "{preset}: {states:?}");
        assert_eq!(states.iter().filter(|state| **state == "active").count(), 1, "{preset}: {states:?}");
        let rotations = keyward.changes().iter().filter(|change| change["name"] == "key.rotated").count();
        assert_eq!(rotations, 1, "{preset}");
    }
}
