//! Random plans, costs, clocks, changes, restarts and crashes, against a model that only adds up.
//!
//! What must be so at every step: a grant fits every quota in force; a denial by a quota means that it did not fit
//! (where no crash took units of that period); a denial changes nothing; no rate lets more pass in any stretch than
//! its burst and its pace.

use std::sync::Arc;
use std::time::Duration;

use keyward_core::change::ProjectChange;
use keyward_core::clock::{Clock as _, Timestamp};
use keyward_core::limits::{OwnLimit, Period};
use keyward_core::store::Store as _;
use keyward_verify::limits::{LimitKind, LimitView};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::model::{Model, Plan, Quota, Rate};
use crate::support::Minted;
use crate::support::site::{Run, Site, TestClock, runtime};

#[derive(Debug, Clone)]
enum Step {
    Ask {
        key: usize,
        cost: u64,
    },
    Refund {
        which: usize,
    },
    Pass {
        millis: u64,
    },
    /// To just before, or just after, the next midnight or month.
    ToEdge {
        per: Period,
        millis: i64,
    },
    JumpBack {
        millis: i64,
    },
    JumpOn {
        hours: i64,
    },
    SetQuota {
        project: usize,
        place: usize,
        limit: Option<u64>,
    },
    SetRate {
        project: usize,
        place: usize,
        limit: Option<u64>,
    },
    SetPlan {
        project: usize,
        plan: usize,
    },
    Restart,
    Crash,
}

const BY: [&str; 3] = ["key", "project", "organization"];
const PLANS: [&str; 2] = ["one", "two"];

fn rate() -> impl Strategy<Value = Rate> {
    let seconds = prop::sample::select(vec![1u64, 10, 60, 3600, 86_400]);
    (1u64..12, seconds, 1u64..8, 0usize..3, any::<bool>()).prop_map(|(limit, seconds, burst, by, is_cost)| Rate {
        limit,
        seconds,
        burst,
        by,
        is_cost,
    })
}

fn quota() -> impl Strategy<Value = Quota> {
    let per = prop::sample::select(vec![Period::Day, Period::Month, Period::Lifetime]);
    let limit = prop_oneof![Just(0u64), 1u64..60, 60u64..2000];
    (limit, per, 0usize..3, any::<bool>(), any::<bool>()).prop_map(|(limit, per, by, is_cost, is_free)| Quota {
        limit,
        per,
        by,
        is_cost,
        is_free,
    })
}

fn plan() -> impl Strategy<Value = Plan> {
    (prop::collection::vec(rate(), 0..2), prop::collection::vec(quota(), 1..4))
        .prop_map(|(rates, quotas)| Plan { rates, quotas })
}

fn step() -> impl Strategy<Value = Step> {
    let edge = prop::sample::select(vec![Period::Day, Period::Month]);
    let own = || prop::option::of(prop_oneof![0u64..40, 40u64..1000]);
    prop_oneof![
        40 => (0usize..3, 0u64..7).prop_map(|(key, cost)| Step::Ask { key, cost }),
        3 => (0usize..3, 30u64..80).prop_map(|(key, cost)| Step::Ask { key, cost }),
        8 => (0usize..64).prop_map(|which| Step::Refund { which }),
        6 => (0u64..3_000).prop_map(|millis| Step::Pass { millis }),
        2 => (0u64..10_000_000).prop_map(|millis| Step::Pass { millis }),
        4 => (edge, -40i64..40).prop_map(|(per, millis)| Step::ToEdge { per, millis }),
        6 => (1i64..60).prop_map(|millis| Step::JumpBack { millis }),
        1 => (1i64..900).prop_map(|hours| Step::JumpOn { hours }),
        4 => (0usize..2, 0usize..3, own()).prop_map(|(project, place, limit)| Step::SetQuota { project, place, limit }),
        2 => (0usize..2, 0usize..2, own()).prop_map(|(project, place, limit)| Step::SetRate { project, place, limit }),
        2 => (0usize..2, 0usize..2).prop_map(|(project, plan)| Step::SetPlan { project, plan }),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
    ]
}

fn text_of(plans: &[Plan]) -> String {
    let mut text = String::new();
    for (name, plan) in PLANS.iter().zip(plans) {
        text += &format!("[plans.{name}]\ntitle = \"{name}\"\n");
        let counts = |is_cost| if is_cost { "cost" } else { "requests" };
        for (place, Rate { limit, seconds, burst, by, is_cost }) in plan.rates.iter().enumerate() {
            text += &format!(
                "[plans.{name}.rates.rate{place}]\nlimit = {limit}\nper = \"{seconds}s\"\nburst = {burst}\nby = \"{}\"\ncounts = \"{}\"\n",
                BY[*by],
                counts(*is_cost)
            );
        }
        for (place, Quota { limit, per, by, is_cost, is_free }) in plan.quotas.iter().enumerate() {
            text += &format!(
                "[plans.{name}.quotas.quota{place}]\nlimit = {limit}\nper = \"{}\"\nby = \"{}\"\ncounts = \"{}\"\nfailures_free = {is_free}\n",
                per.as_str(),
                BY[*by],
                counts(*is_cost)
            );
        }
    }
    text
}

/// A site with a run of it, and the model beside.
struct Beside {
    model: Model,
    site: Site,
    clock: Arc<TestClock>,
    keys: Vec<Minted>,
    run: Option<Run>,
}

impl Beside {
    fn new(plans: Vec<Plan>) -> Self {
        let clock = TestClock::at("2026-11-30T23:59:00Z");
        let (site, projects, keys) = runtime().block_on(async {
            let site = Site::new(&text_of(&plans), clock.clone()).await;
            let opened = site.open().await;
            let other = site.another_project(&opened, "other").await;
            let mut keys = site.mint(&opened, &site.project, 2).await;
            keys.extend(site.mint(&opened, &other, 1).await);
            opened.store.close().await;
            let projects = vec![site.project.clone(), other];
            (site, projects, keys)
        });
        let model = Model { plans, projects, of_key: [0, 0, 1], plan_of: [0, 0], ..Model::default() };
        let run = Some(Run::start(&site));
        Beside { model, site, clock, keys, run }
    }

    fn run(&self) -> &Run {
        self.run.as_ref().unwrap()
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Ask { key, cost } => self.ask(key, cost),
            Step::Refund { which } => self.model.refund(which, self.clock.now()),
            Step::Pass { millis } => self.clock.pass(Duration::from_millis(millis)),
            Step::ToEdge { per, millis } => {
                let end = per.span(self.clock.now()).end.unwrap();
                self.clock.pass_to(Timestamp::from_millis(end.as_millis() + millis));
            }
            Step::JumpBack { millis } => self.jump(-millis),
            Step::JumpOn { hours } => self.jump(hours * 3_600_000),
            Step::SetQuota { project, place, limit } => self.set(project, format!("quota{place}"), limit),
            Step::SetRate { project, place, limit } => self.set(project, format!("rate{place}"), limit),
            Step::SetPlan { project, plan } => {
                self.change(project, ProjectChange::PlanSet { plan: PLANS[plan].into() });
                self.model.plan_of[project] = plan;
            }
            Step::Restart => {
                self.run.take().unwrap().stop();
                self.model.restarted(self.clock.now());
                self.run = Some(Run::start(&self.site));
            }
            Step::Crash => {
                self.run.take().unwrap().crash();
                self.model.crashed(self.clock.now());
                self.run = Some(Run::start(&self.site));
            }
        }
    }

    fn jump(&mut self, millis: i64) {
        self.clock.jump(millis);
        self.model.is_set = true;
    }

    fn ask(&mut self, key: usize, cost: u64) {
        // Also what is refused may have units fetched, which a crash takes.
        for (.., of) in self.model.quotas(key, self.clock.now()) {
            self.model.used.entry(of).or_insert(0);
        }
        let secret = &self.keys[key].secret;
        let decision = self.run().spend(secret, cost);
        if decision.outcome.is_ok() {
            self.model.granted(key, cost, decision.charge, &self.clock);
            return;
        }
        self.model.denied(key, cost, &decision.charge, self.clock.now());
        let before = self.views(key);
        let again = self.run().spend(secret, cost);
        assert!(again.outcome.is_err(), "the same at the same moment");
        assert_eq!(self.views(key), before, "a denial changes nothing");
        self.compare(key, &before);
    }

    /// What is told is what the model counts.
    fn compare(&self, key: usize, views: &[LimitView]) {
        let quotas = views.iter().filter(|view| view.kind == LimitKind::Quota);
        for (view, (_, limit, of)) in quotas.zip(self.model.quotas(key, self.clock.now())) {
            assert_eq!(view.limit, limit);
            let (told, used) = (view.used.unwrap(), self.model.used(&of));
            assert!(told == used || self.model.lossy.contains(&of), "{of:?}: {used} are used, {told} are told");
            assert!(told >= used, "{of:?}: {used} are used, {told} are told");
        }
    }

    fn views(&self, key: usize) -> Vec<LimitView> {
        let project = &self.model.projects[self.model.of_key[key]];
        let run = self.run();
        run.block_on(run.opened.views(&run.engine, project, Some(self.keys[key].id)))
    }

    fn set(&mut self, project: usize, name: String, limit: Option<u64>) {
        match limit {
            Some(limit) => self.model.own[project].insert(name.clone(), limit),
            None => self.model.own[project].remove(&name),
        };
        let limit = limit.map(|limit| OwnLimit { limit, burst: None });
        self.change(project, ProjectChange::LimitSet { name, limit });
    }

    fn change(&self, project: usize, what: ProjectChange) {
        let run = self.run();
        run.block_on(run.opened.change(&run.engine, &self.model.projects[project], what));
    }
}

#[test]
fn q01_q02_q04_q10_random_plans_costs_clocks_changes_and_crashes() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(32);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 100, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let cases = (prop::collection::vec(plan(), 2), prop::collection::vec(step(), 60..160));
    let outcome = runner.run(&cases, |(plans, steps)| {
        let mut beside = Beside::new(plans);
        steps.iter().for_each(|step| beside.step(step));
        beside.run.take().unwrap().stop();
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
