//! Several nodes on one PostgreSQL, each on a line of its own, and what stories ask of them.

use std::time::Duration;

use keyward_store::conformance::server::{PostgresServer, ServerOptions};
use reqwest::Method;
use reqwest::blocking::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::history::Answer;
use super::node::{Node, Start};
use crate::harness::{Caller, Key, Reply, offline};

/// What every cluster's contract says beside the standard one: room for as many keys as a story makes.
const CONTRACT: &str = "schema = 1\napi = \"standard\"\nextends = \"standard\"\n[key]\nactive_limit = 1000000\n";

/// A database whose commits reach the disk.
pub fn durable() -> PostgresServer {
    PostgresServer::start_with(ServerOptions { is_durable: true, ..ServerOptions::default() })
}

/// Nodes on one database. Everything is ended when it is dropped.
pub struct Cluster {
    pub nodes: Vec<Node>,
    pub postgres: PostgresServer,
    pub organization: String,
    pub project: String,
    pub management_key: String,
    /// Waits long enough for a lease to run out.
    pub http: Client,
    _folder: TempDir,
}

impl Cluster {
    /// Three nodes with a lease of a second, on a database that syncs.
    pub fn new() -> Self {
        Self::of(3, durable(), &[("KEYWARD_NODE_LEASE_MILLISECONDS", "1000")])
    }

    /// So many nodes, with these further variables of the environment.
    pub fn of(count: usize, postgres: PostgresServer, environment: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        postgres.create_database("keyward");
        let environment: Vec<_> = environment.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let first = folder.path().join("node-0");
        let url = postgres.url("keyward");
        let contract = folder.path().join("contract.toml");
        std::fs::write(&contract, CONTRACT).unwrap();
        offline::run_with_env(&first, &["init"], &[("KEYWARD_STORE_URL", &url)]).expect_done();
        let profile: toml::Table = std::fs::read_to_string(first.join("cli.toml")).unwrap().parse().unwrap();
        let management_key = profile["management_key"].as_str().unwrap().to_owned();
        let nodes = (0..count).map(|number| {
            let dir = folder.path().join(format!("node-{number}"));
            if number > 0 {
                std::fs::create_dir(&dir).unwrap();
                std::fs::copy(first.join("secrets.toml"), dir.join("secrets.toml")).unwrap();
            }
            let environment = environment.clone();
            Node::start(Start { number, dir: &dir, port: postgres.port(), database: "keyward", environment })
        });
        let nodes = nodes.collect();
        let http = Client::builder().timeout(Duration::from_secs(30)).no_proxy().build().unwrap();
        let (organization, project) = (String::new(), String::new());
        let mut cluster = Cluster { nodes, postgres, organization, project, management_key, http, _folder: folder };
        cluster.furnish();
        cluster
    }

    /// The contract, an organization and a project.
    fn furnish(&mut self) {
        self.amend("");
        let made = self.post(0, "/v1/organizations", json!({"name": "Acme"})).expect(201).json();
        self.organization = made["organization"]["id"].as_str().unwrap().to_owned();
        self.project = self.new_project("first");
    }

    /// Puts the contract in force with these lines behind it.
    pub fn amend(&self, lines: &str) {
        let request = self.http.put(format!("{}/v1/apis/standard", self.nodes[0].addresses.control_url));
        let request = request.bearer_auth(&self.management_key).header("content-type", "application/toml");
        let answer = Reply::from(request.body(format!("{CONTRACT}{lines}")).send().unwrap());
        assert!(answer.status < 300, "{answer:?}");
    }

    /// A further project of the organization.
    pub fn new_project(&self, name: &str) -> String {
        let path = format!("/v1/organizations/{}/projects", self.organization);
        let made = self.post(0, &path, json!({"name": name, "api": "standard"})).expect(201).json();
        made["project"]["id"].as_str().unwrap().to_owned()
    }

    /// A management call to one of the nodes; none where it does not answer.
    pub fn try_control(&self, node: usize, method: Method, path: &str, body: Option<Value>) -> Option<Reply> {
        let url = format!("{}{path}", self.nodes[node].addresses.control_url);
        let mut request = self.http.request(method, url).bearer_auth(&self.management_key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Some(request.send().ok()?.into())
    }

    #[track_caller]
    pub fn control(&self, node: usize, method: Method, path: &str, body: Option<Value>) -> Reply {
        self.try_control(node, method, path, body).expect("the node answers")
    }

    #[track_caller]
    pub fn get(&self, node: usize, path: &str) -> Reply {
        self.control(node, Method::GET, path, None)
    }

    #[track_caller]
    pub fn post(&self, node: usize, path: &str, body: Value) -> Reply {
        self.control(node, Method::POST, path, Some(body))
    }

    /// Makes a key by one of the nodes.
    #[track_caller]
    pub fn make_key(&self, node: usize) -> Key {
        self.make_key_with(node, json!({}))
    }

    #[track_caller]
    pub fn make_key_with(&self, node: usize, body: Value) -> Key {
        Key::of(&self.post(node, &format!("/v1/projects/{}/keys", self.project), body).expect(201))
    }

    /// Revokes a key by one of the nodes.
    #[track_caller]
    pub fn revoke(&self, node: usize, key: &str) -> Reply {
        self.post(node, &format!("/v1/keys/{key}/revoke"), json!({"acknowledge": true}))
    }

    /// Asks one of the nodes about a secret.
    pub fn verify(&self, node: usize, secret: &str) -> Answer {
        self.checker(node).ask(&self.question(secret))
    }

    /// A kept connection to a node's check listener.
    pub fn checker(&self, node: usize) -> Checker {
        self.nodes[node].checker()
    }

    /// The bytes of a question about a secret, for any node.
    pub fn question(&self, secret: &str) -> Vec<u8> {
        question(&self.management_key, secret)
    }

    /// Asks all of them.
    pub fn verify_everywhere(&self, secret: &str) -> Vec<Answer> {
        (0..self.nodes.len()).map(|node| self.verify(node, secret)).collect()
    }
}

/// The bytes of a question about a secret to a check listener.
pub fn question(management_key: &str, secret: &str) -> Vec<u8> {
    let body = json!({"key": secret}).to_string();
    format!(
        "POST /v1/verify HTTP/1.1\r\nHost: keyward\r\nAuthorization: Bearer {management_key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A kept connection to a check listener that may go away and come back.
pub struct Checker {
    address: String,
    caller: Option<Caller>,
}

impl Checker {
    /// To somebody who may listen at `host:port`.
    pub fn at(address: &str) -> Self {
        Checker { address: address.to_owned(), caller: None }
    }

    /// Asks; a broken connection is made anew for the next question.
    pub fn ask(&mut self, question: &[u8]) -> Answer {
        if self.caller.is_none() {
            self.caller = Caller::try_connect(&self.address);
        }
        let Some(told) = self.caller.as_mut().and_then(|caller| caller.try_ask(question)) else {
            self.caller = None;
            return Answer::None;
        };
        match told.status {
            200 if told.is_grant() => Answer::Granted,
            200 if told.says("\"code\":\"unavailable\"") => Answer::Unavailable,
            200 => Answer::Denied,
            // Not even the management key could be looked at: nothing was decided.
            503 => Answer::Unavailable,
            other => panic!("a verification was answered {other}: {}", String::from_utf8_lossy(&told.body)),
        }
    }
}
