//! Which passwords are taken: long ones that are neither among the commonest nor made of who the person is. What
//! they are made of is nobody's business (NIST SP 800-63B-4, section 3.1.1.2).

/// Fewest characters of a password.
pub const PASSWORD_CHARS_MIN: usize = 12;
/// Most characters of a password.
pub const PASSWORD_CHARS_MAX: usize = 128;
/// Most bytes: what is hashed at all.
const BYTES_MAX: usize = 512;

/// Words that guesses begin with: a password must hold more than one of them with a little around it.
const COMMON: &[&str] = &[
    "password",
    "passw0rd",
    "p@ssword",
    "p@ssw0rd",
    "qwertyuiop",
    "qwertzuiop",
    "azertyuiop",
    "qwerty",
    "asdfghjkl",
    "zxcvbnm",
    "1q2w3e4r5t6y",
    "1qaz2wsx3edc",
    "letmein",
    "iloveyou",
    "welcome",
    "changeme",
    "administrator",
    "admin",
    "football",
    "baseball",
    "superman",
    "sunshine",
    "princess",
    "dragon",
    "monkey",
    "trustno1",
    "master",
    "keyward",
    "secret",
    "default",
    "correcthorsebatterystaple",
    "123456789012",
    "1234567890",
    "123456789",
    "12345678",
    "123456",
    "0987654321",
    "987654321",
    "abcdefghijkl",
    "abcdef",
    "abc123",
    "test",
];
/// What may stand around a common word without making it another: fewer characters than this.
const AROUND_MIN: usize = 8;

/// Whether a password is taken, for somebody with this address and name.
///
/// # Errors
/// A sentence that says what is wrong with it, and nothing of what it is.
pub fn check(password: &str, email: &str, name: &str) -> Result<(), String> {
    let count = password.chars().count();
    if count < PASSWORD_CHARS_MIN {
        return Err(format!("must be at least {PASSWORD_CHARS_MIN} characters"));
    }
    if count > PASSWORD_CHARS_MAX || is_too_long(password) {
        return Err(format!("must be at most {PASSWORD_CHARS_MAX} characters"));
    }
    let plain = plain(password);
    let is_monotonous = {
        let mut seen: Vec<char> = plain.chars().collect();
        seen.sort_unstable();
        seen.dedup();
        seen.len() < 4
    };
    if is_monotonous || COMMON.iter().any(|word| is_little_more_than(&plain, word)) {
        return Err("is among the first that anybody would try".into());
    }
    let mailbox = email.split('@').next().unwrap_or_default();
    let own = [email, mailbox, name].map(self::plain);
    if own.iter().any(|own| own.chars().count() >= 4 && is_little_more_than(&plain, own)) {
        return Err("must not be made of the name or the mail address".into());
    }
    Ok(())
}

/// Whether a text is longer than any password: it is not even hashed.
pub fn is_too_long(password: &str) -> bool {
    password.len() > BYTES_MAX
}

/// In lower case and without what people put between words.
fn plain(text: &str) -> String {
    let kept = text.chars().filter(|c| !c.is_whitespace() && !"-_.,".contains(*c));
    kept.flat_map(char::to_lowercase).collect()
}

/// Whether a text is a word, once or several times, with a few characters around.
fn is_little_more_than(text: &str, word: &str) -> bool {
    text.contains(word) && text.replace(word, "").chars().count() < AROUND_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w11_the_commonest_and_ones_own_name_are_no_password() {
        for bad in [
            "short",
            "password1234",
            "Password-2026!",
            "passwordpassword",
            "123456789012",
            "qwertyuiop12",
            "aaaaaaaaaaaa",
            "abababababab",
            "ada.lovelace@example.com",
            "ada.lovelace",
            "Ada Lovelace!",
            "adalovelace2026",
            "keyward-keyward",
        ] {
            assert!(check(bad, "ada.lovelace@example.com", "Ada Lovelace").is_err(), "{bad}");
        }
        assert!(check(&"x1y2".repeat(33), "", "").is_err(), "too long");
    }

    #[test]
    fn any_other_long_one_is_taken_whatever_it_is_made_of() {
        for good in ["tangerine boat seven", "ллллрррразныебуквы", "correct password for a horse", "nTq8-fk2L-xxv0"]
        {
            assert_eq!(check(good, "ada@example.com", "Ada"), Ok(()), "{good}");
        }
    }
}
