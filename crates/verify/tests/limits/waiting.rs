//! What callers are told: how long to wait. A caller that waits so long, and no longer, is never refused twice.

use std::sync::Arc;
use std::time::Duration;

use keyward_core::change::ProjectChange;
use keyward_core::limits::{NEVER, OwnLimit};
use keyward_core::store::Store as _;
use keyward_core::tenancy::Project;

use crate::support::Minted;
use crate::support::site::{Run, Site, TestClock, runtime, site_with_key};

/// Throws of a seeded die.
struct Dice(u64);

impl Dice {
    /// A number below another.
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

const PLANS: usize = 25;
const TRIALS: usize = 1_000;

fn plan(name: usize, dice: &mut Dice) -> String {
    let mut text = String::new();
    for rate in 0..dice.below(4) {
        let (limit, burst) = (1 + dice.below(9), 1 + dice.below(9));
        let (per, by) = (dice.of(&["1s", "1m", "1h", "1d"]), dice.of(&["key", "project", "organization"]));
        let counts = dice.of(&["requests", "cost"]);
        text += &format!(
            "[plans.p{name}.rates.rate{rate}]\nlimit = {limit}\nper = \"{per}\"\nburst = {burst}\nby = \"{by}\"\ncounts = \"{counts}\"\n"
        );
    }
    for quota in 0..1 + dice.below(3) {
        let limit = 1 + dice.below(40);
        let (per, by) = (dice.of(&["day", "month"]), dice.of(&["key", "project", "organization"]));
        let counts = dice.of(&["requests", "cost"]);
        let free = dice.of(&[true, false]);
        text += &format!(
            "[plans.p{name}.quotas.quota{quota}]\nlimit = {limit}\nper = \"{per}\"\nby = \"{by}\"\ncounts = \"{counts}\"\nfailures_free = {free}\n"
        );
    }
    text
}

struct Trials {
    clock: Arc<TestClock>,
    site: Site,
    project: Project,
    key: Minted,
}

impl Trials {
    fn new(dice: &mut Dice) -> Self {
        let plans: String = (0..PLANS).map(|name| plan(name, dice)).collect();
        let clock = TestClock::at("2026-11-21T10:00:00Z");
        let contract = format!("[plans.one]\ntitle = \"One\"\n{plans}");
        let (site, key) = runtime().block_on(async {
            let site = Site::new(&contract, clock.clone()).await;
            let opened = site.open().await;
            let key = site.mint(&opened, &site.project, 1).await.remove(0);
            opened.store.close().await;
            (site, key)
        });
        Trials { project: site.project.clone(), clock, site, key }
    }

    /// Goes on until something is refused, waits as told, and asks for the same again.
    fn run(&self, run: &Run, dice: &mut Dice) -> bool {
        let mut cost = dice.below(4);
        for _ in 0..200 {
            let decision = run.spend(&self.key.secret, cost);
            if decision.outcome.is_ok() {
                cost = dice.below(6);
                continue;
            }
            let wait = decision.charge.retry_after().unwrap();
            if wait == NEVER {
                cost = 1;
                continue;
            }
            self.clock.pass(wait);
            let again = run.spend(&self.key.secret, cost);
            assert!(
                again.outcome.is_ok(),
                "{:?} refused for {wait:?}, then {:?} for {:?} more; {:?}",
                decision.charge.denied_by(),
                again.charge.denied_by(),
                again.charge.retry_after(),
                again.charge.states().collect::<Vec<_>>(),
            );
            return true;
        }
        false
    }

    fn change(&self, run: &Run, what: ProjectChange) {
        run.block_on(run.opened.change(&run.engine, &self.project, what));
    }
}

#[test]
fn q09_a_client_that_waits_as_told_is_never_refused_twice_in_a_row() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let trials = Trials::new(&mut dice);
    let mut run = Run::start(&trials.site);
    let (mut refused, mut tried) = (0, 0);
    while refused < TRIALS {
        tried += 1;
        assert!(tried < 3 * TRIALS, "{refused} of {tried}");
        match dice.below(12) {
            0..=3 => {
                let plan = format!("p{}", dice.below(PLANS as u64));
                trials.change(&run, ProjectChange::PlanSet { plan });
            }
            // Just before what is next: the wait was told under other limits, or is not even known to this run.
            4..=6 => {
                let limit = Some(OwnLimit { limit: 1 + dice.below(20), burst: None }).filter(|_| dice.below(3) > 0);
                let name = format!("{}{}", dice.of(&["rate", "quota"]), dice.below(3));
                trials.change(&run, ProjectChange::LimitSet { name, limit });
            }
            7 if tried % 8 == 0 => {
                run.stop();
                run = Run::start(&trials.site);
            }
            8 => trials.clock.pass(Duration::from_millis(dice.below(3_000_000))),
            _ => {}
        }
        refused += usize::from(trials.run(&run, &mut dice));
    }
    run.stop();
}

/// A rate that is changed while a caller waits: what is told under the new one is what it waits, although nothing
/// passed in between.
#[test]
fn q09_a_wait_told_under_a_changed_rate_is_the_wait() {
    let (site, clock, key) = site_with_key("[plans.one.rates.hourly]\nlimit = 1\nper = \"1h\"\nby = \"project\"\n");
    let run = Run::start(&site);
    assert!(run.spend(&key.secret, 1).outcome.is_ok());
    let limit = Some(OwnLimit { limit: 2, burst: Some(1) });
    let what = ProjectChange::LimitSet { name: "hourly".into(), limit };
    run.block_on(run.opened.change(&run.engine, &site.project, what));
    let denied = run.spend(&key.secret, 1);
    assert_eq!(denied.charge.retry_after(), Some(Duration::from_secs(1800)));
    clock.pass(Duration::from_secs(1799));
    assert_eq!(run.spend(&key.secret, 1).charge.retry_after(), Some(Duration::from_secs(1)));
    clock.pass(Duration::from_secs(1));
    assert!(run.spend(&key.secret, 1).outcome.is_ok());
    run.stop();
}

/// A rate that was lowered does not let used units come back at the old pace until the next request passes.
#[test]
fn q04_what_was_used_under_a_faster_rate_comes_back_at_the_new_pace() {
    let (site, clock, key) = site_with_key("[plans.one.rates.fast]\nlimit = 100\nper = \"1s\"\nby = \"project\"\n");
    let run = Run::start(&site);
    assert_eq!(run.spend_all(&key.secret, 1), 100);
    run.block_on(run.opened.set_limit(&run.engine, &site.project, "fast", Some(1)));
    assert!(run.spend(&key.secret, 1).outcome.is_err());
    clock.pass(Duration::from_secs(2));
    assert!(run.spend(&key.secret, 1).outcome.is_err(), "ninety-eight are still to come back");
    clock.pass(Duration::from_secs(98));
    assert!(run.spend(&key.secret, 1).outcome.is_ok());
    run.stop();
}

/// What a rate refuses is told together with a quota that is used up, also by a run that has not heard of it yet.
#[test]
fn q09_a_rate_that_refuses_does_not_hide_a_quota_that_is_used_up() {
    let contract = "[plans.one.rates.hourly]\nlimit = 5\nper = \"1h\"\nby = \"project\"\n\
                    [plans.one.quotas.monthly]\nlimit = 5\nper = \"month\"\nby = \"project\"\n";
    let (site, _, key) = site_with_key(contract);
    let run = Run::start(&site);
    assert_eq!(run.spend_all(&key.secret, 1), 5);
    let denied = |run: &Run| {
        let decision = run.spend(&key.secret, 1);
        let names: Vec<_> = decision.charge.states().map(|state| state.name.to_owned()).collect();
        assert_eq!(names, ["hourly", "monthly"]);
        (decision.charge.denied_by().map(str::to_owned), decision.charge.retry_after())
    };
    let told = denied(&run);
    assert_eq!(told.0.as_deref(), Some("monthly"));
    run.stop();
    let run = Run::start(&site);
    assert_eq!(denied(&run), told);
    run.stop();
}
