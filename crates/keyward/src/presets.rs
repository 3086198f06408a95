//! The contracts that ship with Keyward, embedded from `contracts/`: adding a file there adds a preset.

use include_dir::{Dir, include_dir};
use keyward_core::contract::Presets;

static CONTRACTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../contracts");

/// All presets, by the names of their files.
pub fn load() -> Presets {
    let named = CONTRACTS.files().filter_map(|file| {
        let path = file.path();
        let is_contract = path.extension().is_some_and(|extension| extension == "toml");
        let name = path.file_stem()?.to_str()?.to_owned();
        is_contract.then_some((name, file.contents_utf8()?.to_owned()))
    });
    Presets::new(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_core::contract::Contract;

    #[test]
    fn every_preset_is_a_contract_with_an_example() {
        let presets = load();
        assert!(presets.names().count() >= 6);
        for name in presets.names() {
            let contract = Contract::read(presets.get(name).unwrap(), &presets).unwrap();
            assert!(!contract.examples.is_empty(), "{name}");
        }
    }
}
