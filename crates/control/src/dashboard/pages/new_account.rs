//! The fields by which somebody new says what they are called and chooses a password: the same wherever an account begins.

use maud::{Markup, html};

use crate::dashboard::answer::fault_of;
use crate::dashboard::look::parts::{Field, Input};
use crate::use_cases::ControlError;
use crate::use_cases::people::{PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN};

/// What helps with choosing a password.
const PASSWORD_HINT: &str = "At least 12 characters. Four unusual words are easy to remember and hard to guess.";

/// What somebody is called.
pub fn name_field(name: &str, error: Option<&ControlError>) -> Markup {
    let input = Input { autocomplete: Some("name"), max_chars: Some(100), ..Input::REQUIRED };
    Field::new("name", "Your name").fault(fault_of(error, "name")).line("text", name, input)
}

/// A password that is chosen. It is never filled in again.
pub fn password_field(label: &str, error: Option<&ControlError>) -> Markup {
    let input = Input {
        autocomplete: Some("new-password"),
        min_chars: u32::try_from(PASSWORD_CHARS_MIN).ok(),
        max_chars: u32::try_from(PASSWORD_CHARS_MAX).ok(),
        ..Input::REQUIRED
    };
    Field::new("password", label).hint(PASSWORD_HINT).fault(fault_of(error, "password")).line("password", "", input)
}

/// A mail address that cannot be changed here: shown, and where password managers find it.
pub fn fixed_email(email: &str) -> Markup {
    html! {
        div.field {
            label for="email" { "E-mail address" }
            input #email name="email" type="email" value=(email) autocomplete="username" readonly;
        }
    }
}
