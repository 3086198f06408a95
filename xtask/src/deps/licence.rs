//! SPDX expressions, as far as crates use them: may this be used under licences from a list?

/// True when some choice the expression offers needs only licences in `allowed`.
///
/// `A OR B` and the old `A/B` need one of the two, `A AND B` both. `A WITH exception` counts as A: an exception
/// only gives further permission. What cannot be read is not allowed.
pub fn allows(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let verdict = any(&mut words, allowed);
    verdict == Some(true) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words, allowed: &[&str]) -> Option<bool> {
    let mut verdict = all(words, allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        verdict |= all(words, allowed)?;
    }
    Some(verdict)
}

fn all(words: &mut Words, allowed: &[&str]) -> Option<bool> {
    let mut verdict = one(words, allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        verdict &= one(words, allowed)?;
    }
    Some(verdict)
}

fn one(words: &mut Words, allowed: &[&str]) -> Option<bool> {
    let word = words.next()?;
    if word == "(" {
        let verdict = any(words, allowed)?;
        return words.next_if_eq(&")").map(|_| verdict);
    }
    if words.next_if_eq(&"WITH").is_some() {
        words.next()?;
    }
    Some(allowed.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_and_duties_are_told_apart() {
        let allowed = ["MIT", "Apache-2.0", "ISC"];
        for yes in
            ["MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "Apache-2.0 WITH LLVM-exception", "ISC AND (GPL-3.0 OR MIT)"]
        {
            assert!(allows(yes, &allowed), "{yes}");
        }
        for no in ["GPL-3.0", "MIT AND GPL-3.0", "ISC AND (GPL-3.0 OR LGPL-2.1)", "", "MIT OR", "(MIT", "MIT ISC"] {
            assert!(!allows(no, &allowed), "{no}");
        }
    }
}
