//! What `dev` keeps in its store, found or made step by step: contract, organization, project, key and a fresh
//! management key. Each step looks first, so that a start that was cut off is completed by the next.

use keyward_control::use_cases::keys::KeyQuestion;
use keyward_control::use_cases::people::{Current, SignedIn, Visitor};
use keyward_control::use_cases::{Disclosure, SeenApi, SeenProject};
use keyward_control::{Asked, Control, ControlError};
use keyward_core::contract::Contract;
use keyward_core::id::{ApiName, KeyId, ManagementKeyId, OrganizationId, PersonId};
use keyward_core::people::{InvitedTo, Role};
use keyward_core::secret::Secret;
use keyward_core::tenancy::Project;

use crate::failure::{Failure, Outcome};
use crate::serve::refused;

/// What the organization and the management key of `dev` are called: by this they are found again.
const NAME: &str = "dev";
/// The mail address of the operator of `dev`: nobody else's, for it leads nowhere.
const EMAIL: &str = "dev@localhost";

/// What `dev` works with.
pub struct State {
    /// The organization.
    pub organization: OrganizationId,
    /// The project.
    pub project: Project,
    /// The project's key: the newest that is live, else the newest; none where it has none.
    pub key: Option<KeyId>,
    /// The key's secret, where it was made now.
    pub secret: Option<Secret>,
    /// The secret of a management key made now, which may do everything.
    pub management_secret: Secret,
    /// What is at the end of a link that signs the operator of `dev` in, once.
    pub sign_in: Secret,
}

impl State {
    /// The key's id for people.
    pub fn key_text(&self) -> String {
        self.key.map_or("(no key)".into(), |key| key.to_string())
    }
}

/// Finds or makes everything. With `new_key` a key is made, or rotated where there is no room for another.
///
/// # Errors
/// What could not be made, and why.
pub async fn ensure(control: &Control, api: &ApiName, source: &str, new_key: bool) -> Outcome<State> {
    let asked = Asked::by_operator(NAME);
    // A contract that is in force stays: it may have been changed to try something.
    if !control
        .apis(&asked)
        .await
        .map_err(|error| refused("read the APIs", &error))?
        .iter()
        .any(|a| a.api.name == *api)
    {
        control
            .apply_contract(&asked, api, source, false)
            .await
            .map_err(|error| refused("apply the preset", &error))?;
    }
    let organization = organization(control, &asked).await?;
    let (project, mut made) = project(control, &asked, organization, api).await?;
    let keys = keys(control, &asked, &project).await?;
    if made.is_none() && (keys.is_none() || new_key) {
        made = Some(make_key(control, &asked, &project, api).await?);
    }
    let management_secret = management_key(control, &asked).await?;
    let sign_in = sign_in_link(control, &asked, organization).await?;
    let (key, secret) = match made {
        Some((key, secret)) => (Some(key), Some(secret)),
        None => (keys, None),
    };
    Ok(State { organization, project: project.project, key, secret, management_secret, sign_in })
}

/// A link for the operator of `dev`, who is made where they are missing, and then an owner of the organization too.
async fn sign_in_link(control: &Control, asked: &Asked, organization: OrganizationId) -> Outcome<Secret> {
    let doing = |error| refused("make the operator", &error);
    let is_new = match control.person_by_email(asked, EMAIL).await {
        Ok(_) => false,
        Err(ControlError::NotFound) => true,
        Err(error) => return Err(doing(error)),
    };
    let operator = control.add_operator(asked, EMAIL, NAME).await.map_err(doing)?;
    if !operator.is_active() {
        control.enable_person(asked, operator.id).await.map_err(|error| refused("enable the operator", &error))?;
    }
    if is_new {
        join(control, asked, operator.id, organization).await.map_err(|error| refused("make the owner", &error))?;
    }
    control.make_sign_in_link(asked, operator.id).await.map_err(|error| refused("make the sign-in link", &error))
}

/// Makes somebody an owner as anybody becomes one: by an invitation, which they accept.
async fn join(
    control: &Control,
    asked: &Asked,
    person: PersonId,
    organization: OrganizationId,
) -> Result<(), ControlError> {
    let to = InvitedTo::Organization { id: organization, role: Role::Owner };
    let invitation = control.invite(asked, to, EMAIL).await?.secret.secret()?;
    let link = control.make_sign_in_link(asked, person).await?;
    let visitor = Visitor::default();
    let SignedIn { person, session, .. } = control.sign_in_with_link(link.expose(), &visitor).await?;
    let accepted = control.accept_invitation(invitation.expose(), &Current { person, session }, &visitor).await?;
    control.sign_out(&Current { person: accepted.person, session: accepted.session }).await
}

async fn organization(control: &Control, asked: &Asked) -> Outcome<OrganizationId> {
    let mut before = None;
    loop {
        let page = control.organizations(asked, before, 200).await;
        let page = page.map_err(|error| refused("read the organizations", &error))?;
        if let Some(found) = page.items.iter().find(|organization| organization.name == NAME) {
            return Ok(found.id);
        }
        match page.next {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    let made = control.create_organization(asked, NAME).await;
    Ok(made.map_err(|error| refused("make the organization", &error))?.organization.id)
}

/// The project, and where the contract issues its first key with it, that key.
async fn project(
    control: &Control,
    asked: &Asked,
    organization: OrganizationId,
    api: &ApiName,
) -> Outcome<(SeenProject, Option<(KeyId, Secret)>)> {
    let mut before = None;
    loop {
        let page = control.projects(asked, organization, before, 200).await;
        let page = page.map_err(|error| refused("read the projects", &error))?;
        let is_ours = |seen: &SeenProject| seen.project.api == *api && seen.project.name == NAME;
        if let Some(found) = page.items.into_iter().find(is_ours) {
            return Ok((found, None));
        }
        match page.next {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    let apis = control.apis(asked).await.map_err(|error| refused("read the APIs", &error))?;
    let wish = control.first_project_wish(NAME, api, contract_of(&apis, api)?);
    let made = control.create_project(asked, organization, &wish).await;
    let made = made.map_err(|error| refused("make the project", &error))?;
    let first = match made.key {
        Some(seen) => Some((seen.key.id, told(made.secret)?)),
        None => None,
    };
    Ok((made.project, first))
}

/// The newest live key, else the newest.
async fn keys(control: &Control, asked: &Asked, project: &SeenProject) -> Outcome<Option<KeyId>> {
    let question = KeyQuestion { limit: 200, ..KeyQuestion::default() };
    let page = control.keys(asked, project.project.id, &question).await;
    let page = page.map_err(|error| refused("read the keys", &error))?;
    let live = page.items.iter().find(|seen| seen.standing().is_live());
    Ok(live.or(page.items.first()).map(|seen| seen.key.id))
}

fn contract_of<'a>(apis: &'a [SeenApi], api: &ApiName) -> Outcome<&'a Contract> {
    let seen = apis.iter().find(|seen| seen.api.name == *api);
    Ok(&seen.ok_or_else(|| Failure::failed(format!("{api} has no contract")))?.contract)
}

async fn make_key(
    control: &Control,
    asked: &Asked,
    project: &SeenProject,
    api: &ApiName,
) -> Outcome<(KeyId, Secret)> {
    let apis = control.apis(asked).await.map_err(|error| refused("read the APIs", &error))?;
    let contract = contract_of(&apis, api)?;
    let id = project.project.id;
    match control.create_key(asked, id, &control.first_key_wish(contract)).await {
        Ok(made) => Ok((made.key.key.id, told(made.secret)?)),
        Err(ControlError::ActiveKeyLimit { .. }) => {
            let rotated = control.regenerate_key(asked, id, None, true).await;
            let rotated = rotated.map_err(|error| refused("put a new key in the old one's place", &error))?;
            Ok((rotated.key.key.id, told(rotated.secret)?))
        }
        Err(error) => Err(refused("make a key", &error)),
    }
}

/// A fresh management key; those of earlier starts end.
async fn management_key(control: &Control, asked: &Asked) -> Outcome<Secret> {
    for old in old_management_keys(control, asked).await? {
        let revoked = control.revoke_management_key(asked, old).await;
        revoked.map_err(|error| refused("end the management key of the last start", &error))?;
    }
    let made = control.first_management_key(NAME, NAME).await;
    let (_, secret) = made.map_err(|error| refused("make a management key", &error))?;
    told(secret)
}

async fn old_management_keys(control: &Control, asked: &Asked) -> Outcome<Vec<ManagementKeyId>> {
    let (mut old, mut before) = (Vec::new(), None);
    loop {
        let page = control.management_keys(asked, before, 200).await;
        let page = page.map_err(|error| refused("read the management keys", &error))?;
        old.extend(
            page.items.iter().filter(|key| key.name == NAME && key.is_live(control.now())).map(|key| key.id),
        );
        match page.next {
            Some(next) => before = Some(next),
            None => return Ok(old),
        }
    }
}

fn told(secret: Disclosure) -> Outcome<Secret> {
    secret.secret().map_err(|error| refused("read the secret", &error))
}
