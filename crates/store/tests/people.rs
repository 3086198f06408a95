//! People through what only files go through: a restored backup, and somebody who writes to the database.

mod support;

use keyward_core::change::{InvitationChange, PersonChange};
use keyward_core::id::SessionId;
use keyward_core::people::{InvitationState, Role};
use keyward_core::session::{Session, SignInLink, SignedInBy};
use keyward_core::store::{Store, StoreError};
use keyward_store::conformance::Fixture;
use keyward_store::conformance::words::*;
use keyward_store::restore;
use support::*;

#[tokio::test]
async fn l11_what_people_lost_since_the_backup_stays_lost() {
    let fixture = SqliteFixture::new();
    let (store, world) = fixture.world().await;
    let acme = world.organization("acme").await.id;
    let owner = |name: &'static str| world.member(name, acme, Role::Owner);
    let (removed, demoted, promoted) =
        (owner("a").await, owner("b").await, world.member("c", acme, Role::Viewer).await);
    let (disabled, operator) = (world.person("d").await, world.operator("e").await);
    let mut invitations = Vec::new();
    for _ in 0..4 {
        invitations.push(world.invitation(Some(acme)).await);
    }
    let session = session(&operator.id);
    store.add_session(&session).await.unwrap();
    let expires_at = START.saturating_add(std::time::Duration::from_secs(600));
    let link = SignInLink { digest: new_digest(), person: operator.id, created_at: START, expires_at };
    store.add_sign_in_link(&link).await.unwrap();
    let backup = fixture.folder().join("backup");
    store.backup(&backup).await.unwrap();

    let newcomer = world.person("newcomer").await;
    for change in [
        person_change(&removed, PersonChange::Removed { organization: acme }),
        person_change(&removed, PersonChange::Joined { organization: acme, role: Role::Owner }),
        person_change(&demoted, PersonChange::RoleSet { organization: acme, role: Role::Viewer }),
        person_change(&promoted, PersonChange::RoleSet { organization: acme, role: Role::Owner }),
        person_change(&disabled, PersonChange::Disabled),
        person_change(&operator, PersonChange::OperatorSet { is_operator: false }),
        person_change(&newcomer, PersonChange::Disabled),
        invitation_change(&invitations[0], InvitationChange::Withdrawn),
        invitation_change(&invitations[1], InvitationChange::Accepted { by: disabled.id }),
        invitation_change(&invitations[2], InvitationChange::Accepted { by: newcomer.id }),
        // So that the last line is known to have happened.
        person_change(&disabled, PersonChange::Disabled),
    ] {
        world.make(change).await;
    }
    drop((store, world));
    fixture.close().await;
    restore(&fixture.dir(), &backup, &fixture.keys, START, |_| {}).await.unwrap_or_else(|error| panic!("{error}"));

    let (store, _) = fixture.world().await;
    let person = async |id| store.person(id).await.unwrap().unwrap();
    assert_eq!(person(removed.id).await.membership(acme), None);
    assert_eq!(person(demoted.id).await.membership(acme).unwrap().role, Role::Viewer);
    assert_eq!(person(promoted.id).await.membership(acme).unwrap().role, Role::Viewer, "nothing is given");
    assert!(!person(disabled.id).await.is_active());
    assert!(!person(operator.id).await.is_operator);
    assert_eq!(store.person(newcomer.id).await.unwrap(), None);
    let state = async |at: usize| store.invitation(invitations[at].id).await.unwrap().unwrap().state;
    assert_eq!(state(0).await, InvitationState::Withdrawn { at: START });
    assert_eq!(state(1).await, InvitationState::Accepted { at: START, by: disabled.id });
    assert_eq!(state(2).await, InvitationState::Withdrawn { at: START }, "whoever accepted it is not known");
    assert_eq!(state(3).await, InvitationState::Open);
    assert_eq!(store.session_by_digest(&session.digest).await.unwrap(), None);
    assert_eq!(store.sign_in_link(&link.digest).await.unwrap(), None);
}

fn session(person: &keyward_core::id::PersonId) -> Session {
    Session {
        id: SessionId::from_u128(new_number()),
        person: *person,
        digest: new_digest(),
        signed_in_by: SignedInBy::Password,
        created_at: START,
        seen_at: START,
        ends_at: START.saturating_add(std::time::Duration::from_secs(3_600)),
        address: None,
        browser: String::new(),
    }
}

#[tokio::test]
async fn nobody_who_writes_to_the_file_becomes_another() {
    let fixture = SqliteFixture::new();
    let (store, world) = fixture.world().await;
    let (thief, victim) = (world.new_person("thief"), world.new_person("victim"));
    world.make(created_person(&thief, Some("phc of the thief"))).await;
    world.make(created_person(&victim, Some("phc of the victim"))).await;
    let [of_thief, of_victim] = [session(&thief.id), session(&victim.id)];
    store.add_session(&of_thief).await.unwrap();
    store.add_session(&of_victim).await.unwrap();
    let edit = format!(
        "UPDATE passwords SET phc = (SELECT phc FROM passwords WHERE person = '{thief}'),
             seal = (SELECT seal FROM passwords WHERE person = '{thief}') WHERE person = '{victim}';
         DELETE FROM sessions WHERE id = '{of_victim}';
         UPDATE sessions SET person = '{victim}' WHERE id = '{of_thief}';
         UPDATE people SET email = 'gone@example.com' WHERE id = '{victim}';
         UPDATE people SET email = '{email}' WHERE id = '{thief}'",
        thief = thief.id,
        victim = victim.id,
        of_victim = of_victim.id,
        of_thief = of_thief.id,
        email = victim.email,
    );
    sql(&fixture.place().database(), &edit).await;
    assert!(matches!(store.password(victim.id).await, Err(StoreError::Damaged(_))));
    assert!(matches!(store.sessions(victim.id).await, Err(StoreError::Damaged(_))));
    assert_eq!(store.session_by_digest(&of_thief.digest).await.unwrap().unwrap().person, thief.id);
    assert!(matches!(store.person_by_email(&victim.email).await, Err(StoreError::Damaged(_))));
}
