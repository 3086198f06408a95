//! docs/errors.md is made from the one list of refusals: this test fails where they differ, and writes the
//! page anew where `UPDATE` is set.

use keyward_core::denial::{Kind, Refusal};

fn page() -> String {
    let mut page = String::from(
        "# What callers can be refused with\n\n\
         Made from `crates/core/src/denial.rs`: change it there, then run\n\
         `UPDATE=1 cargo test -p keyward-core --test errors_page`.\n\n\
         `POST /v1/verify` answers with the code. Callers of the gateway see the status and body that the API's\n\
         contract gives (`[refusals.answers]`); the `standard` preset gives the statuses below. Everything in the\n\
         first part shares one answer, `invalid_key`, unless the contract names one of its own, so that a stranger\n\
         cannot tell a key that was revoked from one that never was.\n",
    );
    let standard = include_str!("../../../contracts/standard.toml");
    let presets = keyward_core::contract::Presets::default();
    let contract = keyward_core::contract::Contract::read(standard, &presets).unwrap();
    let parts = [
        (Kind::Credential, "The credential opens nothing"),
        (Kind::Authority, "The credential is good, but does not open this"),
        (Kind::Request, "The request cannot be served"),
        (Kind::Fields, "Fields cannot be encrypted, decrypted or sent on"),
    ];
    for (kind, title) in parts {
        page += &format!("\n## {title}\n\n| code | status | meaning |\n| --- | --- | --- |\n");
        for refusal in Refusal::ALL.iter().filter(|refusal| refusal.kind() == kind) {
            let status = contract.refusals.answer(*refusal).status;
            page += &format!("| `{}` | {status} | {} |\n", refusal.code(), refusal.meaning());
        }
    }
    page
}

#[test]
fn the_page_says_what_the_list_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), page(), "run with UPDATE=1");
}
