//! Whether the peppers at hand are those that the store's keys were made under (K05). A node that started
//! with others would refuse every key as if none existed; it refuses to start instead.

use keyward_core::secret::{PepperVersion, Peppers};
use keyward_core::store::{Canary, Store};
use serde::Serialize;

use crate::failure::{Doing, Failure, Outcome};
use crate::secrets::Secrets;

/// What is known of one version.
#[derive(Debug, Serialize)]
pub struct Known {
    /// The version.
    pub version: PepperVersion,
    /// `current`, `in use`, `new`, `missing` or `wrong`.
    pub state: &'static str,
    /// How many keys that could still open need it.
    pub keys: u64,
}

/// Every version that the store or the secrets know, ascending.
///
/// # Errors
/// Where the store cannot be read.
pub async fn known(store: &dyn Store, secrets: &Secrets) -> Outcome<Vec<Known>> {
    let canaries = store.canaries().await.doing("read the peppers in use")?;
    Ok(compared(&canaries, &secrets.peppers()?))
}

fn compared(canaries: &[Canary], peppers: &Peppers) -> Vec<Known> {
    let mut versions: Vec<_> = canaries.iter().map(|canary| canary.version).chain(peppers.versions()).collect();
    versions.sort_unstable();
    versions.dedup();
    let state = |version| match canaries.iter().find(|canary| canary.version == version) {
        None => "new",
        Some(_) if !peppers.has(version) => "missing",
        Some(canary) if !peppers.matches_canary(version, &canary.canary) => "wrong",
        Some(_) if version == peppers.current() => "current",
        Some(_) => "in use",
    };
    let keys = |version| canaries.iter().find(|canary| canary.version == version).map_or(0, |canary| canary.keys);
    versions.into_iter().map(|version| Known { version, state: state(version), keys: keys(version) }).collect()
}

/// Goes on only where every pepper that the store knows is at hand and the right one; notes a new one.
///
/// # Errors
/// Which version is missing or wrong, how many keys hang on it, and what to do.
pub async fn check(store: &dyn Store, secrets: &Secrets, peppers: &Peppers) -> Outcome {
    let canaries = store.canaries().await.doing("read the peppers in use")?;
    let known = compared(&canaries, peppers);
    let origin = secrets.origin();
    for Known { version, state, keys } in &known {
        let message = match *state {
            "wrong" => format!("pepper {version} from {origin} is not the one that this store was used with"),
            "missing" => format!("pepper {version}, which {keys} key(s) of this store need, is not in {origin}"),
            _ => continue,
        };
        return Err(Failure::failed(message).advise(
            "Bring back the secrets that belong to this store. A version that is lost for good can be given up \
             with its keys: keyward pepper retire VERSION --force.",
        ));
    }
    let current = peppers.current();
    // An old copy of the secrets: keys would be minted under a pepper that is being left.
    if let Some(newest) = canaries.iter().map(|canary| canary.version).max().filter(|&newest| newest > current) {
        return Err(Failure::failed(format!(
            "the store was used with pepper {newest}, newer than any in {origin}"
        )));
    }
    if canaries.iter().any(|canary| canary.version == current) {
        return Ok(());
    }
    let canary = peppers.canary(current).ok_or_else(|| Failure::failed("the current pepper has no canary"))?;
    store.add_canary(current, &canary).await.doing("note the new pepper")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(versions: &[(u8, u8)]) -> Peppers {
        let bytes: Vec<_> = versions.iter().map(|(version, seed)| (*version, [*seed; 32])).collect();
        Peppers::new(&bytes.iter().map(|(version, bytes)| (*version, &bytes[..])).collect::<Vec<_>>()).unwrap()
    }

    fn canary(version: u8, seed: u8) -> Canary {
        let canary = ring(&[(version, seed)]).canary(version).unwrap().to_vec();
        Canary { version, canary, keys: 5 }
    }

    #[test]
    fn k05_missing_and_wrong_peppers_are_told_apart() {
        let states = |canaries: &[Canary], peppers: &Peppers| {
            compared(canaries, peppers).iter().map(|known| (known.version, known.state)).collect::<Vec<_>>()
        };
        let store = [canary(1, 10), canary(2, 20)];
        assert_eq!(states(&store, &ring(&[(1, 10), (2, 20)])), [(1, "in use"), (2, "current")]);
        assert_eq!(states(&store, &ring(&[(1, 11), (2, 20)])), [(1, "wrong"), (2, "current")]);
        assert_eq!(states(&store, &ring(&[(2, 20), (3, 30)])), [(1, "missing"), (2, "in use"), (3, "new")]);
        assert_eq!(states(&[], &ring(&[(1, 10)])), [(1, "new")]);
    }
}
