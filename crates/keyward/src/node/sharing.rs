//! Where rate limits are shared with other nodes, from the configuration and the password's file.

use std::fmt::Write as _;
use std::time::Duration;

use keyward_verify::limits::Sharing;

use crate::config::{Config, RatesServer};
use crate::failure::Outcome;
use crate::private_file;

/// The longest that a verification waits for the server.
const TIMEOUT: Duration = Duration::from_millis(20);

/// Where rates are shared; none where this node counts alone.
///
/// # Errors
/// Where the password's file cannot be read, or others can read it.
pub fn of(config: &Config) -> Outcome<Option<Sharing>> {
    let Some(RatesServer { url, password_file, prefix, nodes }) = config.rates() else { return Ok(None) };
    let url = match password_file {
        None => url,
        Some(path) => with_password(&url, private_file::read(&path)?.trim_end_matches(['\r', '\n'])),
    };
    Ok(Some(Sharing { url, timeout: TIMEOUT, prefix, nodes }))
}

/// A URL with a password in it, after the user where there is one.
fn with_password(url: &str, password: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("redis", url));
    let (user, server) = rest.rsplit_once('@').unwrap_or(("", rest));
    let mut encoded = String::with_capacity(password.len() * 3);
    for byte in password.bytes() {
        match byte.is_ascii_alphanumeric() {
            true => encoded.push(char::from(byte)),
            false => write!(encoded, "%{byte:02X}").unwrap_or_default(),
        }
    }
    format!("{scheme}://{user}:{encoded}@{server}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_goes_where_urls_have_it() {
        assert_eq!(with_password("redis://host:6379/0", "a b@/é"), "redis://:a%20b%40%2F%C3%A9@host:6379/0");
        assert_eq!(with_password("rediss://me@host", "x"), "rediss://me:x@host");
    }
}
