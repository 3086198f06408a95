//! Signing in with a real OpenID provider, end to end: invited, back again, and not as somebody else with the same address.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Visitor, invite};
use crate::harness::openid::{CLIENT_ID, CLIENT_SECRET};
use crate::harness::{Keyward, OpenIdProvider};

/// A file that its owner alone can read.
fn private_file(folder: &Path, mode: u32) -> PathBuf {
    use std::io::Write as _;
    let path = folder.join("client-secret");
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path).unwrap();
    writeln!(file, "{CLIENT_SECRET}").unwrap();
    path
}

fn keyward_with(provider: &OpenIdProvider, folder: &Path) -> Keyward {
    let secret = private_file(folder, 0o600);
    let env = [
        ("KEYWARD_OPENID_ISSUER", provider.issuer.as_str()),
        ("KEYWARD_OPENID_CLIENT_ID", CLIENT_ID),
        ("KEYWARD_OPENID_CLIENT_SECRET_FILE", secret.to_str().unwrap()),
        ("KEYWARD_OPENID_TITLE", "Example"),
    ];
    Keyward::dev_with_env("standard", &[], &env)
}

/// To the provider and back, as whoever logs in there.
fn go(visitor: &mut Visitor, provider: &OpenIdProvider, fields: &str, login: &str) -> u16 {
    let page = visitor.post("/sign-in/openid", fields);
    assert_eq!(page.status(), 200);
    let refresh = page.headers()["refresh"].to_str().unwrap();
    let back = provider.sign_in(refresh.strip_prefix("0;url=").unwrap(), login);
    let path = back.strip_prefix(&visitor.site).unwrap().to_owned();
    visitor.get(&path).status().as_u16()
}

#[test]
fn t09_people_sign_in_with_a_real_provider_as_who_they_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut provider = OpenIdProvider::start();
    let keyward = keyward_with(&provider, folder.path());

    // Nobody knows them yet; an invitation lets them in, and from then on their account there does.
    let mut stranger = Visitor::of(&keyward);
    assert!(stranger.get("/sign-in").text().unwrap().contains("Continue with Example"));
    assert_eq!(go(&mut stranger, &provider, "", "ada"), 401);
    let mut ada = Visitor::of(&keyward);
    let invitation = format!("invitation={}", invite(&keyward, "ada@example.test"));
    assert_eq!((go(&mut ada, &provider, &invitation, "ada"), ada.is_signed_in()), (303, true));
    assert_eq!(ada.get("/").status().as_u16() / 100, 3, "a member of one organization is led to it");
    let mut again = Visitor::of(&keyward);
    assert_eq!((go(&mut again, &provider, "next=/account", "ada"), again.is_signed_in()), (303, true));

    // The same address, verified, of another account there: another person.
    provider.person("eve", json!({"email": "ada@example.test", "email_verified": true}));
    let mut eve = Visitor::of(&keyward);
    assert_eq!((go(&mut eve, &provider, "", "eve"), eve.is_signed_in()), (401, false));
    // Nor is an invitation of another's accepted.
    let invitation = format!("invitation={}", invite(&keyward, "bob@example.test"));
    assert_ne!(go(&mut eve, &provider, &invitation, "eve"), 303);
    assert!(!eve.is_signed_in());
    assert!(!keyward.stderr().contains(CLIENT_SECRET) && !keyward.stderr().contains("code="));
}

#[test]
fn k04_a_client_secret_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let secret = private_file(folder.path(), 0o644);
    let started = std::process::Command::new(crate::harness::binary())
        .args(["dev", "--dir"])
        .arg(folder.path().join("keyward"))
        .args(["--listen", "127.0.0.1:0"])
        .env("KEYWARD_OPENID_ISSUER", "https://id.example.com")
        .env("KEYWARD_OPENID_CLIENT_ID", CLIENT_ID)
        .env("KEYWARD_OPENID_CLIENT_SECRET_FILE", &secret)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&started.stderr);
    assert!(!started.status.success() && said.contains("can be read by others"), "{said}");
}
