//! Names that people give: normalised (NFC), trimmed, and free of characters that deceive or break a line.

use unicode_normalization::UnicodeNormalization;

/// Longest name in bytes after normalisation, whatever a rule's count of characters says.
const NAME_BYTES_MAX: usize = 1024;

/// Takes a text as a name of `min` to `max` Unicode scalar values, after trimming.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn name(text: &str, min: u32, max: u32) -> Result<String, String> {
    if text.len() > NAME_BYTES_MAX * 4 {
        return Err(format!("must be at most {max} characters"));
    }
    let normal: String = text.nfc().collect();
    let trimmed = normal.trim();
    if let Some(bad) = trimmed.chars().find(|&c| is_refused(c)) {
        return Err(format!("must not contain control or text-direction characters (U+{:04X})", bad as u32));
    }
    let count = trimmed.chars().count();
    if count < min as usize {
        return Err(match min {
            1 => "must not be empty".to_owned(),
            _ => format!("must be at least {min} characters"),
        });
    }
    if count > max as usize || trimmed.len() > NAME_BYTES_MAX {
        return Err(format!("must be at most {max} characters"));
    }
    Ok(trimmed.to_owned())
}

/// Longest mail address, in bytes (RFC 5321, section 4.5.3.1.3).
const EMAIL_BYTES_MAX: usize = 254;

/// Takes a text as a mail address, in the one way that it is kept and compared: normalised, trimmed, in lower case.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn email(text: &str) -> Result<String, String> {
    let email = name(text, 1, EMAIL_BYTES_MAX as u32)?.to_lowercase();
    let (mailbox, domain) = email.rsplit_once('@').ok_or("must be a mail address, such as ada@example.com")?;
    let is_plain =
        |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || "@<>,;\"\\()".contains(c));
    let has_labels = domain.split('.').all(|label| !label.is_empty());
    if !is_plain(mailbox) || !is_plain(domain) || !has_labels || email.len() > EMAIL_BYTES_MAX {
        return Err("must be a mail address, such as ada@example.com".into());
    }
    Ok(email)
}

/// Control characters (C0, C1), those that turn the direction of text, and others that cannot be seen.
fn is_refused(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}'
            | '\u{FDD0}'..='\u{FDEF}')
        || (c as u32) & 0xFFFE == 0xFFFE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i01_mail_addresses_are_kept_in_one_way() {
        assert_eq!(email(" Ada@Example.COM ").unwrap(), "ada@example.com");
        assert_eq!(email("ada+keys@localhost").unwrap(), "ada+keys@localhost");
        for bad in
            ["", "ada", "@example.com", "ada@", "a b@example.com", "ada@exa..mple", "<ada@example.com>", "a@b@c"]
        {
            assert!(email(bad).is_err(), "{bad:?}");
        }
        assert!(email(&format!("{}@example.com", "x".repeat(254))).is_err());
    }

    #[test]
    fn i01_names_are_normal_and_show_what_they_are() {
        assert_eq!(name("  Zu\u{0308}rich ", 1, 100).unwrap(), "Z\u{fc}rich");
        assert_eq!(name("👩\u{200D}💻", 1, 100).unwrap(), "👩\u{200D}💻");
        for bad in ["", "   ", "a\u{202E}b", "a\u{0}b", "a\u{85}b", "a\nb", "a\u{200B}b", "\u{FEFF}a", "a\u{FFFF}"]
        {
            assert!(name(bad, 1, 100).is_err(), "{bad:?}");
        }
        assert!(name(&"x".repeat(65_536), 1, 100).is_err());
    }
}
