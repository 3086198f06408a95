//! Contracts: which APIs there are, and putting a new contract in force. An invalid one is refused with
//! line and field, and the one in force stays.

use std::sync::Arc;

use keyward_core::change::{Change, Expect, Revision};
use keyward_core::contract::{Contract, ContractError, Difference, differences};
use keyward_core::id::ApiName;
use keyward_core::permission::Permission;
use keyward_core::tenancy::Api;

use super::commit::{Committed, Plan, Tries};
use super::error::{ControlError, Fault, Result};
use super::force::Force;
use super::{Asked, Control};

/// An API with the contract in force, as handed in and compiled.
#[derive(Debug, Clone)]
pub struct SeenApi {
    /// The API.
    pub api: Api,
    /// Its contract.
    pub contract: Arc<Contract>,
}

/// An API as one chooses it for a new project.
#[derive(Debug, Clone)]
pub struct OpenApi {
    /// Its name.
    pub name: ApiName,
    /// What people call it.
    pub title: String,
    /// One sentence on it.
    pub description: String,
    /// Its plans: names, and what people call them.
    pub plans: Vec<(String, String)>,
    /// Whether some plan asks for the operator's word besides.
    pub is_on_request: bool,
    /// Whether keys tell by how they begin that they are for trying things out.
    pub has_test: bool,
}

/// What putting a contract in force came to.
#[derive(Debug)]
pub struct Applied {
    /// The API as it stands, or as it would.
    pub api: SeenApi,
    /// In what the contract differs from the one before.
    pub differences: Vec<Difference>,
    /// How it took force; none where it was only tried.
    pub in_force: Option<Force>,
    /// Whether the API had no contract before.
    pub is_new: bool,
}

impl Control {
    /// All APIs, by name.
    ///
    /// # Errors
    /// Where the caller may not read contracts.
    pub async fn apis(&self, asked: &Asked) -> Result<Vec<SeenApi>> {
        asked.require(Permission::ApisRead)?;
        let apis = self.store.apis().await?.value;
        apis.into_iter().map(|api| self.see_api(api)).collect()
    }

    /// The APIs that a new project can be for: as much of their contracts as whoever may make projects is to know.
    ///
    /// # Errors
    /// Where the caller may not make projects.
    pub fn open_apis(&self, asked: &Asked) -> Result<Vec<OpenApi>> {
        asked.require(Permission::ProjectsWrite)?;
        let open = |api: &Arc<keyward_verify::ApiInForce>| {
            let contract = &api.contract;
            OpenApi {
                name: api.name.clone(),
                title: contract.title.clone(),
                description: contract.description.clone(),
                plans: contract.plans.iter().map(|(name, plan)| (name.clone(), plan.title.clone())).collect(),
                is_on_request: contract.plans.values().any(|plan| plan.on_request),
                has_test: contract.key.live.prefix() != contract.key.test.prefix(),
            }
        };
        Ok(self.engine.apis().values().map(open).collect())
    }

    /// One API.
    ///
    /// # Errors
    /// Where there is none of this name.
    pub async fn api(&self, asked: &Asked, name: &ApiName) -> Result<SeenApi> {
        asked.require(Permission::ApisRead)?;
        let api = self.store.api(name).await?.ok_or(ControlError::NotFound)?;
        self.see_api(api)
    }

    /// Puts a contract in force, or says what that would change.
    ///
    /// # Errors
    /// Where the caller may not, or the contract is not valid.
    pub async fn apply_contract(
        &self,
        asked: &Asked,
        name: &ApiName,
        source: &str,
        is_dry_run: bool,
    ) -> Result<Applied> {
        asked.require_everywhere(Permission::ApisWrite)?;
        let contract = Arc::new(Contract::read(source, &self.presets).map_err(invalid)?);
        self.check_is_alone(name, &contract)?;
        let mut tries = Tries::default();
        loop {
            let before = self.store.api(name).await?;
            let now = self.now();
            let mut api = Api {
                name: name.clone(),
                source: source.to_owned(),
                resolved: contract.resolved.clone(),
                applied_at: now,
                created_revision: before.as_ref().map_or(Revision::ZERO, |before| before.created_revision),
                revision: before.as_ref().map_or(Revision::ZERO, |before| before.revision),
            };
            let differences = differences(before.as_ref().map(|before| before.resolved.as_str()), &api.resolved);
            let is_new = before.is_none();
            let applied = |api, in_force| {
                let api = SeenApi { api, contract: Arc::clone(&contract) };
                Applied { api, differences, in_force, is_new }
            };
            if is_dry_run {
                return Ok(applied(api, None));
            }
            let expect = match &before {
                None => Expect::NoApi(name.clone()),
                Some(before) => Expect::Api(name.clone(), before.revision),
            };
            // The same text again is no change.
            if let Some(before) = before.filter(|before| before.source == source && before.resolved == api.resolved)
            {
                return Ok(applied(before, Some(self.settle_for(asked).await?)));
            }
            let changes = vec![Change::Api { api: Box::new(api.clone()) }];
            match self.commit(asked, now, Plan { expect: vec![expect], changes, made: None }).await? {
                Committed::Stale(expect) => tries.again(self, expect).await?,
                Committed::InForce(force) => {
                    api.revision = force.revision;
                    return Ok(applied(api, Some(force)));
                }
            }
        }
    }

    /// Two APIs at one address would leave it to chance which of them a request is for.
    fn check_is_alone(&self, name: &ApiName, contract: &Contract) -> Result<()> {
        let (gateway, apis) = (&contract.gateway, self.engine.apis());
        for other in apis.values().filter(|other| other.name != *name) {
            let theirs = &other.contract.gateway;
            if let Some(host) = gateway.hosts.iter().find(|host| theirs.hosts.contains(host)) {
                let message = format!("{host} is the API {}'s already", other.name);
                return Err(ControlError::invalid("gateway.hosts", message));
            }
            if gateway.hosts.is_empty()
                && theirs.hosts.is_empty()
                && gateway.path_prefix.is_some()
                && gateway.path_prefix == theirs.path_prefix
            {
                let message = format!("is the API {}'s already", other.name);
                return Err(ControlError::invalid("gateway.path_prefix", message));
            }
        }
        Ok(())
    }

    fn see_api(&self, api: Api) -> Result<SeenApi> {
        let in_force = self.engine.api(&api.name);
        let unreadable = || ControlError::Unavailable(format!("the contract of {} cannot be read", api.name));
        let contract = Arc::clone(&in_force.ok_or_else(unreadable)?.contract);
        Ok(SeenApi { api, contract })
    }
}

fn invalid(error: ContractError) -> ControlError {
    ControlError::Invalid(vec![Fault { field: error.field, message: error.reason, line: error.line }])
}
