//! What callers send under our names never reaches the upstream, and what we say always does, once.

use super::world::World;
use crate::harness::Request;

/// Headers by which a caller could pass itself off as somebody, or take out what we say.
const FORGED: &[&[(&str, &str)]] = &[
    &[("X-Keyward-Project", "forged")],
    &[("x-keyward-project", "forged"), ("X-KEYWARD-PROJECT", "forged")],
    &[("X_Keyward_Project", "forged")],
    &[("X-Keyward_Project", "forged")],
    &[("x.keyward.project", "forged")],
    &[("x~keyward~project", "forged")],
    &[("X-Keyward-Scopes", "*"), ("X-Keyward-Key-Id", "forged"), ("X-Keyward-Plan", "forged")],
    &[("X-Keyward-Anything", "forged")],
    &[("X-Keyward", "forged")],
    &[("X-Keyward-Target", "/v1/elsewhere")],
    &[("X-Keyward-Proxy-Secret", "forged")],
    &[("Connection", "X-Keyward-Project")],
    &[("Connection", "close, X-Keyward-Project, X-Keyward-Scopes"), ("X-Keyward-Project", "forged")],
    &[("Connection", "x-keyward-key-id"), ("Connection", "X-Keyward-Plan")],
    &[("Connection", "Authorization")],
    &[("Connection", "X-Forwarded-Uri, X-Original-URI, X-Forwarded-Method")],
];

const TOLD: [&str; 6] = [
    "x-keyward-project",
    "x-keyward-organization",
    "x-keyward-key-id",
    "x-keyward-plan",
    "x-keyward-scopes",
    "x-keyward-request-id",
];

/// Whether a careless server could take a name for one of ours.
fn is_like_ours(name: &str) -> bool {
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    letters.to_ascii_lowercase().starts_with("xkeyward")
}

#[test]
fn h09_h10_behind_every_proxy_the_upstream_sees_who_calls_once_and_from_us() {
    let lines = "[plans.free.rates]\nrequests = { limit = 6000, per = \"1m\", by = \"project\" }";
    let world = World::amended("getprofile", lines);
    let key = world.keyward.first_key();
    for proxy in &world.proxies {
        let mut passed = 0;
        for forged in FORGED {
            let plain = Request::get("/v1/profile/a").with("Authorization", &format!("Bearer {}", key.secret));
            let request = forged.iter().fold(plain, |request, (name, value)| request.with(name, value));
            let before = world.upstream.count();
            let answer = proxy.send(&request);
            let story = format!("{:?} {forged:?}", proxy.kind);
            if world.upstream.count() == before {
                // Refused is as good: what cannot be taken out does not pass.
                assert!([400, 401, 403].contains(&answer.status), "{story}: {}", answer.head);
                continue;
            }
            passed += 1;
            let seen = world.upstream.last();
            assert_eq!(seen.header("x-keyward-project"), Some(world.keyward.project()), "{story}");
            assert_eq!(seen.header("x-keyward-key-id"), Some(&*key.id), "{story}");
            let mut ours: Vec<String> = seen
                .headers
                .iter()
                .map(|(name, _)| name.to_ascii_lowercase())
                .filter(|n| is_like_ours(n))
                .collect();
            ours.sort();
            let mut told = TOLD.map(str::to_owned).to_vec();
            told.sort();
            assert_eq!(ours, told, "{story}");
            assert!(
                !seen.text().contains("forged") && !seen.text().contains(&key.secret),
                "{story}: {}",
                seen.text()
            );
            assert_eq!(seen.target, "/v1/profile/a", "{story}");
        }
        assert!(passed >= FORGED.len() / 2, "{:?} lets {passed} pass", proxy.kind);
        let before = world.upstream.count();
        for forged in FORGED {
            let plain = Request::get("/v1/profile/a").with("Authorization", "Bearer gp_x");
            let request = forged.iter().fold(plain, |request, (name, value)| request.with(name, value));
            assert!([400, 401, 403].contains(&proxy.send(&request).status), "{:?} {forged:?}", proxy.kind);
        }
        assert_eq!(world.upstream.count(), before, "{:?}", proxy.kind);
    }
}
