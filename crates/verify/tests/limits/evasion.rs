//! Ways around a limit that lead nowhere: new keys, other spellings, other addresses of one network; and the guards.

use std::time::Duration;

use keyward_core::denial::Refusal;
use keyward_core::store::Store as _;

use crate::support::site::{Run, Site, TestClock, site_with_key, spend_from};

fn swapped_case(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect()
}

#[test]
fn q07_rotation_new_keys_and_other_spellings_gain_nothing() {
    let contract = "[plans.one.rates.of_key]\nlimit = 3\nper = \"1h\"\nby = \"key\"\n\
                    [plans.one.quotas.of_project]\nlimit = 7\nper = \"month\"\nby = \"project\"\n\
                    [plans.one.quotas.of_line]\nlimit = 4\nper = \"lifetime\"\nby = \"key\"\n";
    let (site, clock, first) = site_with_key(contract);
    let run = Run::start(&site);
    assert_eq!(run.spend_all(&first.secret, 1), 3);
    let second = run.block_on(site.rotate(&run.opened, &site.project, first.id));
    let denied = run.spend(&second.secret, 1);
    assert_eq!(denied.charge.denied_by(), Some("of_key"));
    for other in [swapped_case(&first.secret), first.secret.to_uppercase(), format!(" {}", first.secret)] {
        let refused = run.spend(&other, 1).outcome.unwrap_err().refusal();
        assert!(matches!(refused, Refusal::UnknownKey | Refusal::MalformedKey), "{other}: {refused:?}");
    }
    clock.pass(Duration::from_secs(3599));
    assert_eq!(run.spend_all(&second.secret, 1), 1, "the line's fourth and last");
    let third = run.block_on(site.rotate(&run.opened, &site.project, second.id));
    assert_eq!(run.spend(&third.secret, 1).charge.denied_by(), Some("of_line"));
    let another = run.block_on(site.mint(&run.opened, &site.project, 1)).remove(0);
    assert_eq!(run.spend_all(&another.secret, 1), 3, "a new key is new for itself, not for its project");
    clock.pass(Duration::from_secs(3600));
    assert_eq!(run.spend(&another.secret, 1).charge.denied_by(), Some("of_project"));
    run.stop();
}

#[test]
fn q07_addresses_of_one_network_share_one_rate() {
    let contract = "[plans.one.rates.callers]\nlimit = 4\nper = \"1h\"\nby = \"address\"\n";
    let (site, _, key) = site_with_key(contract);
    let run = Run::start(&site);
    let passes = |address| run.block_on(spend_from(&run.engine, &key.secret, 1, Some(address))).outcome.is_ok();
    let of_one = ["2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "2001:db8:1:2:0:1:2:3", "2001:db8:1:2:8000::"];
    assert!(of_one.into_iter().all(passes));
    assert!(!passes("2001:db8:1:2::5") && !passes("2001:0DB8:1:2::1"));
    assert!(passes("2001:db8:1:3::1"), "another network");
    assert!((0..4).all(|_| passes("192.0.2.1")));
    assert!(!passes("192.0.2.1") && !passes("::ffff:192.0.2.1"));
    assert!(passes("192.0.2.2"));
    let other = run.block_on(async {
        let project = site.another_project(&run.opened, "other").await;
        site.mint(&run.opened, &project, 1).await.remove(0)
    });
    assert_eq!(run.block_on(spend_from(&run.engine, &other.secret, 1, Some("192.0.2.1"))).outcome.err(), None);
    run.stop();
}

/// A tenant that goes on when it is refused, and a flood of made-up keys, take nothing of what another tenant has.
#[test]
fn q08_a_noisy_tenant_takes_nothing_from_another() {
    let contract = "[plans.one.rates.hourly]\nlimit = 5\nper = \"1h\"\nby = \"project\"\n\
                    [plans.one.quotas.monthly]\nlimit = 8\nper = \"month\"\nby = \"project\"\n";
    let (site, clock, noisy) = site_with_key(contract);
    let run = Run::start(&site);
    let quiet = run.block_on(async {
        let project = site.another_project(&run.opened, "quiet").await;
        site.mint(&run.opened, &project, 1).await.remove(0)
    });
    assert!(run.spend(&quiet.secret, 1).outcome.is_ok());
    let mut granted = 0;
    for round in 0..2_000 {
        granted += u64::from(run.spend(&noisy.secret, 1).outcome.is_ok());
        let made_up = format!("{}{round:04}", &noisy.secret[..noisy.secret.len() - 4]);
        assert!(run.spend(&made_up, 1).outcome.is_err());
    }
    assert_eq!(granted, 5);
    assert_eq!(run.spend_all(&quiet.secret, 1), 4, "of five an hour");
    clock.pass(Duration::from_secs(3600));
    assert_eq!(run.spend_all(&quiet.secret, 1), 3, "of eight a month");
    assert_eq!(run.spend_all(&noisy.secret, 1), 3);
    run.stop();
}

/// Of two limits one is used up: what it refuses takes nothing from the other, however many ask at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q01_what_one_limit_refuses_takes_nothing_from_the_others() {
    let contract = "[plans.one.rates.hourly]\nlimit = 1000\nper = \"1h\"\nby = \"project\"\n\
                    [plans.one.rates.tight]\nlimit = 40\nper = \"1h\"\nby = \"key\"\n\
                    [plans.one.quotas.monthly]\nlimit = 1000\nper = \"month\"\nby = \"project\"\n\
                    [plans.one.quotas.ever]\nlimit = 50\nper = \"lifetime\"\nby = \"organization\"\n";
    let clock = TestClock::at("2026-11-21T10:00:00Z");
    let site = Site::new(contract, clock.clone()).await;
    let opened = site.open().await;
    let keys = site.mint(&opened, &site.project, 2).await;
    let engine = opened.engine().await;
    let mut tasks = Vec::new();
    for number in 0..128 {
        let (engine, secret) = (std::sync::Arc::clone(&engine), keys[number % 2].secret.clone());
        tasks.push(tokio::spawn(async move {
            let mut passed = 0;
            for _ in 0..8 {
                passed += u64::from(crate::support::site::spend(&engine, &secret, 1).await.outcome.is_ok());
            }
            passed
        }));
    }
    let mut passed = 0;
    for task in tasks {
        passed += task.await.unwrap();
    }
    assert_eq!(passed, 50);
    let views = opened.views(&engine, &site.project, Some(keys[0].id)).await;
    let used = |name: &str| views.iter().find(|view| view.name == name).unwrap().used.unwrap();
    assert_eq!((used("hourly"), used("monthly"), used("ever")), (50, 50, 50));
    let other = opened.views(&engine, &site.project, Some(keys[1].id)).await;
    let of_other = other.iter().find(|view| view.name == "tight").unwrap().used.unwrap();
    assert_eq!(used("tight") + of_other, 50);
    engine.stop().await;
    opened.store.close().await;
}

#[test]
fn q22_failed_authentication_is_limited_by_network_and_never_refuses_a_good_key() {
    let contract = "[guards.failed_authentication]\nlimit = 3\nper = \"1m\"\n[plans.one]\ntitle = \"One\"\n";
    let (site, clock, key) = site_with_key(contract);
    let run = Run::start(&site);
    let ask = |secret: &str, address| {
        let decision = run.block_on(spend_from(&run.engine, secret, 1, address));
        (decision.outcome.as_ref().err().map(|denial| denial.refusal()), decision)
    };
    let forged = swapped_case(&key.secret);
    let wrong = |address| ask(&forged, Some(address)).0.unwrap();
    for address in ["2001:db8::1", "2001:db8::2", "2001:db8::3"] {
        assert_ne!(wrong(address), Refusal::RateLimited);
    }
    let (refused, decision) = ask(&forged, Some("2001:db8::4"));
    assert_eq!(refused, Some(Refusal::RateLimited));
    assert_eq!(decision.charge.denied_by(), Some("failed_authentication"));
    assert_eq!(decision.charge.retry_after(), Some(Duration::from_secs(20)));
    for _ in 0..10 {
        assert_eq!(ask(&key.secret, Some("2001:db8::4")).0, None, "a good key is never refused by it");
    }
    assert_ne!(wrong("2001:db8:0:1::4"), Refusal::RateLimited, "another network");
    clock.pass(Duration::from_millis(19_999));
    assert_eq!(wrong("2001:db8::4"), Refusal::RateLimited);
    clock.pass(Duration::from_millis(1));
    assert_ne!(wrong("2001:db8::4"), Refusal::RateLimited);
    assert_eq!(wrong("2001:db8::4"), Refusal::RateLimited);
    run.stop();
}

#[test]
fn q22_management_of_keys_is_limited_by_project() {
    let contract = "[guards.key_management]\nlimit = 60\nper = \"1h\"\nburst = 2\n[plans.one]\ntitle = \"One\"\n";
    let (site, clock, _) = site_with_key(contract);
    let run = Run::start(&site);
    let api = run.engine.api(&site.project.api).unwrap();
    let act = || run.engine.guard_key_management(site.project.id, &api.contract);
    assert_eq!([act(), act(), act()], [Ok(()), Ok(()), Err(Duration::from_secs(60))]);
    assert_eq!(run.engine.guard_key_management(crate::support::nobodys(), &api.contract), Ok(()));
    clock.pass(Duration::from_secs(60));
    assert_eq!([act(), act()], [Ok(()), Err(Duration::from_secs(60))]);
    run.stop();
}
