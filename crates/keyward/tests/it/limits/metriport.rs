//! Metriport: an account's two keys share what the account has, and usage tells them apart.

use serde_json::json;

use super::{behind, retry_after};
use crate::harness::{Key, Keyward, Request, eventually};

fn list(key: &Key) -> Request {
    Request::get("/medical/v1/facility").with("x-api-key", &key.secret)
}

/// An account with two keys.
fn account(keyward: &Keyward) -> (String, [Key; 2]) {
    let (account, _) = keyward.new_project("Account");
    let keys = [keyward.make(&account, json!({})), keyward.make(&account, json!({}))];
    (account, keys)
}

#[test]
fn m12_both_keys_share_the_accounts_quota() {
    let (keyward, upstream) = behind("metriport");
    let (account, [first, second]) = account(&keyward);
    keyward.lift_limits_of(&account);
    keyward.set_limits(&account, json!({"daily": {"limit": 6}}));
    for key in [&first, &second, &first, &first, &second, &second] {
        keyward.send(&list(key)).expect(200);
    }
    for key in [&first, &second] {
        let refused = keyward.send(&list(key)).expect(429);
        assert_eq!(refused.json(), json!({"message": "Limit Exceeded"}));
        assert!(retry_after(&refused) <= 86_400, "a day of UTC: {}", refused.head);
    }
    assert_eq!((upstream.count(), keyward.used_of(&account, "daily")), (6, 6));
    // A key that is made in the place of a revoked one refills nothing.
    keyward.revoke(&first.id).expect(200);
    keyward.send(&list(&keyward.make(&account, json!({})))).expect(429);
    // Another account does not feel it.
    keyward.send(&list(&keyward.first_key())).expect(200);
}

#[test]
fn m12_both_keys_share_the_accounts_rate() {
    let (keyward, upstream) = behind("metriport");
    // The preset's seconds would pass while this runs.
    keyward.amend("[plans.standard.rates.requests]\nper = \"1h\"\n");
    let (account, [first, second]) = account(&keyward);
    keyward.set_limits(&account, json!({"requests": {"limit": 4, "burst": 4}}));
    for key in [&first, &second, &second, &first] {
        keyward.send(&list(key)).expect(200);
    }
    for key in [&first, &second] {
        let refused = keyward.send(&list(key)).expect(429);
        assert_eq!(refused.json(), json!({"message": "Too Many Requests"}));
        assert!(retry_after(&refused) <= 900, "{}", refused.head);
    }
    assert_eq!(upstream.count(), 4);
}

#[test]
fn m12_the_presets_rate_is_fifty_a_second_and_ten_at_once() {
    let keyward = Keyward::dev("metriport");
    let limit = keyward.limit(keyward.project(), "requests");
    assert_eq!(
        (&limit["limit"], &limit["per_seconds"], &limit["burst"], &limit["by"]),
        (&json!(50), &json!(1), &json!(10), &json!("project")),
        "{limit}"
    );
    assert_eq!(keyward.limit(keyward.project(), "daily")["limit"], 10_000);
}

#[test]
fn m15_usage_by_key_tells_which_key_still_gets_traffic() {
    let (keyward, _upstream) = behind("metriport");
    let (account, [old, new]) = account(&keyward);
    keyward.lift_limits_of(&account);
    let count = |key: &Key| -> u64 {
        let usage = keyward.get(&format!("/v1/projects/{account}/usage?by=key&step=hour")).expect(200).json();
        let items = usage["items"].as_array().unwrap();
        items.iter().filter(|item| item["key"] == key.id).map(|item| item["count"].as_u64().unwrap()).sum()
    };
    let expect = |olds: u64, news: u64| {
        eventually(&format!("usage shows {olds} and {news}"), || {
            let counted = (count(&old), count(&new));
            assert!(counted <= (olds, news), "more was counted than was asked: {counted:?}");
            (counted == (olds, news)).then_some(())
        });
    };
    (0..3).for_each(|_| drop(keyward.send(&list(&old)).expect(200)));
    keyward.send(&list(&new)).expect(200);
    expect(3, 1);
    let last = keyward.key(&old.id)["last_used_at"].clone();
    // The services have the new key: the old one's count and time stand still.
    (0..4).for_each(|_| drop(keyward.send(&list(&new)).expect(200)));
    expect(3, 5);
    assert_eq!(keyward.key(&old.id)["last_used_at"], last);
}
