//! One table of requests, asked at the gateway and behind every proxy: the same decision at each, in the contract's words.

use serde_json::json;

use super::world::{Way, World};
use crate::harness::{Key, Request, Terms, in_seconds};

/// What is to become of a request.
enum Fate {
    Passes,
    Refused(&'static str),
}
use Fate::{Passes, Refused};

struct Case {
    name: &'static str,
    request: Request,
    fate: Fate,
}

fn case(name: &'static str, request: Request, fate: Fate) -> Case {
    Case { name, request, fate }
}

/// Asks at each way, and looks at what the caller and the upstream get.
#[track_caller]
fn ask_everywhere(world: &World, terms: &Terms, project: &str, secret: &str, cases: &[Case]) {
    for way in world.ways() {
        for case in cases {
            let (before, story) = (world.upstream.count(), format!("{} at {}", case.name, way.name()));
            let has_query = case.request.target.contains(secret);
            let answer = way.send(&case.request);
            let fate = match (&case.fate, has_query && !way.strips_queries()) {
                // Fails closed rather than show the upstream a credential.
                (Passes, true) => &Refused("bad_request"),
                (fate, _) => fate,
            };
            match fate {
                Passes => {
                    assert_eq!(answer.status, 200, "{story}: {}{}", answer.head, answer.text());
                    assert_eq!(world.upstream.count(), before + 1, "{story}");
                    let seen = world.upstream.last();
                    assert_eq!(seen.header("x-keyward-project"), Some(project), "{story}");
                    assert!(
                        !seen.text().contains(secret),
                        "{story}: the upstream sees the credential: {}",
                        seen.text()
                    );
                }
                Refused(code) => {
                    let refusal = terms.refusal(code);
                    assert_eq!(answer.status, refusal.status, "{story}: {}{}", answer.head, answer.text());
                    assert_eq!(answer.json(), refusal.body, "{story}");
                    assert_eq!(world.upstream.count(), before, "{story}");
                    let names = ["x-keyward-refusal", "x-keyward-project", "x-keyward-key-id"];
                    let told = names.iter().find(|name| answer.header(name).is_some());
                    assert_eq!(told, None, "{story}: {}", answer.head);
                    if refusal.status == 401 {
                        let challenges = answer.head.to_ascii_lowercase().matches("www-authenticate:").count();
                        assert_eq!(challenges, 1, "{story}: {}", answer.head);
                    }
                }
            }
        }
    }
}

fn made_up(secret: &str) -> String {
    let turned = |c: char| if c == 'a' { 'b' } else { 'a' };
    let last = secret.chars().last().unwrap();
    format!("{}{}", &secret[..secret.len() - last.len_utf8()], turned(last))
}

#[test]
fn same_decision_at_every_door_for_a_key_in_a_header_or_the_query() {
    let world = World::new("profound");
    let (keyward, terms) = (&world.keyward, world.keyward.terms());
    let year = in_seconds(86_400);
    let make = |name: &str, scopes: &[&str]| {
        keyward.make(keyward.project(), json!({"name": name, "expires_at": year, "scopes": scopes}))
    };
    let (full, reports) = (make("full", &["*"]), make("reports", &["reports"]));
    let get = || Request::get("/v1/org/categories?a=1");
    let with = |secret: &str| get().with("X-API-Key", secret);
    let cases = [
        case("a valid key", with(&full.secret), Passes),
        case("one in the query", get().query("api_key", &full.secret), Passes),
        case(
            "the only one in the query",
            Request::get("/v1/org/categories").query("api_key", &full.secret),
            Passes,
        ),
        case("one among others in the query", get().query("api_key", &full.secret).query("b", "%2F"), Passes),
        case("none", get(), Refused("missing_key")),
        case(
            "another header",
            get().with("Authorization", &format!("Bearer {}", full.secret)),
            Refused("missing_key"),
        ),
        case("nonsense", with("nonsense"), Refused("malformed_key")),
        case("a made-up key", with(&made_up(&full.secret)), Refused("unknown_key")),
        case("two", with(&full.secret).with("X-API-Key", &full.secret), Refused("malformed_key")),
        case("the wrong scope", with(&reports.secret), Refused("insufficient_scope")),
        case(
            "another method",
            {
                let mut r = with(&full.secret);
                r.method = "DELETE".into();
                r
            },
            Passes,
        ),
        case("a body", Request::post("/v1/reports/x").with("X-API-Key", &reports.secret).json("{}"), Passes),
    ];
    ask_everywhere(&world, &terms, keyward.project(), &full.secret, &cases);

    // In force everywhere when the call returns, each door having just let it through.
    keyward.revoke(&full.id).expect(200);
    let revoked = [case("a revoked key", with(&full.secret), Refused("revoked"))];
    ask_everywhere(&world, &terms, keyward.project(), &full.secret, &revoked);
}

#[test]
fn same_decision_at_every_door_for_a_contract_that_refuses_with_403_alone() {
    let world = World::new("metriport");
    let (keyward, terms) = (&world.keyward, world.keyward.terms());
    let key = keyward.make(keyward.project(), json!({}));
    let with = |secret: &str| Request::get("/medical/v1/facility").with("x-api-key", secret);
    let cases = [
        case("a valid key", with(&key.secret), Passes),
        case("none", Request::get("/medical/v1/facility"), Refused("missing_key")),
        case("nonsense", with("nonsense"), Refused("malformed_key")),
    ];
    ask_everywhere(&world, &terms, keyward.project(), &key.secret, &cases);
    keyward.revoke(&key.id).expect(200);
    let revoked = [case("a revoked key", with(&key.secret), Refused("revoked"))];
    ask_everywhere(&world, &terms, keyward.project(), &key.secret, &revoked);
}

#[test]
fn same_decision_at_every_door_for_a_bearer_key_that_is_rotated_in_place() {
    let world = World::new("getprofile");
    let (keyward, terms) = (&world.keyward, world.keyward.terms());
    let first = keyward.first_key();
    let with =
        |key: &Key| Request::get("/v1/profile/abc123").with("Authorization", &format!("Bearer {}", key.secret));
    let cases = [
        case("the first key", with(&first), Passes),
        case("none", Request::get("/v1/profile/abc123"), Refused("missing_key")),
    ];
    ask_everywhere(&world, &terms, keyward.project(), &first.secret, &cases);
    let second = Key::of(&keyward.rotate(&first.id, json!({})).expect(201));
    let cases = [case("the old key", with(&first), Refused("revoked")), case("the new key", with(&second), Passes)];
    ask_everywhere(&world, &terms, keyward.project(), &second.secret, &cases);
}

#[test]
fn limits_count_and_are_told_alike_at_every_door() {
    let lines = "[plans.enterprise.rates]\nrequests = { limit = 3, per = \"1h\", by = \"key\" }";
    let world = World::amended("profound", lines);
    let (keyward, terms) = (&world.keyward, world.keyward.terms());
    for way in world.ways() {
        let body = json!({"name": way.name(), "expires_at": in_seconds(86_400), "scopes": ["*"]});
        let key = keyward.make(keyward.project(), body);
        let request = Request::get("/v1/org/categories").with("X-API-Key", &key.secret);
        for left in [2, 1, 0] {
            let answer = way.send(&request).expect(200);
            // Caddy and Traefik put what they are told into the request alone.
            if matches!(&way, Way::Proxy(proxy) if !proxy.kind.tells_callers()) {
                continue;
            }
            let told = answer.header("ratelimit").unwrap_or_else(|| panic!("{}: {}", way.name(), answer.head));
            assert!(told.contains(&format!("r={left};")), "{}: {told}", way.name());
        }
        let before = world.upstream.count();
        let answer = way.send(&request);
        assert_eq!(answer.status, terms.refusal("rate_limited").status, "{}", way.name());
        assert_eq!(answer.json(), terms.refusal("rate_limited").body, "{}", way.name());
        let wait = answer.header("retry-after").unwrap_or_else(|| panic!("{}: {}", way.name(), answer.head));
        assert!((1..=1200).contains(&wait.parse().unwrap()), "{}: {wait}", way.name());
        assert_eq!(world.upstream.count(), before, "{}", way.name());
    }
    let metrics = keyward.get("/metrics").expect(200).text;
    for (door, proxies) in [("gateway", 1), ("forward-auth", 4), ("ext_authz", 1)] {
        for (outcome, each) in [("valid", 3), ("rate_limited", 1)] {
            let line = format!("keyward_requests_total{{door=\"{door}\",api=\"profound\",outcome=\"{outcome}\"}}");
            let counted = metrics.lines().find_map(|found| found.strip_prefix(&line)?.trim().parse::<u64>().ok());
            assert_eq!(counted, Some(proxies * each), "{line}\n{metrics}");
        }
    }
}
