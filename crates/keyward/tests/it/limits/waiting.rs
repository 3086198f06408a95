//! A client that does what `Retry-After` says is not refused twice in a row (Q09): real seconds, waited for. The
//! thousand trials are in `crates/verify/tests`, with a clock that jumps.

use std::time::Duration;

use serde_json::json;

use super::{behind, retry_after};
use crate::harness::{Keyward, Request};

const ROUNDS: usize = 4;

fn wait(seconds: u64) {
    assert!((1..=2).contains(&seconds), "{seconds} s");
    std::thread::sleep(Duration::from_secs(seconds));
}

#[test]
fn q09_who_waits_as_the_gateway_says_is_not_refused_again() {
    let (keyward, upstream) = behind("getprofile");
    let request =
        Request::get("/v1/profile/a").with("Authorization", &format!("Bearer {}", keyward.first_key().secret));
    // One in 1.5 s, and two at once: the waits are between whole seconds.
    keyward.set_limits(keyward.project(), json!({"requests": {"limit": 40, "burst": 2}}));
    let mut granted = 0;
    for _ in 0..ROUNDS {
        let refused = loop {
            let answer = keyward.send(&request);
            match answer.status {
                200 => granted += 1,
                _ => break answer.expect(429),
            }
        };
        wait(retry_after(&refused));
        keyward.send(&request).expect(200);
        granted += 1;
    }
    assert_eq!(upstream.count(), granted);
}

#[test]
fn q09_who_waits_as_a_verify_says_is_not_refused_again() {
    let keyward = Keyward::dev("standard");
    // Two rates that refuse at different times: what is told is the longer wait.
    keyward.amend(
        "[plans.standard.rates]\nfast = { limit = 2, per = \"1s\", burst = 1, by = \"key\" }\n\
         costly = { limit = 4, per = \"3s\", burst = 3, by = \"project\", counts = \"cost\" }\n",
    );
    let secret = keyward.first_key().secret;
    let verify = |cost: u64| keyward.verify(json!({"key": secret, "cost": cost})).expect(200).json();
    for cost in [1, 2, 1, 2] {
        let refused = loop {
            let told = verify(cost);
            if told["valid"] == false {
                break told;
            }
        };
        assert_eq!(refused["code"], "rate_limited", "{refused}");
        wait(refused["retry_after"].as_u64().unwrap());
        let told = verify(cost);
        assert_eq!(told["valid"], true, "waited {}: {told}", refused["retry_after"]);
    }
}
