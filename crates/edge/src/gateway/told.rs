//! Answers that the gateway gives by itself, in the upstream's place: the contract says what is told, and a grant
//! that it may be.

use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{Method, StatusCode};
use keyward_core::contract::Told;
use keyward_core::decision::Grant;
use keyward_verify::limits::Charge;

use super::Visit;
use crate::asking::facts::Facts;
use crate::reply::{Content, Reply, X_REQUEST_ID, whole};

impl Visit<'_> {
    /// The answer of a route that the contract answers.
    pub(super) fn answer_told(&self, told: &Told, grant: &Grant, charge: &Charge, method: &Method) -> Reply {
        let contract = self.served.contract();
        let mut reply = write(told, &Facts::of(contract, charge, Some(grant)), method);
        let headers = reply.headers_mut();
        headers.insert(X_REQUEST_ID, self.request_id.clone());
        self.served.entrance.limits.tell(headers, contract, charge, Some(grant));
        reply
    }
}

fn write(told: &Told, facts: &Facts<'_>, method: &Method) -> Reply {
    let body = told.fill(&|fact| facts.value(fact)).to_string();
    let length = body.len();
    let mut reply = whole(StatusCode::OK, HeaderValue::from_static("application/json"), body);
    if method == Method::HEAD {
        reply.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        *reply.body_mut() = Content::Empty;
    }
    reply
}

#[cfg(test)]
mod tests {
    use keyward_core::contract::Needs;

    use super::*;
    use crate::asking::facts::tests::{contract, credits, facts, project, trial};

    const CREDITS: &str = "[[routes]]\npath = \"/api/credits\"\ncost = 0\n[routes.answer]\n\
                           left = \"{credits.remaining}\"\nrenews = [\"{credits.reset_after}\", \"{trial.reset_at}\"]\n\
                           requests = \"{requests.limit}\"\nplan = \"{plan.title}\"\njobs = { crawl = 0 }\n";

    #[test]
    fn an_answer_is_filled_in_and_head_gets_its_length() {
        let (contract, project) = (contract(CREDITS), project());
        let Needs::Route { route, .. } = contract.routes.needs("GET", "/api/credits") else { panic!("a route") };
        assert_eq!(route.cost, 0);
        let facts = facts(&contract, &project, [credits(), trial()]);
        let reply = write(route.answer.as_ref().unwrap(), &facts, &Method::GET);
        assert_eq!(
            (reply.status(), &reply.headers()["content-type"]),
            (StatusCode::OK, &"application/json".parse().unwrap())
        );
        assert_eq!(reply.headers()["cache-control"], "no-store");
        let Content::Whole(body) = reply.body() else { panic!("a body") };
        let expected = serde_json::json!({
            "left": 495, "renews": [777_600, null], "requests": null, "plan": "Größe S", "jobs": { "crawl": 0 },
        });
        assert_eq!(serde_json::from_slice::<serde_json::Value>(body).unwrap(), expected);
        let head = write(route.answer.as_ref().unwrap(), &facts, &Method::HEAD);
        assert_eq!(head.headers()["content-length"], body.len().to_string().as_str());
        assert!(matches!(head.body(), Content::Empty));
    }
}
