//! T08: once the deletion of an organization has returned, nothing of it opens, however many are asking.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reqwest::Method;
use serde_json::json;

use crate::harness::{Caller, Keyward, eventually};

/// A request that is asked over and over while an organization is deleted.
struct Load {
    address: String,
    request: Vec<u8>,
    /// Whether the organization stays.
    stays: bool,
    granted: AtomicUsize,
    /// Requests begun after the deletion had returned, and how many of them were granted.
    later: AtomicUsize,
    later_granted: AtomicUsize,
}

impl Load {
    fn new(address: String, request: Vec<u8>, stays: bool) -> Self {
        let none = AtomicUsize::default;
        Load { address, request, stays, granted: none(), later: none(), later_granted: none() }
    }

    fn press(&self, deleted: &AtomicBool, stop: &AtomicBool) {
        let mut caller = Caller::connect(&self.address);
        while !stop.load(Ordering::SeqCst) {
            let is_later = deleted.load(Ordering::SeqCst);
            // The gateway closes connections of what was taken away, also under a request: that is no answer,
            // and no grant.
            let Some(told) = caller.try_ask(&self.request) else {
                assert!(!self.stays, "another organization's connection was closed");
                self.later.fetch_add(is_later.into(), Ordering::SeqCst);
                continue;
            };
            // The gateway's echo says 200 only to a key that opens; the check listener says so in its answer.
            let is_granted = told.status == 200 && !told.says("\"valid\":false");
            assert!(is_granted || !self.stays, "another organization was affected: {told:?}");
            assert!(is_granted || matches!(told.status, 200 | 401), "{told:?}");
            self.granted.fetch_add(is_granted.into(), Ordering::SeqCst);
            self.later_granted.fetch_add((is_later && is_granted).into(), Ordering::SeqCst);
            self.later.fetch_add(is_later.into(), Ordering::SeqCst);
        }
    }
}

/// Makes keys until that is refused; their secrets.
fn make_until_refused(keyward: &Keyward, project: &str) -> Vec<String> {
    let mut secrets = Vec::new();
    loop {
        let reply = keyward.create(project, json!({}));
        match reply.status {
            201 => secrets.push(reply.json()["secret"].as_str().unwrap().to_owned()),
            404 | 409 => return secrets,
            _ => panic!("{}", reply.text),
        }
    }
}

#[test]
fn t08_deleting_an_organization_under_load_ends_its_keys() {
    let keyward = Keyward::dev("standard");
    let (_, staying, _) = keyward.new_organization("stays");
    let stays = keyward.make(&staying, json!({})).secret;
    for round in 0..3 {
        let (organization, project, _) = keyward.new_organization(&format!("leaves {round}"));
        let within = json!({"organization": organization});
        let (_, management_key) = keyward.management_key("leaves", &["*"], Some(within));
        let key = keyward.make(&project, json!({}));
        let load = |secret: &str, stays: bool| {
            [
                Load::new(keyward.check_address(), keyward.question(&json!({"key": secret})), stays),
                Load::new(keyward.gateway_address(), keyward.request("/v1/hello", secret), stays),
            ]
        };
        let loads: Vec<_> = load(&key.secret, false).into_iter().chain(load(&stays, true)).collect();
        let (deleted, stop) = (AtomicBool::new(false), AtomicBool::new(false));
        let of_all = |what: fn(&Load) -> &AtomicUsize, least: usize| {
            loads.iter().all(|load| what(load).load(Ordering::SeqCst) >= least).then_some(())
        };
        let made = std::thread::scope(|scope| {
            let pressing: Vec<_> = loads
                .iter()
                .flat_map(|load| [load, load])
                .map(|load| scope.spawn(|| load.press(&deleted, &stop)))
                .collect();
            let maker = scope.spawn(|| make_until_refused(&keyward, &project));
            eventually("all ask and are let in", || of_all(|load| &load.granted, 50));
            let gone = keyward.delete(&format!("/v1/organizations/{organization}")).expect(200).json();
            deleted.store(true, Ordering::SeqCst);
            assert_eq!(gone["organization"]["state"], "deleted", "{gone}");
            assert!(gone["in_force"].is_object(), "{gone}");
            let made = maker.join().unwrap();
            for secret in &made {
                assert!(!keyward.is_valid(secret), "a key made meanwhile opens");
            }
            eventually("all asked on for a while", || {
                let is_over = pressing.iter().any(|thread| thread.is_finished());
                if is_over { Some(()) } else { of_all(|load| &load.later, 200) }
            });
            stop.store(true, Ordering::SeqCst);
            made
        });
        for load in &loads {
            let (later, granted) = (load.later.load(Ordering::SeqCst), load.later_granted.load(Ordering::SeqCst));
            assert!(later >= 200, "{later} asked later");
            assert_eq!(granted, if load.stays { later } else { 0 }, "of {later} that asked later");
        }
        assert!(!made.is_empty(), "keys were being made meanwhile");
        // Nothing of it is there any more, for the operator, or for whoever held its management key.
        let key_path = format!("/v1/keys/{}", key.id);
        for path in [&key_path, &format!("/v1/projects/{project}"), &format!("/v1/organizations/{organization}")] {
            keyward.get(path).expect_problem(404, "not_found");
            let reply = keyward.control_as(&management_key, Method::GET, path, None);
            assert!(matches!(reply.status, 401 | 404), "{path}: {}", reply.text);
        }
        let revoke =
            keyward.control_as(&management_key, Method::POST, &format!("{key_path}/revoke"), Some(json!({})));
        assert!(matches!(revoke.status, 401 | 404), "{}", revoke.text);
    }
    assert!(keyward.is_valid(&stays));
}
