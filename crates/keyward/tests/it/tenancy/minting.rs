//! T06: nobody gets by a management key a wider one.

use keyward_core::permission::Permission;
use keyward_core::scope::Scopes;
use reqwest::Method;
use serde_json::{Value, json};

use super::world::World;
use crate::harness::{Keyward, Reply, in_seconds};

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// Some of everything that a scope can be.
    fn scopes(&mut self, one_in: usize) -> Vec<String> {
        let mut all: Vec<_> = Permission::ALL.iter().map(|permission| permission.scope()).collect();
        all.extend(["keys:*", "projects:*", "apis:*", "organizations:*", "management-keys:*"]);
        if self.one_in(8) {
            all.push("*");
        }
        all.into_iter().filter(|_| self.one_in(one_in)).map(str::to_owned).collect()
    }
}

fn mint(keyward: &Keyward, secret: &str, wish: &Value) -> Reply {
    keyward.control_as(secret, Method::POST, "/v1/management-keys", Some(wish.clone()))
}

#[test]
fn t06_a_management_key_never_mints_wider_than_itself() {
    let keyward = Keyward::dev("standard");
    let mut dice = Dice(6);
    let (mut minted, mut refused) = (0, 0);
    for round in 0..40 {
        let mut own = dice.scopes(3);
        own.push("management-keys:write".to_owned());
        let own_scopes = Scopes::new(&own).unwrap();
        let (_, secret) = keyward.management_key("own", &own.iter().map(String::as_str).collect::<Vec<_>>(), None);
        for _ in 0..6 {
            let mut asked = match round % 2 {
                0 => dice.scopes(8),
                _ => own.iter().filter(|_| dice.one_in(2)).cloned().collect(),
            };
            if asked.is_empty() {
                asked.push("verify".to_owned());
            }
            let reply = mint(&keyward, &secret, &json!({"name": "asked", "scopes": asked}));
            if Scopes::new(&asked).unwrap().is_within(&own_scopes) {
                let made = reply.expect(201).json();
                let got = made["management_key"]["scopes"].as_array().unwrap();
                let got = Scopes::new(got.iter().map(|scope| scope.as_str().unwrap())).unwrap();
                assert!(got.is_within(&own_scopes), "{own:?} made {made}");
                minted += 1;
            } else {
                let reply = reply.expect_problem(403, "forbidden");
                assert!(reply.json().get("secret").is_none());
                refused += 1;
            }
        }
    }
    assert!(minted > 40 && refused > 40, "{minted} minted, {refused} refused");
}

#[test]
fn t06_nor_further_nor_longer_nor_by_a_rotation() {
    let world = World::with(2, 2);
    let (keyward, [own, sibling, other, _]) = (&world.keyward, &world.tenants[..]) else { panic!() };
    let everything = ["everything", "null", "organization of others", "project of others", "own organization"];
    let withins = [
        json!({}),
        json!({"organization": null}),
        json!({"organization": other.ids.organization}),
        json!({"project": other.ids.project}),
        json!({"organization": own.ids.organization}),
        json!({"project": sibling.ids.project}),
        json!({"organization": own.ids.organization, "project": own.ids.project}),
        json!("everything"),
    ];
    let before = keyward.revision();
    for (within, what) in withins.iter().zip(everything.iter().chain(["sibling", "both", "a word"].iter())) {
        let wish = json!({"name": "x", "scopes": ["keys:read"], "within": within});
        let told = mint(keyward, &own.for_project, &wish).expect_problem(422, "invalid").json();
        assert!(told["errors"][0]["field"].as_str().unwrap().starts_with("within"), "{what}: {told}");
    }
    assert_eq!(keyward.revision(), before);
    // Where nothing is said it is the maker's reach; and one link further on it still is.
    let mut secret = own.for_project.clone();
    for _ in 0..3 {
        let made =
            mint(keyward, &secret, &json!({"name": "x", "scopes": ["*"], "within": null})).expect(201).json();
        assert_eq!(made["management_key"]["within"], json!({"project": own.ids.project}));
        secret = made["secret"].as_str().unwrap().to_owned();
        let read = |id: &str| keyward.control_as(&secret, Method::GET, &format!("/v1/keys/{id}"), None).status;
        assert_eq!((read(&own.key.id), read(&sibling.key.id), read(&other.key.id)), (200, 404, 404));
    }
    // Its life.
    let end = in_seconds(600);
    let wish = json!({"name": "short", "scopes": ["management-keys:*", "keys:read"], "expires_at": end});
    let short = mint(keyward, &secret, &wish).expect(201).json();
    let short = short["secret"].as_str().unwrap();
    let longer = json!({"name": "x", "scopes": ["keys:read"], "expires_at": in_seconds(700)});
    assert_eq!(
        mint(keyward, short, &longer).expect_problem(422, "invalid").json()["errors"][0]["field"],
        "expires_at"
    );
    for unsaid in [
        json!({"name": "x", "scopes": ["keys:read"]}),
        json!({"name": "x", "scopes": ["keys:read"], "expires_at": null}),
    ] {
        let made = mint(keyward, short, &unsaid).expect(201).json();
        assert_eq!(made["management_key"]["expires_at"], json!(end));
    }
    // Rotating a wider, further or longer one; its holder may.
    for wider in [&own.ids.management_key, &other.ids.management_key] {
        let rotate = format!("/v1/management-keys/{wider}/rotate");
        let reply = keyward.control_as(short, Method::POST, &rotate, Some(json!({})));
        assert!(matches!(reply.status, 403 | 404), "{}", reply.text);
        assert!(reply.json().get("secret").is_none());
    }
    let rotate = format!("/v1/management-keys/{}/rotate", own.ids.management_key);
    let rotated = keyward.control_as(&own.for_project, Method::POST, &rotate, Some(json!({}))).expect(201).json();
    assert_eq!(rotated["management_key"]["within"], json!({"project": own.ids.project}));
}
