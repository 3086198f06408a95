//! Lines to paste: a contract's documented request as curl, Python and JavaScript, and the line of a `.env` file that
//! holds the key. The dashboard shows them beside a new key, and `dev` prints the curl line.
//!
//! Programs read the key from the environment variable that the contract names, so that nobody is led to write a key into
//! source code. Whatever stands in a snippet is quoted for its language: contracts and keys are data, never code.

use keyward_core::contract::{Contract, Example, Place};

/// What stands where the key goes.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'a> {
    /// The key itself.
    Key(&'a str),
    /// A variable of the shell that holds it.
    Variable(&'a str),
}

/// A documented request, as somebody's own project would send it.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Where the API is reached: a scheme and a host, and a prefix of the path where there is one.
    pub base: &'a str,
    /// The contract.
    pub contract: &'a Contract,
    /// Its documented request.
    pub example: &'a Example,
    /// The project's id, which stands for `{project}`.
    pub project: &'a str,
}

/// Where the credential travels: in a header, after a scheme where there is one, or in the query.
enum Carrier {
    Header { name: String, before: String },
    Query { name: String },
}

/// A name and a value, each as the language writes it.
type Entry = (String, String);

impl Call<'_> {
    /// As one line of curl, the credential in the first place that the contract names, spelt as the contract spells it.
    pub fn curl(&self, credential: Credential<'_>) -> String {
        let url = self.url();
        let mut words = vec!["curl".to_owned()];
        if self.example.method != "GET" {
            words.extend(["-X".to_owned(), quoted(&self.example.method)]);
        }
        match self.carrier() {
            Some(Carrier::Header { name, before }) => {
                words.extend([quoted(&url), "-H".to_owned(), with(format!("{name}: {before}"), credential)]);
            }
            Some(Carrier::Query { name }) => {
                words.push(with(format!("{url}{}{name}=", separator(&url)), credential));
            }
            None => words.push(quoted(&url)),
        }
        for (name, value) in &self.example.headers {
            words.extend(["-H".to_owned(), quoted(&format!("{name}: {value}"))]);
        }
        if let Some(body) = &self.example.body {
            words.extend(["-d".to_owned(), quoted(body)]);
        }
        words.join(" ")
    }

    /// As Python with the widespread `requests`.
    pub fn python(&self) -> String {
        let key = format!("os.environ[{}]", literal(&self.contract.environment_variable));
        let (own, query) = self.program_parts(&key);
        let mut lines = vec!["import os".to_owned(), "import requests".into(), String::new()];
        lines.push("response = requests.request(".into());
        lines.push(format!("    {},", literal(&self.example.method)));
        lines.push(format!("    {},", literal(&self.url())));
        if let Some((name, value)) = query {
            lines.push(format!("    params={{{name}: {value}}},"));
        }
        lines.extend(block("    headers={", &own, "    },"));
        if let Some(body) = &self.example.body {
            lines.push(format!("    data={}.encode(),", literal(body)));
        }
        lines.extend([")".into(), "response.raise_for_status()".into(), "print(response.text)".into()]);
        lines.join("\n")
    }

    /// As JavaScript with the `fetch` that runtimes bring along.
    pub fn javascript(&self) -> String {
        let key = format!("process.env[{}]", literal(&self.contract.environment_variable));
        let (own, query) = self.program_parts(&key);
        let url = literal(&self.url());
        let target = match query {
            Some((name, value)) => {
                let before = format!("{}{}=", separator(&self.url()), unquoted(&name));
                format!("{url} + {} + encodeURIComponent({value})", literal(&before))
            }
            None => url,
        };
        let mut lines = vec![format!("const response = await fetch({target}, {{")];
        lines.push(format!("  method: {},", literal(&self.example.method)));
        lines.extend(block("  headers: {", &own, "  },"));
        if let Some(body) = &self.example.body {
            lines.push(format!("  body: {},", literal(body)));
        }
        lines.extend([
            "});".into(),
            "if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);".into(),
            "console.log(await response.text());".into(),
        ]);
        lines.join("\n")
    }

    fn url(&self) -> String {
        format!("{}{}", self.base, self.example.path.replace("{project}", self.project))
    }

    fn carrier(&self) -> Option<Carrier> {
        self.contract.places.first().map(|place| match place {
            Place::Header { name, scheme } => Carrier::Header {
                name: spelling(self.contract, name),
                before: scheme.as_ref().map(|scheme| format!("{scheme} ")).unwrap_or_default(),
            },
            Place::Query { name } => Carrier::Query { name: name.clone() },
        })
    }

    /// The headers as literals and expressions, and the query's parameter where the key travels there.
    fn program_parts(&self, key: &str) -> (Vec<Entry>, Option<Entry>) {
        let mut headers = Vec::new();
        let mut query = None;
        match self.carrier() {
            Some(Carrier::Header { name, before }) if before.is_empty() => {
                headers.push((literal(&name), key.to_owned()));
            }
            Some(Carrier::Header { name, before }) => {
                headers.push((literal(&name), format!("{} + {key}", literal(&before))));
            }
            Some(Carrier::Query { name }) => query = Some((literal(&name), key.to_owned())),
            None => {}
        }
        headers.extend(self.example.headers.iter().map(|(name, value)| (literal(name), literal(value))));
        (headers, query)
    }
}

/// The line of a `.env` file that holds a key: as it is where nothing in it means anything, else in single quotes,
/// within which the usual readers of such files take everything as it stands; double ones where it has single ones.
pub fn env_line(variable: &str, secret: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if secret.chars().all(is_plain) {
        return format!("{variable}={secret}");
    }
    match secret.contains('\'') {
        false => format!("{variable}='{secret}'"),
        true => format!("{variable}=\"{}\"", secret.replace('\\', r"\\").replace('"', "\\\"")),
    }
}

fn block(open: &str, entries: &[Entry], close: &str) -> Vec<String> {
    if entries.is_empty() {
        return Vec::new();
    }
    let indent = " ".repeat(open.len() - open.trim_start().len());
    let entries = entries.iter().map(|(name, value)| format!("{indent}{indent}{name}: {value},"));
    [open.to_owned()].into_iter().chain(entries).chain([close.to_owned()]).collect()
}

fn separator(url: &str) -> char {
    if url.contains('?') { '&' } else { '?' }
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

/// A text as a literal that Python and JavaScript read alike: in double quotes, unless it is full of them.
fn literal(text: &str) -> String {
    let quote = if text.contains('"') && !text.contains('\'') { '\'' } else { '"' };
    let mut told = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => told.push_str(r"\\"),
            '\n' => told.push_str(r"\n"),
            '\r' => told.push_str(r"\r"),
            '\t' => told.push_str(r"\t"),
            c if c == quote => told.extend(['\\', c]),
            // Both languages know this form; some of these end a line of JavaScript.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                told.push_str(&format!(r"\u{:04x}", c as u32));
            }
            c => told.push(c),
        }
    }
    told.push(quote);
    told
}

fn unquoted(literal: &str) -> &str {
    &literal[1..literal.len() - 1]
}

#[cfg(test)]
mod tests;
