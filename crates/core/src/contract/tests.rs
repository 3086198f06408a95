//! Contracts as people hand them in: the presets, overriding, and every way of getting one wrong.

use super::*;
use crate::denial::Refusal;

fn presets() -> Presets {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contracts");
    Presets::new(std::fs::read_dir(folder).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(path).unwrap())
    }))
}

pub(super) fn read(source: &str) -> Result<Contract, ContractError> {
    Contract::read(source, &presets())
}

#[test]
fn every_preset_is_valid_and_so_is_its_resolved_form() {
    let presets = presets();
    assert_eq!(presets.names().count(), 6);
    for name in presets.names() {
        let contract = read(presets.get(name).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(contract.api.as_ref().map(|api| api.as_str()), Some(name));
        let again = read(&contract.resolved).unwrap_or_else(|e| panic!("{name} resolved: {e}"));
        assert_eq!(again.resolved, contract.resolved);
        assert!(!contract.examples.is_empty());
    }
}

#[test]
fn a_contract_overrides_parts_of_a_preset() {
    let contract = read(
        "schema = 1\nextends = \"qanapi\"\n[key]\nactive_limit = 3\n[refusals]\nbody = { oops = \"{message}\" }\n",
    )
    .unwrap();
    assert_eq!(contract.key.active_limit, Some(3));
    assert_eq!(contract.acknowledge.create.len(), 3);
    let answer = contract.refusals.answer(Refusal::Revoked);
    assert_eq!((answer.status, &answer.body[..]), (401, &br#"{"oops":"Invalid API key"}"#[..]));
}

#[test]
fn the_credentials_refusals_share_one_answer() {
    for name in presets().names() {
        let contract = read(presets().get(name).unwrap()).unwrap();
        let unknown = contract.refusals.answer(Refusal::UnknownKey).clone();
        for refusal in [Refusal::MalformedKey, Refusal::Revoked, Refusal::Disabled, Refusal::Expired] {
            assert_eq!(*contract.refusals.answer(refusal), unknown, "{name}: {}", refusal.code());
        }
    }
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let cases: &[(&str, Option<usize>, &str, &str)] = &[
        ("schema = 1\nextends = \"standard\"\nkolour = 1\n", Some(3), "kolour", "unknown field"),
        (
            "schema = 1\nextends = \"standard\"\n[key]\nactive_limit = \"many\"\n",
            Some(4),
            "key.active_limit",
            "invalid type",
        ),
        (
            "schema = 1\nextends = \"standard\"\n[plans.x]\ntitle = \"X\"\nquotas.units = { limit = -1, per = \"day\" }\n",
            Some(5),
            "plans.x.quotas.units.limit",
            "-1",
        ),
        (
            "schema = 1\nextends = \"standard\"\n[plans.x]\ntitle = \"X\"\nquotas.units = { limit = 1 }\n",
            Some(5),
            "plans.x.quotas.units.per",
            "per",
        ),
        ("schema = 1\nextends = \"standard\"\n[[routes]]\ncost = 1\n", Some(3), "routes.0", "path"),
        (
            "schema = 1\nextends = \"standard\"\n[[routes]]\npath = \"/x\"\ncost = -1\n",
            Some(5),
            "routes.0.cost",
            "-1",
        ),
        ("schema = 1\nextends = \"standard\"\n[key]\nformat = \"rot13\"\n", Some(4), "key.format", "rot13"),
        ("schema = 1\nextends = \"nowhere\"\n", Some(2), "extends", "nowhere"),
        ("schema = 2\nextends = \"standard\"\n", Some(1), "schema", "schema 1"),
        ("schema = 1\n", None, "plans", ""),
        (
            "schema = 1\nextends = \"standard\"\n\n[[routes]]\npath = \"/x\"\nscopes = [\"nope\"]\n",
            Some(6),
            "routes.0.scopes",
            "nope",
        ),
        (
            "schema = 1\nextends = \"standard\"\n[refusals.answers]\nrevoked = { status = 200, message = \"x\" }\n",
            Some(4),
            "refusals.answers.revoked.status",
            "200",
        ),
        (
            "schema = 1\nextends = \"standard\"\n[credential]\nfrom = [{ header = \"Host\" }]\n",
            Some(4),
            "credential.from.0",
            "Host",
        ),
        ("schema = 1\nextends = \"standard\"\n[key]\nexpiry = { max = \"1y\" }\n", Some(4), "key.expiry.max", "1y"),
        ("not toml", Some(1), "", ""),
    ];
    for (source, line, field, reason) in cases {
        let error = read(source).expect_err(source);
        if !field.is_empty() && *field != "plans" {
            assert_eq!((error.line, error.field.as_str()), (*line, *field), "{source}");
        } else if line.is_some() {
            assert_eq!(error.line, *line, "{source}: {error}");
        }
        assert!(error.to_string().contains(reason), "{source}: {error}");
    }
}

#[test]
fn a_contract_that_stands_alone_must_be_complete() {
    let error = read("schema = 1\ntitle = \"X\"\n").unwrap_err();
    assert!(error.reason.contains("is missing"), "{error}");
}

#[test]
fn p22_profound_routes_name_scope_and_category() {
    let contract = read(presets().get("profound").unwrap()).unwrap();
    let Needs::Route { route, captures } = contract.routes.needs("GET", "/v1/org/categories/7c9e/topics") else {
        panic!("a route names it")
    };
    assert_eq!(&*route.scopes[0], "org");
    assert_eq!(captures[0], ("category", "7c9e"));
    assert!(matches!(contract.routes.needs("GET", "/V1/ORG/x"), Needs::FullAccess));
}
