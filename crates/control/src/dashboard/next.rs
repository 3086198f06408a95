//! Where to go after signing in: a path of our own, or the start (trust.md W09).

/// The query that carries a path to the sign-in page.
pub fn query(path: &str) -> String {
    match own_path(path) {
        "/" => String::new(),
        path => format!(
            "?next={}",
            path.replace('%', "%25").replace('&', "%26").replace('#', "%23").replace('+', "%2B")
        ),
    }
}

/// The path where it is one of ours, else the start. Only what pages themselves are called: letters, digits and a few
/// marks, never two slashes at the beginning, a backslash, a scheme or a control character.
pub fn own_path(path: &str) -> &str {
    let is_plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_-.?=&".contains(&byte));
    let is_local = path.starts_with('/') && !path.starts_with("//") && !path.contains("/..");
    let is_page = !path.starts_with("/sign-") && !path.starts_with("/v1/");
    if is_plain && is_local && is_page && path.len() <= 512 { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w09_only_paths_of_our_own_are_gone_to() {
        for good in ["/", "/projects/proj_1/keys", "/projects/proj_1/events?name=key.used&limit=50", "/account"] {
            assert_eq!(own_path(good), good);
        }
        for bad in [
            "",
            "//evil.example",
            "/\\evil.example",
            "\\evil",
            "https://evil.example",
            "javascript:alert(1)",
            "/%2f/evil",
            "/a\r\nSet-Cookie: x=y",
            "evil",
            "/../x",
            "/sign-out",
            "/v1/changes",
            "/é",
        ] {
            assert_eq!(own_path(bad), "/", "{bad}");
        }
        assert_eq!(query("/account"), "?next=/account");
        assert_eq!(query("/x?a=b&c=d"), "?next=/x?a=b%26c=d");
    }
}
