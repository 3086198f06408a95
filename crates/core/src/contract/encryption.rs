//! Field encryption as a contract asks for it: what ciphertexts are marked with, which headers say what is to be done,
//! and how large a value may be. Which routes encrypt stands with the routes; sealing is `data_key`'s, finding fields in
//! a body the gateway's.

use serde::Deserialize;

use super::load::Complaint;

/// The longest marker, in bytes.
const MARKER_BYTES_MAX: usize = 32;
/// The largest value that a contract may have sealed as one, in bytes.
const VALUE_BYTES_CAP: u64 = 64 * 1024 * 1024;
const VALUE_BYTES_DEFAULT: u64 = 4 * 1024 * 1024;
/// The largest body that a contract may have kept in memory until all of it is transformed.
const WHOLE_BYTES_CAP: u64 = 1024 * 1024;
const WHOLE_BYTES_DEFAULT: u64 = 128 * 1024;

/// `[encryption]` as it is written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncryptionSpec {
    /// What ciphertexts begin with.
    pub marker: Option<String>,
    /// The field of a direct call's body and answer; `data` where nothing is said.
    pub data: Option<String>,
    /// The header that says `encrypt` or `decrypt`.
    pub mode_header: Option<String>,
    /// The header that names the fields.
    pub fields_header: Option<String>,
    /// The header that names a place at or below the project's destination.
    pub destination_header: Option<String>,
    /// How the names of headers begin that are not sent on.
    pub own_headers: Option<String>,
    /// The largest value that is encrypted or decrypted as one, in bytes.
    pub value_max_bytes: Option<u64>,
    /// The largest body that is transformed as a whole before anything of it is sent on, in bytes.
    pub whole_max_bytes: Option<u64>,
}

/// How an API's fields are encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptionRules {
    /// What ciphertexts begin with.
    pub marker: String,
    /// The field of a direct call's body and answer.
    pub data: String,
    /// The header that says `encrypt` or `decrypt`, in lower case.
    pub mode_header: Option<String>,
    /// The header that names the fields, in lower case.
    pub fields_header: Option<String>,
    /// The header that names a place at or below the project's destination, in lower case.
    pub destination_header: Option<String>,
    /// How the names of headers begin that are not sent on, in lower case.
    pub own_headers: Option<String>,
    /// The largest value that is encrypted or decrypted as one, in bytes.
    pub value_max_bytes: usize,
    /// The largest body that is transformed as a whole before anything of it is sent on, in bytes.
    pub whole_max_bytes: usize,
}

/// What a route does with fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldRoute {
    /// Answers the body's one field encrypted.
    Encrypt,
    /// Answers the body's one field decrypted.
    Decrypt,
    /// Encrypts or decrypts the fields that a header names, and sends the request on to the project's destination.
    Proxy,
}

impl FieldRoute {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "encrypt" => Ok(FieldRoute::Encrypt),
            "decrypt" => Ok(FieldRoute::Decrypt),
            "proxy" => Ok(FieldRoute::Proxy),
            other => Err(format!("\"{other}\" is none of encrypt, decrypt and proxy")),
        }
    }
}

impl EncryptionRules {
    pub(super) fn compile(spec: Option<&EncryptionSpec>) -> Result<Option<Self>, Complaint> {
        let Some(spec) = spec else { return Ok(None) };
        let complain = |part: &str, reason: String| Complaint::new(format!("encryption{part}"), reason);
        let Some(marker) = spec.marker.clone() else {
            return Err(complain("", "has no marker: what ciphertexts begin with".into()));
        };
        if marker.len() > MARKER_BYTES_MAX || !super::compile::is_plain(&marker) {
            let reason = format!("is 1 to {MARKER_BYTES_MAX} letters, digits, _ and -");
            return Err(complain(".marker", reason));
        }
        let data = spec.data.clone().unwrap_or_else(|| "data".into());
        if !super::compile::is_plain(&data) {
            return Err(complain(".data", "is a field's name of letters, digits, _ and -".into()));
        }
        let bytes = |part: &str, given: Option<u64>, default: u64, cap: u64| match given.unwrap_or(default) {
            bytes if (1..=cap).contains(&bytes) => Ok(bytes as usize),
            _ => Err(complain(part, format!("is a number of bytes from 1 to {cap}"))),
        };
        Ok(Some(EncryptionRules {
            marker,
            data,
            mode_header: header("mode_header", spec.mode_header.as_deref())?,
            fields_header: header("fields_header", spec.fields_header.as_deref())?,
            destination_header: header("destination_header", spec.destination_header.as_deref())?,
            own_headers: header("own_headers", spec.own_headers.as_deref())?,
            value_max_bytes: bytes(".value_max_bytes", spec.value_max_bytes, VALUE_BYTES_DEFAULT, VALUE_BYTES_CAP)?,
            whole_max_bytes: bytes(".whole_max_bytes", spec.whole_max_bytes, WHOLE_BYTES_DEFAULT, WHOLE_BYTES_CAP)?,
        }))
    }

    /// Why a route cannot do this with fields under these rules; nothing where it can.
    pub(super) fn misses(rules: Option<&Self>, route: FieldRoute) -> Option<&'static str> {
        match (rules, route) {
            (None, _) => Some("goes with an [encryption] table, and there is none"),
            (Some(rules), FieldRoute::Proxy) if rules.fields_header.is_none() => {
                Some("\"proxy\" needs encryption.fields_header: the header that names the fields")
            }
            (Some(_), _) => None,
        }
    }
}

/// A header's name, or the beginning of names, in lower case.
fn header(part: &str, text: Option<&str>) -> Result<Option<String>, Complaint> {
    let Some(text) = text else { return Ok(None) };
    let name = text.to_ascii_lowercase();
    let is_ours = name.starts_with("x-keyward");
    // Everything else with such a name carries the message itself, and cannot be taken away from it.
    let is_own = name.starts_with("x-") && name.len() > 2 && super::is_token(&name) && !is_ours;
    match is_own {
        true => Ok(Some(name)),
        false => {
            let reason = format!("\"{text}\" is no header of the API's own; such a name begins with X-");
            Err(Complaint::new(format!("encryption.{part}"), reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::*;
    use crate::contract::Needs;

    const TABLE: &str = "schema = 1\nextends = \"standard\"\n[encryption]\nmarker = \"m\"\n";

    #[test]
    fn a_contract_says_what_is_encrypted_and_by_which_headers() {
        let source = format!(
            "{TABLE}mode_header = \"X-Mode\"\nfields_header = \"X-Fields\"\nown_headers = \"X-A-\"\n\
             [[routes]]\npath = \"/seal\"\nencryption = \"encrypt\"\n\
             [[routes]]\npath = \"/p/{{project}}/{{*rest}}\"\nproject = \"project\"\nencryption = \"proxy\"\n"
        );
        let contract = read(&source).unwrap();
        let rules = contract.encryption.as_ref().unwrap();
        assert_eq!((rules.marker.as_str(), rules.data.as_str()), ("m", "data"));
        assert_eq!((rules.mode_header.as_deref(), rules.own_headers.as_deref()), (Some("x-mode"), Some("x-a-")));
        assert_eq!(rules.destination_header, None);
        assert_eq!((rules.value_max_bytes, rules.whole_max_bytes), (4 << 20, 128 << 10));
        let route = |path| match contract.routes.needs("POST", path) {
            Needs::Route { route, .. } => (route.encryption, route.rest_after()),
            _ => (None, None),
        };
        assert_eq!(route("/seal"), (Some(FieldRoute::Encrypt), None));
        assert_eq!(route("/p/1/x"), (Some(FieldRoute::Proxy), Some(2)));
        assert_eq!(route("/other"), (None, None));
        assert_eq!(read(&contract.resolved).unwrap().encryption, contract.encryption);
        assert_eq!(read("schema = 1\nextends = \"standard\"\n").unwrap().encryption, None);
    }

    #[test]
    fn what_is_wrong_with_encryption_is_named_with_its_line() {
        let route = |word: &str| format!("{TABLE}[[routes]]\npath = \"/x\"\nencryption = \"{word}\"\n");
        for (source, line, field, reason) in [
            (TABLE.replace("marker", "colour"), 4, "encryption.colour", "unknown field"),
            (TABLE.replace("marker = \"m\"", ""), 3, "encryption", "marker"),
            (TABLE.replace("\"m\"", "\"a:b\""), 4, "encryption.marker", "letters"),
            (TABLE.replace("\"m\"", "\"\""), 4, "encryption.marker", "letters"),
            (format!("{TABLE}data = \"a.b\"\n"), 5, "encryption.data", "name"),
            (format!("{TABLE}mode_header = \"Host\"\n"), 5, "encryption.mode_header", "Host"),
            (format!("{TABLE}fields_header = \"X-Keyward-Key\"\n"), 5, "encryption.fields_header", "Keyward"),
            (format!("{TABLE}own_headers = \"x\"\n"), 5, "encryption.own_headers", "X-"),
            (format!("{TABLE}destination_header = \"X a\"\n"), 5, "encryption.destination_header", "X a"),
            (format!("{TABLE}value_max_bytes = 0\n"), 5, "encryption.value_max_bytes", "from 1"),
            (format!("{TABLE}whole_max_bytes = 99999999\n"), 5, "encryption.whole_max_bytes", "1048576"),
            (route("hide"), 7, "routes.0.encryption", "none of encrypt"),
            (route("proxy"), 7, "routes.0.encryption", "fields_header"),
            (
                route("encrypt").replace("[encryption]\nmarker = \"m\"\n", ""),
                5,
                "routes.0.encryption",
                "[encryption]",
            ),
            (format!("{}answer = {{}}\n", route("encrypt")), 7, "routes.0.encryption", "answer"),
            (
                format!(
                    "{}[routes.resource]\nkind = \"r\"\nbody = \"/r\"\n[resources]\nr = \"R\"\n",
                    route("decrypt")
                ),
                7,
                "routes.0.encryption",
                "resource",
            ),
        ] {
            let error = read(&source).expect_err(&source);
            assert_eq!((error.line, error.field.as_str()), (Some(line), field), "{source}");
            assert!(error.reason.contains(reason), "{source}: {error}");
        }
    }
}
