//! What the pages of an API's keys show and offer, by its contract: which columns, which fields, which actions on which
//! key. Plain functions of the contract, so that every preset can be checked in a test.

use keyward_core::contract::Contract;
use keyward_core::key::Standing;

use crate::use_cases::SeenProject;

/// How an API's keys are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replacing {
    /// A project has one key, and a new one is put in its place.
    Regenerate,
    /// Each key can be rotated.
    Rotate,
    /// By a second key, step by step; the old one is revoked when nothing uses it any more.
    SecondKey,
    /// Not at all, but for making another and revoking the old one.
    Nothing,
}

impl Replacing {
    /// How a project has it: one that may have several keys, or has them, names the one that is replaced.
    pub fn here(seen: &SeenProject) -> Self {
        let has_one = seen.active_key_limit == Some(1) && seen.active_keys <= 1;
        Replacing::of(&seen.contract, has_one)
    }

    /// How this contract has it for a project with one key, or with several. Steps that the contract spells out are its way.
    fn of(contract: &Contract, has_one: bool) -> Self {
        match () {
            () if !contract.dashboard.rotation_steps.is_empty() => Replacing::SecondKey,
            () if !contract.rotation.is_offered() => Replacing::Nothing,
            () if has_one => Replacing::Regenerate,
            () => Replacing::Rotate,
        }
    }
}

/// Which columns the table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns {
    /// Names.
    pub has_names: bool,
    /// What keys may do.
    pub has_scopes: bool,
    /// When they end.
    pub has_expiry: bool,
}

impl Columns {
    /// The columns of this contract's keys.
    pub fn of(contract: &Contract) -> Self {
        Columns {
            has_names: contract.key.name.offered,
            has_scopes: contract.key.scopes,
            has_expiry: contract.key.expiry.offered,
        }
    }
}

/// Something that can be done with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Put a new one in its place.
    Rotate,
    /// The same where it is the project's one key.
    Regenerate,
    /// Change what it is called and may.
    Edit,
    /// Switch it on again.
    Enable,
    /// End it.
    Revoke,
}

/// What can be done with a key that stands like this; nothing with one that has ended.
pub fn actions(contract: &Contract, replacing: Replacing, standing: Standing, is_served: bool) -> Vec<Action> {
    let replace = match replacing {
        Replacing::Regenerate => Some(Action::Regenerate),
        Replacing::Rotate => Some(Action::Rotate),
        Replacing::SecondKey | Replacing::Nothing => None,
    };
    let replace = replace.filter(|_| is_served && standing == Standing::Active);
    let enable = (standing == Standing::Disabled && is_served).then_some(Action::Enable);
    let edit = can_edit(contract).then_some(Action::Edit);
    match standing {
        Standing::Active | Standing::Retiring | Standing::Disabled => {
            replace.into_iter().chain(enable).chain(edit).chain([Action::Revoke]).collect()
        }
        Standing::Expired | Standing::Revoked => Vec::new(),
    }
}

/// Whether there is anything for people to change about a key. Metadata alone is for programs.
pub fn can_edit(contract: &Contract) -> bool {
    let key = &contract.key;
    key.name.offered || key.expiry.offered || key.scopes || key.addresses || key.disable
}

/// Whether making a key asks for anything but a click.
pub fn has_fields(contract: &Contract) -> bool {
    let key = &contract.key;
    key.name.offered || key.expiry.offered || key.scopes || key.addresses
}

/// What the button that makes a key says.
pub fn create_label(seen: &SeenProject) -> &str {
    let words = &seen.contract.dashboard;
    match Replacing::here(seen) {
        Replacing::SecondKey if seen.active_keys > 0 => &words.rotate,
        _ => &words.create,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts_for_tests::{contract, extended};
    use crate::dashboard::pages::samples::project;
    use std::sync::Arc;

    #[test]
    fn each_preset_shows_the_columns_its_keys_have() {
        let told = |preset| {
            let Columns { has_names, has_scopes, has_expiry } = Columns::of(&contract(preset));
            (has_names, has_scopes, has_expiry)
        };
        assert_eq!(told("getprofile"), (false, false, false));
        assert_eq!(told("profound"), (true, true, true));
        assert_eq!(told("metriport"), (false, false, false));
        assert_eq!(told("scrapegraphai"), (false, false, false));
        assert_eq!(told("qanapi"), (true, false, false));
        assert_eq!(told("standard"), (true, true, true));
    }

    #[test]
    fn each_preset_replaces_keys_in_its_own_way() {
        let told = |preset| {
            let contract = contract(preset);
            Replacing::of(&contract, contract.key.active_limit == Some(1))
        };
        assert_eq!(told("getprofile"), Replacing::Regenerate);
        assert_eq!(told("profound"), Replacing::Rotate);
        assert_eq!(told("metriport"), Replacing::SecondKey);
        assert_eq!(told("scrapegraphai"), Replacing::Regenerate);
        assert_eq!(told("qanapi"), Replacing::Rotate);
        assert_eq!(told("standard"), Replacing::Rotate);
        let without = extended("[rotation]\nin_place = false\noverlap = false\n");
        assert_eq!(Replacing::of(&without, false), Replacing::Nothing);
    }

    #[test]
    fn m14_the_button_says_that_it_makes_a_second_key() {
        let mut seen = project(1, "App");
        seen.contract = Arc::new(contract("metriport"));
        let mut label = |live| {
            seen.active_keys = live;
            create_label(&seen).to_owned()
        };
        assert_eq!(label(0), "Generate API key");
        assert_eq!(label(1), "Generate a second key");
    }

    #[test]
    fn what_has_ended_offers_nothing() {
        use Action as A;
        let standard = contract("standard");
        assert_eq!(actions(&standard, Replacing::Rotate, Standing::Active, true), [A::Rotate, A::Edit, A::Revoke]);
        assert_eq!(actions(&standard, Replacing::Rotate, Standing::Retiring, true), [A::Edit, A::Revoke]);
        assert_eq!(
            actions(&standard, Replacing::Rotate, Standing::Disabled, true),
            [A::Enable, A::Edit, A::Revoke]
        );
        assert_eq!(actions(&standard, Replacing::Rotate, Standing::Active, false), [A::Edit, A::Revoke]);
        for standing in [Standing::Expired, Standing::Revoked] {
            assert!(actions(&standard, Replacing::Rotate, standing, true).is_empty());
        }
        assert_eq!(actions(&contract("metriport"), Replacing::SecondKey, Standing::Active, true), [A::Revoke]);
        assert_eq!(
            actions(&contract("scrapegraphai"), Replacing::Regenerate, Standing::Active, true),
            [A::Regenerate, A::Revoke]
        );
    }
}
