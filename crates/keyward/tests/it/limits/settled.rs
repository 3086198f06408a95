//! The settled statuses, bodies and retry hints of a reached rate, a spent quota and a plan without access, for each
//! vendor.

use serde_json::{Value, json};

use super::{behind, retry_after};
use crate::harness::raw::Answer;
use crate::harness::{Keyward, Request};

/// A vendor's place for the key, and its answers.
struct Vendor {
    preset: &'static str,
    header: &'static str,
    scheme: &'static str,
    /// The body of a refusal with this code and text.
    body: fn(&str, &str) -> Value,
    rate: &'static str,
    /// The name of its quota, the status and text where it is spent; not every vendor has one.
    quota: Option<(&'static str, u16, &'static str)>,
    /// The status and text where the plan gives no access.
    gate: (u16, &'static str),
}

const NO_ACCESS: &str = "Your plan does not include API access";

fn vendors() -> [Vendor; 5] {
    [
        Vendor {
            preset: "getprofile",
            header: "Authorization",
            scheme: "Bearer ",
            body: |_, text| json!({"error": text}),
            rate: "Rate limit exceeded",
            quota: Some(("monthly", 429, "Quota exceeded")),
            gate: (403, NO_ACCESS),
        },
        Vendor {
            preset: "profound",
            header: "X-API-Key",
            scheme: "",
            body: |_, text| json!({"detail": text}),
            rate: "Rate limit exceeded",
            quota: None,
            gate: (403, NO_ACCESS),
        },
        Vendor {
            preset: "metriport",
            header: "x-api-key",
            scheme: "",
            body: |_, text| json!({"message": text}),
            rate: "Too Many Requests",
            quota: Some(("daily", 429, "Limit Exceeded")),
            gate: (403, "Forbidden"),
        },
        Vendor {
            preset: "scrapegraphai",
            header: "SGAI-APIKEY",
            scheme: "",
            body: |code, text| json!({"detail": text, "error": {"type": code, "message": text}}),
            rate: "Rate limit exceeded",
            quota: Some(("credits", 402, "Insufficient credits")),
            gate: (403, NO_ACCESS),
        },
        Vendor {
            preset: "qanapi",
            header: "X-Qanapi-Authorization",
            scheme: "",
            body: |_, text| json!({"message": text}),
            rate: "Rate limit exceeded",
            quota: None,
            gate: (403, NO_ACCESS),
        },
    ]
}

impl Vendor {
    /// A request that costs 1.
    fn send(&self, keyward: &Keyward) -> Answer {
        let credential = format!("{}{}", self.scheme, keyward.first_key().secret);
        keyward.send(&Request::post("/v1/org/regions").with(self.header, &credential).json("{}"))
    }

    /// Panics unless an answer is this refusal, and tells of limits as the vendor's contract has it.
    #[track_caller]
    fn expect_limited(&self, answer: &Answer, status: u16, (code, text): (&str, &str)) {
        assert_eq!((answer.status, answer.json()), (status, (self.body)(code, text)), "{}", answer.head);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let (standard, own) = (answer.header("ratelimit"), answer.header("x-ratelimit-limit"));
        let has_own = self.preset == "scrapegraphai";
        assert_eq!((standard.is_some(), own.is_some()), (!has_own, has_own), "{}", answer.head);
        assert_eq!(answer.header("ratelimit-policy").is_some(), !has_own);
    }
}

#[test]
fn settled_a_reached_rate_is_429_with_the_vendors_words_and_a_retry_hint() {
    for vendor in vendors() {
        let (keyward, upstream) = behind(vendor.preset);
        // The presets' rates are for times from a second to an hour: here all are for an hour.
        let plan = keyward.terms().text("project.default_plan").unwrap().to_owned();
        keyward.amend(&format!("[plans.{plan}.rates.requests]\nper = \"1h\"\n"));
        let limit = |limit: u64, burst: u64| {
            keyward.set_limits(keyward.project(), json!({"requests": {"limit": limit, "burst": burst}}));
        };
        limit(120, 1);
        vendor.send(&keyward).expect(200);
        let refused = vendor.send(&keyward);
        vendor.expect_limited(&refused, 429, ("rate_limited", vendor.rate));
        assert!(retry_after(&refused) <= 30, "{}", refused.head);
        // One in two minutes: longer than clients wait, and they are told not to try.
        limit(30, 1);
        let refused = vendor.send(&keyward);
        vendor.expect_limited(&refused, 429, ("rate_limited", vendor.rate));
        assert!((61..=120).contains(&retry_after(&refused)), "{}", refused.head);
        // None at all: waiting does not help.
        limit(0, 0);
        let refused = vendor.send(&keyward);
        vendor.expect_limited(&refused, 429, ("rate_limited", vendor.rate));
        assert_eq!(retry_after(&refused), 365 * 86_400, "{}", vendor.preset);
        assert_eq!(upstream.count(), 1, "{}", vendor.preset);
    }
}

#[test]
fn settled_a_spent_quota_has_the_vendors_status_and_words_and_a_retry_hint() {
    for vendor in vendors() {
        let Some((quota, status, text)) = vendor.quota else { continue };
        let (keyward, upstream) = behind(vendor.preset);
        keyward.lift_limits();
        keyward.set_limits(keyward.project(), json!({quota: {"limit": 1}}));
        vendor.send(&keyward).expect(200);
        let refused = vendor.send(&keyward);
        vendor.expect_limited(&refused, status, ("quota_exceeded", text));
        let most = if quota == "daily" { 86_400 } else { 31 * 86_400 };
        assert!(retry_after(&refused) <= most, "{}", refused.head);
        assert_eq!(upstream.count(), 1);
    }
}

#[test]
fn settled_a_plan_without_access_has_the_vendors_status_and_words() {
    for vendor in vendors() {
        let (keyward, upstream) = behind(vendor.preset);
        keyward.lift_limits();
        vendor.send(&keyward).expect(200);
        let plan = keyward.terms().text("project.default_plan").unwrap().to_owned();
        keyward.amend(&format!("[plans.{plan}]\naccess = false\n"));
        let refused = vendor.send(&keyward);
        let (status, text) = vendor.gate;
        assert_eq!((refused.status, refused.json()), (status, (vendor.body)("plan_forbids", text)));
        assert_eq!(refused.header("retry-after"), None, "nothing to wait for");
        assert_eq!(upstream.count(), 1);
        keyward.amend(&format!("[plans.{plan}]\naccess = true\n"));
        vendor.send(&keyward).expect(200);
    }
}
