//! The environment: Keyward's variables, and the refusal of those that mean nothing.

use std::collections::BTreeMap;

use super::settings::{ENCRYPTION_KEY_VARIABLE, OTHER_VARIABLES, PEPPER_VARIABLE, SETTINGS, is_service_link};
use super::{Complaint, Source};

/// What a process is told beside its flags: read once, at the top, so that everything else is a function of it.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process that begin with `KEYWARD_`.
    pub fn of_process() -> Self {
        let ours = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| name.starts_with("KEYWARD_"))?;
            Some((name, value.to_string_lossy().into_owned()))
        });
        Environment(ours.collect())
    }

    /// These variables.
    #[cfg(test)]
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Environment(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// A variable's value; none where it is not set or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Refuses variables that mean nothing: most often a letter is wrong in one that should.
    pub(super) fn complaints(&self) -> Vec<Complaint> {
        let is_pepper = |name: &str| name.strip_prefix(PEPPER_VARIABLE).is_some_and(|n| n.parse::<u8>().is_ok());
        let is_encryption_key =
            |name: &str| name.strip_prefix(ENCRYPTION_KEY_VARIABLE).is_some_and(|n| n.parse::<u32>().is_ok());
        let is_known = |name: &str| {
            OTHER_VARIABLES.contains(&name)
                || is_pepper(name)
                || is_encryption_key(name)
                || is_service_link(name)
                || SETTINGS.iter().any(|setting| setting.variable() == name)
        };
        let unknown = self.0.keys().filter(|name| !is_known(name));
        let complain = |name: &String| Complaint {
            source: Source::Environment(name.clone()),
            setting: String::new(),
            reason: "there is no such variable; `keyward config show` lists them".into(),
        };
        unknown.map(complain).collect()
    }
}
