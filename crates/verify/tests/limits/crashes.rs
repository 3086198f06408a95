//! What a node leaves behind that stops, and one that is killed.

use std::time::Duration;

use keyward_core::limits::block::BLOCK_MAX;
use keyward_core::store::Store as _;

use crate::support::site::{Run, Site, TestClock, runtime};

fn site(contract: &str) -> (Site, std::sync::Arc<TestClock>, Vec<crate::support::Minted>) {
    let clock = TestClock::at("2026-11-21T10:00:00Z");
    let runtime = runtime();
    let (site, keys) = runtime.block_on(async {
        let site = Site::new(contract, clock.clone()).await;
        let opened = site.open().await;
        let keys = site.mint(&opened, &site.project, 2).await;
        opened.store.close().await;
        (site, keys)
    });
    (site, clock, keys)
}

const CREDITS: &str =
    "[plans.one.quotas.credits]\nlimit = 10000\nper = \"month\"\nby = \"project\"\nfailures_free = true\n";

#[test]
fn q02_a_hundred_crashes_overspend_nothing_and_strand_at_most_a_block_each() {
    const CRASHES: u64 = 100;
    let (site, _, keys) = site(CREDITS);
    let mut granted = 0;
    for crash in 0..CRASHES {
        let run = Run::start(&site);
        let charges: Vec<_> = (0..crash % 7 * 13)
            .map(|_| run.spend(&keys[0].secret, 1))
            .filter(|decision| decision.outcome.is_ok())
            .collect();
        granted += charges.len() as u64;
        // Some fail just before the crash: whether that is remembered or not, no unit comes twice.
        let failed =
            charges.into_iter().take((crash % 3) as usize).map(|decision| decision.charge.refund()).count();
        granted -= failed as u64;
        run.crash();
    }
    let run = Run::start(&site);
    granted += run.spend_all(&keys[0].secret, 1);
    run.stop();
    assert!(granted <= 10_000, "{granted} of 10000");
    assert!(10_000 - granted <= CRASHES * BLOCK_MAX, "{granted} of 10000");
}

#[test]
fn q02_a_node_that_stops_strands_nothing() {
    let (site, _, keys) = site(CREDITS);
    let mut granted = 0;
    for round in 0..20u64 {
        let run = Run::start(&site);
        let mut charges = Vec::new();
        for _ in 0..round * 17 % 60 {
            charges.push(run.spend(&keys[0].secret, 1));
        }
        granted += charges.iter().filter(|decision| decision.outcome.is_ok()).count() as u64;
        // Also what is given back after the units beside it went back to the store.
        if round % 3 == 0 {
            let refunded = charges.len().min(5);
            charges.drain(..refunded).for_each(|decision| decision.charge.refund());
            granted -= refunded as u64;
        }
        run.stop();
    }
    let run = Run::start(&site);
    granted += run.spend_all(&keys[0].secret, 1);
    assert_eq!(granted, 10_000);
    run.stop();
}

/// Units that are given back to a counter whose other units lay idle and went back are given back with the stop.
#[test]
fn q02_what_is_refunded_after_the_block_went_back_is_not_stranded() {
    let (site, clock, keys) = site(CREDITS);
    let run = Run::start(&site);
    let decision = run.spend(&keys[0].secret, 5);
    clock.pass(Duration::from_secs(3600));
    let views = || run.block_on(run.opened.views(&run.engine, &site.project, None)).remove(0);
    // The block goes back once it has lain idle.
    run.block_on(async {
        let counter = keyward_core::limits::QuotaCounter {
            api: site.project.api.clone(),
            name: "credits".into(),
            of: keyward_core::limits::CountedOf::Project(site.project.id),
        };
        let asked = [(counter, "2026-11".into())];
        loop {
            let tally =
                keyward_core::store::Store::quota_tallies(&*run.opened.store, &asked).await.unwrap().remove(0);
            if tally.with_others == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert_eq!(views().used, Some(5));
    decision.charge.refund();
    assert_eq!(views().used, Some(0));
    run.stop();
    let run = Run::start(&site);
    assert_eq!(run.spend_all(&keys[0].secret, 1), 10_000);
    run.stop();
}

#[test]
fn q02_failures_are_free_and_refunds_after_the_period_give_nothing() {
    let contract = "[plans.one.quotas.credits]\nlimit = 10\nper = \"day\"\nby = \"project\"\nfailures_free = true\n\
                    [plans.one.quotas.tries]\nlimit = 14\nper = \"day\"\nby = \"project\"\ncounts = \"requests\"\n";
    let (site, clock, keys) = site(contract);
    let run = Run::start(&site);
    let spend = |cost| run.spend(&keys[0].secret, cost);
    let first = spend(10);
    let denied = spend(1);
    assert_eq!(denied.charge.denied_by(), Some("credits"));
    denied.charge.refund();
    assert!(spend(1).outcome.is_err(), "what was denied gives nothing back");
    first.charge.refund();
    let again = spend(10);
    assert!(again.outcome.is_ok());
    assert_eq!(again.charge.state("tries").unwrap().used, 2, "failures of this one are not free");
    assert_eq!(again.charge.state("credits").unwrap().used, 10);
    clock.pass(Duration::from_secs(86_400));
    let of_today = spend(4);
    assert_eq!(of_today.charge.state("credits").unwrap().used, 4);
    again.charge.refund();
    assert_eq!(spend(0).charge.state("credits").unwrap().used, 4, "yesterday's gives nothing back today");
    let used: Vec<_> = run.block_on(run.opened.views(&run.engine, &site.project, None));
    assert_eq!(used.iter().map(|view| view.used.unwrap()).collect::<Vec<_>>(), [4, 2]);
    of_today.charge.refund();
    let used: Vec<_> = run.block_on(run.opened.views(&run.engine, &site.project, None));
    assert_eq!(used.iter().map(|view| view.used.unwrap()).collect::<Vec<_>>(), [0, 2]);
    run.stop();
}

#[test]
fn q02_a_crash_between_reserve_and_refund_gives_no_unit_twice() {
    let contract = "[plans.one.quotas.credits]\nlimit = 12\nper = \"month\"\nby = \"key\"\nfailures_free = true\n";
    let (site, _, keys) = site(contract);
    let mut spent = 0;
    for round in 0..4 {
        let run = Run::start(&site);
        let mut charges = Vec::new();
        loop {
            let decision = run.spend(&keys[0].secret, 1);
            if decision.outcome.is_err() || charges.len() == 3 {
                break;
            }
            charges.push(decision);
        }
        spent += charges.len();
        if round % 2 == 0 {
            // Given back, and the crash comes before anybody was told.
            charges.drain(..).for_each(|decision| decision.charge.refund());
        }
        run.crash();
    }
    assert!(spent <= 12, "{spent}");
    let run = Run::start(&site);
    spent += run.spend_all(&keys[0].secret, 1) as usize;
    assert!(spent <= 12, "{spent}");
    assert_eq!(run.spend_all(&keys[1].secret, 1), 12, "another key's");
    run.stop();
}

const RATES: &str = "[plans.one.rates.hourly]\nlimit = 5\nper = \"1h\"\nby = \"project\"\n\
                     [plans.one.rates.of_key]\nlimit = 3\nper = \"1m\"\nburst = 3\nby = \"key\"\ncounts = \"cost\"\n";

#[test]
fn q04_a_restart_refills_no_rate() {
    let (site, clock, keys) = site(RATES);
    let run = Run::start(&site);
    assert_eq!(run.spend_all(&keys[0].secret, 1), 3);
    assert_eq!(run.spend_all(&keys[1].secret, 1), 2);
    run.stop();
    clock.pass(Duration::from_secs(60));
    let run = Run::start(&site);
    let denied = run.spend(&keys[0].secret, 1);
    assert_eq!(denied.charge.denied_by(), Some("hourly"));
    assert_eq!(run.spend_all(&keys[1].secret, 0), 0);
    clock.pass(Duration::from_secs(3600));
    assert_eq!(run.spend_all(&keys[0].secret, 1), 3);
    assert_eq!(run.spend_all(&keys[1].secret, 1), 2);
    run.stop();
}

#[test]
fn q04_a_changed_rate_holds_for_the_next_request_and_keeps_count() {
    let (site, _, keys) = site("[plans.one.rates.hourly]\nlimit = 5\nper = \"1h\"\nby = \"project\"\n");
    let run = Run::start(&site);
    let set = |limit| run.block_on(run.opened.set_limit(&run.engine, &site.project, "hourly", limit));
    assert_eq!(run.spend_all(&keys[0].secret, 1), 5);
    set(Some(8));
    assert_eq!(run.spend_all(&keys[0].secret, 1), 3);
    set(Some(7));
    assert_eq!(run.spend_all(&keys[0].secret, 1), 0);
    set(Some(0));
    let none = run.spend(&keys[0].secret, 1);
    assert_eq!(none.charge.retry_after(), Some(keyward_core::limits::NEVER));
    set(Some(10));
    assert_eq!(run.spend_all(&keys[0].secret, 1), 2);
    set(None);
    run.stop();
    let run = Run::start(&site);
    assert_eq!(run.spend_all(&keys[0].secret, 1), 0);
    run.stop();
}

/// Projects of one organization count together, whatever limit one of them was given: what they share has one limit.
#[test]
fn q04_projects_of_an_organization_share_one_limit() {
    let (site, clock, keys) = site("[plans.one.rates.shared]\nlimit = 2\nper = \"1h\"\nby = \"organization\"\n");
    let run = Run::start(&site);
    let other = run.block_on(async {
        let other = site.another_project(&run.opened, "other").await;
        run.opened.set_limit(&run.engine, &other, "shared", Some(36_000)).await;
        site.mint(&run.opened, &other, 1).await.remove(0)
    });
    assert_eq!(run.spend_all(&keys[0].secret, 1) + run.spend_all(&other.secret, 1), 2);
    clock.pass(Duration::from_secs(1800));
    assert_eq!(run.spend_all(&other.secret, 1) + run.spend_all(&keys[0].secret, 1), 1);
    run.stop();
}

/// A clock that is set back while the node is down refuses nobody for longer than the rate itself would.
#[test]
fn q10_a_clock_set_back_over_a_restart_locks_nobody_out() {
    let (site, clock, keys) = site("[plans.one.rates.minutely]\nlimit = 5\nper = \"1m\"\nby = \"project\"\n");
    let run = Run::start(&site);
    assert_eq!(run.spend_all(&keys[0].secret, 1), 5);
    run.stop();
    clock.jump(-36 * 3_600_000);
    let run = Run::start(&site);
    assert_eq!(run.spend(&keys[0].secret, 1).charge.retry_after(), Some(Duration::from_secs(12)));
    run.stop();
}

#[test]
fn q01_a_changed_quota_holds_for_the_next_request_and_keeps_count() {
    let (site, _, keys) = site("[plans.one.quotas.credits]\nlimit = 50\nper = \"lifetime\"\nby = \"project\"\n");
    let run = Run::start(&site);
    let set = |limit| run.block_on(run.opened.set_limit(&run.engine, &site.project, "credits", limit));
    assert_eq!(run.spend_all(&keys[0].secret, 1), 50);
    set(Some(80));
    assert_eq!(run.spend_all(&keys[0].secret, 1), 30);
    set(Some(70));
    assert_eq!(run.spend_all(&keys[0].secret, 1), 0);
    set(Some(0));
    let none = run.spend(&keys[0].secret, 1);
    assert_eq!(none.charge.retry_after(), Some(keyward_core::limits::NEVER));
    set(Some(100));
    assert_eq!(run.spend_all(&keys[0].secret, 1), 20);
    set(None);
    assert_eq!(run.spend_all(&keys[0].secret, 1), 0);
    run.stop();
    let run = Run::start(&site);
    assert_eq!(run.spend_all(&keys[0].secret, 1), 0);
    run.stop();
}
