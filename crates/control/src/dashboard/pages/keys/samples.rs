//! Samples of these pages: every preset's list, empty, full and narrowed, forms that came back, what asks before something
//! is done, and what is shown once. What each shows of its contract is checked here too.

use std::sync::Arc;
use std::time::Duration;

use keyward_core::change::Revision;
use keyward_core::clock::Timestamp;
use keyward_core::id::{KeyId, ProjectId};
use keyward_core::key::{Key, KeyState};
use keyward_core::scope::Scopes;
use keyward_core::secret::{Digest, Secret};
use keyward_core::usage::KeyUsage;
use maud::Markup;

use super::create::PromptView;
use super::edit::{EditForm, EditView};
use super::filter::Filter;
use super::form::CreateForm;
use super::list::{ListView, Told};
use super::revoke::RevokeView;
use super::rotate::RotateView;
use super::shown::{Base, Made, Replaced, ShownView};
use super::switch::{Switch, SwitchView};
use crate::contracts_for_tests::{PRESETS, contract};
use crate::dashboard::answer::Page;
use crate::dashboard::look::Frame;
use crate::dashboard::pages::samples::{EVIL, LONG, NOW, RIGHT_TO_LEFT, hours_ago, project};
use crate::use_cases::keys::{FoundKeys, SeenKey, Traffic, TrafficByKey};
use crate::use_cases::{By, ControlError, Disclosure, Fault, InForce, SeenProject};

const IN_FORCE: InForce = InForce { by: By::Acknowledged, nodes: 1, waited_ms: 3 };
const FORM: &str = "4KdGxDRyoUTXfmZ4LG1bRz";

/// A key made some days ago.
pub fn key(days: i64, name: Option<&str>) -> Key {
    let id = KeyId::from_u128(1_000_000_007 * (days as u128 + 1));
    Key {
        id,
        project: ProjectId::from_u128(1),
        lineage: id,
        name: name.map(str::to_owned),
        hint: "kw_live_…3x9Q".into(),
        digest: Digest::from_bytes([7; 32]),
        pepper: 1,
        scopes: Scopes::all(),
        addresses: Vec::new(),
        metadata: Default::default(),
        created_at: hours_ago(24 * days),
        expires_at: None,
        state: KeyState::Active,
        created_revision: Revision(1_000 - days),
        revision: Revision(1_000 - days),
    }
}

fn later(hours: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(3_600 * hours))
}

fn seen(key: Key) -> SeenKey {
    let usage = KeyUsage { last_used_at: Some(hours_ago(2)), granted: 1_234_567, refused: 3 };
    SeenKey { key, usage, at: NOW }
}

/// Keys in every state, with whatever people write as names.
fn keys() -> Vec<SeenKey> {
    let mut keys = vec![seen(key(1, Some(EVIL))), seen(key(2, Some(LONG))), seen(key(3, Some(RIGHT_TO_LEFT)))];
    keys[1].key.expires_at = Some(later(50));
    keys[1].key.scopes = Scopes::new(["a", "b", "c:read", "d", "e", "f"]).unwrap();
    keys[1].key.addresses = vec!["192.0.2.0/24".parse().unwrap()];
    keys[2].key.state = KeyState::Retiring { ends_at: later(20), replaced_by: KeyId::from_u128(1) };
    keys[2].usage = KeyUsage::default();
    let past = [
        KeyState::Disabled { at: hours_ago(5) },
        KeyState::Revoked { at: hours_ago(9), reason: Some(EVIL.into()), replaced_by: None },
        KeyState::Retiring { ends_at: hours_ago(1), replaced_by: KeyId::from_u128(1) },
    ];
    for (state, days) in past.into_iter().zip(10..) {
        keys.push(seen(Key { state, ..key(days, None) }));
    }
    let expired = Key { expires_at: Some(hours_ago(1)), ..key(90, Some("old")) };
    keys.push(seen(expired));
    keys
}

/// As many of them live as the preset allows.
fn keys_of(preset: &str) -> Vec<SeenKey> {
    let mut room = contract(preset).key.active_limit.unwrap_or(u32::MAX);
    let mut fits = |seen: &SeenKey| match seen.standing().is_live() {
        true => room.checked_sub(1).map(|rest| room = rest).is_some(),
        false => true,
    };
    keys().into_iter().filter(|seen| fits(seen)).collect()
}

fn traffic(keys: &[SeenKey]) -> TrafficByKey {
    keys.iter().take(2).map(|seen| (seen.key.id, Traffic { granted: 1_284, refused: 2 })).collect()
}

fn project_of(preset: &str) -> SeenProject {
    let contract = Arc::new(contract(preset));
    let mut seen = project(1, EVIL);
    seen.noun = contract.project.noun.clone();
    seen.active_key_limit = contract.key.active_limit;
    seen.contract = contract;
    seen
}

/// What a list is drawn with.
struct Listed<'a> {
    project: SeenProject,
    keys: &'a [SeenKey],
    filter: Filter,
    form: CreateForm,
    error: Option<ControlError>,
    may_write: bool,
}

impl<'a> Listed<'a> {
    fn of(preset: &str, keys: &'a [SeenKey]) -> Self {
        let (filter, form) = (Filter::default(), CreateForm::default());
        Listed { project: project_of(preset), keys, filter, form, error: None, may_write: true }
    }

    fn draw(mut self) -> Markup {
        let live: Vec<SeenKey> = self.keys.iter().filter(|seen| seen.standing().is_live()).cloned().collect();
        self.project.active_keys = live.len() as u64;
        let traffic = traffic(self.keys);
        let found = FoundKeys { keys: self.keys.to_vec(), total: self.keys.len() as u64 };
        let view = ListView {
            seen: &self.project,
            may_write: self.may_write,
            now: NOW,
            form_id: FORM.into(),
            found: &found,
            live: &live,
            today: &traffic,
            hour: &traffic,
            filter: &self.filter,
            form: &self.form,
            told: Told::default(),
            error: self.error.as_ref(),
        };
        view.draw()
    }
}

fn invalid() -> ControlError {
    let faults = ["name", "expires_at", "scopes", "addresses", "metadata", "reason", "overlap_seconds"];
    let fault = |field: &str| Fault { field: field.into(), message: format!("is wrong: {EVIL}"), line: None };
    ControlError::Invalid(faults.map(fault).into())
}

fn filled() -> CreateForm {
    let evil = || EVIL.to_owned();
    CreateForm {
        form: FORM.into(),
        name: evil(),
        days: evil(),
        until: evil(),
        scope: vec!["reports".into(), evil()],
        scopes: evil(),
        resources: evil(),
        addresses: evil(),
        acknowledge: String::new(),
    }
}

fn shown(preset: &str, disclosure: &Disclosure, replaced: bool) -> Markup {
    let contract = contract(preset);
    let (new, old) = (seen(key(0, Some(EVIL))), seen(key(5, None)));
    let replaced = replaced.then_some(Replaced { old: &old, in_force: Some(IN_FORCE) });
    let made = Made { key: &new, secret: disclosure, replaced };
    let base = Base { url: "https://your-api.example".into(), is_known: false };
    ShownView { contract: &contract, base, project: "proj_1".into(), list: "/projects/x/keys".into(), made: &made }
        .draw()
}

fn page(content: Markup) -> Page {
    Page::new(Frame::titled("Sample"), content)
}

fn lists() -> Vec<(&'static str, Page)> {
    let keys = keys();
    let mut pages: Vec<(&'static str, Page)> =
        PRESETS.map(|preset| (preset, page(Listed::of(preset, &keys_of(preset)).draw()))).into();
    let mut of = |name, change: &dyn Fn(&mut Listed<'_>)| {
        let mut listed = Listed::of("standard", &keys);
        change(&mut listed);
        pages.push((name, page(listed.draw())));
    };
    of("empty", &|listed| listed.keys = &[]);
    of("one", &|listed| listed.keys = &listed.keys[..1]);
    of("viewer", &|listed| listed.may_write = false);
    of("full", &|listed| listed.project.active_key_limit = Some(2));
    of("no access", &|listed| listed.project.has_access = false);
    of("narrowed", &|listed| {
        listed.filter = Filter { named: EVIL.into(), sort: "name".into(), part: "2".into(), ..Filter::default() };
    });
    of("narrowed to none", &|listed| {
        listed.filter = Filter { state: "revoked".into(), ..Filter::default() };
        listed.keys = &[];
    });
    of("refused", &|listed| {
        listed.form = filled();
        listed.error = Some(invalid());
    });
    pages.push(("no active key", page(Listed::of("getprofile", &keys[3..]).draw())));
    let mut refused = Listed::of("profound", &keys);
    refused.form = filled();
    refused.error = Some(invalid());
    pages.push(("refused with scopes", page(refused.draw())));
    pages
}

fn questions() -> Vec<(&'static str, Page)> {
    let (standard, qanapi) = (contract("standard"), contract("qanapi"));
    let evil = seen(Key { expires_at: Some(later(900)), ..key(3, Some(EVIL)) });
    let (list, error) = (|| "/projects/x/keys".to_owned(), invalid());
    let revoke = |contract, error| {
        page(RevokeView { contract, seen: &evil, requests: 1_234, list: list(), reason: EVIL, error }.draw())
    };
    let rotate = |contract, old, action: &str, error| {
        let (action, form_id) = (action.to_owned(), FORM.into());
        page(RotateView { contract, old, requests: 1, has_room: true, action, list: list(), form_id, error }.draw())
    };
    let switch = |to| page(SwitchView { seen: &evil, to, requests: 0, list: list(), error: None }.draw());
    let form = EditForm::of(&evil.key, &standard);
    let edit = EditView { contract: &standard, seen: &evil, form: &form, list: list(), error: Some(&error) };
    let prompt = PromptView { form: &filled(), statements: &[EVIL.into()], label: "Create", list: list() };
    vec![
        ("revoke", revoke(&standard, None)),
        ("revoke with statements", revoke(&qanapi, Some(&error))),
        ("rotate", rotate(&standard, Some(&evil), "/keys/x/rotate", Some(&error))),
        ("regenerate", rotate(&qanapi, Some(&evil), "/projects/x/keys/regenerate", None)),
        ("regenerate without a key", rotate(&qanapi, None, "/projects/x/keys/regenerate", None)),
        ("disable", switch(Switch::Off)),
        ("enable", switch(Switch::On)),
        ("edit", page(edit.draw())),
        ("prompt", page(prompt.draw())),
    ]
}

/// All of them.
pub fn samples() -> Vec<(&'static str, Page)> {
    let secret = Disclosure::Now(Secret::new(format!("kw_live_{EVIL}")));
    let mut pages = lists();
    pages.extend(questions());
    pages.push(("shown once", page(shown("standard", &secret, true))));
    pages.push(("shown before", page(shown("standard", &Disclosure::Before, false))));
    pages
}

fn text(preset: &str) -> String {
    Listed::of(preset, &keys_of(preset)).draw().into_string()
}

#[test]
fn p07_making_keys_and_the_table_are_on_one_page() {
    let page = text("profound");
    assert!(page.contains("Create API Key</button>") && page.contains("All keys") && page.contains("Expires"));
}

#[test]
fn each_preset_has_its_own_words_and_actions() {
    for (preset, has, has_not) in [
        ("getprofile", vec![">Rotate</a>", "Your API key"], vec!["name=\"name\"", "Edit<", "name=\"days\""]),
        ("profound", vec!["name=\"name\"", "name=\"days\"", "value=\"reports\"", "Rotate<"], vec!["Your API key"]),
        ("metriport", vec!["Generate a second key", "Which key still gets traffic"], vec!["Rotate<", "Edit<"]),
        ("scrapegraphai", vec!["Regenerate API Key</a>", "API Key</h1>"], vec!["Expires", "name=\"name\""]),
        ("qanapi", vec!["of 10 active", "Key ID", "Last used", "Status", " today"], vec!["Scopes</th>", "Expires"]),
    ] {
        let page = text(preset);
        has.into_iter().for_each(|part| assert!(page.contains(part), "{preset} has no {part}"));
        has_not.into_iter().for_each(|part| assert!(!page.contains(part), "{preset} has {part}"));
    }
}

#[test]
fn t04_who_only_looks_on_is_offered_nothing() {
    let keys = keys();
    for preset in PRESETS {
        let page = Listed { may_write: false, ..Listed::of(preset, &keys) }.draw().into_string();
        assert!(!page.contains("method=\"post\"") && !page.contains("/revoke"), "{preset}");
    }
}

#[test]
fn p08_without_access_there_is_no_form_but_a_contact() {
    let mut listed = Listed::of("profound", &[]);
    listed.project.has_access = false;
    let page = listed.draw().into_string();
    assert!(!page.contains("method=\"post\"") && page.contains("mailto:support@tryprofound.com"));
}

#[test]
fn p31_a_secret_stands_in_elements_that_are_emptied() {
    let secret = "kw_live_0123456789";
    let page = shown("standard", &Disclosure::Now(Secret::new(secret.into())), true).into_string();
    assert!(page.contains("role=\"dialog\"") && page.contains("I have stored the key"));
    for (at, _) in page.match_indices(secret) {
        let element = &page[page[..at].rfind('<').unwrap()..at];
        assert!(element.contains(" data-once"), "{element}");
    }
    assert_eq!(page.matches(secret).count(), 3);
}

#[test]
fn k06_a_form_that_is_sent_again_shows_no_secret() {
    let page = shown("standard", &Disclosure::Before, false).into_string();
    assert!(page.contains("shown already") && !page.contains("data-once"));
}
