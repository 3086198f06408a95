//! What a provider sends a browser back with (RFC 6749, section 4.1.2; RFC 9207 for `iss`).

use serde::Deserialize;

use super::error::{OpenIdError, quoted};

/// The longest query: far above what any provider sends.
const QUERY_MAX: usize = 8 * 1024;

/// The parameters that mean something to us. Each at most once; others are allowed and mean nothing.
#[derive(Deserialize)]
pub struct Callback {
    /// What we sent, to know the browser by.
    pub state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

impl Callback {
    /// Reads a query.
    ///
    /// # Errors
    /// [`OpenIdError::Refused`] where it is too long, or says a thing twice.
    pub fn read(query: &str) -> Result<Self, OpenIdError> {
        if query.len() > QUERY_MAX {
            return Err(OpenIdError::refused("it sent the browser back with too much"));
        }
        serde_html_form::from_str(query)
            .map_err(|_| OpenIdError::refused("it sent the browser back with what cannot be read"))
    }

    /// The code. First the issuer: an answer of another provider is not looked at, not even an error.
    ///
    /// # Errors
    /// Where the answer is not of `issuer`, says an error, or has no code.
    pub fn code(self, issuer: &str, must_tell_issuer: bool) -> Result<String, OpenIdError> {
        match self.iss {
            Some(other) if other != issuer => {
                return Err(OpenIdError::Refused(format!("the answer is of another issuer, {}", quoted(&other))));
            }
            None if must_tell_issuer => return Err(OpenIdError::refused("the answer does not tell its issuer")),
            Some(_) | None => {}
        }
        match (self.error, self.code) {
            (Some(error), _) => Err(OpenIdError::Declined(quoted(&error))),
            (None, Some(code)) if !code.is_empty() => Ok(code),
            (None, _) => Err(OpenIdError::refused("the answer has no code")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(query: &str, must_tell_issuer: bool) -> Result<String, OpenIdError> {
        Callback::read(query)?.code("https://id.example.com", must_tell_issuer)
    }

    #[test]
    fn t09_an_answer_is_taken_from_the_issuer_that_was_asked_alone() {
        assert_eq!(code("code=1&iss=https%3A%2F%2Fid.example.com&session_state=x", true).unwrap(), "1");
        assert_eq!(code("code=1", false).unwrap(), "1");
        for (query, must_tell_issuer) in [
            ("code=1", true),
            ("code=1&iss=https%3A%2F%2Fid.example.com%2F", true),
            ("code=1&iss=https%3A%2F%2Fid.example.org", false),
            ("code=1&iss=", true),
            ("error=access_denied&iss=https%3A%2F%2Fid.example.org", true),
        ] {
            assert!(matches!(code(query, must_tell_issuer), Err(OpenIdError::Refused(_))), "{query}");
        }
    }

    #[test]
    fn t09_what_is_said_twice_or_not_at_all_is_refused() {
        for query in ["code=1&code=2", "code=1&state=a&state=b", "code=1&iss=a&iss=b", "code=", "", "state=a"] {
            assert!(matches!(code(query, false), Err(OpenIdError::Refused(_))), "{query}");
        }
        assert!(Callback::read(&format!("code={}", "x".repeat(QUERY_MAX))).is_err());
        assert_eq!(
            code("error=access_denied&code=1", false),
            Err(OpenIdError::Declined(r#""access_denied""#.into()))
        );
    }
}
