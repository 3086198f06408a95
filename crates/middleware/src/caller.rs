//! Who calls, for handlers.

use http::HeaderMap;
use keyward_core::id::{KeyId, OrganizationId, ProjectId};

/// Whose request it is: an extension of every request that came through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The key's id. Not its secret: it can be logged.
    pub key: KeyId,
    /// The key's project.
    pub project: ProjectId,
    /// The project's organization.
    pub organization: OrganizationId,
    /// The project's plan.
    pub plan: String,
    /// The key's scopes, as the contract names them; `*` for all.
    pub scopes: Vec<String>,
}

impl Caller {
    /// Reads what a node tells in headers; none where it does not tell all of it.
    pub(crate) fn told(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        Some(Caller {
            key: text("x-keyward-key-id")?.parse().ok()?,
            project: text("x-keyward-project")?.parse().ok()?,
            organization: text("x-keyward-organization")?.parse().ok()?,
            plan: text("x-keyward-plan")?.to_owned(),
            scopes: text("x-keyward-scopes")?.split_ascii_whitespace().map(str::to_owned).collect(),
        })
    }

    /// Whether the key has a scope.
    pub fn has(&self, scope: &str) -> bool {
        self.scopes.iter().any(|held| held == scope || held == "*")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_told_whole_or_not_at_all() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-keyward-key-id", KeyId::from_u128(1).to_string()),
            ("x-keyward-project", ProjectId::from_u128(2).to_string()),
            ("x-keyward-organization", OrganizationId::from_u128(3).to_string()),
            ("x-keyward-plan", "pro".to_owned()),
        ] {
            assert_eq!(Caller::told(&headers), None);
            headers.insert(name, value.parse().unwrap());
        }
        headers.insert("x-keyward-scopes", "read write".parse().unwrap());
        let caller = Caller::told(&headers).unwrap();
        assert_eq!((caller.key, caller.plan.as_str()), (KeyId::from_u128(1), "pro"));
        assert!(caller.has("read") && caller.has("write") && !caller.has("rea"));
    }
}
