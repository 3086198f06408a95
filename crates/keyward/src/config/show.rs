//! The effective configuration for people and scripts: every setting with its source. Secrets are named by
//! where they come from and never shown.

use serde_json::{Value as Json, json};

use super::settings::{ENCRYPTION_KEY_VARIABLE, OTHER_VARIABLES, PEPPER_VARIABLE, SETTINGS};
use super::value::{Kind, without_password};
use super::{Config, Environment};

impl Config {
    /// Every setting as an object of name, value, source and help; then what is set of the secrets.
    pub fn shown(&self, environment: &Environment) -> Vec<Json> {
        let settings = SETTINGS.iter().map(|setting| {
            json!({
                "setting": setting.name,
                "value": match setting.kind {
                    Kind::Database => without_password(&self.value(setting.name).to_string()),
                    _ => self.value(setting.name).to_string(),
                },
                "source": self.source(setting.name).to_string(),
                "variable": setting.variable(),
                "flag": setting.flag,
                "help": setting.help,
            })
        });
        let is_secret = |name: &str| {
            [PEPPER_VARIABLE, ENCRYPTION_KEY_VARIABLE].iter().any(|prefix| name.starts_with(prefix))
                || name.ends_with("_KEY")
        };
        let others = environment.iter().filter(|(name, _)| OTHER_VARIABLES.contains(name) || is_secret(name));
        let others = others.map(|(name, value)| {
            let value = if is_secret(name) { "(redacted)" } else { value };
            json!({"setting": null, "value": value, "source": name, "variable": name, "flag": null, "help": null})
        });
        settings.chain(others).collect()
    }
}
