//! Scopes: what a key may do, and to which resources.
//!
//! A scope is a word such as `reports:read`. `*` stands for all of them, `reports:*` for all that begin
//! with `reports:`. Where a contract binds routes to a resource, `category:7c9e` limits the key to that
//! category; a key that names none of a kind is not limited in it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest scope, in bytes.
pub const SCOPE_LENGTH_MAX: usize = 100;
/// Most scopes a key may carry.
pub const SCOPES_MAX: usize = 100;

/// A set of scopes, sorted, each once.
#[derive(Default, Clone, PartialEq, Eq)]
pub struct Scopes(Arc<[Box<str>]>);

/// Why a list of texts is no set of scopes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotScopes {
    /// One of them has a character that no scope has, or is empty or too long.
    #[error("\"{0}\" is not a scope: 1 to {SCOPE_LENGTH_MAX} letters, digits and _ . : / - , or a * at the end")]
    Malformed(String),
    /// There are too many.
    #[error("at most {SCOPES_MAX} scopes can be given")]
    TooMany,
}

impl Scopes {
    /// Every scope: `*`.
    pub fn all() -> Self {
        // One for all: most keys have just this, and a node holds many keys.
        static ALL: std::sync::OnceLock<Scopes> = std::sync::OnceLock::new();
        ALL.get_or_init(|| Scopes(Arc::from([Box::from("*")]))).clone()
    }

    /// No scope: only routes that ask for none.
    pub fn none() -> Self {
        Scopes(Arc::from([]))
    }

    /// Takes texts as scopes.
    ///
    /// # Errors
    /// [`NotScopes`] at the first text that is none.
    pub fn new<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Result<Self, NotScopes> {
        let mut scopes = Vec::new();
        for text in texts {
            let text = text.as_ref();
            if !is_scope(text) {
                return Err(NotScopes::Malformed(text.chars().take(SCOPE_LENGTH_MAX).collect()));
            }
            scopes.push(Box::<str>::from(text));
        }
        scopes.sort();
        scopes.dedup();
        if scopes.len() > SCOPES_MAX {
            return Err(NotScopes::TooMany);
        }
        match &scopes[..] {
            [only] if &**only == "*" => Ok(Scopes::all()),
            _ => Ok(Scopes(scopes.into())),
        }
    }

    /// Whether these scopes hold `required`.
    pub fn allow(&self, required: &str) -> bool {
        self.0.iter().any(|scope| holds(scope, required))
    }

    /// Whether every one of these is held by `wider`: a key can never be minted wider than its maker.
    pub fn is_within(&self, wider: &Scopes) -> bool {
        self.0.iter().all(|scope| wider.allow(scope))
    }

    /// Whether these scopes limit the resources of `kind` at all.
    pub fn limit_resource(&self, kind: &str) -> bool {
        self.resources(kind).next().is_some()
    }

    /// Whether a resource may be touched: it is named, or none of its kind is.
    pub fn allow_resource(&self, kind: &str, resource: &str) -> bool {
        !self.limit_resource(kind) || self.resources(kind).any(|named| named == resource || named == "*")
    }

    fn resources<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter_map(move |scope| scope.strip_prefix(kind)?.strip_prefix(':'))
    }

    /// The scopes as texts, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|scope| &**scope)
    }
}

fn holds(scope: &str, required: &str) -> bool {
    match scope.strip_suffix('*') {
        Some("") => true,
        Some(stem) => stem.ends_with(':') && required.starts_with(stem),
        None => scope == required,
    }
}

fn is_scope(text: &str) -> bool {
    let stem = text.strip_suffix('*').unwrap_or(text);
    let whole = text.len() == stem.len() || stem.is_empty() || stem.ends_with(':');
    let letters = stem.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:/-".contains(&b));
    !text.is_empty() && text.len() <= SCOPE_LENGTH_MAX && whole && letters
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, scope) in self.iter().enumerate() {
            write!(f, "{}{scope}", if i == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        Scopes::new(texts).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_hold_what_they_cover_and_no_more() {
        let scopes = Scopes::new(["reports:*", "raw"]).unwrap();
        assert!(scopes.allow("reports:read") && scopes.allow("raw"));
        assert!(!scopes.allow("reportsx") && !scopes.allow("rawer") && !scopes.allow("*"));
        assert!(Scopes::all().allow("anything") && !Scopes::none().allow("anything"));
    }

    #[test]
    fn t06_minting_is_never_wider() {
        let narrow = Scopes::new(["keys:read"]).unwrap();
        let wide = Scopes::new(["keys:*"]).unwrap();
        assert!(narrow.is_within(&wide) && !wide.is_within(&narrow));
        assert!(wide.is_within(&Scopes::all()) && !Scopes::all().is_within(&wide));
    }

    #[test]
    fn resources_limit_only_their_kind() {
        let scopes = Scopes::new(["reports", "category:7c9e"]).unwrap();
        assert!(scopes.allow_resource("category", "7c9e") && !scopes.allow_resource("category", "0000"));
        assert!(scopes.allow_resource("region", "eu"));
    }

    #[test]
    fn what_is_no_scope_is_refused() {
        for bad in ["", "a b", "re*ports", "a*", "é", "a\"b", &"x".repeat(101)] {
            assert!(Scopes::new([bad]).is_err(), "{bad}");
        }
    }
}
