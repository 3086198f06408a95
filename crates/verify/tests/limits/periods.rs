//! Periods: their edges under load, clocks that are set back, and contracts that change how long one lasts.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use keyward_core::clock::{Clock as _, Timestamp};
use keyward_core::limits::Period;
use keyward_core::store::Store as _;

use crate::support::Minted;
use crate::support::site::{Run, Site, TestClock, runtime, spend};

fn site(contract: &str, clock: &Arc<TestClock>) -> (Site, Vec<Minted>) {
    runtime().block_on(async {
        let site = Site::new(contract, clock.clone()).await;
        let opened = site.open().await;
        let keys = site.mint(&opened, &site.project, 1).await;
        opened.store.close().await;
        (site, keys)
    })
}

fn quota(per: &str, limit: u64) -> String {
    format!("[plans.one.quotas.credits]\nlimit = {limit}\nper = \"{per}\"\nby = \"project\"\n")
}

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Clients that never stop while the clock goes over the end of a month: in each month exactly the limit passes, by
/// the moment at which it was taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn q10_no_unit_is_counted_in_two_periods_when_one_ends_under_load() {
    const LIMIT: u64 = 2_000;
    let clock = TestClock::at("2026-11-30T23:59:59Z");
    let site = Site::new(&quota("month", LIMIT), clock.clone()).await;
    let opened = site.open().await;
    let key = site.mint(&opened, &site.project, 1).await.remove(0);
    let engine = opened.engine().await;
    let passed = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let denied_after = Arc::new(AtomicI64::new(0));
    let edge = moment("2026-12-01T00:00:00Z");
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (engine, passed, secret) = (Arc::clone(&engine), Arc::clone(&passed), key.secret.clone());
            let (clock, denied_after) = (Arc::clone(&clock), Arc::clone(&denied_after));
            tokio::spawn(async move {
                loop {
                    let decision = spend(&engine, &secret, 1).await;
                    match decision.outcome {
                        Ok(_) => {
                            let at = decision.charge.at().unwrap();
                            passed[usize::from(at >= edge)].fetch_add(1, Ordering::SeqCst);
                        }
                        Err(_) if decision.charge.at().unwrap() >= edge => {
                            denied_after.fetch_add(1, Ordering::SeqCst);
                            return;
                        }
                        Err(_) => tokio::task::yield_now().await,
                    }
                    // A client of every few moves the clock on, in the middle of everything.
                    if passed[0].load(Ordering::SeqCst) > LIMIT / 2 {
                        clock.pass(Duration::from_millis(1));
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(passed[0].load(Ordering::SeqCst) <= LIMIT);
    assert!(passed[0].load(Ordering::SeqCst) > LIMIT / 2);
    assert_eq!(passed[1].load(Ordering::SeqCst), LIMIT);
    assert_eq!(denied_after.load(Ordering::SeqCst), 64);
    let views = opened.views(&engine, &site.project, None).await;
    assert_eq!(views[0].used, Some(LIMIT));
    engine.stop().await;
    opened.store.close().await;
}

/// A clock that is set back over midnight and comes there again counts on in each day where it was.
#[test]
fn q10_a_clock_that_is_set_back_over_midnight_counts_each_day_for_itself() {
    let clock = TestClock::at("2026-11-21T23:59:59.990Z");
    let (site, keys) = site(&quota("day", 100), &clock);
    let run = Run::start(&site);
    let ten = || (0..10).for_each(|_| assert!(run.spend(&keys[0].secret, 1).outcome.is_ok()));
    for _ in 0..4 {
        ten();
        clock.jump(20);
        ten();
        clock.jump(-20);
    }
    assert_eq!(run.spend_all(&keys[0].secret, 1), 60, "of the 21st");
    clock.jump(20);
    assert_eq!(run.spend_all(&keys[0].secret, 1), 60, "of the 22nd");
    run.stop();
}

/// Another contract counts by the month what was counted by the day, and back: at once, and each for itself.
#[test]
fn q10_a_contract_that_changes_the_period_holds_for_the_next_request() {
    let clock = TestClock::at("2026-11-21T10:00:00Z");
    let (mut site, keys) = site(&quota("day", 10), &clock);
    let run = Run::start(&site);
    assert_eq!(run.spend_all(&keys[0].secret, 1), 10);
    let mut change = |per, limit| {
        run.block_on(async {
            let revision = site.put_in_force(&run.opened, &quota(per, limit)).await;
            run.engine.settle(revision).await.unwrap();
        });
    };
    change("month", 30);
    let month = run.spend(&keys[0].secret, 1);
    assert_eq!(month.charge.state("credits").unwrap().reset_after, month_left(&clock));
    assert_eq!(run.spend_all(&keys[0].secret, 1), 29);
    clock.pass(Duration::from_secs(86_400));
    assert_eq!(run.spend_all(&keys[0].secret, 1), 0, "it is still the same month");
    change("day", 10);
    assert_eq!(run.spend_all(&keys[0].secret, 1), 10);
    clock.pass(Duration::from_secs(86_400));
    assert_eq!(run.spend_all(&keys[0].secret, 1), 10);
    change("lifetime", 7);
    assert_eq!(run.spend_all(&keys[0].secret, 1), 7);
    run.stop();
}

fn month_left(clock: &TestClock) -> Duration {
    Period::Month.span(clock.now()).end.unwrap().since(clock.now())
}

/// Two plans of one organization that name their quotas alike but count them by different periods.
#[test]
fn q10_plans_that_count_one_name_by_different_periods_do_not_mix() {
    let contract = "[plans.one.quotas.credits]\nlimit = 10\nper = \"day\"\nby = \"organization\"\n\
                    [plans.two.quotas.credits]\nlimit = 15\nper = \"month\"\nby = \"organization\"\n";
    let clock = TestClock::at("2026-11-21T10:00:00Z");
    let (site, keys) = site(contract, &clock);
    let run = Run::start(&site);
    let other = run.block_on(async {
        let project = site.another_project(&run.opened, "other").await;
        let plan = keyward_core::change::ProjectChange::PlanSet { plan: "two".into() };
        run.opened.change(&run.engine, &project, plan).await;
        site.mint(&run.opened, &project, 1).await.remove(0)
    });
    let (mut by_day, mut by_month) = (0, 0);
    for _ in 0..20 {
        by_day += u32::from(run.spend(&keys[0].secret, 1).outcome.is_ok());
        by_month += u32::from(run.spend(&other.secret, 1).outcome.is_ok());
    }
    assert_eq!((by_day, by_month), (10, 15));
    clock.pass(Duration::from_secs(86_400));
    assert_eq!(run.spend_all(&keys[0].secret, 1), 10);
    assert_eq!(run.spend_all(&other.secret, 1), 0);
    run.stop();
}
