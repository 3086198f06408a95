//! What is asked of a key against its contract: which scopes there are, which networks make sense, how large
//! metadata may be. Names and expiries are checked by the contract's own rules.

use std::net::IpAddr;

use ipnet::IpNet;
use keyward_core::clock::Timestamp;
use keyward_core::contract::Contract;
use keyward_core::key::Metadata;
use keyward_core::scope::Scopes;
use serde_json::Value;

use super::create::NewKey;
use crate::use_cases::error::{Faults, Result};

/// Most networks a key may be limited to.
const ADDRESSES_MAX: usize = 100;
/// Largest metadata, in bytes of JSON.
const METADATA_BYTES_MAX: usize = 4 * 1024;
/// Deepest metadata, the object itself counted.
const METADATA_DEPTH_MAX: usize = 8;

type Checked<T> = std::result::Result<T, String>;

/// What a new key will be, by the contract.
pub(super) struct Checks {
    pub name: Option<String>,
    pub expires_at: Option<Timestamp>,
    pub scopes: Scopes,
    pub addresses: Vec<IpNet>,
    pub metadata: Metadata,
}

/// Checks a wish for a new key as a whole.
pub(super) fn check(wish: &NewKey, contract: &Contract, now: Timestamp) -> Result<Checks> {
    let rules = &contract.key;
    let mut faults = Faults::default();
    if wish.import.is_some() && !rules.import {
        faults.add("import", "is not offered: this API does not take keys issued elsewhere");
    }
    let name = faults.take("name", rules.name.check(wish.name.as_deref()));
    let expires_at = faults.take("expires_at", rules.expiry.check(wish.expires_at, now));
    let scopes = match &wish.scopes {
        None => Some(rules.default_scopes.clone()),
        Some(asked) => faults.take("scopes", scopes(asked, contract)),
    };
    let addresses = faults.take("addresses", addresses(wish.addresses.as_deref().unwrap_or_default(), contract));
    let metadata = faults.take("metadata", metadata(wish.metadata.clone().unwrap_or_default(), contract));
    let checks = || {
        let (name, expires_at) = (name?, expires_at?);
        Some(Checks { name, expires_at, scopes: scopes?, addresses: addresses?, metadata: metadata? })
    };
    faults.finish_with(checks())
}

/// Takes texts as scopes that the contract has.
pub(super) fn scopes(asked: &[String], contract: &Contract) -> Checked<Scopes> {
    if !contract.key.scopes {
        return Err("are not offered: keys of this API open all of it".into());
    }
    let scopes = Scopes::new(asked).map_err(|error| error.to_string())?;
    if let Some(unknown) = scopes.iter().find(|scope| !is_known(scope, contract)) {
        let known: Vec<_> = contract.scopes.keys().map(String::as_str).collect();
        let kinds = contract.resources.keys().map(|kind| format!(", {kind}:…")).collect::<String>();
        return Err(format!("\"{unknown}\" is none of this API's: {}{kinds}, *", known.join(", ")));
    }
    Ok(scopes)
}

/// Whether a contract has a scope. One that names none leaves them to the services that ask for them.
fn is_known(scope: &str, contract: &Contract) -> bool {
    if scope == "*" || (contract.scopes.is_empty() && contract.resources.is_empty()) {
        return true;
    }
    let is_resource =
        scope.split_once(':').is_some_and(|(kind, id)| !id.is_empty() && contract.resources.contains_key(kind));
    let is_group =
        scope.strip_suffix('*').is_some_and(|stem| contract.scopes.keys().any(|name| name.starts_with(stem)));
    is_resource || is_group || contract.scopes.contains_key(scope)
}

/// Takes texts as networks: `10.0.0.0/8`, or one address.
pub(super) fn addresses(asked: &[String], contract: &Contract) -> Checked<Vec<IpNet>> {
    if !asked.is_empty() && !contract.key.addresses {
        return Err("are not offered: keys of this API can be used from anywhere".into());
    }
    if asked.len() > ADDRESSES_MAX {
        return Err(format!("are at most {ADDRESSES_MAX}"));
    }
    let mut networks = asked.iter().map(|text| network(text)).collect::<Checked<Vec<_>>>()?;
    networks.sort();
    networks.dedup();
    Ok(networks)
}

fn network(text: &str) -> Checked<IpNet> {
    let shown: String = text.chars().take(64).collect();
    let wrong = || format!("{shown:?} is no address and no network such as 192.0.2.0/24 or 2001:db8::/32");
    let network =
        text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| wrong())?;
    if network.trunc() != network {
        return Err(format!("{shown:?} has bits beyond its prefix; the network is {}", network.trunc()));
    }
    match network {
        IpNet::V6(six) if six.addr().to_ipv4_mapped().is_some() => {
            Err(format!("{shown:?} is an IPv4 network in IPv6 form; write it as IPv4"))
        }
        network => Ok(network),
    }
}

/// Checks metadata's size and depth.
pub(super) fn metadata(asked: Metadata, contract: &Contract) -> Checked<Metadata> {
    if !asked.is_empty() && !contract.key.metadata {
        return Err("is not offered: keys of this API carry none".into());
    }
    if asked.values().map(depth).max().unwrap_or(0) + 1 > METADATA_DEPTH_MAX {
        return Err(format!("is at most {METADATA_DEPTH_MAX} deep"));
    }
    let written = serde_json::to_string(&asked).map_err(|error| error.to_string())?;
    if written.len() > METADATA_BYTES_MAX {
        return Err(format!("has {} bytes as JSON; at most {METADATA_BYTES_MAX} are kept", written.len()));
    }
    Ok(asked)
}

/// How deep a value is. Safe to recurse: whatever reads requests bounds their depth.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_core::contract::Presets;

    const STANDARD: &str = include_str!("../../../../../contracts/standard.toml");

    fn contract(own: &str) -> Contract {
        let presets = Presets::new([("standard".to_owned(), STANDARD.to_owned())]);
        Contract::read(&format!("schema = 1\nextends = \"standard\"\n{own}"), &presets).unwrap()
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn scopes_are_those_of_the_contract() {
        let own = contract("[scopes]\n\"reports:read\" = \"r\"\nraw = \"r\"\n[resources]\ncategory = \"c\"\n");
        for good in ["*", "raw", "reports:read", "reports:*", "category:7c9e", "category:*"] {
            assert!(scopes(&texts(&[good]), &own).is_ok(), "{good}");
        }
        for bad in ["rawer", "reports:write", "raw:*", "region:eu", "category:", "re*"] {
            assert!(scopes(&texts(&[bad]), &own).is_err(), "{bad}");
        }
        assert!(scopes(&texts(&["raw"]), &contract("[key]\nscopes = false\n")).is_err());
        assert!(scopes(&texts(&["whatever:services:ask"]), &contract("")).is_ok());
    }

    #[test]
    fn networks_are_written_as_such() {
        let own = contract("");
        let good =
            addresses(&texts(&["192.0.2.0/24", "192.0.2.7", "2001:db8::/32", "192.0.2.7/32"]), &own).unwrap();
        assert_eq!(good.len(), 3);
        for bad in ["", "localhost", "192.0.2.1/24", "10.0.0.0/33", "::ffff:192.0.2.7", "1.2.3.4.5"] {
            assert!(addresses(&texts(&[bad]), &own).is_err(), "{bad}");
        }
        assert!(addresses(&texts(&["192.0.2.7"]), &contract("[key]\naddresses = false\n")).is_err());
    }

    #[test]
    fn metadata_is_bounded() {
        let own = contract("");
        let object = |value: Value| value.as_object().cloned().unwrap();
        assert!(metadata(object(serde_json::json!({"team": "billing", "tags": ["a"]})), &own).is_ok());
        let mut deep = serde_json::json!({});
        for _ in 0..7 {
            deep = serde_json::json!({ "in": deep });
        }
        assert!(metadata(object(deep.clone()), &own).is_ok());
        assert!(metadata(object(serde_json::json!({ "in": deep })), &own).is_err());
        assert!(metadata(object(serde_json::json!({ "big": "x".repeat(5_000) })), &own).is_err());
    }
}
