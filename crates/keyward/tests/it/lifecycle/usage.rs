//! What uses cost and leave behind: few writes, and a time that never goes back (L13).

use std::time::{Duration, Instant};

use keyward_core::clock::Timestamp;
use serde_json::json;

use crate::harness::{Keyward, eventually};

/// When a key was last used, and how often, by its own record.
fn shown(keyward: &Keyward, key: &str) -> (Option<Timestamp>, u64) {
    let shown = keyward.get(&format!("/v1/keys/{key}")).expect(200).json();
    let at = shown["key"]["last_used_at"].as_str().map(|at| at.parse().unwrap());
    (at, shown["key"]["uses"].as_u64().unwrap())
}

fn now() -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(now.as_millis() as i64)
}

#[test]
fn l13_ten_thousand_uses_of_a_key_are_a_write_a_second_and_its_time_never_goes_back() {
    const USES: u64 = 10_000;
    let mut keyward = Keyward::dev("standard");
    let key = keyward.first_key();
    assert_eq!(shown(&keyward, &key.id), (None, 0));
    let (began, before) = (Instant::now(), now());
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let (mut checker, question) =
                        (keyward.checker(), keyward.question(&json!({"key": key.secret})));
                    (0..USES / 2).for_each(|_| assert!(checker.ask(&question).is_grant()));
                })
            })
            .collect();
        while !callers.iter().all(|caller| caller.is_finished()) {
            seen.push(shown(&keyward, &key.id));
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let (took, ended) = (began.elapsed(), now());
    // Two seconds late at most: what was used at `ended` is known by then.
    let known = eventually("the last use is known", || {
        let known = shown(&keyward, &key.id);
        seen.push(known);
        (known.1 == USES).then_some(known)
    });
    let late = now().since(ended);
    // Beside what a write takes just now: a disk that others keep busy is not Keyward's.
    let write = Instant::now();
    keyward.make(keyward.project(), json!({}));
    let allowed = Duration::from_secs(2) + 3 * write.elapsed() + Duration::from_millis(100);
    assert!(late <= allowed, "known {late:?} after the last use");
    let last = known.0.unwrap();
    assert!(last >= before && last <= ended, "{last}");
    assert!(ended.since(last) < Duration::from_secs(1), "the last use was at about {ended}, not at {last}");
    assert!(seen.windows(2).all(|pair| pair[0] <= pair[1]), "it went back: {seen:?}");

    keyward.stop();
    // Every batch of uses that was written has a row of its own; of this key there is one row a minute.
    let writes: f64 = keyward.sql("SELECT COUNT(*) FROM usage_batches")[0].parse().unwrap();
    let most = (took + late).as_secs_f64() + 3.0;
    assert!(writes <= most, "{writes} writes in {took:?}");
    let rows: f64 = keyward.sql("SELECT COUNT(*) FROM usage WHERE outcome = 'valid'")[0].parse().unwrap();
    assert!(rows <= took.as_secs_f64() / 60.0 + 2.0, "{rows} rows");
    assert_eq!(keyward.sql("SELECT SUM(count) FROM usage WHERE outcome = 'valid'"), [USES.to_string()]);
}

#[test]
fn l13_a_refused_use_is_counted_and_moves_no_time() {
    let keyward = Keyward::dev("standard");
    let key = keyward.make(keyward.project(), json!({}));
    assert!(keyward.is_valid(&key.secret));
    let used = eventually("the use is known", || Some(shown(&keyward, &key.id)).filter(|(at, _)| at.is_some()));
    keyward.revoke(&key.id).expect(200);
    for _ in 0..20 {
        assert!(!keyward.is_valid(&key.secret));
    }
    eventually("the refusals are counted", || {
        let shown = keyward.get(&format!("/v1/keys/{}", key.id)).json();
        (shown["key"]["refusals"] == 20).then_some(())
    });
    assert_eq!(shown(&keyward, &key.id), used);
    let events = keyward.get(&format!("/v1/projects/{}/events?name=key.refused", keyward.project())).json();
    let counts: Vec<_> = events["items"].as_array().unwrap().iter().map(|event| &event["count"]).collect();
    assert!(counts.len() <= 2, "folded, not one row a refusal: {events}");
}

#[test]
fn m15_p25_g5_uses_and_limits_are_drawn_in_the_terminal() {
    let keyward = Keyward::dev("scrapegraphai");
    let (project, key) = (keyward.project().to_owned(), keyward.first_key());
    let run = |arguments: &[&str]| {
        let (code, out, err) = keyward.cli(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        (out, err)
    };
    let (out, err) = run(&["usage", &project]);
    assert!(
        out.starts_with(&format!("No requests of {project} by hour")) && err.contains("/v1/verify"),
        "{out}{err}"
    );
    run(&["project", "edit", &project, "--plan", "starter", "--limit", "credits=7", "--limit", "requests=50:20"]);
    for _ in 0..3 {
        assert!(keyward.verify(json!({"key": key.secret, "cost": 2})).json()["valid"] == true);
    }
    assert_eq!(keyward.verify(json!({"key": key.secret, "cost": 2})).json()["code"], "quota_exceeded");
    let (limits, _) = run(&["project", "limits", &project]);
    for part in [
        "Plan Starter (starter), has access",
        "7 a month, by project (own; the plan's: 10,000)",
        "6 of 7 used",
        "renews in",
    ] {
        assert!(limits.contains(part), "{limits}");
    }
    eventually("the uses are drawn", || {
        let (drawn, _) = run(&["usage", &project]);
        let is_whole =
            ["█", "valid", "75.0 %", "▓", "quota_exceeded", "25.0 %"].iter().all(|part| drawn.contains(part));
        assert!(!drawn.contains('\u{1b}'), "no colours but in a terminal: {drawn:?}");
        is_whole.then_some(())
    });
    let (by_key, _) = run(&["usage", &project, "--by", "key", "--step", "day", "--from", "7d"]);
    assert!(by_key.contains(&key.id) && by_key.contains("last used"), "{by_key}");
    let (json, _) = run(&["usage", &project, "--by", "outcome", "--json"]);
    assert!(json.starts_with("{\"items\":[{"), "{json}");
    run(&["project", "edit", &project, "--limit", "credits=plan"]);
    assert!(keyward.is_valid(&key.secret));
    assert_eq!(keyward.cli(&["project", "edit", &project]).0, 2);
    assert_eq!(keyward.cli(&["project", "edit", &project, "--limit", "credits=many"]).0, 2);
}
