//! Every kind of change that takes something away, made at one node, seen at another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use keyward_core::change::{Change, KeyChange, ManagementKeyChange, OrganizationChange, ProjectChange, ProjectRef};
use keyward_core::clock::SystemEntropy;
use keyward_core::decision::RequestFacts;
use keyward_core::denial::Refusal;
use keyward_core::scope::Scopes;
use keyward_core::secret::management_key_format;
use keyward_core::tenancy::ManagementKey;
use keyward_verify::{Ask, By};

use super::CONTRACT;
use crate::support::meeting::{Peers, until};
use crate::support::{of_key, ring};

#[tokio::test]
async fn l01_a_revoke_is_in_force_on_every_node_when_it_returns() {
    let nodes = Peers::start(3, CONTRACT).await;
    for round in 0..9 {
        let key = nodes.known_key().await;
        let in_force = nodes.revoke(round % 3, key.id).await;
        assert_eq!((in_force.by, in_force.nodes), (By::Acknowledged, 3));
        for peer in &nodes.peers {
            assert_eq!(peer.refusal(&key.secret).await, Some(Refusal::Revoked));
        }
    }
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l01_no_request_that_begins_after_a_revoke_returned_is_granted() {
    let nodes = Arc::new(Peers::start(3, CONTRACT).await);
    let mut keys = Vec::new();
    for _ in 0..12 {
        keys.push((nodes.known_key().await, AtomicBool::new(false)));
    }
    let (keys, checked, is_over) = (Arc::new(keys), Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let asking: Vec<_> = (0..3)
        .map(|at| {
            let (nodes, keys) = (Arc::clone(&nodes), Arc::clone(&keys));
            let (checked, is_over) = (Arc::clone(&checked), Arc::clone(&is_over));
            tokio::spawn(async move {
                while !is_over.load(Ordering::SeqCst) {
                    for (key, has_returned) in &*keys {
                        let must_refuse = has_returned.load(Ordering::SeqCst);
                        let refusal = nodes.peers[at].refusal(&key.secret).await;
                        assert!(!must_refuse || refusal.is_some(), "granted after the revoke returned");
                        checked.fetch_add(u64::from(must_refuse), Ordering::SeqCst);
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for (at, (key, has_returned)) in keys.iter().enumerate() {
        nodes.revoke(at % 3, key.id).await;
        has_returned.store(true, Ordering::SeqCst);
        let before = checked.load(Ordering::SeqCst);
        until(|| checked.load(Ordering::SeqCst) > before + 30 || asking.iter().any(|task| task.is_finished()))
            .await;
    }
    is_over.store(true, Ordering::SeqCst);
    for task in asking {
        task.await.unwrap();
    }
    assert!(checked.load(Ordering::SeqCst) >= 360);
    nodes.stop().await;
}

#[tokio::test]
async fn l05_every_change_of_a_key_is_in_force_elsewhere_when_its_call_returns() {
    let nodes = Peers::start(2, CONTRACT).await;
    let ends = nodes.now();
    let edits = [
        (KeyChange::Revoked { reason: None }, Refusal::Revoked),
        (KeyChange::Disabled, Refusal::Disabled),
        (KeyChange::ExpirySet { expires_at: ends }, Refusal::Expired),
        (KeyChange::AddressesSet { addresses: vec!["10.0.0.0/8".parse().unwrap()] }, Refusal::AddressForbidden),
    ];
    for (edit, refusal) in edits {
        let key = nodes.known_key().await;
        let in_force = nodes.change(0, of_key(nodes.project(), key.id, edit)).await;
        assert_eq!((in_force.by, in_force.nodes), (By::Acknowledged, 2));
        assert_eq!(nodes.peers[1].refusal(&key.secret).await, Some(refusal));
    }
    let key = nodes.known_key().await;
    nodes.change(0, of_key(nodes.project(), key.id, KeyChange::Rescoped { scopes: Scopes::none() })).await;
    let api = nodes.peers[1].engine.api(&nodes.project().api).unwrap();
    let (ask, needed) = (RequestFacts::default(), [Box::<str>::from("read")]);
    let facts = RequestFacts { scopes: &needed, ..ask };
    let asked = Ask { api: Some(&api), presented: &key.secret, facts };
    let refused = nodes.peers[1].engine.verify(&asked).await.outcome.unwrap_err();
    assert_eq!(refused.refusal(), Refusal::InsufficientScope);
    nodes.stop().await;
}

#[tokio::test]
async fn l05_suspending_a_project_or_its_organization_is_in_force_elsewhere_when_its_call_returns() {
    let nodes = Peers::start(2, CONTRACT).await;
    let key = nodes.known_key().await;
    let project = nodes.project().clone();
    let of = ProjectRef { id: project.id, organization: project.organization, api: project.api.clone() };
    let of_organization = |what| Change::Organization { id: project.organization, what };
    for (suspend, resume) in [
        (
            Change::Project { of: of.clone(), what: ProjectChange::Suspended },
            Change::Project { of: of.clone(), what: ProjectChange::Resumed },
        ),
        (of_organization(OrganizationChange::Suspended), of_organization(OrganizationChange::Resumed)),
    ] {
        nodes.change(0, suspend).await;
        assert_eq!(nodes.peers[1].refusal(&key.secret).await, Some(Refusal::ProjectSuspended));
        nodes.change(0, resume).await;
        assert_eq!(nodes.peers[1].refusal(&key.secret).await, None);
    }
    nodes.change(0, Change::Project { of, what: ProjectChange::Deleted }).await;
    assert!(nodes.peers[1].refusal(&key.secret).await.is_some());
    nodes.stop().await;
}

#[tokio::test]
async fn l05_a_contract_is_in_force_elsewhere_when_the_call_returns() {
    let nodes = Peers::start(2, CONTRACT).await;
    let key = nodes.known_key().await;
    let contract = super::support::site::contract_with("[plans.one]\ntitle = \"One\"\naccess = false\n");
    nodes.change(0, super::support::site::api_of(&nodes.opened.world, &contract)).await;
    assert_eq!(nodes.peers[1].refusal(&key.secret).await, Some(Refusal::PlanForbids));
    nodes.stop().await;
}

#[tokio::test]
async fn l05_a_lower_plan_is_in_force_elsewhere_when_the_call_returns() {
    let lower =
        "[plans.two]\ntitle = \"Two\"\n[plans.two.rates]\neach = { limit = 1, per = \"1h\", by = \"key\" }\n";
    let nodes = Peers::start(2, &format!("{CONTRACT}{lower}")).await;
    let key = nodes.known_key().await;
    let project = nodes.project();
    let of = ProjectRef { id: project.id, organization: project.organization, api: project.api.clone() };
    let what = ProjectChange::PlanSet { plan: "two".into() };
    nodes.change(0, Change::Project { of, what }).await;
    assert_eq!(nodes.peers[1].refusal(&key.secret).await, None);
    assert_eq!(nodes.peers[1].refusal(&key.secret).await, Some(Refusal::RateLimited));
    nodes.stop().await;
}

#[tokio::test]
async fn l05_a_revoked_management_key_is_refused_elsewhere_when_the_call_returns() {
    let nodes = Peers::start(2, CONTRACT).await;
    let minted = management_key_format().mint(&ring(&[1]), nodes.project().id, &SystemEntropy);
    let blank = nodes.opened.world.new_management_key("for a test");
    let key = ManagementKey { digest: minted.digest, hint: minted.hint, ..blank };
    let id = key.id;
    let created = ManagementKeyChange::Created { key: Box::new(key) };
    nodes.change(0, Change::ManagementKey { id, what: created }).await;
    for peer in &nodes.peers {
        assert_eq!(peer.engine.authenticate(minted.secret.expose()).await.unwrap().id, id);
    }
    nodes.change(0, Change::ManagementKey { id, what: ManagementKeyChange::Revoked }).await;
    for peer in &nodes.peers {
        let denial = peer.engine.authenticate(minted.secret.expose()).await.unwrap_err();
        assert_eq!(denial.refusal(), Refusal::Revoked);
    }
    nodes.stop().await;
}

#[tokio::test]
async fn l04_a_read_that_a_revoke_at_another_node_overtook_resurrects_nothing() {
    let nodes = Peers::start(2, CONTRACT).await;
    let key = nodes.mint(1).await.remove(0);
    let there = &nodes.peers[1];
    there.link.hold_reads(true);
    let early = tokio::spawn({
        let (engine, secret) = (Arc::clone(&there.engine), key.secret.clone());
        let api = engine.api(&"limited".parse().unwrap()).unwrap();
        async move {
            let ask = Ask { api: Some(&api), presented: &secret, facts: RequestFacts::default() };
            engine.verify(&ask).await.outcome.is_ok()
        }
    });
    there.link.read_arrives(1).await;
    nodes.revoke(0, key.id).await;
    there.link.hold_reads(false);
    early.await.unwrap();
    for _ in 0..3 {
        assert_eq!(there.refusal(&key.secret).await, Some(Refusal::Revoked));
    }
    nodes.stop().await;
}

#[tokio::test]
async fn l09_an_exchange_at_another_node_is_closed_before_the_call_returns() {
    let nodes = Peers::start(2, CONTRACT).await;
    let key = nodes.known_key().await;
    let there = &nodes.peers[1].engine;
    let api = there.api(&nodes.project().api).unwrap();
    let ask = Ask { api: Some(&api), presented: &key.secret, facts: RequestFacts::default() };
    let exchange = there.open(&ask).await.exchange.unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let stream = tokio::spawn({
        let ended = Arc::clone(&ended);
        async move {
            exchange.closed().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            ended.store(true, Ordering::SeqCst);
        }
    });
    nodes.revoke(0, key.id).await;
    assert!(ended.load(Ordering::SeqCst), "the other node acknowledged before its stream had ended");
    stream.await.unwrap();
    nodes.stop().await;
}
