//! Changing a key: what it is called, an earlier end, what it may and from where, as far as the contract has these.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use keyward_core::contract::Contract;
use keyward_core::id::KeyId;
use keyward_core::key::{Key, Metadata, Standing};
use maud::{Markup, html};
use serde::Deserialize;

use super::form::{
    DAY, addresses_field, end_of_day, free_scopes_field, lines, resources, resources_field, scope_checks,
    text_lines,
};
use super::list::Done;
use super::shown::facts;
use super::{KeyPlace, called, create, list_path, offers};
use crate::dashboard::Dashboard;
use crate::dashboard::answer::{Failure, Page, fault_of, form_notice, go_to};
use crate::dashboard::form::Form;
use crate::dashboard::look::moments;
use crate::dashboard::look::parts::{Field, Input};
use crate::dashboard::place::ProjectTab;
use crate::dashboard::visit::Visit;
use crate::use_cases::keys::{KeyEdit, SeenKey};
use crate::use_cases::{ControlError, Edit};

/// What the form sends, and what it shows at first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EditForm {
    name: String,
    until: String,
    scope: Vec<String>,
    scopes: String,
    resources: String,
    addresses: String,
    metadata: String,
}

impl EditForm {
    /// What a key is now.
    pub fn of(key: &Key, contract: &Contract) -> Self {
        let is_resource =
            |scope: &&str| scope.split_once(':').is_some_and(|(kind, _)| contract.resources.contains_key(kind));
        let scopes: Vec<&str> = key.scopes.iter().filter(|scope| !is_resource(scope)).collect();
        let (known, other): (Vec<&str>, Vec<&str>) =
            scopes.into_iter().partition(|scope| contract.scopes.contains_key(*scope));
        let joined = |texts: Vec<String>| texts.join("\n");
        EditForm {
            name: key.name.clone().unwrap_or_default(),
            until: key.expires_at.map(moments::form_date).unwrap_or_default(),
            scope: known.into_iter().map(str::to_owned).collect(),
            scopes: joined(other.into_iter().filter(|scope| *scope != "*").map(str::to_owned).collect()),
            resources: joined(key.scopes.iter().filter(is_resource).map(str::to_owned).collect()),
            addresses: joined(key.addresses.iter().map(ToString::to_string).collect()),
            metadata: match key.metadata.is_empty() {
                true => String::new(),
                false => serde_json::to_string_pretty(&key.metadata).unwrap_or_default(),
            },
        }
    }

    /// What is to be different; what is as the form showed it stays.
    fn edit(&self, key: &Key, contract: &Contract) -> Result<KeyEdit, ControlError> {
        let was = EditForm::of(key, contract);
        let mut edit = KeyEdit::default();
        if self.name.trim() != was.name {
            let name = self.name.trim().to_owned();
            edit.name = if name.is_empty() { Edit::Clear } else { Edit::Set(name) };
        }
        if self.until != was.until {
            edit.expires_at = match self.until.is_empty() {
                true => Edit::Clear,
                // The day that the key ends on anyway must not read as a longer life.
                false => Edit::Set(end_of_day(&self.until, key.expires_at)?),
            };
        }
        let same = |own: &str, was: &str| lines(own) == lines(was);
        let is_same_scopes = self.scope == was.scope
            && same(&self.scopes, &was.scopes)
            && resources(&self.resources, contract) == lines(&was.resources);
        if !is_same_scopes {
            edit.scopes = Edit::Set(self.asked_scopes(contract));
        }
        if !same(&self.addresses, &was.addresses) {
            let addresses = lines(&self.addresses);
            edit.addresses = if addresses.is_empty() { Edit::Clear } else { Edit::Set(addresses) };
        }
        if self.metadata.trim().replace("\r\n", "\n") != was.metadata {
            edit.metadata = self.asked_metadata()?;
        }
        Ok(edit)
    }

    fn asked_scopes(&self, contract: &Contract) -> Vec<String> {
        let mut scopes = self.scope.clone();
        scopes.extend(lines(&self.scopes));
        if scopes.is_empty() {
            scopes.extend(contract.key.default_scopes.iter().map(str::to_owned));
        }
        scopes.extend(resources(&self.resources, contract));
        scopes
    }

    fn asked_metadata(&self) -> Result<Edit<Metadata>, ControlError> {
        let wrong = |message: String| ControlError::invalid("metadata", message);
        let text = self.metadata.trim();
        if text.is_empty() {
            return Ok(Edit::Clear);
        }
        let limits = keyward_core::json::JsonLimits::default();
        keyward_core::json::check(text.as_bytes(), limits).map_err(|error| wrong(error.to_string()))?;
        let object = serde_json::from_str(text).map_err(|_| wrong("must be a JSON object".into()))?;
        Ok(Edit::Set(object))
    }
}

/// The page.
pub async fn page(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(key): Path<KeyId>,
) -> Result<Response, Failure> {
    let found = KeyPlace::find(&dashboard, &visit, key).await?;
    let form = EditForm::of(&found.seen.key, found.place.contract());
    Ok(draw(&visit, &found, &form, None)?.into_response())
}

/// Changes the key.
pub async fn submit(
    State(dashboard): State<Dashboard>,
    visit: Visit,
    Path(key): Path<KeyId>,
    Form(form): Form<EditForm>,
) -> Result<Response, Failure> {
    let found = KeyPlace::find(&dashboard, &visit, key).await?;
    let outcome = match form.edit(&found.seen.key, found.place.contract()) {
        Ok(edit) => dashboard.control.edit_key(&found.place.asked, key, &edit).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok((_, in_force)) => Ok(go_to(&Done::Changed.at(&found.place, in_force))),
        Err(error @ (ControlError::Invalid(_) | ControlError::RateLimited { .. })) => {
            Ok(draw(&visit, &found, &form, Some(&error))?.with_status(create::status_of(&error)).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

fn draw(visit: &Visit, found: &KeyPlace, form: &EditForm, error: Option<&ControlError>) -> Result<Page, Failure> {
    let KeyPlace { place, seen } = found;
    if !offers::can_edit(place.contract()) {
        return Err(ControlError::ActionNotOffered("change keys").into());
    }
    let view = EditView { contract: place.contract(), seen, form, list: list_path(place), error };
    Ok(Page::new(place.frame(visit, ProjectTab::Keys, "Edit key"), view.draw()))
}

/// What the page shows.
pub struct EditView<'a> {
    /// What rules the key.
    pub contract: &'a Contract,
    /// The key.
    pub seen: &'a SeenKey,
    /// What is filled in.
    pub form: &'a EditForm,
    /// Where the list is.
    pub list: String,
    /// What was wrong with it.
    pub error: Option<&'a ControlError>,
}

impl EditView<'_> {
    /// Draws it.
    pub fn draw(&self) -> Markup {
        let id = self.seen.key.id;
        html! {
            div.alone.stack {
                h1 { "Edit " bdi { (called(self.seen)) } }
                @if let Some(error) = self.error { (form_notice(error)) }
                section.card { form.inner method="post" action={ "/keys/" (id) "/edit" } {
                    (facts(self.seen))
                    (self.fields())
                    div.actions.end {
                        a.button href=(self.list) { "Cancel" }
                        button.button.primary type="submit" { "Save changes" }
                    }
                } }
                @if self.contract.key.disable && self.seen.standing() == Standing::Active {
                    p.soft.small { a href={ "/keys/" (id) "/disable" } { "Disable this key" } " to refuse it for a while." }
                }
            }
        }
    }

    fn fields(&self) -> Markup {
        let (contract, key) = (self.contract, &self.contract.key);
        let fault = |field| fault_of(self.error, field);
        let EditForm { name, scope, scopes, resources, addresses, metadata, .. } = self.form;
        html! {
            @if key.name.offered {
                (Field::new("name", "Name").fault(fault("name")).line("text", name, Input {
                    autocomplete: Some("off"), is_required: key.name.required, ..Input::default()
                }))
            }
            @if key.expiry.offered { (self.expiry()) }
            @if key.scopes && !contract.scopes.is_empty() { (scope_checks(contract, scope, fault("scopes"))) }
            @if key.scopes && contract.scopes.is_empty() { (free_scopes_field(scopes, fault("scopes"))) }
            @if key.scopes && !contract.resources.is_empty() { (resources_field(contract, resources)) }
            @if key.addresses { (addresses_field(addresses, fault("addresses"))) }
            @if key.metadata {
                (text_lines(Field::new("metadata", "Metadata").fault(fault("metadata"))
                    .hint("A JSON object that your services are handed with the key."), metadata))
            }
        }
    }

    fn expiry(&self) -> Markup {
        let latest = self.seen.key.expires_at.map(moments::form_date);
        let earliest = moments::form_date(self.seen.at.saturating_add(DAY));
        let earliest = latest.as_ref().filter(|latest| **latest < earliest).unwrap_or(&earliest);
        let input = Input { min: Some(earliest), max: latest.as_deref(), ..Input::default() };
        Field::new("until", "Expires at the end of (UTC)")
            .hint("A key's life can be made shorter, never longer.")
            .fault(fault_of(self.error, "expires_at"))
            .line("date", &self.form.until, input)
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::key;
    use super::*;
    use crate::contracts_for_tests::contract;

    #[test]
    fn a_form_that_comes_back_unchanged_changes_nothing() {
        for preset in ["profound", "standard", "qanapi"] {
            let contract = contract(preset);
            let key = key(7, Some("name"));
            let edit = EditForm::of(&key, &contract).edit(&key, &contract).unwrap();
            assert_eq!((edit.name, edit.expires_at), (Edit::Keep, Edit::Keep), "{preset}");
            assert_eq!(
                (edit.scopes, edit.addresses, edit.metadata),
                (Edit::Keep, Edit::Keep, Edit::Keep),
                "{preset}"
            );
        }
    }

    #[test]
    fn fields_that_differ_are_changed() {
        let contract = contract("standard");
        let key = key(7, Some("name"));
        let mut form = EditForm::of(&key, &contract);
        form.name = String::new();
        form.addresses = "192.0.2.0/24".into();
        form.metadata = "{\"team\": \"billing\"}".into();
        let edit = form.edit(&key, &contract).unwrap();
        assert_eq!(edit.name, Edit::Clear);
        assert_eq!(edit.addresses, Edit::Set(vec!["192.0.2.0/24".to_owned()]));
        assert!(matches!(edit.metadata, Edit::Set(object) if object["team"] == "billing"));
        form.metadata = "[1]".into();
        assert!(form.edit(&key, &contract).is_err());
    }
}
