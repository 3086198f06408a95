//! Narrowing a key to what it has and what the journal says, whichever is less: a replay never gives a key
//! anything (trust.md L11).

use ipnet::IpNet;
use keyward_core::change::KeyChange;
use keyward_core::key::{Key, KeyState};
use keyward_core::scope::Scopes;

use super::timeline::Belief;

/// The change to the scopes that both sets hold; none where that changes nothing.
///
/// A scope such as `reports:read` may also be what limits the key to a resource, and a key that names no
/// resource of a kind is not limited in it. Where the last of a kind would go, and nobody is known to have
/// wanted that, the key is disabled instead: somebody has to look at it. So it is where a kind was added,
/// which may have been a limit.
pub(crate) fn scopes(found: &Key, wanted: &Scopes, belief: Belief) -> Option<KeyChange> {
    let named = |scopes: &Scopes, of: &str| scopes.iter().any(|scope| kind(scope) == Some(of));
    // A resource is only named by its own kind: `*` holds the scope, but lifts no limit.
    let has = |scope: &str| {
        found.scopes.allow(scope)
            && kind(scope).is_none_or(|kind| {
                !named(&found.scopes, kind)
                    || found.scopes.iter().any(|own| {
                        own == scope
                            || own
                                .strip_suffix('*')
                                .is_some_and(|stem| stem.len() > kind.len() && scope.starts_with(stem))
                    })
            })
    };
    let of_wanted = wanted.iter().filter(|scope| has(scope));
    let of_found = found.scopes.iter().filter(|scope| wanted.allow(scope));
    // Too many cannot be told as scopes: fewer are in either set.
    let Ok(both) = Scopes::new(of_wanted.chain(of_found)) else { return stop(found) };
    let lost = found.scopes.iter().filter_map(kind).find(|kind| !named(&both, kind));
    let added = wanted.iter().filter_map(kind).any(|kind| !named(&both, kind));
    match lost {
        _ if added => stop(found),
        Some(_) if belief != Belief::Happened => stop(found),
        _ => (both != found.scopes).then_some(KeyChange::Rescoped { scopes: both }),
    }
}

/// What stands before the first colon: the kind, where the scope names a resource.
fn kind(scope: &str) -> Option<&str> {
    scope.split_once(':').map(|(kind, _)| kind)
}

/// The change to the addresses that both lists hold; none where that changes nothing. An empty list is every
/// address.
pub(crate) fn addresses(found: &Key, wanted: &[IpNet]) -> Option<KeyChange> {
    if wanted.is_empty() {
        return None;
    }
    if found.addresses.is_empty() {
        return Some(KeyChange::AddressesSet { addresses: wanted.to_vec() });
    }
    let within = |nets: &[IpNet], net: &IpNet| nets.iter().any(|wider| wider.contains(net));
    let mut both: Vec<IpNet> = wanted.iter().filter(|net| within(&found.addresses, net)).copied().collect();
    for net in found.addresses.iter().filter(|net| within(wanted, net)) {
        if !both.contains(net) {
            both.push(*net);
        }
    }
    match both.is_empty() {
        // None in common: an empty list would be every address.
        true => stop(found),
        false => (both != found.addresses).then_some(KeyChange::AddressesSet { addresses: both }),
    }
}

/// Stops a key until somebody looks at it.
fn stop(found: &Key) -> Option<KeyChange> {
    match found.state {
        KeyState::Active => Some(KeyChange::Disabled),
        // Enabled again it would go on for good.
        KeyState::Retiring { .. } => Some(KeyChange::Revoked { reason: Some("restored".into()) }),
        KeyState::Disabled { .. } | KeyState::Revoked { .. } => None,
    }
}
