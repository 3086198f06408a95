//! The first things of a new store, made at the machine itself: `init` and `dev` use this before anybody
//! has a management key. The same use cases do the work, in the operator's name.

use std::time::Duration;

use keyward_core::contract::Contract;
use keyward_core::id::ApiName;
use keyward_core::tenancy::{Environment, ManagementKey, Organization};

use super::error::{ControlError, Result};
use super::keys::{NewKey, SeenKey};
use super::management_keys::NewManagementKey;
use super::projects::{NewProject, SeenProject};
use super::{Asked, Control, Disclosure};

/// How long a first key lives where the contract demands an end and names none.
const FIRST_KEY_LIFE: Duration = Duration::from_secs(90 * 86_400);

/// What a new store is to begin with.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The contract to put in force, and for which API.
    pub contract: (ApiName, String),
    /// What to call the organization.
    pub organization: String,
    /// What to call the project.
    pub project: String,
    /// What to call the management key.
    pub management_key: String,
}

/// A first key with its secret.
#[derive(Debug)]
pub struct FirstKey {
    /// The key.
    pub key: SeenKey,
    /// Its secret.
    pub secret: Disclosure,
}

/// What a new store begins with.
#[derive(Debug)]
pub struct Bootstrapped {
    /// The management key that may do everything.
    pub management_key: ManagementKey,
    /// Its secret.
    pub management_secret: Disclosure,
    /// The API whose contract was put in force.
    pub api: ApiName,
    /// The organization.
    pub organization: Organization,
    /// The project.
    pub project: SeenProject,
    /// The project's first key.
    pub first_key: FirstKey,
}

impl Control {
    /// Makes a management key that may do everything, for `init`, or when the last one was lost.
    ///
    /// # Errors
    /// Where it could not be written.
    pub async fn first_management_key(&self, command: &str, name: &str) -> Result<(ManagementKey, Disclosure)> {
        let wish =
            NewManagementKey { name: name.to_owned(), scopes: vec!["*".into()], boundary: None, expires_at: None };
        let made = self.create_management_key(&Asked::by_operator(command), &wish).await?;
        Ok((made.key, made.secret))
    }

    /// Makes all that a first request needs: contract, organization, project, key and management key.
    ///
    /// # Errors
    /// Where the contract is not valid, or something could not be written.
    pub async fn bootstrap(&self, command: &str, wanted: &Wanted) -> Result<Bootstrapped> {
        let asked = Asked::by_operator(command);
        let (api, source) = &wanted.contract;
        let applied = self.apply_contract(&asked, api, source, false).await?;
        let organization = self.create_organization(&asked, &wanted.organization).await?.organization;
        let wish = self.first_project_wish(&wanted.project, api, &applied.api.contract);
        let made = self.create_project(&asked, organization.id, &wish).await?;
        let first_key = match made.key {
            Some(key) => FirstKey { key, secret: made.secret },
            None => {
                let wish = self.first_key_wish(&applied.api.contract);
                let made = self.create_key(&asked, made.project.project.id, &wish).await?;
                FirstKey { key: made.key, secret: made.secret }
            }
        };
        let project = self.project(&asked, made.project.project.id).await?;
        let (management_key, management_secret) =
            self.first_management_key(command, &wanted.management_key).await?;
        let api = api.clone();
        Ok(Bootstrapped { management_key, management_secret, api, organization, project, first_key })
    }

    /// What to ask for to get a project whose keys open something, for `init` and `dev`.
    pub fn first_project_wish(&self, name: &str, api: &ApiName, contract: &Contract) -> NewProject {
        let plan = match contract.gives_access(&contract.project.default_plan, true) {
            true => None,
            false => contract.plans.iter().find(|(_, plan)| plan.access).map(|(name, _)| name.clone()),
        };
        let chosen = contract.plans.get(plan.as_ref().unwrap_or(&contract.project.default_plan));
        NewProject {
            name: name.to_owned(),
            api: api.to_string(),
            environment: Environment::Live,
            is_granted: chosen.is_some_and(|plan| plan.on_request),
            plan,
        }
    }

    /// What to ask for to get a key that a contract allows, for `init` and `dev`.
    pub fn first_key_wish(&self, contract: &Contract) -> NewKey {
        let rules = &contract.key;
        let life = rules.expiry.default.or(rules.expiry.max).map_or(FIRST_KEY_LIFE, |max| max.min(FIRST_KEY_LIFE));
        NewKey {
            name: rules.name.required.then(|| padded("first key", rules.name.min_chars, rules.name.max_chars)),
            expires_at: rules.expiry.required.then(|| self.now().saturating_add(life)),
            acknowledge: true,
            ..NewKey::default()
        }
    }
}

/// A name that keeps to a contract's lengths.
fn padded(name: &str, min: u32, max: u32) -> String {
    name.chars().chain(std::iter::repeat('-')).take((name.len()).clamp(min as usize, max as usize)).collect()
}

impl Disclosure {
    /// The secret, where it is told now.
    ///
    /// # Errors
    /// Where there is none to tell.
    pub fn secret(self) -> Result<keyward_core::secret::Secret> {
        match self {
            Disclosure::Now(secret) => Ok(secret),
            Disclosure::Before | Disclosure::None => {
                Err(ControlError::Internal("there is no secret to tell".into()))
            }
        }
    }
}
