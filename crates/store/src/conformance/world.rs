//! A store with something in it: short words for the records that cases need.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keyward_core::change::{
    Actor, Change, Entry, Expect, InvitationChange, KeyChange, KeyRef, KeysChange, KeysOf, ManagementKeyChange,
    OrganizationChange, Origin, PersonChange, ProjectChange, ProjectRef, Proposal, Revision,
};
use keyward_core::clock::Timestamp;
use keyward_core::data_key::DataKeyId;
use keyward_core::id::{ApiName, InvitationId, KeyId, ManagementKeyId, OrganizationId, PersonId, ProjectId};
use keyward_core::key::{Key, KeyState, Metadata};
use keyward_core::people::{
    Invitation, InvitationState, InvitedTo, Membership, PasswordHash, Person, PersonState, Role,
};
use keyward_core::scope::Scopes;
use keyward_core::secret::Digest;
use keyward_core::store::{Result, Store, StoreError};
use keyward_core::tenancy::{Api, Boundary, Environment, ManagementKey, Organization, Project, TenantState};

/// Ids and digests that no other has; stores may be shared by cases.
static NEXT: AtomicU64 = AtomicU64::new(1);

fn number() -> u128 {
    let run = u128::from(std::process::id());
    (run << 64) | u128::from(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A store under test.
#[derive(Clone)]
pub struct World {
    pub store: Arc<dyn Store>,
    /// When everything happens that says nothing else.
    pub now: Timestamp,
}

impl World {
    pub fn new(store: Arc<dyn Store>, now: Timestamp) -> Self {
        World { store, now }
    }

    pub fn proposal(&self, changes: Vec<Change>) -> Proposal {
        Proposal {
            actor: Actor::Operator { command: "test".into() },
            origin: Origin { address: Some([127, 0, 0, 1].into()), request_id: Some("r-1".into()) },
            at: self.now,
            expect: Vec::new(),
            changes,
            idempotency: None,
        }
    }

    pub async fn propose(&self, changes: Vec<Change>) -> Result<Vec<Entry>> {
        self.store.commit(self.proposal(changes)).await
    }

    pub async fn expecting(&self, expect: Vec<Expect>, changes: Vec<Change>) -> Result<Vec<Entry>> {
        self.store.commit(Proposal { expect, ..self.proposal(changes) }).await
    }

    /// Makes one change that must go through.
    pub async fn make(&self, change: Change) -> Entry {
        self.propose(vec![change]).await.expect("the change is made").remove(0)
    }

    pub fn new_organization(&self, name: &str) -> Organization {
        Organization {
            id: OrganizationId::from_u128(number()),
            name: name.into(),
            created_at: self.now,
            state: TenantState::Active,
            created_revision: Revision::ZERO,
            revision: Revision::ZERO,
        }
    }

    pub async fn organization(&self, name: &str) -> Organization {
        let organization = self.new_organization(name);
        self.make(created_organization(&organization)).await;
        self.store.organization(organization.id).await.unwrap().unwrap()
    }

    pub fn new_project(&self, organization: OrganizationId, name: &str) -> Project {
        Project {
            id: ProjectId::from_u128(number()),
            organization,
            api: api_name("standard"),
            name: name.into(),
            environment: Environment::Live,
            plan: "default".into(),
            active_key_limit: None,
            limits: BTreeMap::new(),
            is_granted: false,
            destination: None,
            state: TenantState::Active,
            created_at: self.now,
            created_revision: Revision::ZERO,
            revision: Revision::ZERO,
        }
    }

    /// A project, in an organization of its own.
    pub async fn project(&self, name: &str) -> Project {
        let organization = self.organization(name).await;
        self.project_of(organization.id, name).await
    }

    pub async fn project_of(&self, organization: OrganizationId, name: &str) -> Project {
        let project = self.new_project(organization, name);
        self.make(created_project(&project)).await;
        self.store.project(project.id).await.unwrap().unwrap()
    }

    pub fn new_key(&self, project: &Project) -> Key {
        let id = KeyId::from_u128(number());
        Key {
            id,
            project: project.id,
            lineage: id,
            name: Some("ci".into()),
            hint: "kw_…abcd".into(),
            digest: new_digest(),
            pepper: 1,
            scopes: Scopes::new(["reports:read"]).unwrap(),
            addresses: vec!["10.0.0.0/8".parse().unwrap()],
            metadata: metadata(),
            created_at: self.now,
            expires_at: None,
            state: KeyState::Active,
            created_revision: Revision::ZERO,
            revision: Revision::ZERO,
        }
    }

    pub async fn key(&self, project: &Project) -> Key {
        let key = self.new_key(project);
        self.make(created_key(project, &key)).await;
        self.read_key(key.id).await
    }

    pub async fn read_key(&self, id: KeyId) -> Key {
        self.store.key(id).await.unwrap().unwrap()
    }

    /// Makes one change to a key, and reads it again.
    pub async fn change_key(&self, project: &Project, key: &Key, what: KeyChange) -> Key {
        self.make(key_change(project, key.id, what)).await;
        self.read_key(key.id).await
    }

    pub fn new_management_key(&self, name: &str) -> ManagementKey {
        ManagementKey {
            id: ManagementKeyId::from_u128(number()),
            name: name.into(),
            hint: "kwm_…wxyz".into(),
            digest: new_digest(),
            scopes: Scopes::all(),
            boundary: Boundary::Everything,
            minted_by: None,
            created_at: self.now,
            expires_at: None,
            revoked_at: None,
            created_revision: Revision::ZERO,
            revision: Revision::ZERO,
        }
    }

    pub async fn management_key(&self, name: &str) -> ManagementKey {
        let key = self.new_management_key(name);
        self.make(created_management_key(&key)).await;
        self.store.management_key(key.id).await.unwrap().unwrap()
    }

    pub fn new_person(&self, name: &str) -> Person {
        let number = number();
        Person {
            id: PersonId::from_u128(number),
            email: format!("{name}-{number}@example.com"),
            name: name.into(),
            is_operator: false,
            memberships: Vec::new(),
            identities: Vec::new(),
            state: PersonState::Active,
            created_at: self.now,
            created_revision: Revision::ZERO,
            revision: Revision::ZERO,
        }
    }

    async fn add_person(&self, person: Person) -> Person {
        self.make(created_person(&person, None)).await;
        self.store.person(person.id).await.unwrap().unwrap()
    }

    pub async fn person(&self, name: &str) -> Person {
        self.add_person(self.new_person(name)).await
    }

    pub async fn operator(&self, name: &str) -> Person {
        self.add_person(Person { is_operator: true, ..self.new_person(name) }).await
    }

    pub async fn member(&self, name: &str, organization: OrganizationId, role: Role) -> Person {
        let memberships = vec![Membership { organization, role, joined_at: self.now }];
        self.add_person(Person { memberships, ..self.new_person(name) }).await
    }

    /// An invitation to an organization, or to the operators.
    pub fn new_invitation(&self, organization: Option<OrganizationId>) -> Invitation {
        let role = Role::Developer;
        Invitation {
            id: InvitationId::from_u128(number()),
            invited_to: organization.map_or(InvitedTo::Operators, |id| InvitedTo::Organization { id, role }),
            email: "guest@example.com".into(),
            digest: new_digest(),
            invited_by: None,
            created_at: self.now,
            expires_at: self.now.saturating_add(std::time::Duration::from_secs(86_400)),
            state: InvitationState::Open,
            created_revision: Revision::ZERO,
            revision: Revision::ZERO,
        }
    }

    pub async fn invitation(&self, organization: Option<OrganizationId>) -> Invitation {
        let invitation = self.new_invitation(organization);
        self.make(created_invitation(&invitation)).await;
        self.store.invitation(invitation.id).await.unwrap().unwrap()
    }

    pub fn new_api(&self, name: &str, source: &str) -> Api {
        Api {
            name: api_name(name),
            source: source.into(),
            resolved: format!("{source} resolved"),
            applied_at: self.now,
            created_revision: Revision::ZERO,
            revision: Revision::ZERO,
        }
    }

    pub async fn revision(&self) -> Revision {
        self.store.head().await.unwrap().0
    }
}

pub fn new_data_key_id() -> DataKeyId {
    DataKeyId::from_u128(number())
}

pub fn new_digest() -> Digest {
    let mut bytes = [0x5a; 32];
    bytes[..16].copy_from_slice(&number().to_be_bytes());
    // Digests are uniform; these at least differ in the bytes that maps look at.
    bytes[..16].reverse();
    Digest::from_bytes(bytes)
}

pub fn new_number() -> u128 {
    number()
}

pub fn metadata() -> Metadata {
    serde_json::json!({"team": "größe ✓", "weight": 0.1, "nested": {"list": [1, null, true]}})
        .as_object()
        .unwrap()
        .clone()
}

pub fn api_name(name: &str) -> ApiName {
    name.parse().unwrap()
}

pub fn created_organization(organization: &Organization) -> Change {
    Change::Organization {
        id: organization.id,
        what: OrganizationChange::Created { organization: Box::new(organization.clone()) },
    }
}

pub fn created_project(project: &Project) -> Change {
    project_change(project, ProjectChange::Created { project: Box::new(project.clone()) })
}

pub fn project_ref(project: &Project) -> ProjectRef {
    ProjectRef { id: project.id, organization: project.organization, api: project.api.clone() }
}

pub fn project_change(project: &Project, what: ProjectChange) -> Change {
    Change::Project { of: project_ref(project), what }
}

pub fn key_change(project: &Project, id: KeyId, what: KeyChange) -> Change {
    let of = KeyRef { id, project: project.id, organization: project.organization, api: project.api.clone() };
    Change::Key { of, what }
}

pub fn created_key(project: &Project, key: &Key) -> Change {
    key_change(project, key.id, KeyChange::Created { key: Box::new(key.clone()) })
}

pub fn revoked_key(project: &Project, id: KeyId) -> Change {
    key_change(project, id, KeyChange::Revoked { reason: Some("test".into()) })
}

/// One change that revokes these keys.
pub fn revoked_keys(of: &[(&Project, &[&Key])]) -> Change {
    let keys_of = |(project, keys): &(&Project, &[&Key])| KeysOf {
        project: ProjectRef { id: project.id, organization: project.organization, api: project.api.clone() },
        keys: keys.iter().map(|key| key.id).collect(),
    };
    let what = KeysChange::Revoked { reason: Some("leak".into()) };
    Change::Keys { of: of.iter().map(keys_of).collect(), what }
}

pub fn created_management_key(key: &ManagementKey) -> Change {
    Change::ManagementKey { id: key.id, what: ManagementKeyChange::Created { key: Box::new(key.clone()) } }
}

pub fn created_person(person: &Person, password: Option<&str>) -> Change {
    let password = password.map(|phc| PasswordHash(phc.into()));
    person_change(person, PersonChange::Created { person: Box::new(person.clone()), password })
}

pub fn person_change(person: &Person, what: PersonChange) -> Change {
    Change::Person { id: person.id, what }
}

pub fn created_invitation(invitation: &Invitation) -> Change {
    invitation_change(invitation, InvitationChange::Created { invitation: Box::new(invitation.clone()) })
}

pub fn invitation_change(invitation: &Invitation, what: InvitationChange) -> Change {
    let organization = invitation.invited_to.organization();
    Change::Invitation { id: invitation.id, organization, what }
}

/// The expectation that was not met.
pub fn conflict<T: std::fmt::Debug>(outcome: Result<T>) -> Expect {
    match outcome {
        Err(StoreError::Conflict(expect)) => expect,
        other => panic!("a conflict was expected: {other:?}"),
    }
}
