//! Restoring a backup: what was taken away since stays taken away (trust.md L11).

mod support;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keyward_core::change::{
    Actor, Change, KeyChange, ManagementKeyChange, OrganizationChange, ProjectChange, Revision,
};
use keyward_core::clock::Timestamp;
use keyward_core::key::{Key, KeyState, Standing};
use keyward_core::limits::OwnLimit;
use keyward_core::scope::Scopes;
use keyward_core::store::{LogVerdict, Store};
use keyward_core::tenancy::{ManagementKey, Organization, Project};
use keyward_store::conformance::words::*;
use keyward_store::conformance::{Fixture, World};
use keyward_store::{JournalFound, OpenError, RestoreProgress, RestoreReport, restore};
use support::*;

async fn restored(fixture: &SqliteFixture, backup: &Path) -> RestoreReport {
    restore(&fixture.dir(), backup, &fixture.keys, START, |_| {}).await.unwrap_or_else(|error| panic!("{error}"))
}

/// A store with keys, and a backup of it.
async fn backed_up(fixture: &SqliteFixture, keys: usize) -> (Project, Vec<Key>, PathBuf) {
    let (store, world) = fixture.world().await;
    let project = world.project("one").await;
    let mut made = Vec::new();
    for _ in 0..keys {
        made.push(world.key(&project).await);
    }
    let backup = fixture.folder().join("backup");
    store.backup(&backup).await.unwrap();
    (project, made, backup)
}

async fn world_of(fixture: &SqliteFixture) -> World {
    fixture.world().await.1
}

#[tokio::test]
async fn l11_a_hundred_keys_revoked_since_the_backup_stay_revoked() {
    let fixture = SqliteFixture::new();
    let (project, keys, backup) = backed_up(&fixture, 100).await;
    let backed_up_at;
    {
        let world = World::new(fixture.opened().await, START);
        backed_up_at = world.revision().await;
        for key in &keys {
            world.make(revoked_key(&project, key.id)).await;
        }
    }
    fixture.close().await;

    // By hand it does not go: the folder knows better.
    let database = fixture.place().database();
    let newer = std::fs::read(&database).unwrap();
    std::fs::copy(&backup, &database).unwrap();
    let refusal = fixture.refusal().await;
    let OpenError::Regressed { known, .. } = &refusal else { panic!("{refusal}") };
    assert_eq!(known.0, backed_up_at.0 + 100);
    assert!(refusal.to_string().contains("keyward restore"), "{refusal}");
    // Without the heads, the journal still tells; only whoever removes both is believed.
    let heads = std::fs::read(fixture.place().heads()).unwrap();
    std::fs::remove_file(fixture.place().heads()).unwrap();
    assert!(matches!(fixture.refusal().await, OpenError::Regressed { .. }));
    std::fs::write(fixture.place().heads(), heads).unwrap();
    std::fs::write(&database, &newer).unwrap();

    let mut heard = Vec::new();
    let report =
        restore(&fixture.dir(), &backup, &fixture.keys, START, |progress| heard.push(progress)).await.unwrap();
    assert_eq!(report.backup_revision, backed_up_at);
    assert_eq!(report.lost_head, Some(Revision(backed_up_at.0 + 100)));
    assert_eq!((report.replayed, report.revision), (100, Revision(backed_up_at.0 + 101)));
    assert_eq!(report.journal, JournalFound::Read { since: 100, passed_over: 0, unreadable: 0 });
    assert_eq!(heard.first(), Some(&RestoreProgress::Copying));
    assert_eq!(heard.last(), Some(&RestoreProgress::Switching));
    assert_eq!(std::fs::read(report.aside.unwrap().join("keyward.db")).unwrap(), newer, "put aside, not deleted");

    let (store, world) = fixture.world().await;
    for key in &keys {
        assert_eq!(world.read_key(key.id).await.standing(START), Standing::Revoked);
    }
    let entry = store.changes_since(backed_up_at, 1).await.unwrap().remove(0);
    assert_eq!(entry.body.change.name(), "store.restored");
    assert_eq!(entry.body.actor, Actor::Operator { command: "restore".into() });
    let heads = store.signed_heads().unwrap();
    assert!(matches!(store.verify_log(&heads).await.unwrap(), LogVerdict::Intact { .. }));
    drop((store, world));
    fixture.close().await;

    // And once more from the same backup: the journal of both lives is heard.
    let report = restored(&fixture, &backup).await;
    assert_eq!(report.replayed, 100);
    let world = world_of(&fixture).await;
    for key in &keys {
        assert_eq!(world.read_key(key.id).await.standing(START), Standing::Revoked);
    }
}

/// What a store holds at its backup, for every kind of restriction to come.
struct Before {
    project: Project,
    suspended: Project,
    gone: Project,
    organization: Organization,
    keys: Vec<Key>,
    management: [ManagementKey; 2],
}

fn limit_set(name: &str, limit: Option<u64>) -> ProjectChange {
    ProjectChange::LimitSet { name: name.into(), limit: limit.map(|limit| OwnLimit { limit, burst: None }) }
}

async fn before(world: &World) -> Before {
    let project = world.project("one").await;
    let mut keys = Vec::new();
    for _ in 0..8 {
        keys.push(world.key(&project).await);
    }
    world.make(Change::Api { api: Box::new(world.new_api("standard", "v1")) }).await;
    world.make(project_change(&project, ProjectChange::AccessSet { is_granted: true })).await;
    world.make(project_change(&project, limit_set("credits", Some(1_000)))).await;
    Before {
        project,
        suspended: world.project("suspended").await,
        gone: world.project("gone").await,
        organization: world.organization("leaving").await,
        keys,
        management: [world.management_key("rotated").await, world.management_key("revoked").await],
    }
}

/// What came after the backup.
struct Since {
    successor: Key,
    overlapping: Key,
    management: ManagementKey,
    unknown: Key,
}

async fn restrict(world: &World, before: &Before, later: Timestamp) -> Since {
    let Before { project, keys, management, .. } = before;
    let since = Since {
        successor: world.new_key(project),
        overlapping: world.new_key(project),
        management: world.new_management_key("rotated in"),
        unknown: world.key(project).await,
    };
    let rotate = |new: &Key, ends_at| KeyChange::Rotated { new: Box::new(new.clone()), ends_at };
    let addresses = vec!["192.0.2.0/24".parse().unwrap()];
    world.change_key(project, &keys[0], KeyChange::Revoked { reason: Some("leak".into()) }).await;
    world.change_key(project, &keys[1], rotate(&since.successor, START)).await;
    world.change_key(project, &keys[2], rotate(&since.overlapping, later)).await;
    world.change_key(project, &keys[3], KeyChange::Disabled).await;
    world.change_key(project, &keys[4], KeyChange::ExpirySet { expires_at: later }).await;
    world.change_key(project, &keys[5], KeyChange::Rescoped { scopes: Scopes::none() }).await;
    world.change_key(project, &keys[6], KeyChange::AddressesSet { addresses }).await;
    // Taken away and given back: taking away is what a restore is sure of.
    world.change_key(project, &keys[7], KeyChange::Disabled).await;
    world.change_key(project, &keys[7], KeyChange::Enabled).await;
    // About what the backup does not know: nothing to take away.
    world.change_key(project, &since.unknown, KeyChange::Revoked { reason: None }).await;
    let rotated = ManagementKeyChange::Rotated { new: Box::new(since.management.clone()) };
    for change in [
        project_change(&before.suspended, ProjectChange::Suspended),
        project_change(&before.gone, ProjectChange::Deleted),
        project_change(project, ProjectChange::PlanSet { plan: "small".into() }),
        project_change(project, ProjectChange::ActiveKeyLimitSet { limit: Some(1) }),
        project_change(project, limit_set("requests", Some(5))),
        project_change(project, limit_set("credits", None)),
        project_change(project, ProjectChange::AccessSet { is_granted: false }),
        // Given again, which is no restriction: taking away is what a restore is sure of.
        project_change(project, ProjectChange::AccessSet { is_granted: true }),
        Change::Organization { id: before.organization.id, what: OrganizationChange::Suspended },
        Change::ManagementKey { id: management[0].id, what: rotated },
        Change::ManagementKey { id: management[1].id, what: ManagementKeyChange::Revoked },
        Change::Api { api: Box::new(world.new_api("standard", "v2, tighter")) },
    ] {
        world.make(change).await;
    }
    since
}

#[tokio::test]
async fn l11_a_revocation_of_many_is_made_again_for_those_that_still_open() {
    let fixture = SqliteFixture::new();
    let (project, keys, backup) = backed_up(&fixture, 4).await;
    {
        let world = World::new(fixture.opened().await, START);
        // One was revoked by itself before, and one the backup does not know.
        world.make(revoked_key(&project, keys[0].id)).await;
        let unknown = world.key(&project).await;
        world.make(revoked_keys(&[(&project, &[&keys[0], &keys[1], &keys[2], &unknown])])).await;
        world.make(revoked_keys(&[(&project, &[&unknown])])).await;
    }
    fixture.close().await;
    let report = restored(&fixture, &backup).await;
    assert_eq!(report.journal, JournalFound::Read { since: 3, passed_over: 1, unreadable: 0 });
    let world = world_of(&fixture).await;
    for key in &keys[..3] {
        assert_eq!(world.read_key(key.id).await.standing(START), Standing::Revoked);
    }
    assert_eq!(world.read_key(keys[3].id).await, keys[3]);
    let made = world.store.changes_since(report.backup_revision, 10).await.unwrap();
    assert_eq!(made.last().unwrap().body.change, revoked_keys(&[(&project, &[&keys[1], &keys[2]])]));
    assert!(matches!(world.store.verify_log(&[]).await.unwrap(), LogVerdict::Intact { .. }));
}

#[tokio::test]
async fn l11_every_kind_of_restriction_is_made_again() {
    let fixture = SqliteFixture::new();
    let later = START.saturating_add(Duration::from_secs(3_600));
    let (store, world) = fixture.world().await;
    let before = before(&world).await;
    let backup = fixture.folder().join("backup");
    store.backup(&backup).await.unwrap();
    let since = restrict(&world, &before, later).await;
    drop((store, world));
    fixture.close().await;
    let report = restored(&fixture, &backup).await;
    assert_eq!(report.journal, JournalFound::Read { since: 20, passed_over: 1, unreadable: 0 });

    let (store, world) = fixture.world().await;
    let Before { project, suspended, gone, organization, keys, management } = before;
    let read = async |key: &Key| world.read_key(key.id).await;
    assert!(matches!(read(&keys[0]).await.state, KeyState::Revoked { reason: Some(_), .. }));
    assert_eq!(read(&keys[1]).await.standing(START), Standing::Revoked);
    assert_eq!(read(&since.successor).await.standing(START), Standing::Active, "who rotated keeps their new key");
    assert!(store.key_by_digest(&since.successor.digest).await.unwrap().value.is_some());
    assert_eq!(
        read(&keys[2]).await.state,
        KeyState::Retiring { ends_at: later, replaced_by: since.overlapping.id }
    );
    assert_eq!(read(&keys[3]).await.standing(START), Standing::Disabled);
    assert_eq!(read(&keys[4]).await.expires_at, Some(later));
    assert_eq!(read(&keys[5]).await.scopes, Scopes::none());
    let address: IpAddr = "10.2.0.9".parse().unwrap();
    assert!(read(&keys[6]).await.addresses[0].contains(&address));
    assert_eq!(read(&keys[7]).await.standing(START), Standing::Disabled);
    assert_eq!(store.key(since.unknown.id).await.unwrap(), None);
    let state = async |id| store.project(id).await.unwrap().unwrap().state.as_str();
    assert_eq!((state(suspended.id).await, state(gone.id).await), ("suspended", "deleted"));
    let project = store.project(project.id).await.unwrap().unwrap();
    assert_eq!((project.plan.as_str(), project.active_key_limit), ("small", Some(1)));
    assert_eq!(project.limits, BTreeMap::from([("requests".into(), OwnLimit { limit: 5, burst: None })]));
    assert!(!project.is_granted);
    assert_eq!(store.organization(organization.id).await.unwrap().unwrap().state.as_str(), "suspended");
    for old in &management {
        assert!(!store.management_key(old.id).await.unwrap().unwrap().is_live(START));
    }
    assert!(store.management_key(since.management.id).await.unwrap().unwrap().is_live(START));
    assert_eq!(store.api(&"standard".parse().unwrap()).await.unwrap().unwrap().source, "v2, tighter");
}

#[tokio::test]
async fn a_restore_without_journal_or_heads_says_so() {
    let fixture = SqliteFixture::new();
    let (project, keys, backup) = backed_up(&fixture, 2).await;
    World::new(fixture.opened().await, START).make(revoked_key(&project, keys[0].id)).await;
    fixture.close().await;
    std::fs::remove_file(fixture.place().journal()).unwrap();
    std::fs::remove_file(fixture.place().heads()).unwrap();
    let report = restored(&fixture, &backup).await;
    assert_eq!((report.journal, report.lost_head, report.replayed), (JournalFound::Missing, None, 0));
    // Into an empty folder it goes as well.
    let elsewhere = SqliteFixture::new();
    let report = restored(&elsewhere, &backup).await;
    assert_eq!((report.journal, report.aside), (JournalFound::Missing, None));
    world_of(&elsewhere).await.key(&project).await;
}

#[tokio::test]
async fn a_journal_that_somebody_wrote_is_not_believed() {
    let fixture = SqliteFixture::new();
    let (project, keys, backup) = backed_up(&fixture, 3).await;
    let world = World::new(fixture.opened().await, START);
    for key in &keys[..2] {
        world.make(revoked_key(&project, key.id)).await;
    }
    drop(world);
    fixture.close().await;
    let journal = fixture.place().journal();
    let text = std::fs::read_to_string(&journal).unwrap();
    let forged = text.lines().next().unwrap().replace(&keys[0].id.to_string(), &keys[2].id.to_string());
    // A line cut off by a crash, one that was edited, and one that is nothing.
    std::fs::write(&journal, format!("{}\n{forged}\n\u{0}garbage\n{text}", &text[..40])).unwrap();
    let report = restored(&fixture, &backup).await;
    assert_eq!(report.journal, JournalFound::Read { since: 2, passed_over: 0, unreadable: 3 });
    let world = world_of(&fixture).await;
    let standing = async |key: &Key| world.read_key(key.id).await.standing(START);
    assert_eq!(standing(&keys[0]).await, Standing::Revoked);
    assert_eq!(standing(&keys[2]).await, Standing::Active);
}

#[tokio::test]
async fn what_is_no_backup_of_this_store_is_refused_and_changes_nothing() {
    let fixture = SqliteFixture::new();
    let (project, keys, backup) = backed_up(&fixture, 3).await;
    World::new(fixture.opened().await, START).make(revoked_key(&project, keys[0].id)).await;
    fixture.close().await;
    let other = SqliteFixture::new();
    let (_, _, foreign) = backed_up(&other, 1).await;

    let refuse =
        async |file: &PathBuf| restore(&fixture.dir(), file, &fixture.keys, START, |_| {}).await.unwrap_err();
    let refusal = refuse(&foreign).await;
    assert!(matches!(refusal, OpenError::OtherStore { .. }), "{refusal}");
    let refusal = refuse(&fixture.folder().join("missing")).await;
    assert!(matches!(refusal, OpenError::NotABackup { .. }), "{refusal}");
    let bad = fixture.folder().join("bad");
    std::fs::write(&bad, b"").unwrap();
    let refusal = refuse(&bad).await;
    assert!(matches!(refusal, OpenError::NotABackup { .. }), "{refusal}");
    std::fs::write(&bad, &std::fs::read(&backup).unwrap()[..9_000]).unwrap();
    let refusal = refuse(&bad).await;
    assert!(matches!(refusal, OpenError::NotABackup { .. }), "{refusal}");
    std::fs::copy(&backup, &bad).unwrap();
    sql(&bad, "UPDATE log SET body = replace(body, 'ci', 'cj') WHERE revision = 4").await;
    let refusal = refuse(&bad).await;
    assert!(refusal.to_string().contains("entry 4"), "{refusal}");
    std::fs::copy(&backup, &bad).unwrap();
    sql(&bad, "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 2").await;
    let refusal = refuse(&bad).await;
    assert!(matches!(refusal, OpenError::Newer { .. }), "{refusal}");

    let world = world_of(&fixture).await;
    assert_eq!(world.read_key(keys[0].id).await.standing(START), Standing::Revoked);
    assert_eq!(world.read_key(keys[1].id).await.standing(START), Standing::Active);
}

async fn rescope(world: &World, project: &Project, key: &Key, scopes: &[&str]) {
    let scopes = Scopes::new(scopes).unwrap();
    world.change_key(project, key, KeyChange::Rescoped { scopes }).await;
}

async fn scopes_of(world: &World, key: &Key) -> String {
    world.read_key(key.id).await.scopes.to_string()
}

#[tokio::test]
async fn l11_a_second_restore_gives_nothing_back_that_the_first_gave_up() {
    let fixture = SqliteFixture::new();
    let (project, keys, first) = {
        let (store, world) = fixture.world().await;
        let project = world.project("one").await;
        let key = world.key(&project).await;
        rescope(&world, &project, &key, &["admin", "read", "write"]).await;
        let first = fixture.folder().join("first");
        store.backup(&first).await.unwrap();
        rescope(&world, &project, &key, &["admin", "read"]).await;
        world.make(project_change(&project, ProjectChange::PlanSet { plan: "large".into() })).await;
        (project, vec![key], first)
    };
    fixture.close().await;
    restored(&fixture, &first).await;
    let second = fixture.folder().join("second");
    {
        let (store, world) = fixture.world().await;
        assert_eq!(scopes_of(&world, &keys[0]).await, "admin read");
        rescope(&world, &project, &keys[0], &["read"]).await;
        world.make(project_change(&project, ProjectChange::PlanSet { plan: "small".into() })).await;
        store.backup(&second).await.unwrap();
    }
    fixture.close().await;
    let report = restored(&fixture, &second).await;
    assert_eq!(
        (report.replayed, report.journal),
        (0, JournalFound::Read { since: 0, passed_over: 0, unreadable: 0 })
    );
    let (store, world) = fixture.world().await;
    assert_eq!(scopes_of(&world, &keys[0]).await, "read");
    assert_eq!(store.project(project.id).await.unwrap().unwrap().plan, "small");
    drop((store, world));
    fixture.close().await;

    // Back to the first: what happened last is what stands.
    restored(&fixture, &first).await;
    let (store, world) = fixture.world().await;
    assert_eq!(scopes_of(&world, &keys[0]).await, "read");
    assert_eq!(store.project(project.id).await.unwrap().unwrap().plan, "small");
}

#[tokio::test]
async fn l11_a_revocation_that_an_older_restore_gave_up_still_holds_in_a_newer_backup() {
    let fixture = SqliteFixture::new();
    let (project, _, first) = backed_up(&fixture, 1).await;
    let second = fixture.folder().join("second");
    let (revoked, rotated, successor);
    {
        let world = World::new(fixture.opened().await, START);
        (revoked, rotated) = (world.key(&project).await, world.key(&project).await);
        fixture.opened().await.backup(&second).await.unwrap();
        world.make(revoked_key(&project, revoked.id)).await;
        successor = world.new_key(&project);
        let what = KeyChange::Rotated { new: Box::new(successor.clone()), ends_at: START };
        world.change_key(&project, &rotated, what).await;
    }
    fixture.close().await;
    restored(&fixture, &first).await;
    restored(&fixture, &second).await;
    let world = world_of(&fixture).await;
    for key in [&revoked, &rotated] {
        assert_eq!(world.read_key(key.id).await.standing(START), Standing::Revoked);
    }
    assert_eq!(world.store.key(successor.id).await.unwrap(), None);
}

/// Puts back what a crash between the journal's sync and the commit leaves: the files as they were before
/// `work`, and the journal as it is after it.
async fn crash_before_commit<F: Future<Output = ()>>(fixture: &SqliteFixture, work: impl FnOnce(World) -> F) {
    let place = fixture.place();
    fixture.close().await;
    // The write-ahead log too: it may outlive a close.
    let files = [place.database(), place.heads(), place.write_ahead_log()];
    let before: Vec<_> = files.iter().map(|file| std::fs::read(file).ok()).collect();
    work(world_of(fixture).await).await;
    fixture.close().await;
    for (file, bytes) in files.iter().zip(before) {
        match bytes {
            Some(bytes) => std::fs::write(file, bytes).unwrap(),
            None if file.exists() => std::fs::remove_file(file).unwrap(),
            None => {}
        }
    }
}

#[tokio::test]
async fn l11_a_line_whose_commit_never_happened_gives_and_takes_nothing() {
    // With and without a change that the journal does not hold in between.
    for quiet in [false, true] {
        let fixture = SqliteFixture::new();
        let (project, keys, backup) = backed_up(&fixture, 3).await;
        let world = World::new(fixture.opened().await, START);
        rescope(&world, &project, &keys[0], &[]).await;
        drop(world);
        let lost = {
            let (project, key) = (project.clone(), keys[1].clone());
            crash_before_commit(&fixture, async move |world| {
                let lost = world.new_key(&project);
                let what = KeyChange::Rotated { new: Box::new(lost), ends_at: START };
                world.change_key(&project, &key, what).await;
            })
        };
        lost.await;
        let successor = {
            let world = world_of(&fixture).await;
            if quiet {
                world.key(&project).await;
                world.key(&project).await;
            }
            let successor = world.new_key(&project);
            let what = KeyChange::Rotated { new: Box::new(successor.clone()), ends_at: START };
            world.change_key(&project, &keys[1], what).await;
            successor
        };
        let (of, key) = (project.clone(), keys[0].clone());
        crash_before_commit(&fixture, async move |world| rescope(&world, &of, &key, &["admin"]).await).await;
        let (of, key) = (project.clone(), keys[2].clone());
        drop(world_of(&fixture).await);
        // At the journal's end nothing contradicts it: taken away, in doubt.
        crash_before_commit(&fixture, async move |world| {
            world.make(revoked_key(&of, key.id)).await;
        })
        .await;
        restored(&fixture, &backup).await;
        let world = world_of(&fixture).await;
        assert_eq!(scopes_of(&world, &keys[0]).await, "");
        assert_eq!(world.read_key(keys[1].id).await.standing(START), Standing::Revoked);
        assert_eq!(world.read_key(successor.id).await.standing(START), Standing::Active, "{quiet}");
        assert_eq!(world.read_key(keys[2].id).await.standing(START), Standing::Revoked);
    }
}

#[tokio::test]
async fn l11_in_doubt_a_plan_stays_and_a_key_only_gets_narrower() {
    let fixture = SqliteFixture::new();
    let (project, keys, backup) = backed_up(&fixture, 2).await;
    let wide = vec!["0.0.0.0/0".parse().unwrap()];
    {
        let world = World::new(fixture.opened().await, START);
        world.change_key(&project, &keys[0], KeyChange::AddressesSet { addresses: wide }).await;
        let apart = vec!["192.0.2.0/24".parse().unwrap()];
        world.change_key(&project, &keys[1], KeyChange::AddressesSet { addresses: apart }).await;
        rescope(&world, &project, &keys[0], &["reports:read", "reports:write", "admin"]).await;
    }
    let of = project.clone();
    crash_before_commit(&fixture, async move |world| {
        let limit = limit_set("credits", Some(1_000_000));
        let changes = [ProjectChange::PlanSet { plan: "large".into() }, limit];
        world.propose(changes.map(|change| project_change(&of, change)).to_vec()).await.unwrap();
    })
    .await;
    restored(&fixture, &backup).await;
    let (store, world) = fixture.world().await;
    let read = world.read_key(keys[0].id).await;
    assert_eq!((read.scopes, read.addresses), (keys[0].scopes.clone(), keys[0].addresses.clone()));
    assert_eq!(world.read_key(keys[1].id).await.standing(START), Standing::Disabled, "no address in common");
    let read = store.project(project.id).await.unwrap().unwrap();
    assert_eq!((read.plan, read.limits), (project.plan, project.limits));
}
