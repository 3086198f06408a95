//! The contracts of `contracts/`, for this crate's own unit tests.

use keyward_core::contract::{Contract, Presets};

/// The presets that ship with Keyward.
pub const PRESETS: [&str; 6] = ["getprofile", "profound", "metriport", "scrapegraphai", "qanapi", "standard"];

fn presets() -> Presets {
    Presets::new(PRESETS.map(|name| {
        let path = format!("{}/../../contracts/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        (name.to_owned(), std::fs::read_to_string(path).unwrap())
    }))
}

/// A preset.
pub fn contract(preset: &str) -> Contract {
    let presets = presets();
    Contract::read(presets.get(preset).unwrap(), &presets).unwrap()
}

/// The standard contract with something of its own.
pub fn extended(own: &str) -> Contract {
    Contract::read(&format!("schema = 1\nextends = \"standard\"\n{own}"), &presets()).unwrap()
}
