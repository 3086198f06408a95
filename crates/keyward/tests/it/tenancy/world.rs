//! Many customers on one server, each with management keys of its own; and what answers are compared by.

use serde_json::{Value, json};

use crate::harness::{Ids, Key, Keyward, Operation, Reply};

/// A project of a customer, with all that can be named of it.
pub struct Tenant {
    pub ids: Ids,
    pub key: Key,
    /// The secret of a management key for the organization.
    pub for_organization: String,
    /// The secret of a management key for the project, whose id is among `ids`.
    pub for_project: String,
}

/// A server with so many organizations and projects in each.
pub struct World {
    pub keyward: Keyward,
    pub tenants: Vec<Tenant>,
}

impl World {
    pub fn with(organizations: usize, projects: usize) -> Self {
        let keyward = Keyward::dev("standard");
        let mut tenants = Vec::new();
        for number in 0..organizations {
            let (organization, first, _) = keyward.new_organization(&format!("customer {number}"));
            let within = json!({"organization": organization});
            let (_, for_organization) = keyward.management_key("organization's", &["*"], Some(within));
            let wish = json!({"name": "another", "api": keyward.started.api});
            let path = format!("/v1/organizations/{organization}/projects");
            let more = (1..projects).map(|_| {
                let made = keyward.post(&path, wish.clone()).expect(201).json();
                made["project"]["id"].as_str().unwrap().to_owned()
            });
            for project in std::iter::once(first).chain(more) {
                tenants.push(Tenant::of(&keyward, &organization, project, &for_organization));
            }
        }
        World { keyward, tenants }
    }

    /// What only the operator holds: the first project, and the key that everything was made with.
    pub fn operators(&self) -> Ids {
        let started = &self.keyward.started;
        let asking = self.keyward.get("/v1/whoami").expect(200).json();
        let revoked = self.keyward.post("/v1/revocations", json!({"keys": [started.key_id]})).expect(200).json();
        let operators = self.keyward.get("/v1/people?operator=true").expect(200).json();
        Ids {
            person: operators["items"][0]["id"].as_str().unwrap().to_owned(),
            invitation: invitation(&self.keyward, &started.organization, "operators"),
            api: started.api.clone(),
            organization: started.organization.clone(),
            project: started.project.clone(),
            key: started.key_id.clone(),
            management_key: asking["management_key"]["id"].as_str().unwrap().to_owned(),
            revocation: revoked["id"].as_str().unwrap().to_owned(),
        }
    }
}

impl Tenant {
    fn of(keyward: &Keyward, organization: &str, project: String, for_organization: &str) -> Self {
        let within = json!({"project": project});
        let (management_key, for_project) = keyward.management_key("project's", &["*"], Some(within));
        let key = keyward.make(&project, json!({"name": "in use"}));
        let ended = keyward.make(&project, json!({"name": "ended"}));
        let ending = Some(json!({"keys": [ended.id]}));
        let ended = keyward.control_as(&for_project, reqwest::Method::POST, "/v1/revocations", ending).expect(200);
        let ids = Ids {
            person: member(keyward, organization, &format!("member-of-{project}@example.com")),
            invitation: invitation(keyward, organization, &project),
            api: keyward.started.api.clone(),
            organization: organization.to_owned(),
            project,
            key: key.id.clone(),
            management_key,
            revocation: ended.json()["id"].as_str().unwrap().to_owned(),
        };
        Tenant { ids, key, for_organization: for_organization.to_owned(), for_project }
    }
}

/// An open invitation to an organization; its id.
fn invitation(keyward: &Keyward, organization: &str, mailbox: &str) -> String {
    let wish = json!({"email": format!("{mailbox}@example.com"), "role": "viewer"});
    let made = keyward.post(&format!("/v1/organizations/{organization}/invitations"), wish).expect(201).json();
    made["invitation"]["id"].as_str().unwrap().to_owned()
}

/// Somebody who accepted an invitation to an organization; their id.
fn member(keyward: &Keyward, organization: &str, email: &str) -> String {
    let at = |what: &str| format!("/v1/organizations/{organization}/{what}");
    let made = keyward.post(&at("invitations"), json!({"email": email, "role": "developer"})).expect(201).json();
    let accepted = reqwest::blocking::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap()
        .post(made["link"].as_str().unwrap())
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("name=Somebody&password=tangerine+boat+seven")
        .send()
        .unwrap();
    assert_eq!(accepted.status().as_u16(), 303);
    let members = keyward.get(&at("members")).expect(200).json();
    let members = members["items"].as_array().unwrap();
    // An address is kept in lower case.
    let found = members.iter().find(|member| member.to_string().contains(&email.to_lowercase()));
    let found = found.unwrap_or_else(|| panic!("{email} is none of {members:?}"));
    found["person"]["id"].as_str().or(found["id"].as_str()).expect("a person's id").to_owned()
}

/// Ids of nothing at all, in the shapes that things have here.
pub fn nothing(like: &Ids) -> Ids {
    let (head, tail) = like.revocation.split_at(like.revocation.len() - 8);
    let tail: String = tail.chars().rev().map(|c| if c == 'A' { 'B' } else { 'A' }).collect();
    Ids { api: like.api.clone(), revocation: format!("{head}{tail}"), ..Ids::of_nothing() }
}

/// The requests of an operation that name a customer's things, each with its body. None where an operation
/// names nothing that is a customer's.
pub fn requests(operation: &Operation, ids: &Ids) -> Vec<(String, Option<Value>)> {
    let path = operation.at(ids);
    let bodies = match (operation.method.as_str(), operation.path.as_str()) {
        ("POST", "/v1/revocations") => vec![
            json!({"keys": [ids.key]}),
            json!({"project": ids.project}),
            json!({"organization": ids.organization}),
        ],
        ("POST", "/v1/management-keys") => vec![
            json!({"name": "x", "scopes": ["keys:read"], "within": {"project": ids.project}}),
            json!({"name": "x", "scopes": ["keys:read"], "within": {"organization": ids.organization}}),
        ],
        ("PATCH", "/v1/projects/{project}") => vec![json!({"name": "x"}), json!({"active_key_limit": 1})],
        // Neither an API nor a version of the node's own keys is anybody's.
        _ if operation.places().iter().all(|place| matches!(*place, "api" | "version")) => return Vec::new(),
        _ => return vec![(path, operation.body(ids))],
    };
    bodies.into_iter().map(|body| (path.clone(), Some(body))).collect()
}

/// All that a caller sees of an answer but for the id that every request gets and the time.
#[derive(Debug, PartialEq, Eq)]
pub struct Face {
    pub status: u16,
    pub body: String,
    headers: Vec<String>,
}

impl Face {
    #[track_caller]
    pub fn of(reply: &Reply) -> Self {
        let id = reply.header("x-request-id").expect("every answer has an id");
        assert!(reply.status < 400 || reply.text.contains(id), "{}", reply.text);
        let told = |name: &str| name != "x-request-id" && name != "date";
        let mut headers: Vec<_> = reply
            .headers
            .iter()
            .map(|(name, value)| match told(name.as_str()) {
                true => format!("{name}: {}", value.to_str().unwrap()),
                false => name.to_string(),
            })
            .collect();
        headers.sort();
        Face { status: reply.status, body: reply.text.replace(id, "(id)"), headers }
    }
}
