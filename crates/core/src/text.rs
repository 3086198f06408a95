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
