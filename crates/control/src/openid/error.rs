//! Why a sign-in by OpenID Connect did not come to be: in words for the log, without anything secret and with what a
//! provider wrote escaped and cut, and in words for the person.

use openidconnect::core::CoreErrorResponseType;
use openidconnect::{DiscoveryError, RequestTokenError, StandardErrorResponse};

use super::transport::NotReached;

/// How much of what a provider wrote is told in the log.
const QUOTED_MAX: usize = 200;

/// What is wrong with the settings of a provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub(super) String);

/// Why nobody is signed in. The words are for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenIdError {
    /// This browser did not begin it, or too long ago, or ended it already.
    #[error("it was not begun in this browser, or too long ago, or is over already")]
    NotBegun,
    /// The provider did not sign the person in; perhaps they did not want to.
    #[error("the provider declined: {0}")]
    Declined(String),
    /// What the provider answered proves nothing.
    #[error("what the provider answered is not believed: {0}")]
    Refused(String),
    /// The provider does not answer, or not as a provider does.
    #[error("the provider cannot be asked: {0}")]
    Unavailable(String),
}

impl OpenIdError {
    pub(super) fn refused(reason: impl Into<String>) -> Self {
        OpenIdError::Refused(reason.into())
    }

    pub(super) fn unavailable(reason: impl Into<String>) -> Self {
        OpenIdError::Unavailable(reason.into())
    }

    /// What the person is told, in whole sentences.
    pub fn told(&self) -> &'static str {
        match self {
            OpenIdError::NotBegun => {
                "This sign-in was not begun in this browser, or it took more than ten minutes. Please begin again."
            }
            OpenIdError::Declined(_) => "The provider did not sign you in. You can begin again.",
            OpenIdError::Refused(_) => {
                "What the provider answered could not be trusted, so you are not signed in. Please begin again; if it \
                 stays so, tell whoever runs this site."
            }
            OpenIdError::Unavailable(_) => "The provider does not answer at the moment. Please try again later.",
        }
    }
}

/// What a provider wrote, on one line and cut.
pub(super) fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(QUOTED_MAX).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("{cut:?}{more}")
}

/// Why discovery failed. What was read is not told: only where it stopped making sense.
pub(super) fn of_discovery(error: DiscoveryError<NotReached>) -> OpenIdError {
    OpenIdError::Unavailable(match error {
        DiscoveryError::Request(error) => error.to_string(),
        DiscoveryError::Parse(error) => {
            format!("its answer was not understood at {}", quoted(&error.path().to_string()))
        }
        DiscoveryError::Response(status, _, reason) => {
            format!("it answered {}: {}", status.as_u16(), quoted(&reason))
        }
        DiscoveryError::Validation(reason) => quoted(&reason),
        _ => "its address cannot be used".into(),
    })
}

/// Why the exchange of the code failed. The answer itself may hold tokens, and is told to nobody.
pub(super) fn of_exchange(
    error: RequestTokenError<NotReached, StandardErrorResponse<CoreErrorResponseType>>,
) -> OpenIdError {
    match error {
        RequestTokenError::ServerResponse(said) => {
            OpenIdError::Refused(format!("the code was answered by {}", quoted(said.error().as_ref())))
        }
        RequestTokenError::Request(error) => OpenIdError::Unavailable(error.to_string()),
        RequestTokenError::Parse(error, _) => {
            let path = error.path().to_string();
            OpenIdError::Refused(format!("its answer to the code was not understood at {}", quoted(&path)))
        }
        RequestTokenError::Other(_) => OpenIdError::refused("its answer to the code was no answer of JSON"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i02_what_a_provider_wrote_stays_on_one_line_and_is_cut() {
        assert_eq!(quoted("a\r\nb\u{1b}[31m"), r#""a\r\nb\u{1b}[31m""#);
        assert!(quoted(&"x".repeat(10_000)).len() < 300);
    }
}
