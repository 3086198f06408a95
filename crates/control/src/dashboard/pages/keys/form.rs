//! The form that makes a key: the fields that the contract has, what it comes to as a wish, and how it is drawn, also when
//! it is sent back with its faults.

use std::time::Duration;

use keyward_core::clock::Timestamp;
use keyward_core::contract::{Contract, ExpiryRule};
use maud::{Markup, html};
use serde::Deserialize;

use super::offers;
use crate::dashboard::answer::fault_of;
use crate::dashboard::look::moments;
use crate::dashboard::look::parts::{Choice, Field, Input, check, select};
use crate::use_cases::ControlError;
use crate::use_cases::keys::NewKey;

pub const DAY: Duration = Duration::from_secs(86_400);
/// Lives of a key to choose from, in days, where the contract allows them.
const LIVES: [u64; 6] = [7, 30, 60, 90, 180, 365];
/// The life that is chosen at first where a key must have an end.
const LIFE_AT_FIRST: u64 = 90;

/// What the form sends.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CreateForm {
    /// The form's own id.
    pub form: String,
    /// What to call the key.
    pub name: String,
    /// For how many days; nothing for the contract's default.
    pub days: String,
    /// Until the end of which day, in place of `days`.
    pub until: String,
    /// Scopes that were ticked.
    pub scope: Vec<String>,
    /// Scopes of an API that names none, one a line.
    pub scopes: String,
    /// Resources, one a line.
    pub resources: String,
    /// Networks, one a line.
    pub addresses: String,
    /// `yes` once the contract's statements are acknowledged.
    pub acknowledge: String,
}

impl CreateForm {
    /// What is asked for.
    ///
    /// # Errors
    /// Where the fields of the expiry hold none.
    pub fn wish(&self, contract: &Contract, now: Timestamp) -> Result<NewKey, ControlError> {
        let name = self.name.trim();
        let is_named = contract.key.name.offered && (!name.is_empty() || contract.key.name.required);
        let addresses = lines(&self.addresses);
        Ok(NewKey {
            name: is_named.then(|| name.to_owned()),
            expires_at: self.expires_at(&contract.key.expiry, now)?,
            scopes: self.wished_scopes(contract),
            addresses: (!addresses.is_empty()).then_some(addresses),
            metadata: None,
            acknowledge: self.acknowledge == "yes",
            import: None,
        })
    }

    /// All that the form asks for, to tell a repetition from another request.
    pub fn asks<'a>(&'a self, project: &'a str) -> Vec<&'a str> {
        let mut asks = vec!["create", project, &self.name, &self.days, &self.until];
        asks.extend([self.scopes.as_str(), &self.resources, &self.addresses]);
        asks.extend(self.scope.iter().map(String::as_str));
        asks
    }

    /// All of it as hidden fields, for the page that asks once more.
    pub fn hidden(&self) -> Markup {
        let CreateForm { form, name, days, until, scope, scopes, resources, addresses, acknowledge: _ } = self;
        let texts = [
            ("form", form),
            ("name", name),
            ("days", days),
            ("until", until),
            ("scopes", scopes),
            ("resources", resources),
            ("addresses", addresses),
        ];
        html! {
            @for (name, value) in texts { @if !value.is_empty() { input type="hidden" name=(name) value=(value); } }
            @for scope in scope { input type="hidden" name="scope" value=(scope); }
        }
    }

    fn expires_at(&self, rule: &ExpiryRule, now: Timestamp) -> Result<Option<Timestamp>, ControlError> {
        if !rule.offered {
            return Ok(None);
        }
        if !self.until.is_empty() {
            return end_of_day(&self.until, rule.max.map(|max| now.saturating_add(max))).map(Some);
        }
        match self.days.as_str() {
            "" => Ok(None),
            days => match days.parse::<u32>() {
                Ok(days) => Ok(Some(now.saturating_add(DAY.saturating_mul(days)))),
                Err(_) => Err(ControlError::invalid("expires_at", "must be one of the lives to choose from")),
            },
        }
    }

    /// Scopes and resources together; a key that is only limited in its resources may do what one does by default.
    fn wished_scopes(&self, contract: &Contract) -> Option<Vec<String>> {
        let mut scopes: Vec<String> = self.scope.clone();
        scopes.extend(lines(&self.scopes));
        let resources = resources(&self.resources, contract);
        if scopes.is_empty() && !resources.is_empty() {
            scopes.extend(contract.key.default_scopes.iter().map(str::to_owned));
        }
        scopes.extend(resources);
        (!scopes.is_empty()).then_some(scopes)
    }
}

/// The last moment of a day of UTC, but no later than `latest` where that lies within the day.
///
/// # Errors
/// Where the text is no date.
pub fn end_of_day(text: &str, latest: Option<Timestamp>) -> Result<Timestamp, ControlError> {
    let start = format!("{text}T00:00:00Z").parse::<Timestamp>();
    let start = start.map_err(|_| ControlError::invalid("expires_at", "must be a date such as 2030-01-31"))?;
    let end = Timestamp::from_millis(start.as_millis() + 86_399_999);
    Ok(latest.filter(|latest| start <= *latest && *latest < end).unwrap_or(end))
}

/// Texts that stand one a line, or apart by commas.
pub fn lines(text: &str) -> Vec<String> {
    let entries = text.split(['\n', ',']).map(str::trim).filter(|entry| !entry.is_empty());
    entries.map(str::to_owned).collect()
}

/// Resources as scopes; where there is only one kind, its name need not be written.
pub fn resources(text: &str, contract: &Contract) -> Vec<String> {
    let mut kinds = contract.resources.keys();
    let only = kinds.next().filter(|_| kinds.next().is_none());
    let whole = |entry: String| match only {
        Some(kind) if !entry.contains(':') => format!("{kind}:{entry}"),
        _ => entry,
    };
    lines(text).into_iter().map(whole).collect()
}

/// The form as it is drawn.
pub struct Fields<'a> {
    /// What rules it.
    pub contract: &'a Contract,
    /// What is filled in.
    pub filled: &'a CreateForm,
    /// What was wrong with it.
    pub error: Option<&'a ControlError>,
    /// When.
    pub now: Timestamp,
}

impl Fields<'_> {
    /// The fields, without the button; nothing where the contract has none.
    pub fn draw(&self) -> Markup {
        let key = &self.contract.key;
        html! {
            @if key.name.offered || key.expiry.offered {
                div.fields {
                    @if key.name.offered { (self.name()) }
                    @if key.expiry.offered { (self.expiry()) }
                }
            }
            @if key.scopes && !self.contract.scopes.is_empty() {
                (scope_checks(self.contract, &self.filled.scope, fault_of(self.error, "scopes")))
            }
            @if self.has_more() {
                details.more open[self.is_more_filled()] {
                    summary { "Advanced" }
                    div.stack {
                        @if key.scopes { (self.limits()) }
                        @if key.addresses { (addresses_field(&self.filled.addresses, fault_of(self.error, "addresses"))) }
                    }
                }
            }
        }
    }

    fn name(&self) -> Markup {
        let rule = &self.contract.key.name;
        let label = if rule.required { "Name" } else { "Name (optional)" };
        let least = format!("At least {} characters.", rule.min_chars);
        let hint = if rule.min_chars > 1 { &least } else { "Such as the program that will use it." };
        let input = Input {
            is_required: rule.required,
            autocomplete: Some("off"),
            min_chars: Some(rule.min_chars).filter(|&least| least > 1),
            ..Input::default()
        };
        Field::new("name", label).hint(hint).fault(fault_of(self.error, "name")).line(
            "text",
            &self.filled.name,
            input,
        )
    }

    fn expiry(&self) -> Markup {
        let rule = &self.contract.key.expiry;
        let choices = lives(rule);
        let choices: Vec<Choice<'_>> =
            choices.iter().map(|(value, label)| Choice { value: value.as_str(), label: label.as_str() }).collect();
        let tomorrow = moments::form_date(self.now.saturating_add(DAY));
        let latest = rule.max.map(|max| moments::form_date(self.now.saturating_add(max)));
        let input = Input { min: Some(&tomorrow), max: latest.as_deref(), ..Input::default() };
        let fault = fault_of(self.error, "expires_at");
        html! {
            (select(Field::new("days", "Expires").fault(fault), &choices, &self.chosen_life(rule)))
            (Field::new("until", "Or at the end of (UTC)").line("date", &self.filled.until, input))
        }
    }

    /// The life that is chosen: what was filled in, else three months where there must be an end.
    fn chosen_life(&self, rule: &ExpiryRule) -> String {
        let is_first = self.filled.form.is_empty();
        match (is_first && rule.required && rule.default.is_none(), rule.max) {
            (true, Some(max)) if max < DAY * LIFE_AT_FIRST as u32 => (max.as_secs() / DAY.as_secs()).to_string(),
            (true, _) => LIFE_AT_FIRST.to_string(),
            (false, _) => self.filled.days.clone(),
        }
    }

    fn limits(&self) -> Markup {
        let fault = fault_of(self.error, "scopes").filter(|_| self.contract.scopes.is_empty());
        html! {
            @if self.contract.scopes.is_empty() { (free_scopes_field(&self.filled.scopes, fault)) }
            @if !self.contract.resources.is_empty() { (resources_field(self.contract, &self.filled.resources)) }
        }
    }

    fn has_more(&self) -> bool {
        let contract = self.contract;
        contract.key.addresses
            || (contract.key.scopes && (contract.scopes.is_empty() || !contract.resources.is_empty()))
    }

    fn is_more_filled(&self) -> bool {
        let CreateForm { scopes, resources, addresses, .. } = self.filled;
        let is_wrong = fault_of(self.error, "addresses").or(fault_of(self.error, "scopes")).is_some();
        is_wrong || ![scopes, resources, addresses].into_iter().all(String::is_empty)
    }
}

/// The lives to choose from: what the form sends, and what people read.
fn lives(rule: &ExpiryRule) -> Vec<(String, String)> {
    let days = |life: Duration| life.as_secs() / DAY.as_secs();
    let told = |life: Duration| match days(life) {
        365 => "1 year".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    let mut choices = Vec::new();
    match (rule.default, rule.max, rule.required) {
        (Some(life), _, _) => choices.push((String::new(), format!("{} (as usual)", told(life)))),
        (None, None, false) => choices.push((String::new(), "Never".to_owned())),
        (None, Some(max), false) => choices.push((String::new(), format!("{} (the longest)", told(max)))),
        (None, _, true) => {}
    }
    let longest = rule.max.filter(|_| rule.required || rule.default.is_some()).map(days);
    let mut lives: Vec<u64> =
        LIVES.into_iter().filter(|&life| rule.max.is_none_or(|max| life <= days(max))).collect();
    lives.extend(longest.filter(|longest| *longest > 0 && !lives.contains(longest)));
    choices.extend(lives.into_iter().map(|life| (life.to_string(), told(DAY * life as u32))));
    choices
}

/// The contract's scopes to tick.
pub fn scope_checks(contract: &Contract, ticked: &[String], fault: Option<&str>) -> Markup {
    let default = &contract.key.default_scopes;
    html! {
        fieldset.field aria-describedby="scope-hint" {
            legend { "What it may do" }
            span.hint id="scope-hint" {
                @if default.allow("*") { "With none ticked it may do everything." }
                @else { "With none ticked: " (default) "." }
            }
            div.checks {
                @for (scope, meaning) in &contract.scopes {
                    (check("scope", scope, ticked.contains(scope), html! {
                        (meaning) " " code.soft { (scope) }
                    }))
                }
            }
            @if let Some(fault) = fault { span.fault { "Scopes " (fault) } }
        }
    }
}

/// The scopes of an API that names none.
pub fn free_scopes_field(filled: &str, fault: Option<&str>) -> Markup {
    let hint = "One a line, as your services ask for them. Without any it may do everything.";
    text_lines(Field::new("scopes", "Scopes").hint(hint).fault(fault), filled)
}

/// The resources that a key is limited to.
pub fn resources_field(contract: &Contract, filled: &str) -> Markup {
    let kinds = contract.resources.iter().map(|(kind, meaning)| format!("{kind}:… {meaning}."));
    let hint = format!("One a line. {}", kinds.collect::<Vec<_>>().join(" "));
    text_lines(Field::new("resources", "Only these resources").hint(&hint), filled)
}

/// The networks that a key is limited to.
pub fn addresses_field(filled: &str, fault: Option<&str>) -> Markup {
    let hint = "One a line, such as 192.0.2.0/24 or 2001:db8::/32. Without any it can be used from anywhere.";
    text_lines(Field::new("addresses", "Allowed networks").hint(hint).fault(fault), filled)
}

/// A field of several lines.
pub fn text_lines(field: Field<'_>, filled: &str) -> Markup {
    field.around(html! {
        textarea id=(field.name) name=(field.name) rows="3" spellcheck="false" autocapitalize="off"
            aria-invalid=[field.fault.map(|_| "true")] aria-describedby=[field.described_by()] { (filled) }
    })
}

/// Whether the form is drawn as a button alone.
pub fn is_button_alone(contract: &Contract) -> bool {
    !offers::has_fields(contract)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts_for_tests::{contract, extended};

    const NOW: Timestamp = Timestamp::from_millis(1_795_218_680_000);

    fn form(fill: impl FnOnce(&mut CreateForm)) -> CreateForm {
        let mut form = CreateForm::default();
        fill(&mut form);
        form
    }

    #[test]
    fn p09_an_expiry_is_a_life_or_a_day() {
        let profound = contract("profound");
        let told = |form: CreateForm| form.wish(&profound, NOW).map(|wish| wish.expires_at);
        let days = told(form(|form| form.days = "30".into())).unwrap();
        assert_eq!(days, Some(NOW.saturating_add(DAY * 30)));
        let until = told(form(|form| form.until = "2027-01-31".into())).unwrap();
        assert_eq!(until, Some("2027-01-31T23:59:59.999Z".parse().unwrap()));
        assert_eq!(told(CreateForm::default()).unwrap(), None);
        assert!(told(form(|form| form.until = "tomorrow".into())).is_err());
        assert!(told(form(|form| form.days = "-1".into())).is_err());
    }

    #[test]
    fn lives_keep_to_the_contract() {
        let told = |own: &str| -> Vec<String> {
            lives(&extended(own).key.expiry).into_iter().map(|(_, label)| label).collect()
        };
        assert_eq!(told("")[0], "Never");
        let required = told("[key.expiry]\nrequired = true\nmax = \"45d\"\n");
        assert_eq!(required, ["7 days", "30 days", "45 days"]);
        let usual = told("[key.expiry]\ndefault = \"90d\"\nmax = \"365d\"\n");
        assert_eq!((usual[0].as_str(), usual.last().unwrap().as_str()), ("90 days (as usual)", "1 year"));
    }

    #[test]
    fn a_key_for_one_resource_may_otherwise_do_everything() {
        let profound = contract("profound");
        let scopes = |form: CreateForm| form.wish(&profound, NOW).unwrap().scopes;
        assert_eq!(scopes(CreateForm::default()), None);
        assert_eq!(
            scopes(form(|form| form.resources = "7c9e\r\ncategory:8d\r\n".into())).unwrap(),
            ["*", "category:7c9e", "category:8d"]
        );
        let narrow = form(|form| {
            form.scope = vec!["reports".into()];
            form.resources = "7c9e".into();
        });
        assert_eq!(scopes(narrow).unwrap(), ["reports", "category:7c9e"]);
    }

    #[test]
    fn a_name_is_asked_for_where_keys_have_one() {
        let name = |preset: &str, name: &str| {
            form(|form| form.name = name.into()).wish(&contract(preset), NOW).unwrap().name
        };
        assert_eq!(name("profound", " "), Some(String::new()));
        assert_eq!(name("qanapi", " "), None);
        assert_eq!(name("metriport", "x"), None);
    }
}
