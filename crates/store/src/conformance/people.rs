//! People, their passwords and invitations: what is unique, what is expected, who wins.

use keyward_core::change::{Change, Expect, InvitationChange, PersonChange, Revision};
use keyward_core::clock::Clock;
use keyward_core::id::OrganizationId;
use keyward_core::people::{Identity, InvitationState, Membership, PasswordHash, Person, PersonState, Role};
use keyward_core::store::{Page, PersonFilter, StoreError};

use super::world::*;
use super::{Fixture, World};

async fn world(fixture: &dyn Fixture) -> World {
    World::new(fixture.open().await, fixture.clock().now())
}

const ALL: Page = Page { before: None, limit: 1_000 };

fn identity(subject: &str) -> Identity {
    Identity { issuer: "https://login.example".into(), subject: subject.into() }
}

pub async fn a_person_is_found_by_id_address_and_identity(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let organization = world.organization("acme").await;
    let mut person = world.new_person("ada");
    person.memberships =
        vec![Membership { organization: organization.id, role: Role::Owner, joined_at: world.now }];
    person.identities = vec![identity("ada-1")];
    let entry = world.make(created_person(&person, Some("phc-1"))).await;
    (person.created_revision, person.revision) = (entry.revision, entry.revision);

    let store = &world.store;
    assert_eq!(store.person(person.id).await.unwrap().as_ref(), Some(&person));
    assert_eq!(store.person_by_email(&person.email).await.unwrap().as_ref(), Some(&person));
    assert_eq!(store.person_by_identity(&identity("ada-1")).await.unwrap().as_ref(), Some(&person));
    assert_eq!(store.password(person.id).await.unwrap(), Some(PasswordHash("phc-1".into())));
    assert_eq!(store.person_by_identity(&identity("ada-2")).await.unwrap(), None);
    assert_eq!(store.person_by_email("nobody@example.com").await.unwrap(), None);
    let nobody = world.new_person("nobody");
    assert_eq!(store.person(nobody.id).await.unwrap(), None);
    assert_eq!(store.password(nobody.id).await.unwrap(), None);

    let steps = [
        PersonChange::Renamed { name: "Ada L.".into() },
        PersonChange::IdentityLinked { identity: identity("ada-2") },
        PersonChange::IdentityLinked { identity: identity("ada-2") },
        PersonChange::IdentityUnlinked { identity: identity("ada-1") },
        PersonChange::IdentityUnlinked { identity: identity("ada-1") },
        PersonChange::SignInLinkMade,
        PersonChange::OperatorSet { is_operator: true },
        PersonChange::RoleSet { organization: organization.id, role: Role::Viewer },
        PersonChange::Disabled,
        PersonChange::Enabled,
        PersonChange::Removed { organization: organization.id },
        PersonChange::Joined { organization: organization.id, role: Role::Developer },
        PersonChange::OperatorSet { is_operator: false },
    ];
    for what in steps {
        let entry = world.make(person_change(&person, what.clone())).await;
        person.apply(&what, world.now, entry.revision);
        assert_eq!(store.person(person.id).await.unwrap().as_ref(), Some(&person));
    }
    assert_eq!(person.state, PersonState::Active);
    assert_eq!(store.person_by_identity(&identity("ada-2")).await.unwrap().as_ref(), Some(&person));
    assert_eq!(store.person_by_identity(&identity("ada-1")).await.unwrap(), None);
    // What was unlinked can be another's; what is another's is not unlinked; both within one proposal too.
    let bob = world.person("bob").await;
    let moved = vec![
        person_change(&person, PersonChange::IdentityUnlinked { identity: identity("ada-2") }),
        person_change(&bob, PersonChange::IdentityLinked { identity: identity("ada-2") }),
        person_change(&person, PersonChange::IdentityUnlinked { identity: identity("ada-2") }),
    ];
    world.propose(moved).await.unwrap();
    assert_eq!(store.person_by_identity(&identity("ada-2")).await.unwrap().map(|found| found.id), Some(bob.id));
}

pub async fn an_address_or_identity_that_is_taken_is_a_conflict(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let ada = world.person("ada").await;
    world.make(person_change(&ada, PersonChange::IdentityLinked { identity: identity("taken") })).await;

    let mut other = world.new_person("other");
    other.email = ada.email.clone();
    let taken = Expect::NoPerson(ada.email.clone());
    assert_eq!(conflict(world.propose(vec![created_person(&other, None)]).await), taken);
    let expecting = world.expecting(vec![taken.clone()], vec![person_change(&ada, PersonChange::SignInLinkMade)]);
    assert_eq!(conflict(expecting.await), taken);
    // Within one proposal too.
    let (one, mut same) = (world.new_person("twin"), world.new_person("same"));
    same.email = one.email.clone();
    let both = vec![created_person(&one, None), created_person(&same, None)];
    assert_eq!(conflict(world.propose(both).await), Expect::NoPerson(one.email.clone()));
    assert_eq!(world.store.person_by_email(&one.email).await.unwrap(), None);

    let bob = world.person("bob").await;
    let link = person_change(&bob, PersonChange::IdentityLinked { identity: identity("taken") });
    assert_eq!(conflict(world.propose(vec![link]).await), Expect::Person(bob.id, Revision::ZERO));
    let mut thief = world.new_person("thief");
    thief.identities = vec![identity("taken")];
    let created = world.propose(vec![created_person(&thief, None)]).await;
    assert_eq!(conflict(created), Expect::Person(thief.id, Revision::ZERO));
    assert_eq!(world.store.person_by_identity(&identity("taken")).await.unwrap().unwrap().id, ada.id);

    let again = world.propose(vec![created_person(&ada, None)]).await;
    assert_eq!(conflict(again), Expect::Person(ada.id, Revision::ZERO));
    let unknown = world.propose(vec![person_change(&thief, PersonChange::Disabled)]).await;
    assert_eq!(conflict(unknown), Expect::Person(thief.id, Revision::ZERO));
    let nowhere = OrganizationId::from_u128(new_number());
    let joined = PersonChange::Joined { organization: nowhere, role: Role::Owner };
    let joining = world.propose(vec![person_change(&bob, joined)]).await;
    assert_eq!(conflict(joining), Expect::Organization(nowhere, Revision::ZERO));
}

pub async fn people_are_listed_by_organization_and_power(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let (acme, other) = (world.organization("acme").await, world.organization("other").await);
    let mut members = Vec::new();
    for i in 0..5 {
        members.push(world.member(&format!("member{i}"), acme.id, Role::Viewer).await.id);
    }
    let elsewhere = world.member("elsewhere", other.id, Role::Owner).await;
    let operator = world.operator("root").await;
    members.reverse();

    let of_acme = PersonFilter { organization: Some(acme.id), is_operator: false };
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let part = world.store.people(&of_acme, Page { before, limit: 2 }).await.unwrap();
        let Some(last) = part.last() else { break };
        assert!(part.len() <= 2);
        before = Some(last.created_revision);
        seen.extend(part.iter().map(|person| person.id));
    }
    assert_eq!(seen, members);
    let ids = |people: Vec<Person>| people.iter().map(|person| person.id).collect::<Vec<_>>();
    let operators = PersonFilter { organization: None, is_operator: true };
    assert_eq!(ids(world.store.people(&operators, ALL).await.unwrap()), [operator.id]);
    let all = ids(world.store.people(&PersonFilter::default(), ALL).await.unwrap());
    assert_eq!(all, [&[operator.id, elsewhere.id][..], &members].concat());
    let both = PersonFilter { organization: Some(acme.id), is_operator: true };
    assert!(world.store.people(&both, ALL).await.unwrap().is_empty());
    let joins = PersonChange::Joined { organization: acme.id, role: Role::Owner };
    world.make(person_change(&operator, joins)).await;
    assert_eq!(ids(world.store.people(&both, ALL).await.unwrap()), [operator.id]);

    let gone = world.store.person(members[0]).await.unwrap().unwrap();
    world.make(person_change(&gone, PersonChange::Removed { organization: acme.id })).await;
    let left = ids(world.store.people(&of_acme, ALL).await.unwrap());
    assert_eq!(left, [&[operator.id][..], &members[1..]].concat());
}

pub async fn a_password_is_in_no_log(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let person = world.new_person("ada");
    let made = world.make(created_person(&person, Some("$argon2id$first"))).await;
    let set = |hash: &str| PersonChange::PasswordSet { password: Some(PasswordHash(hash.into())) };
    let changed = world.make(person_change(&person, set("$argon2id$second"))).await;
    assert_eq!(world.store.password(person.id).await.unwrap(), Some(PasswordHash("$argon2id$second".into())));
    let read = world.store.changes_since(Revision(made.revision.0 - 1), 10).await.unwrap();
    assert_eq!(read, [made, changed]);
    for entry in &read {
        let json = serde_json::to_string(&entry.body).unwrap();
        assert!(!json.contains("argon2id"), "{json}");
        assert!(!format!("{entry:?}").contains("argon2id"));
    }
    // A refused proposal sets none.
    let stale = vec![Expect::Person(person.id, Revision::ZERO)];
    let refused = world.expecting(stale, vec![person_change(&person, set("third"))]).await;
    conflict(refused);
    assert_eq!(world.store.password(person.id).await.unwrap(), Some(PasswordHash("$argon2id$second".into())));
    world.make(person_change(&person, PersonChange::PasswordSet { password: None })).await;
    assert_eq!(world.store.password(person.id).await.unwrap(), None);
}

pub async fn expectations_of_people_are_checked(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let organization = world.organization("acme").await;
    let touched = world.person("touched").await;
    let holds = async |expect: Expect| {
        let change = vec![person_change(&touched, PersonChange::SignInLinkMade)];
        match world.expecting(vec![expect.clone()], change).await {
            Ok(_) => true,
            Err(StoreError::Conflict(found)) => {
                assert_eq!(found, expect);
                false
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert!(holds(Expect::NoOperator).await);
    assert!(holds(Expect::NoPerson("free@example.com".into())).await);
    assert!(!holds(Expect::OperatorBeside(touched.id)).await);
    let (one, two) = (world.operator("one").await, world.operator("two").await);
    assert!(!holds(Expect::NoOperator).await);
    assert!(holds(Expect::Person(one.id, one.revision)).await);
    assert!(!holds(Expect::Person(one.id, Revision(one.revision.0 + 1))).await);
    assert!(holds(Expect::OperatorBeside(one.id)).await);
    world.make(person_change(&two, PersonChange::Disabled)).await;
    assert!(!holds(Expect::OperatorBeside(one.id)).await);
    assert!(holds(Expect::OperatorBeside(two.id)).await);
    world.make(person_change(&one, PersonChange::OperatorSet { is_operator: false })).await;
    // Who may not sign in is still one: Keyward is set up.
    assert!(!holds(Expect::NoOperator).await);

    let owner = world.member("owner", organization.id, Role::Owner).await;
    let developer = world.member("developer", organization.id, Role::Developer).await;
    let beside = |person: &Person| Expect::OwnerBeside(organization.id, person.id);
    assert!(!holds(beside(&owner)).await);
    assert!(holds(beside(&developer)).await);
    let promoted = PersonChange::RoleSet { organization: organization.id, role: Role::Owner };
    world.make(person_change(&developer, promoted)).await;
    assert!(holds(beside(&owner)).await);
    world.make(person_change(&developer, PersonChange::Disabled)).await;
    assert!(!holds(beside(&owner)).await);
    let elsewhere = world.organization("elsewhere").await;
    assert!(!holds(Expect::OwnerBeside(elsewhere.id, touched.id)).await);
}

/// Runs proposals at once; says how many were made.
async fn winners(world: &World, proposals: Vec<(Vec<Expect>, Vec<Change>)>) -> usize {
    let tasks: Vec<_> = proposals
        .into_iter()
        .map(|(expect, changes)| {
            let world = world.clone();
            tokio::spawn(async move { world.expecting(expect, changes).await })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => made += 1,
            Err(StoreError::Conflict(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    made
}

pub async fn of_a_hundred_set_ups_at_once_one_wins(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let proposals = (0..100).map(|i| {
        let mut person = world.new_person(&format!("operator{i}"));
        person.is_operator = true;
        (vec![Expect::NoOperator], vec![created_person(&person, Some("phc"))])
    });
    assert_eq!(winners(&world, proposals.collect()).await, 1);
    let people = world.store.people(&PersonFilter::default(), ALL).await.unwrap();
    assert_eq!(people.len(), 1);
    assert!(people[0].is_operator);
}

pub async fn t04_the_last_owner_and_operator_stay_whoever_demotes_whom_at_once(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    for round in 0..10 {
        let organization = world.organization("acme").await;
        let mut owners = Vec::new();
        for i in 0..3 {
            owners.push(world.member(&format!("owner{round}-{i}"), organization.id, Role::Owner).await);
        }
        let demotions = owners.iter().map(|owner| {
            let what = match round % 2 {
                0 => PersonChange::RoleSet { organization: organization.id, role: Role::Viewer },
                _ => PersonChange::Removed { organization: organization.id },
            };
            let expect =
                vec![Expect::Person(owner.id, owner.revision), Expect::OwnerBeside(organization.id, owner.id)];
            (expect, vec![person_change(owner, what)])
        });
        assert_eq!(winners(&world, demotions.collect()).await, 2);
    }
    let operators = [world.operator("one").await, world.operator("two").await];
    let demotions = operators.iter().map(|operator| {
        let what = PersonChange::OperatorSet { is_operator: false };
        (vec![Expect::OperatorBeside(operator.id)], vec![person_change(operator, what)])
    });
    assert_eq!(winners(&world, demotions.collect()).await, 1);
    let filter = PersonFilter { organization: None, is_operator: true };
    assert_eq!(world.store.people(&filter, ALL).await.unwrap().len(), 1);
}

pub async fn of_many_with_one_address_at_once_one_is_added(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let people: Vec<Person> =
        (0..20).map(|_| Person { email: "same@example.com".into(), ..world.new_person("same") }).collect();
    let proposals = people.iter().map(|person| (Vec::new(), vec![created_person(person, None)]));
    assert_eq!(winners(&world, proposals.collect()).await, 1);
    let linked = [world.person("a").await, world.person("b").await, world.person("c").await];
    let links = linked.iter().map(|person| {
        (Vec::new(), vec![person_change(person, PersonChange::IdentityLinked { identity: identity("one") })])
    });
    assert_eq!(winners(&world, links.collect()).await, 1);
    // Several changes of one person at once do not hinder each other.
    let renames = (0..20).map(|i| {
        (Vec::new(), vec![person_change(&linked[0], PersonChange::Renamed { name: format!("name {i}") })])
    });
    assert_eq!(winners(&world, renames.collect()).await, 20);
}

pub async fn invitations_are_found_accepted_once_and_listed(fixture: &dyn Fixture) {
    let world = world(fixture).await;
    let organization = world.organization("acme").await;
    let first = world.invitation(Some(organization.id)).await;
    let second = world.invitation(Some(organization.id)).await;
    let to_operators = world.invitation(None).await;
    let store = &world.store;
    assert_eq!(store.invitation_by_digest(&first.digest).await.unwrap().as_ref(), Some(&first));
    assert_eq!(store.invitation_by_digest(&new_digest()).await.unwrap(), None);
    let listed = store.invitations(Some(organization.id), ALL).await.unwrap();
    assert_eq!(listed, [second.clone(), first.clone()]);
    let page = Page { before: Some(second.created_revision), limit: 1 };
    assert_eq!(store.invitations(Some(organization.id), page).await.unwrap(), std::slice::from_ref(&first));
    assert_eq!(store.invitations(None, ALL).await.unwrap(), std::slice::from_ref(&to_operators));

    let person = world.person("ada").await;
    let accept = || {
        let accepted = invitation_change(&first, InvitationChange::Accepted { by: person.id });
        let joined = PersonChange::Joined { organization: organization.id, role: Role::Developer };
        let expect = vec![Expect::Invitation(first.id, first.revision)];
        (expect, vec![accepted, person_change(&person, joined)])
    };
    assert_eq!(winners(&world, (0..20).map(|_| accept()).collect()).await, 1);
    let accepted = store.invitation(first.id).await.unwrap().unwrap();
    assert_eq!(accepted.state, InvitationState::Accepted { at: world.now, by: person.id });
    world.make(invitation_change(&second, InvitationChange::Withdrawn)).await;
    let withdrawn = store.invitation(second.id).await.unwrap().unwrap();
    assert_eq!(withdrawn.state, InvitationState::Withdrawn { at: world.now });

    let again = world.propose(vec![created_invitation(&first)]).await;
    assert_eq!(conflict(again), Expect::Invitation(first.id, Revision::ZERO));
    let mut copy = world.new_invitation(None);
    copy.digest = first.digest;
    let copied = world.propose(vec![created_invitation(&copy)]).await;
    assert_eq!(conflict(copied), Expect::Invitation(copy.id, Revision::ZERO));
    let nowhere = world.new_invitation(Some(OrganizationId::from_u128(new_number())));
    assert!(matches!(
        conflict(world.propose(vec![created_invitation(&nowhere)]).await),
        Expect::Organization(_, Revision::ZERO)
    ));
    let unknown = world.propose(vec![invitation_change(&copy, InvitationChange::Withdrawn)]).await;
    assert_eq!(conflict(unknown), Expect::Invitation(copy.id, Revision::ZERO));
    assert_eq!(store.invitation(copy.id).await.unwrap(), None);
}
