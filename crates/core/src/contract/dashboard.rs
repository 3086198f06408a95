//! How the dashboard names and explains an API's keys: the contract's words, where it has any, and ours where not.

use serde::Deserialize;

use super::compile::{Result, fail};

/// Longest text of one field, in characters.
const TEXT_CHARS_MAX: usize = 600;
/// Most entries of a list.
const ENTRIES_MAX: usize = 12;

/// The section as it is written. Everything is optional.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DashboardSpec {
    /// Where the keys' page stands in a project's navigation: its own label, or a group's and its own.
    pub navigation: Option<Vec<String>>,
    /// The page's heading.
    pub title: Option<String>,
    /// What the page is about, in a sentence or two.
    pub intro: Option<String>,
    /// What the button that makes a key says.
    pub create: Option<String>,
    /// What the button that puts a new key in a key's place says.
    pub rotate: Option<String>,
    /// What the button that ends a key says.
    pub revoke: Option<String>,
    /// How to rotate, step by step.
    pub rotation_steps: Option<Vec<String>>,
    /// How to treat keys.
    pub advice: Option<Vec<String>>,
    /// What is said beside a secret that is shown once.
    pub warning: Option<String>,
    /// What to do next.
    pub links: Option<Vec<LinkSpec>>,
}

/// A link for people.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSpec {
    /// What it is called.
    pub title: Option<String>,
    /// Where it leads: an https address.
    pub url: Option<String>,
}

/// How the dashboard names and explains an API's keys.
#[derive(Debug, Clone)]
pub struct DashboardWords {
    /// Where the keys' page stands in the navigation, outermost first; one or two labels.
    navigation: Vec<String>,
    /// The page's heading.
    pub title: String,
    /// What the page is about.
    pub intro: String,
    /// What the button that makes a key says.
    pub create: String,
    /// What the button that puts a new key in a key's place says.
    pub rotate: String,
    /// What the button that ends a key says.
    pub revoke: String,
    /// How to rotate, step by step; nothing where empty.
    pub rotation_steps: Vec<String>,
    /// How to treat keys.
    pub advice: Vec<String>,
    /// What is said beside a secret that is shown once.
    pub warning: String,
    /// What to do next: titles and addresses.
    pub links: Vec<(String, String)>,
}

impl DashboardWords {
    /// What the keys' page is called in the navigation.
    pub fn keys_label(&self) -> &str {
        self.navigation.last().map_or("API keys", String::as_str)
    }

    /// The group that the keys' page stands in; none where it stands on its own.
    pub fn keys_group(&self) -> Option<&str> {
        self.navigation.first().filter(|_| self.navigation.len() > 1).map(String::as_str)
    }

    pub(super) fn compile(spec: &DashboardSpec) -> Result<Self> {
        let navigation = list("navigation", spec.navigation.as_deref(), &["API keys"])?;
        if navigation.len() > 2 {
            return fail("dashboard.navigation", "is the page's own label, or a group's and the page's own");
        }
        let own_title = navigation.last().map_or("API keys", String::as_str);
        Ok(DashboardWords {
            title: text("title", spec.title.as_deref(), own_title)?,
            intro: text("intro", spec.intro.as_deref(), "Keys that your programs call the API with.")?,
            create: text("create", spec.create.as_deref(), "Create API key")?,
            rotate: text("rotate", spec.rotate.as_deref(), "Rotate")?,
            revoke: text("revoke", spec.revoke.as_deref(), "Revoke")?,
            rotation_steps: list("rotation_steps", spec.rotation_steps.as_deref(), &[])?,
            advice: list("advice", spec.advice.as_deref(), &ADVICE)?,
            warning: text("warning", spec.warning.as_deref(), WARNING)?,
            links: links(spec.links.as_deref().unwrap_or_default())?,
            navigation,
        })
    }
}

const ADVICE: [&str; 4] = [
    "Keep keys on servers: never in pages, apps or repositories.",
    "Read them from the environment or a secret store.",
    "Use a key of its own for each program, so that one can be revoked alone.",
    "Rotate keys from time to time, and at once when one may have leaked.",
];
const WARNING: &str = "Copy the key now and store it safely: it is not shown again, and nobody can retrieve it.";

fn text(field: &str, given: Option<&str>, default: &str) -> Result<String> {
    let text = given.unwrap_or(default).trim();
    if text.is_empty() || text.chars().count() > TEXT_CHARS_MAX || text.chars().any(char::is_control) {
        return fail(&format!("dashboard.{field}"), format!("is one line of 1 to {TEXT_CHARS_MAX} characters"));
    }
    Ok(text.to_owned())
}

fn list(field: &str, given: Option<&[String]>, default: &[&str]) -> Result<Vec<String>> {
    let Some(given) = given else { return Ok(default.iter().map(|text| (*text).to_owned()).collect()) };
    if given.len() > ENTRIES_MAX || (given.is_empty() && field == "navigation") {
        return fail(&format!("dashboard.{field}"), format!("has at most {ENTRIES_MAX} entries, and not none"));
    }
    given.iter().enumerate().map(|(i, entry)| text(&format!("{field}.{i}"), Some(entry), "")).collect()
}

fn links(given: &[LinkSpec]) -> Result<Vec<(String, String)>> {
    let link = |(i, link): (usize, &LinkSpec)| {
        let title = text(&format!("links.{i}.title"), link.title.as_deref(), "")?;
        let url = text(&format!("links.{i}.url"), link.url.as_deref(), "")?;
        // Pages show it as a link: a scheme that runs something must not come in by a contract.
        match url.starts_with("https://") {
            true => Ok((title, url)),
            false => fail(&format!("dashboard.links.{i}.url"), "is an address that begins with https://"),
        }
    };
    given.iter().enumerate().map(link).collect()
}
