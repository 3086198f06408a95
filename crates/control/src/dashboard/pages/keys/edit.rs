//! Changing a key: what it is called, an earlier end, what it may and from where, as far as the contract has these.

use std::collections::BTreeSet;

use axum::extract::State;
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
use crate::dashboard::path::Path;
use crate::dashboard::place::ProjectTab;
use crate::dashboard::visit::Visit;
use crate::use_cases::keys::{KeyEdit, SeenKey};
use crate::use_cases::{ControlError, Edit};

/// What the form sends, and what it shows at first. A field that was not drawn is not sent, and what it would say stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EditForm {
    name: Option<String>,
    until: Option<String>,
    /// Scopes that are ticked.
    scope: Vec<String>,
    /// Scopes that were ticked when the form was drawn: what nobody ticked or unticked stays.
    had: Vec<String>,
    scopes: Option<String>,
    resources: Option<String>,
    addresses: Option<String>,
    metadata: Option<String>,
}

/// A key's scopes by where the form shows them.
#[derive(Default)]
struct ShownScopes {
    /// Ticked, where the contract names scopes.
    ticked: Vec<String>,
    /// One a line, where it names none.
    free: Vec<String>,
    /// Of kinds that the contract has.
    resources: Vec<String>,
    /// Told but not asked for: groups, and what the contract names no more.
    kept: Vec<String>,
}

impl ShownScopes {
    fn of(key: &Key, contract: &Contract) -> Self {
        let is_resource =
            |scope: &str| scope.split_once(':').is_some_and(|(kind, _)| contract.resources.contains_key(kind));
        let mut shown = ShownScopes::default();
        // "Everything" is what stands for no scopes.
        for scope in key.scopes.iter().filter(|scope| *scope != "*") {
            let part = match () {
                () if contract.scopes.contains_key(scope) => &mut shown.ticked,
                () if is_resource(scope) => &mut shown.resources,
                () if contract.scopes.is_empty() => &mut shown.free,
                () => &mut shown.kept,
            };
            part.push(scope.to_owned());
        }
        shown
    }
}

/// A field that was drawn and now says something else than it did.
fn changed<'a>(sent: Option<&'a String>, is_drawn: bool, was: Option<&String>) -> Option<&'a str> {
    sent.filter(|sent| is_drawn && Some(*sent) != was).map(|sent| sent.trim())
}

/// The same for one with an entry a line.
fn changed_lines(sent: Option<&String>, is_drawn: bool, was: Option<&String>) -> Option<Vec<String>> {
    let was = lines(was.map_or("", String::as_str));
    sent.filter(|_| is_drawn).map(|sent| lines(sent)).filter(|sent| *sent != was)
}

impl EditForm {
    /// What a key is now.
    pub fn of(key: &Key, contract: &Contract) -> Self {
        let ShownScopes { ticked, free, resources, .. } = ShownScopes::of(key, contract);
        let joined = |texts: Vec<String>| Some(texts.join("\n"));
        EditForm {
            name: Some(key.name.clone().unwrap_or_default()),
            until: Some(key.expires_at.map(moments::form_date).unwrap_or_default()),
            had: ticked.clone(),
            scope: ticked,
            scopes: joined(free),
            resources: joined(resources),
            addresses: joined(key.addresses.iter().map(ToString::to_string).collect()),
            metadata: Some(match key.metadata.is_empty() {
                true => String::new(),
                false => serde_json::to_string_pretty(&key.metadata).unwrap_or_default(),
            }),
        }
    }

    /// What is to be different; what is as the form showed it stays, and what it did not show.
    fn edit(&self, key: &Key, contract: &Contract) -> Result<KeyEdit, ControlError> {
        let was = EditForm::of(key, contract);
        let rules = &contract.key;
        let mut edit = KeyEdit { scopes: self.scopes_edit(key, contract), ..KeyEdit::default() };
        if let Some(name) = changed(self.name.as_ref(), rules.name.offered, was.name.as_ref()) {
            edit.name = if name.is_empty() { Edit::Clear } else { Edit::Set(name.to_owned()) };
        }
        if let Some(until) = changed(self.until.as_ref(), rules.expiry.offered, was.until.as_ref()) {
            edit.expires_at = match until.is_empty() {
                true => Edit::Clear,
                // The day that the key ends on anyway must not read as a longer life.
                false => Edit::Set(end_of_day(until, key.expires_at)?),
            };
        }
        if let Some(addresses) = changed_lines(self.addresses.as_ref(), rules.addresses, was.addresses.as_ref()) {
            edit.addresses = if addresses.is_empty() { Edit::Clear } else { Edit::Set(addresses) };
        }
        let metadata = self.metadata.as_ref().map(|text| text.trim().replace("\r\n", "\n"));
        if let Some(metadata) = changed(metadata.as_ref(), rules.metadata, was.metadata.as_ref()) {
            edit.metadata = asked_metadata(metadata)?;
        }
        Ok(edit)
    }

    /// Which scopes the key is to have. Where nobody touched what it may do, it may what it could; only who takes away the
    /// last of it gives it what keys have by default, as the field says.
    fn scopes_edit(&self, key: &Key, contract: &Contract) -> Edit<Vec<String>> {
        if !contract.key.scopes {
            return Edit::Keep;
        }
        let shown = ShownScopes::of(key, contract);
        let set = |scopes: &[String]| scopes.iter().cloned().collect::<BTreeSet<String>>();
        let has_ticks = !contract.scopes.is_empty();
        let ticked = Some(&self.scope).filter(|scope| has_ticks && set(scope) != set(&self.had)).cloned();
        let free = self.scopes.as_ref().filter(|_| !has_ticks).map(|free| lines(free));
        let free = free.filter(|free| set(free) != set(&shown.free));
        let named = self.resources.as_ref().filter(|_| !contract.resources.is_empty());
        let named =
            named.map(|named| resources(named, contract)).filter(|named| set(named) != set(&shown.resources));
        if ticked.is_none() && free.is_none() && named.is_none() {
            return Edit::Keep;
        }
        let mut scopes = match ticked.or(free) {
            None => {
                let all = key.scopes.allow("*").then(|| "*".to_owned());
                [shown.ticked, shown.free, shown.kept].into_iter().flatten().chain(all).collect()
            }
            Some(asked) => {
                let mut scopes = asked;
                scopes.extend(shown.kept);
                if scopes.is_empty() {
                    scopes.extend(contract.key.default_scopes.iter().map(str::to_owned));
                }
                scopes
            }
        };
        scopes.extend(named.unwrap_or(shown.resources));
        Edit::Set(scopes)
    }
}

fn asked_metadata(text: &str) -> Result<Edit<Metadata>, ControlError> {
    let wrong = |message: String| ControlError::invalid("metadata", message);
    if text.is_empty() {
        return Ok(Edit::Clear);
    }
    let limits = keyward_core::json::JsonLimits::default();
    keyward_core::json::check(text.as_bytes(), limits).map_err(|error| wrong(error.to_string()))?;
    let object = serde_json::from_str(text).map_err(|_| wrong("must be a JSON object".into()))?;
    Ok(Edit::Set(object))
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
        Ok((_, in_force)) => Ok(go_to(&Done::Changed.at(&found.place, &in_force))),
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
        let text = |sent: &'_ Option<String>| sent.clone().unwrap_or_default();
        let EditForm { name, scopes, resources, addresses, metadata, .. } = self.form;
        html! {
            @if key.name.offered {
                (Field::new("name", "Name").fault(fault("name")).line("text", &text(name), Input {
                    autocomplete: Some("off"), is_required: key.name.required, ..Input::default()
                }))
            }
            @if key.expiry.offered { (self.expiry()) }
            @if key.scopes && !contract.scopes.is_empty() { (self.ticks()) }
            @if key.scopes && contract.scopes.is_empty() { (free_scopes_field(&text(scopes), fault("scopes"))) }
            @if key.scopes && !contract.resources.is_empty() { (resources_field(contract, &text(resources))) }
            @if key.addresses { (addresses_field(&text(addresses), fault("addresses"))) }
            @if key.metadata {
                (text_lines(Field::new("metadata", "Metadata").fault(fault("metadata"))
                    .hint("A JSON object that your services are handed with the key."), &text(metadata)))
            }
        }
    }

    fn ticks(&self) -> Markup {
        let EditForm { scope, had, .. } = self.form;
        let kept = ShownScopes::of(&self.seen.key, self.contract).kept;
        html! {
            (scope_checks(self.contract, scope, fault_of(self.error, "scopes")))
            @for scope in had { input type="hidden" name="had" value=(scope); }
            @if !kept.is_empty() {
                p.soft.small { "It also has " @for scope in &kept { code { (scope) } " " } "and keeps that: to take it away, revoke the key." }
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
            .line("date", self.form.until.as_deref().unwrap_or_default(), input)
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::key;
    use super::*;
    use crate::contracts_for_tests::{contract, extended};
    use keyward_core::scope::Scopes;

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
        form.name = Some(String::new());
        form.addresses = Some("192.0.2.0/24".into());
        form.metadata = Some("{\"team\": \"billing\"}".into());
        let edit = form.edit(&key, &contract).unwrap();
        assert_eq!(edit.name, Edit::Clear);
        assert_eq!(edit.addresses, Edit::Set(vec!["192.0.2.0/24".to_owned()]));
        assert!(matches!(edit.metadata, Edit::Set(object) if object["team"] == "billing"));
        form.metadata = Some("[1]".into());
        assert!(form.edit(&key, &contract).is_err());
    }

    fn named() -> Contract {
        extended("[scopes]\n\"a:x\" = \"A\"\nb = \"B\"\n[resources]\ncategory = \"Only it\"\n")
    }

    fn with_scopes(scopes: &[&str]) -> Key {
        Key { scopes: Scopes::new(scopes).unwrap(), ..key(7, Some("name")) }
    }

    #[test]
    fn what_the_boxes_cannot_show_is_neither_lost_nor_widened() {
        let contract = named();
        let told = |scopes: &[&str], change: &dyn Fn(&mut EditForm)| {
            let key = with_scopes(scopes);
            let mut form = EditForm::of(&key, &contract);
            change(&mut form);
            match form.edit(&key, &contract).unwrap().scopes {
                Edit::Keep => "as it was".to_owned(),
                Edit::Clear => unreachable!("scopes are never cleared"),
                Edit::Set(scopes) => Scopes::new(&scopes).unwrap().to_string(),
            }
        };
        let set = |scopes: &[&str]| Scopes::new(scopes).unwrap().to_string();
        let untouched = |_: &mut EditForm| {};
        for scopes in [&["a:*"][..], &["gone"], &["b", "a:*"], &["*"], &[], &["category:7"], &["*", "category:7"]] {
            assert_eq!(told(scopes, &untouched), "as it was", "{scopes:?}");
        }
        assert_eq!(told(&["a:*"], &|form| form.scope.push("b".into())), set(&["a:*", "b"]));
        assert_eq!(told(&["a:*", "b"], &|form| form.scope.clear()), set(&["a:*"]));
        assert_eq!(told(&["*"], &|form| form.scope.push("b".into())), set(&["b"]));
        // The field says so: with none ticked it may do everything.
        assert_eq!(told(&["b"], &|form| form.scope.clear()), set(&["*"]));
        let another = |form: &mut EditForm| form.resources = Some("8".into());
        assert_eq!(told(&["category:7"], &another), set(&["category:8"]));
        assert_eq!(told(&["a:*", "category:7"], &another), set(&["a:*", "category:8"]));
        assert_eq!(told(&["*", "category:7"], &another), set(&["*", "category:8"]));
    }

    #[test]
    fn what_the_contract_offers_no_more_stays_as_it_is() {
        let narrow = Key {
            addresses: vec!["192.0.2.0/24".parse().unwrap()],
            expires_at: Some("2027-01-31T23:59:59.999Z".parse().unwrap()),
            metadata: serde_json::json!({"team": "billing"}).as_object().unwrap().clone(),
            ..with_scopes(&["b"])
        };
        let contract = extended(
            "[key]\naddresses = false\nscopes = false\nmetadata = false\nname.offered = false\nexpiry.offered = false\n",
        );
        let empty = Some(String::new());
        let filled = EditForm {
            name: empty.clone(),
            until: empty.clone(),
            scopes: empty.clone(),
            resources: empty.clone(),
            addresses: empty.clone(),
            metadata: empty,
            ..EditForm::default()
        };
        for form in [filled, EditForm::default()] {
            let edit = form.edit(&narrow, &contract).unwrap();
            assert_eq!((edit.name, edit.expires_at, edit.scopes), (Edit::Keep, Edit::Keep, Edit::Keep));
            assert_eq!((edit.addresses, edit.metadata), (Edit::Keep, Edit::Keep));
        }
        // Nor does a form that was drawn before the contract offered more.
        let edit = EditForm::default().edit(&narrow, &named()).unwrap();
        assert_eq!((edit.name, edit.expires_at, edit.scopes), (Edit::Keep, Edit::Keep, Edit::Keep));
        assert_eq!((edit.addresses, edit.metadata), (Edit::Keep, Edit::Keep));
    }
}
