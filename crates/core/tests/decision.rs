//! The decision, rule by rule and over random keys: no clock, no store, microseconds each.

use std::net::IpAddr;
use std::sync::Arc;

use keyward_core::change::{OrganizationChange, ProjectChange, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::contract::{Contract, Presets};
use keyward_core::decision::{
    Condition, KeyFacts, ProjectFacts, ProjectNamed, RequestFacts, ResourceNamed, Unlimited, decide,
};
use keyward_core::denial::Refusal;
use keyward_core::id::{KeyId, OrganizationId, ProjectId};
use keyward_core::scope::Scopes;
use keyward_core::tenancy::TenantState;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const MINE: ProjectId = ProjectId::from_u128(1);

fn contract(more: &str) -> Arc<Contract> {
    let standard = include_str!("../../../contracts/standard.toml").to_owned();
    let presets = Presets::new([("standard".to_owned(), standard)]);
    let source = format!("schema = 1\nextends = \"standard\"\n{more}");
    Arc::new(Contract::read(&source, &presets).unwrap())
}

fn key() -> KeyFacts {
    KeyFacts {
        id: KeyId::from_u128(1),
        lineage: KeyId::from_u128(1),
        condition: Condition::Active,
        expires_at: None,
        scopes: Scopes::all(),
        addresses: Box::default(),
        about: None,
        revision: Revision(1),
    }
}

fn project() -> ProjectFacts {
    ProjectFacts {
        id: MINE,
        organization: OrganizationId::from_u128(1),
        api: "standard".parse().unwrap(),
        plan: "standard".into(),
        limits: Default::default(),
        is_granted: false,
        destination: None,
        state: TenantState::Active,
        organization_state: TenantState::Active,
    }
}

fn outcome(key: KeyFacts, project: ProjectFacts, request: &RequestFacts<'_>) -> Result<(), Refusal> {
    let (key, project, contract) = (Arc::new(key), Arc::new(project), contract(""));
    let pending = decide(&key, &project, &contract, request, NOW).map_err(|denial| denial.refusal())?;
    let Ok((grant, ())) = pending.reserve(&Unlimited);
    assert_eq!(grant.key().id, key.id);
    Ok(())
}

#[test]
fn a_keys_state_decides_first() {
    let ask = RequestFacts::default();
    let with = |condition| KeyFacts { condition, ..key() };
    assert_eq!(outcome(key(), project(), &ask), Ok(()));
    assert_eq!(outcome(with(Condition::Revoked), project(), &ask), Err(Refusal::Revoked));
    assert_eq!(outcome(with(Condition::Disabled), project(), &ask), Err(Refusal::Disabled));
    assert_eq!(outcome(with(Condition::RetiringUntil(NOW)), project(), &ask), Err(Refusal::Revoked));
    let later = Timestamp::from_millis(NOW.as_millis() + 1);
    assert_eq!(outcome(with(Condition::RetiringUntil(later)), project(), &ask), Ok(()));
    let expired = KeyFacts { expires_at: Some(NOW), ..key() };
    assert_eq!(outcome(expired, project(), &ask), Err(Refusal::Expired));
}

#[test]
fn t01_a_project_is_a_wall() {
    let mine = RequestFacts { project: Some(ProjectNamed::Id(MINE)), ..RequestFacts::default() };
    let other = RequestFacts { project: Some(ProjectNamed::Id(ProjectId::from_u128(2))), ..mine };
    let nothing = RequestFacts { project: Some(ProjectNamed::Nothing), ..mine };
    assert_eq!(outcome(key(), project(), &mine), Ok(()));
    assert_eq!(outcome(key(), project(), &other), Err(Refusal::WrongProject));
    assert_eq!(outcome(key(), project(), &nothing), Err(Refusal::WrongProject));
}

#[test]
fn l05_what_happens_to_a_project_or_its_organization_holds_for_its_keys() {
    let ask = RequestFacts::default();
    let after = |change: &ProjectChange| project().after(change, NOW);
    let above = |change: &OrganizationChange| project().after_organization(change, NOW);
    assert_eq!(outcome(key(), after(&ProjectChange::Suspended), &ask), Err(Refusal::ProjectSuspended));
    assert_eq!(outcome(key(), after(&ProjectChange::Deleted), &ask), Err(Refusal::UnknownKey));
    assert_eq!(outcome(key(), above(&OrganizationChange::Suspended), &ask), Err(Refusal::ProjectSuspended));
    assert_eq!(outcome(key(), above(&OrganizationChange::Deleted), &ask), Err(Refusal::UnknownKey));
    let nowhere = ProjectChange::PlanSet { plan: "nowhere".into() };
    assert_eq!(outcome(key(), after(&nowhere), &ask), Err(Refusal::PlanForbids));
}

#[test]
fn p22_scopes_and_resources_limit() {
    let needs = [Box::from("reports")];
    let category = |id| [ResourceNamed { kind: "category", id }];
    let asks = |resources: &[ResourceNamed<'_>], scopes: &[&str]| {
        let key = KeyFacts { scopes: Scopes::new(scopes).unwrap(), ..key() };
        outcome(key, project(), &RequestFacts { scopes: &needs, resources, ..RequestFacts::default() })
    };
    assert_eq!(asks(&category(Some("a")), &["reports"]), Ok(()));
    assert_eq!(asks(&category(None), &["reports"]), Ok(()));
    assert_eq!(asks(&category(Some("a")), &["reports", "category:a"]), Ok(()));
    assert_eq!(asks(&category(Some("b")), &["*", "category:a"]), Err(Refusal::InsufficientScope));
    assert_eq!(asks(&category(None), &["*", "category:a"]), Err(Refusal::InsufficientScope));
    assert_eq!(asks(&category(Some("a")), &["raw"]), Err(Refusal::InsufficientScope));
}

#[test]
fn addresses_limit_and_an_unknown_address_is_refused() {
    let limited = || KeyFacts { addresses: Box::new(["10.0.0.0/8".parse().unwrap()]), ..key() };
    let from = |text: Option<&str>| RequestFacts {
        address: text.map(|text| text.parse::<IpAddr>().unwrap()),
        ..RequestFacts::default()
    };
    assert_eq!(outcome(limited(), project(), &from(Some("10.1.2.3"))), Ok(()));
    assert_eq!(outcome(limited(), project(), &from(Some("::ffff:10.1.2.3"))), Ok(()));
    assert_eq!(outcome(limited(), project(), &from(Some("11.1.2.3"))), Err(Refusal::AddressForbidden));
    assert_eq!(outcome(limited(), project(), &from(None)), Err(Refusal::AddressForbidden));
    assert_eq!(outcome(key(), project(), &from(None)), Ok(()));
}

fn conditions() -> impl Strategy<Value = Condition> {
    prop_oneof![
        Just(Condition::Active),
        Just(Condition::Disabled),
        Just(Condition::Revoked),
        (0i64..2_000_000).prop_map(|at| Condition::RetiringUntil(Timestamp::from_millis(at))),
    ]
}

proptest! {
    /// Whatever else is so: a grant is never for a key that is ended, and waiting never brings one back.
    #[test]
    fn time_only_takes_away(
        condition in conditions(),
        expiry in proptest::option::of(0i64..2_000_000),
        (early, late) in (0i64..2_000_000, 0i64..2_000_000),
    ) {
        let key = Arc::new(KeyFacts { condition, expires_at: expiry.map(Timestamp::from_millis), ..key() });
        let (project, contract) = (Arc::new(project()), contract(""));
        let granted = |at: i64| {
            let now = Timestamp::from_millis(at);
            decide(&key, &project, &contract, &RequestFacts::default(), now).is_ok()
        };
        let (early, late) = (early.min(late), early.max(late));
        prop_assert!(granted(early) || !granted(late));
        if let Some(end) = key.ends_at() {
            prop_assert!(!granted(end.as_millis()));
        }
    }
}
