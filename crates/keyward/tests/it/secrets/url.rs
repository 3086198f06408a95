//! Keys in addresses: a credential only where the contract says so, and in no log in any case (K08).

use std::collections::BTreeMap;

use serde_json::json;

use crate::harness::traces::Traces;
use crate::harness::{Keyward, Place, Scripted, Upstream};

const PRESETS: [&str; 6] = ["standard", "getprofile", "profound", "metriport", "scrapegraphai", "qanapi"];

#[test]
fn k08_a_key_in_the_query_counts_only_where_the_contract_lists_it() {
    let mut accepted = BTreeMap::new();
    for preset in PRESETS {
        let upstream = Upstream::start(Scripted::json(200, "{}"));
        let arguments = ["--upstream", &upstream.url, "--log-level", "trace"];
        let keyward = Keyward::dev_with(preset, &arguments);
        let secret = keyward.first_key().secret;
        let traces = Traces::of([&secret]);
        let terms = keyward.terms();
        let example = terms.example(keyward.project());
        let value = crate::harness::contract::escaped(&secret);
        for name in ["api_key", "apikey", "key", "token", "access_token"] {
            let reached = upstream.count();
            let answer = keyward.send(&example.clone().query(name, &value).query("page", "2"));
            if upstream.count() > reached {
                *accepted.entry(preset).or_insert(0) += 1;
                let seen = upstream.last();
                traces.must_not_be_in("the upstream's request", seen.text());
                assert!(seen.target.contains("page=2"), "{}", seen.target);
            } else {
                answer.expect_refused(&terms.refusal("missing_key"));
            }
        }
        // Beside a credential in its right place it opens nothing more; where the contract names the
        // parameter, it does not reach the upstream either.
        let place = &terms.places()[0];
        let with_both = place.carry(&example, &secret).query("api_key", &value);
        keyward.send(&with_both).expect(200);
        let names_it =
            terms.places().iter().any(|place| matches!(place, Place::Query { name } if name == "api_key"));
        if names_it {
            traces.must_not_be_in("the upstream's request", upstream.last().text());
        }
        // Nor do the control plane and the check listener take one from there.
        let url = format!("/v1/whoami?api_key={}", keyward.started.management_key);
        let unauthenticated = keyward.http.get(format!("{}{url}", keyward.started.control_url)).send().unwrap();
        assert_eq!(unauthenticated.status(), 401);
        let asked = keyward.http.post(format!("{}/v1/verify?key={value}", keyward.started.check_url));
        let asked = asked.bearer_auth(&keyward.started.management_key).json(&json!({})).send().unwrap();
        assert!(asked.status().is_client_error(), "{}", asked.status());
        let all = Traces::of([&secret, &keyward.started.management_key]);
        all.must_not_be_in("standard error", keyward.stderr());
        all.must_not_be_in("the metrics", keyward.get("/metrics").text);
    }
    assert_eq!(accepted, BTreeMap::from([("profound", 1)]), "one contract lists one parameter");
}
