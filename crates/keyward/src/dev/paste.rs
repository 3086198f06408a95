//! The lines that `dev` prints to be pasted: a contract's documented request as curl, in the vendor's own form.

use keyward_core::contract::{Contract, Example, Place};

/// What stands where the key goes.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'a> {
    /// The key itself.
    Key(&'a str),
    /// A variable of the shell that holds it.
    Variable(&'a str),
}

/// A documented request as one line of curl. `{project}` becomes the project's id; the credential travels in
/// the first place that the contract names, spelt as the contract spells it.
pub fn curl(
    gateway: &str,
    contract: &Contract,
    example: &Example,
    project: &str,
    credential: Credential<'_>,
) -> String {
    let url = format!("{gateway}{}", example.path.replace("{project}", project));
    let (url, header) = match contract.places.first() {
        Some(Place::Header { name, scheme }) => {
            let scheme = scheme.as_ref().map(|scheme| format!("{scheme} ")).unwrap_or_default();
            let header = with(format!("{}: {scheme}", spelling(contract, name)), credential);
            (quoted(&url), Some(header))
        }
        Some(Place::Query { name }) => {
            let separator = if url.contains('?') { '&' } else { '?' };
            (with(format!("{url}{separator}{name}="), credential), None)
        }
        None => (quoted(&url), None),
    };
    let mut words = vec!["curl".to_owned()];
    if example.method != "GET" {
        words.extend(["-X".to_owned(), quoted(&example.method)]);
    }
    words.push(url);
    words.extend(header.into_iter().flat_map(|header| ["-H".to_owned(), header]));
    for (name, value) in &example.headers {
        words.extend(["-H".to_owned(), quoted(&format!("{name}: {value}"))]);
    }
    if let Some(body) = &example.body {
        words.extend(["-d".to_owned(), quoted(body)]);
    }
    words.join(" ")
}

/// A word that ends in the credential. Names of headers, parameters and variables mean nothing to a shell.
fn with(before: String, credential: Credential<'_>) -> String {
    match credential {
        Credential::Key(key) => quoted(&format!("{before}{key}")),
        Credential::Variable(name) => format!("\"{before}${name}\""),
    }
}

/// A header's name as the contract's file spells it; compiled contracts hold it in lower case.
fn spelling(contract: &Contract, name: &str) -> String {
    let table = contract.resolved.parse::<toml::Table>().unwrap_or_default();
    let places =
        table.get("credential").and_then(|credential| credential.get("from")).and_then(|from| from.as_array());
    let mut spelt =
        places.into_iter().flatten().filter_map(|place| place.get("header").and_then(|name| name.as_str()));
    spelt.find(|spelt| spelt.eq_ignore_ascii_case(name)).unwrap_or(name).to_owned()
}

/// A word for a shell (POSIX): as it is where nothing in it means anything, else in single quotes.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets;

    fn line(preset: &str, example: usize) -> String {
        let presets = presets::load();
        let contract = Contract::read(presets.get(preset).unwrap(), &presets).unwrap();
        curl("http://127.0.0.1:1", &contract, &contract.examples[example], "proj_1", Credential::Key("KEY"))
    }

    #[test]
    fn lines_have_the_vendors_own_form() {
        assert_eq!(
            line("getprofile", 0),
            "curl http://127.0.0.1:1/v1/profile/abc123 -H 'Authorization: Bearer KEY'"
        );
        assert_eq!(
            line("profound", 0),
            "curl -X POST http://127.0.0.1:1/v1/reports/visibility -H 'X-API-Key: KEY' -H 'Content-Type: application/json'"
        );
        assert!(line("scrapegraphai", 0).contains("-H 'SGAI-APIKEY: KEY'"));
        assert!(
            line("qanapi", 1)
                .starts_with("curl -X POST http://127.0.0.1:1/proxy/proj_1 -H 'X-Qanapi-Authorization: KEY'")
        );
    }

    #[test]
    fn a_key_that_cannot_be_shown_stands_as_a_variable() {
        let presets = presets::load();
        let contract = Contract::read(presets.get("getprofile").unwrap(), &presets).unwrap();
        let line =
            curl("http://h", &contract, &contract.examples[0], "p", Credential::Variable("GETPROFILE_API_KEY"));
        assert!(line.contains("-H \"Authorization: Bearer $GETPROFILE_API_KEY\""), "{line}");
    }

    #[test]
    fn words_survive_a_shell() {
        let nasty = "it's $HOME `id` \"x\" \\ \n !";
        for word in [nasty, "", "'", "a b", "plain-1.0/x"] {
            let shell =
                std::process::Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted(word))).output();
            assert_eq!(String::from_utf8(shell.unwrap().stdout).unwrap(), word);
        }
    }
}
