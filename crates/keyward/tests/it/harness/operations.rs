//! Every operation of the control plane, as its own OpenAPI document lists them, with a request for each that
//! is right: for stories that ask all of them something. A new operation is met by them without being named.

use reqwest::Method;
use serde_json::{Value, json};

use super::server::{Keyward, Reply};

/// One operation.
#[derive(Debug, Clone)]
pub struct Operation {
    pub method: Method,
    pub path: String,
    /// The scope that it takes; `any` for whoever has a management key.
    pub scope: String,
    /// Its query parameters.
    pub query: Vec<String>,
    /// Whether it takes a JSON body.
    pub takes_json: bool,
    /// Whether it takes a contract's text.
    pub takes_text: bool,
}

/// What stands in the places of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    pub api: String,
    pub organization: String,
    pub project: String,
    pub key: String,
    pub management_key: String,
    pub revocation: String,
    pub person: String,
    pub invitation: String,
}

impl Ids {
    fn of(&self, place: &str) -> &str {
        match place {
            "api" => &self.api,
            "organization" => &self.organization,
            "project" => &self.project,
            "key" => &self.key,
            "management_key" => &self.management_key,
            "revocation" => &self.revocation,
            "person" => &self.person,
            "invitation" => &self.invitation,
            // Of a key-encryption key: that of a fresh folder.
            "version" => "1",
            other => panic!("a story has to learn what {{{other}}} in a path is"),
        }
    }

    /// Ids of the right shape that nothing has.
    pub fn of_nothing() -> Ids {
        use keyward_core::clock::SystemEntropy;
        use keyward_core::id::{InvitationId, KeyId, ManagementKeyId, OrganizationId, PersonId, ProjectId};
        Ids {
            api: "no-such-api".into(),
            organization: OrganizationId::random(&SystemEntropy).to_string(),
            project: ProjectId::random(&SystemEntropy).to_string(),
            key: KeyId::random(&SystemEntropy).to_string(),
            management_key: ManagementKeyId::random(&SystemEntropy).to_string(),
            revocation: "AAAAAAAAAAAAAAAAAAAAAA".into(),
            person: PersonId::random(&SystemEntropy).to_string(),
            invitation: InvitationId::random(&SystemEntropy).to_string(),
        }
    }
}

impl Operation {
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub fn is_read(&self) -> bool {
        self.method == Method::GET
    }

    /// The places in its path.
    pub fn places(&self) -> Vec<&str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect()
    }

    /// Its path with ids in the places.
    pub fn at(&self, ids: &Ids) -> String {
        let parts =
            self.path.split('/').map(|part| match part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
                Some(place) => ids.of(place),
                None => part,
            });
        parts.collect::<Vec<_>>().join("/")
    }

    /// A JSON body that is right, about these things.
    pub fn body(&self, ids: &Ids) -> Option<Value> {
        if !self.takes_json {
            return None;
        }
        Some(match (self.method.as_str(), self.path.as_str()) {
            ("POST", "/v1/organizations") | ("PATCH", "/v1/organizations/{organization}") => {
                json!({"name": "a name"})
            }
            ("POST", "/v1/organizations/{organization}/projects") => json!({"name": "a name", "api": ids.api}),
            ("PATCH", "/v1/projects/{project}") => json!({"name": "a name"}),
            ("POST", "/v1/projects/{project}/keys") => json!({"name": "a name"}),
            ("POST", "/v1/projects/{project}/keys/regenerate") => json!({"overlap_seconds": 0}),
            ("PATCH", "/v1/keys/{key}") => json!({"name": "a name"}),
            ("POST", "/v1/keys/{key}/rotate") => json!({"overlap_seconds": 0}),
            ("POST", "/v1/keys/{key}/revoke") => json!({"reason": "a story"}),
            ("POST", "/v1/revocations") => json!({"project": ids.project, "reason": "a story"}),
            ("POST", "/v1/management-keys") => {
                json!({"name": "a name", "scopes": ["keys:read"], "within": {"project": ids.project}})
            }
            ("POST", "/v1/organizations/{organization}/invitations") => {
                json!({"email": "ada@example.com", "role": "viewer"})
            }
            ("PATCH", "/v1/organizations/{organization}/members/{person}") => json!({"role": "viewer"}),
            ("PUT", "/v1/projects/{project}/destination") => json!({"url": "https://api.example.com"}),
            ("POST", "/v1/projects/{project}/data-keys/shred") => json!({"acknowledge": true}),
            ("PATCH", "/v1/people/{person}") => json!({"disabled": true}),
            _ => json!({}),
        })
    }

    /// Asks it with a management key.
    pub fn ask(&self, keyward: &Keyward, management_key: &str, ids: &Ids) -> Reply {
        self.ask_with(keyward, management_key, &self.at(ids), self.body(ids))
    }

    /// The same with a path and body of one's own.
    pub fn ask_with(&self, keyward: &Keyward, management_key: &str, path: &str, body: Option<Value>) -> Reply {
        let url = format!("{}{path}", keyward.started.control_url);
        let request = keyward.http.request(self.method.clone(), url).bearer_auth(management_key);
        let request = match body {
            Some(body) => request.json(&body),
            None if self.takes_text => {
                request.header("content-type", "application/toml").body("extends = \"standard\"\nschema = 1\n")
            }
            None => request,
        };
        request.send().unwrap().into()
    }
}

impl Keyward {
    /// Every operation of the control plane.
    pub fn operations(&self) -> Vec<Operation> {
        let document = self.get("/openapi.json").expect(200).json();
        let mut operations = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, described) in methods.as_object().unwrap() {
                let content = &described["requestBody"]["content"];
                let parameters = described["parameters"].as_array().into_iter().flatten();
                let query = parameters.filter(|parameter| parameter["in"] == "query");
                operations.push(Operation {
                    method: method.to_uppercase().parse().unwrap(),
                    path: path.clone(),
                    scope: described["x-scope"]
                        .as_str()
                        .unwrap_or_else(|| panic!("{path} takes no scope"))
                        .to_owned(),
                    query: query.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect(),
                    takes_json: content["application/json"].is_object(),
                    takes_text: content["text/plain"].is_object() || content["application/toml"].is_object(),
                });
            }
        }
        assert!(operations.len() >= 40, "the document lists {} operations", operations.len());
        operations
    }

    /// Makes a management key; its id and secret.
    #[track_caller]
    pub fn management_key(&self, name: &str, scopes: &[&str], within: Option<Value>) -> (String, String) {
        let mut wish = json!({"name": name, "scopes": scopes});
        if let Some(within) = within {
            wish["within"] = within;
        }
        let made = self.post("/v1/management-keys", wish).expect(201).json();
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
        (text(&made["management_key"]["id"]), text(&made["secret"]))
    }

    /// The last revision of the log.
    #[track_caller]
    pub fn revision(&self) -> i64 {
        self.get("/v1/changes/head").expect(200).json()["revision"].as_i64().unwrap()
    }

    /// The whole log, oldest first.
    #[track_caller]
    pub fn changes(&self) -> Vec<Value> {
        let (mut changes, mut after) = (Vec::new(), 0);
        loop {
            let part = self.get(&format!("/v1/changes?after={after}&limit=200")).expect(200).json();
            let items = part["items"].as_array().unwrap();
            let Some(last) = items.last() else { return changes };
            after = last["revision"].as_i64().unwrap();
            changes.extend(items.iter().cloned());
        }
    }
}
