//! The decision: a plain function of a key, its project, the contract, the request's facts and the time.
//!
//! [`decide`] gives a [`Denial`] or a [`Pending`]; [`Pending::reserve`] is the one constructor of a
//! [`Grant`]. Code that needs a grant (the gateway's forwarding) cannot be reached without one.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::change::{OrganizationChange, ProjectChange, Revision};
use crate::clock::Timestamp;
use crate::contract::Contract;
use crate::denial::{Denial, Refusal};
use crate::id::{ApiName, KeyId, OrganizationId, ProjectId};
use crate::key::{Key, KeyState, Metadata, Standing};
use crate::limits::OwnLimit;
use crate::scope::Scopes;
use crate::tenancy::{Organization, Project, TenantState};

/// The part of a key's state that decisions look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Opens.
    Active,
    /// Switched off.
    Disabled,
    /// Opens until then.
    RetiringUntil(Timestamp),
    /// Ended.
    Revoked,
}

/// What a node keeps of a key in memory: what decisions look at, and what a grant tells.
#[derive(Debug, Clone)]
pub struct KeyFacts {
    /// Its id.
    pub id: KeyId,
    /// The first key of its line of rotations: what counters by key hang on.
    pub lineage: KeyId,
    /// Where it stands.
    pub condition: Condition,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// What it may do.
    pub scopes: Scopes,
    /// Networks it may be used from; anywhere where empty.
    pub addresses: Box<[IpNet]>,
    /// Name and metadata, where it has any.
    pub about: Option<Box<About>>,
    /// The revision that these facts are from.
    pub revision: Revision,
}

/// What a grant tells of a key beyond what decisions look at.
#[derive(Debug, Clone)]
pub struct About {
    /// What its owner calls it.
    pub name: Option<String>,
    /// What its owner attached.
    pub metadata: Metadata,
}

impl KeyFacts {
    /// The facts of a key as stored.
    pub fn of(key: &Key) -> Self {
        let about = (key.name.is_some() || !key.metadata.is_empty())
            .then(|| Box::new(About { name: key.name.clone(), metadata: key.metadata.clone() }));
        KeyFacts {
            id: key.id,
            lineage: key.lineage,
            condition: match &key.state {
                KeyState::Active => Condition::Active,
                KeyState::Disabled { .. } => Condition::Disabled,
                KeyState::Retiring { ends_at, .. } => Condition::RetiringUntil(*ends_at),
                KeyState::Revoked { .. } => Condition::Revoked,
            },
            expires_at: key.expires_at,
            scopes: key.scopes.clone(),
            addresses: key.addresses.clone().into(),
            about,
            revision: key.revision,
        }
    }

    /// How the key stands at `now`.
    pub fn standing(&self, now: Timestamp) -> Standing {
        let expired = self.expires_at.is_some_and(|end| now >= end);
        match self.condition {
            Condition::Revoked => Standing::Revoked,
            Condition::RetiringUntil(end) if now >= end => Standing::Revoked,
            _ if expired => Standing::Expired,
            Condition::Disabled => Standing::Disabled,
            Condition::RetiringUntil(_) => Standing::Retiring,
            Condition::Active => Standing::Active,
        }
    }

    /// When the key stops of itself, if nothing else happens: its expiry or the end of its overlap.
    pub fn ends_at(&self) -> Option<Timestamp> {
        match (self.condition, self.expires_at) {
            (Condition::RetiringUntil(end), Some(expiry)) => Some(end.min(expiry)),
            (Condition::RetiringUntil(end), None) => Some(end),
            (_, expiry) => expiry,
        }
    }
}

/// What a node keeps of a project and its organization in memory.
#[derive(Debug, Clone)]
pub struct ProjectFacts {
    /// Its id.
    pub id: ProjectId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// The API its keys open.
    pub api: ApiName,
    /// Its plan.
    pub plan: String,
    /// Limits of its own, by name.
    pub limits: BTreeMap<String, OwnLimit>,
    /// Whether the operator gave it access.
    pub is_granted: bool,
    /// Where its encrypted requests go; nowhere where none.
    pub destination: Option<String>,
    /// Whether it is served.
    pub state: TenantState,
    /// Whether its organization is served.
    pub organization_state: TenantState,
}

impl ProjectFacts {
    /// The facts of a project as stored.
    pub fn of(project: &Project, organization: &Organization) -> Self {
        ProjectFacts {
            id: project.id,
            organization: project.organization,
            api: project.api.clone(),
            plan: project.plan.clone(),
            limits: project.limits.clone(),
            is_granted: project.is_granted,
            destination: project.destination.clone(),
            state: project.state,
            organization_state: organization.state,
        }
    }

    /// The facts after a change to the project.
    pub fn after(&self, change: &ProjectChange, at: Timestamp) -> Self {
        let mut facts = self.clone();
        match change {
            ProjectChange::PlanSet { plan } => facts.plan = plan.clone(),
            ProjectChange::LimitSet { name, limit: Some(limit) } => {
                facts.limits.insert(name.clone(), *limit);
            }
            ProjectChange::LimitSet { name, limit: None } => {
                facts.limits.remove(name);
            }
            ProjectChange::AccessSet { is_granted } => facts.is_granted = *is_granted,
            ProjectChange::DestinationSet { destination } => facts.destination = destination.clone(),
            ProjectChange::Suspended => facts.state = TenantState::Suspended { at },
            ProjectChange::Resumed => facts.state = TenantState::Active,
            ProjectChange::Deleted => facts.state = TenantState::Deleted { at },
            ProjectChange::Created { .. }
            | ProjectChange::Renamed { .. }
            | ProjectChange::ActiveKeyLimitSet { .. } => {}
        }
        facts
    }

    /// The facts after a change to the project's organization.
    pub fn after_organization(&self, change: &OrganizationChange, at: Timestamp) -> Self {
        let mut facts = self.clone();
        match change {
            OrganizationChange::Suspended => facts.organization_state = TenantState::Suspended { at },
            OrganizationChange::Resumed => facts.organization_state = TenantState::Active,
            OrganizationChange::Deleted => facts.organization_state = TenantState::Deleted { at },
            OrganizationChange::Created { .. } | OrganizationChange::Renamed { .. } => {}
        }
        facts
    }
}

/// What a request is about, as far as the decision depends on it.
#[derive(Debug, Clone, Copy)]
pub struct RequestFacts<'a> {
    /// The API it was made to, where that is known.
    pub api: Option<&'a ApiName>,
    /// The project it is about, where it names one.
    pub project: Option<ProjectNamed>,
    /// The scopes it needs, all of them.
    pub scopes: &'a [Box<str>],
    /// The resources it touches.
    pub resources: &'a [ResourceNamed<'a>],
    /// Where it comes from, where that is known.
    pub address: Option<IpAddr>,
    /// Whether it is one that nobody may make, whatever the key.
    pub is_closed: bool,
    /// What it costs.
    pub cost: u64,
}

impl Default for RequestFacts<'_> {
    /// A request about nothing in particular, which costs 1 like every request of which nothing is said.
    fn default() -> Self {
        let (api, project, scopes, resources, address) = Default::default();
        RequestFacts { api, project, scopes, resources, address, is_closed: false, cost: 1 }
    }
}

/// The project that a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectNamed {
    /// This one.
    Id(ProjectId),
    /// Something that is no project's id: never the key's.
    Nothing,
}

/// A resource that a request touches.
#[derive(Debug, Clone, Copy)]
pub struct ResourceNamed<'a> {
    /// Its kind, such as `category`.
    pub kind: &'a str,
    /// Which; none where the request does not say, which only an unlimited key may do.
    pub id: Option<&'a str>,
}

/// A key that may do what was asked, as far as rules go; limits are still to be met.
#[derive(Debug)]
pub struct Pending<'a, K> {
    key: &'a Arc<K>,
    project: &'a Arc<ProjectFacts>,
    contract: &'a Arc<Contract>,
}

/// Something that holds a key's facts: a node's cache keeps more beside them, in one piece of memory.
pub trait HoldsKey: Send + Sync + 'static {
    /// The facts.
    fn facts(&self) -> &KeyFacts;
}

impl HoldsKey for KeyFacts {
    fn facts(&self) -> &KeyFacts {
        self
    }
}

/// What stands between a pending decision and a grant: rate limits and quotas.
pub trait Limits<K> {
    /// What was taken: it tells what is left, and can be given back.
    type Reserved;
    /// Why nothing was taken.
    type Unmet;

    /// Takes what the request costs from every limit that applies, or nothing from any.
    ///
    /// # Errors
    /// Where a limit has not enough left, or whether it has cannot be told at once.
    fn reserve(
        &self,
        key: &Arc<K>,
        project: &Arc<ProjectFacts>,
        contract: &Arc<Contract>,
    ) -> Result<Self::Reserved, Self::Unmet>;
}

/// No limits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

impl<K> Limits<K> for Unlimited {
    type Reserved = ();
    type Unmet = Infallible;

    fn reserve(&self, _: &Arc<K>, _: &Arc<ProjectFacts>, _: &Arc<Contract>) -> Result<(), Infallible> {
        Ok(())
    }
}

impl<K: HoldsKey> Pending<'_, K> {
    /// Meets the limits and becomes a grant.
    ///
    /// # Errors
    /// What the limits say.
    pub fn reserve<L: Limits<K>>(self, limits: &L) -> Result<(Grant, L::Reserved), L::Unmet> {
        let reserved = limits.reserve(self.key, self.project, self.contract)?;
        let grant = Grant {
            key: Arc::clone(self.key) as Arc<dyn HoldsKey>,
            project: Arc::clone(self.project),
            contract: Arc::clone(self.contract),
        };
        Ok((grant, reserved))
    }
}

/// A decision's yes: the permit that forwarding asks for. Cannot be made but by [`Pending::reserve`].
#[derive(Clone)]
pub struct Grant {
    key: Arc<dyn HoldsKey>,
    project: Arc<ProjectFacts>,
    contract: Arc<Contract>,
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Grant({})", self.key().id)
    }
}

impl Grant {
    /// The key that opened.
    pub fn key(&self) -> &KeyFacts {
        self.key.facts()
    }

    /// Its project.
    pub fn project(&self) -> &ProjectFacts {
        &self.project
    }

    /// The contract that was decided by.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }
}

/// Decides whether a key may do what a request asks, at `now`.
///
/// # Errors
/// The first reason against it, the key's own state before what the request is about.
pub fn decide<'a, K: HoldsKey>(
    key: &'a Arc<K>,
    project: &'a Arc<ProjectFacts>,
    contract: &'a Arc<Contract>,
    request: &RequestFacts<'_>,
    now: Timestamp,
) -> Result<Pending<'a, K>, Denial> {
    let facts = key.facts();
    let deny = |refusal| Err(Denial::new(refusal));
    if project.state.is_deleted() || project.organization_state.is_deleted() {
        return deny(Refusal::UnknownKey);
    }
    if request.api.is_some_and(|api| *api != project.api) {
        return deny(Refusal::UnknownKey);
    }
    match facts.standing(now) {
        Standing::Active | Standing::Retiring => {}
        Standing::Revoked => return deny(Refusal::Revoked),
        Standing::Disabled => return deny(Refusal::Disabled),
        Standing::Expired => return deny(Refusal::Expired),
    }
    if !project.state.is_active() || !project.organization_state.is_active() {
        return deny(Refusal::ProjectSuspended);
    }
    if request.project.is_some_and(|named| named != ProjectNamed::Id(project.id)) {
        return deny(Refusal::WrongProject);
    }
    if !contract.gives_access(&project.plan, project.is_granted) {
        return deny(Refusal::PlanForbids);
    }
    if !is_address_allowed(&facts.addresses, request.address) {
        return deny(Refusal::AddressForbidden);
    }
    if request.is_closed {
        return deny(Refusal::InsufficientScope);
    }
    if !request.scopes.iter().all(|scope| facts.scopes.allow(scope)) {
        return deny(Refusal::InsufficientScope);
    }
    if !request.resources.iter().all(|resource| is_resource_allowed(&facts.scopes, resource)) {
        return deny(Refusal::InsufficientScope);
    }
    Ok(Pending { key, project, contract })
}

fn is_address_allowed(networks: &[IpNet], address: Option<IpAddr>) -> bool {
    networks.is_empty()
        || address.is_some_and(|address| {
            let address = address.to_canonical();
            networks.iter().any(|network| network.contains(&address))
        })
}

fn is_resource_allowed(scopes: &Scopes, resource: &ResourceNamed<'_>) -> bool {
    match resource.id {
        Some(id) => scopes.allow_resource(resource.kind, id),
        None => !scopes.limit_resource(resource.kind),
    }
}
