//! Sessions, and links that sign in once.

use std::time::Duration;

use keyward_core::change::{Expect, PersonChange, Revision};
use keyward_core::clock::{Clock, Timestamp};
use keyward_core::id::SessionId;
use keyward_core::people::{Identity, PasswordHash, Person, Role};
use keyward_core::session::{Session, SignInLink, SignedInBy};
use keyward_core::store::SessionsOf;

use super::world::*;
use super::{Fixture, World};

async fn world(fixture: &dyn Fixture) -> World {
    World::new(fixture.open().await, fixture.clock().now())
}

fn later(world: &World, seconds: u64) -> Timestamp {
    world.now.saturating_add(Duration::from_secs(seconds))
}

fn new_session(world: &World, person: &Person) -> Session {
    Session {
        id: SessionId::from_u128(new_number()),
        person: person.id,
        digest: new_digest(),
        signed_in_by: SignedInBy::OpenIdConnect { issuer: "https://login.example".into() },
        created_at: world.now,
        seen_at: world.now,
        ends_at: later(world, 3_600),
        address: Some([192, 0, 2, 1].into()),
        browser: "Böwser/1".into(),
    }
}

async fn session(world: &World, person: &Person) -> Session {
    let session = new_session(world, person);
    world.store.add_session(&session).await.unwrap();
    session
}

async fn link(world: &World, person: &Person) -> SignInLink {
    let expires_at = later(world, 600);
    let link = SignInLink { digest: new_digest(), person: person.id, created_at: world.now, expires_at };
    world.store.add_sign_in_link(&link).await.unwrap();
    link
}

pub async fn w05_sessions_are_kept_listed_and_ended(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let (ada, bob) = (world.person("ada").await, world.person("bob").await);
    let before = world.revision().await;
    let store = &world.store;
    let first = session(&world, &ada).await;
    let mut second = new_session(&world, &ada);
    second.created_at = later(&world, 1);
    store.add_session(&second).await.unwrap();
    let third = session(&world, &bob).await;
    assert_eq!(store.session_by_digest(&first.digest).await.unwrap().as_ref(), Some(&first));
    assert_eq!(store.session_by_digest(&new_digest()).await.unwrap(), None);
    assert_eq!(store.sessions(ada.id).await.unwrap(), [second.clone(), first.clone()]);

    store.end_sessions(&SessionsOf::Session(second.id)).await.unwrap();
    assert_eq!(store.session_by_digest(&second.digest).await.unwrap(), None);
    let (kept, link) = (session(&world, &ada).await, link(&world, &ada).await);
    store.end_sessions(&SessionsOf::Person { id: ada.id, but: Some(kept.id) }).await.unwrap();
    assert_eq!(store.sessions(ada.id).await.unwrap(), std::slice::from_ref(&kept));
    assert_eq!(store.sign_in_link(&link.digest).await.unwrap(), None);
    store.end_sessions(&SessionsOf::Person { id: ada.id, but: None }).await.unwrap();
    assert!(store.sessions(ada.id).await.unwrap().is_empty());
    assert_eq!(store.sessions(bob.id).await.unwrap(), [third]);
    assert_eq!(world.revision().await, before, "no changes");
}

pub async fn a_session_is_only_seen_later(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let session = session(&world, &world.person("ada").await).await;
    let store = &world.store;
    for (seen_at, expected) in [(90, 90), (30, 90), (91, 91)] {
        store.touch_session(session.id, later(&world, seen_at)).await.unwrap();
        let found = store.session_by_digest(&session.digest).await.unwrap().unwrap();
        assert_eq!(found, Session { seen_at: later(&world, expected), ..session.clone() });
        assert_eq!(store.sessions(session.person).await.unwrap(), [found]);
    }
    // One that has ended stays so.
    store.end_sessions(&SessionsOf::Session(session.id)).await.unwrap();
    store.touch_session(session.id, later(&world, 100)).await.unwrap();
    assert_eq!(store.session_by_digest(&session.digest).await.unwrap(), None);
}

pub async fn nobody_unknown_or_disabled_gets_a_session(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let disabled = world.person("disabled").await;
    world.make(person_change(&disabled, PersonChange::Disabled)).await;
    for person in [disabled, world.new_person("unknown")] {
        let refused = Expect::Person(person.id, Revision::ZERO);
        let session = new_session(&world, &person);
        assert_eq!(conflict(world.store.add_session(&session).await), refused);
        let link = SignInLink {
            digest: new_digest(),
            person: person.id,
            created_at: world.now,
            expires_at: later(&world, 600),
        };
        assert_eq!(conflict(world.store.add_sign_in_link(&link).await), refused);
        assert_eq!(world.store.session_by_digest(&session.digest).await.unwrap(), None);
    }
}

pub async fn t07_what_takes_from_a_person_ends_their_sessions(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let organization = world.organization("acme").await;
    let other = world.person("other").await;
    let others = session(&world, &other).await;
    let ada = world.member("ada", organization.id, Role::Owner).await;
    let unlinked = Identity { issuer: "https://login.example".into(), subject: "ada".into() };
    let steps = [
        // More begins with a new session as well (trust.md W04).
        (PersonChange::OperatorSet { is_operator: true }, true),
        (PersonChange::IdentityUnlinked { identity: unlinked }, true),
        (PersonChange::Renamed { name: "Ada".into() }, false),
        (PersonChange::RoleSet { organization: organization.id, role: Role::Viewer }, false),
        (PersonChange::PasswordSet { password: Some(PasswordHash("phc".into())) }, true),
        (PersonChange::OperatorSet { is_operator: false }, true),
        (PersonChange::Removed { organization: organization.id }, true),
        (PersonChange::Disabled, true),
    ];
    for (what, ends) in steps {
        let (session, link) = (session(&world, &ada).await, link(&world, &ada).await);
        let change = person_change(&ada, what);
        // A proposal that is refused ends nothing.
        let stale = vec![Expect::Person(ada.id, Revision::ZERO)];
        conflict(world.expecting(stale, vec![change.clone()]).await);
        assert!(world.store.session_by_digest(&session.digest).await.unwrap().is_some());
        world.make(change.clone()).await;
        let found = world.store.session_by_digest(&session.digest).await.unwrap();
        assert_eq!(found.is_none(), ends, "{change:?}");
        assert_eq!(world.store.sign_in_link(&link.digest).await.unwrap().is_none(), ends, "{change:?}");
    }
    assert!(world.store.session_by_digest(&others.digest).await.unwrap().is_some());
}

pub async fn a_sign_in_link_is_taken_once(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let link = link(&world, &world.person("ada").await).await;
    assert_eq!(world.store.sign_in_link(&link.digest).await.unwrap().as_ref(), Some(&link));
    let takers: Vec<_> = (0..20)
        .map(|_| {
            let (store, digest) = (world.store.clone(), link.digest);
            tokio::spawn(async move { store.take_sign_in_link(&digest).await.unwrap() })
        })
        .collect();
    let mut taken = Vec::new();
    for taker in takers {
        taken.extend(taker.await.unwrap());
    }
    assert_eq!(taken, std::slice::from_ref(&link));
    assert_eq!(world.store.sign_in_link(&link.digest).await.unwrap(), None);
    assert_eq!(world.store.take_sign_in_link(&link.digest).await.unwrap(), None);
}

pub async fn sessions_that_ended_are_forgotten_in_parts(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let ada = world.person("ada").await;
    let store = &world.store;
    let mut kept = new_session(&world, &ada);
    kept.seen_at = later(&world, 100);
    store.add_session(&kept).await.unwrap();
    let mut ended = kept.clone();
    (ended.id, ended.digest) = (SessionId::from_u128(new_number()), new_digest());
    ended.ends_at = later(&world, 200);
    store.add_session(&ended).await.unwrap();
    for _ in 0..5 {
        session(&world, &ada).await;
    }
    let link = link(&world, &ada).await;

    let (unused_since, now) = (later(&world, 100), later(&world, 200));
    assert!(store.forget_sessions(unused_since, now, 2).await.unwrap());
    assert_eq!(store.sessions(ada.id).await.unwrap().len(), 4, "two unused, and the one that ended");
    while store.forget_sessions(unused_since, now, 2).await.unwrap() {}
    assert_eq!(store.sessions(ada.id).await.unwrap(), [kept]);
    assert!(store.sign_in_link(&link.digest).await.unwrap().is_some());
    assert!(!store.forget_sessions(unused_since, link.expires_at, 2).await.unwrap());
    assert_eq!(store.sign_in_link(&link.digest).await.unwrap(), None);
}
