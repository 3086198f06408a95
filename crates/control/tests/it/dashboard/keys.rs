//! The pages of keys, as forms are sent to them: what is edited and what stays, lists longer than one part, projects with
//! one key, and forms that are sent twice.

use std::time::Duration;

use axum::body::Body;
use keyward_core::people::Role;
use serde_json::{Value, json};

use super::target;
use crate::support::{World, request};

/// A contract of its own, over the standard one.
fn own(rules: &str) -> String {
    format!("schema = 1\nextends = \"standard\"\napi = \"own\"\n{rules}")
}

impl World {
    async fn owner(&self) -> String {
        self.member("owner@example.com", Role::Owner).await.secret.expose().to_owned()
    }

    /// Puts another contract in force.
    async fn govern(&self, rules: &str) {
        let request =
            request(&self.operator, "PUT", "/v1/apis/own", &[("content-type", "text/plain")], Value::Null);
        let (parts, _) = request.into_parts();
        self.send(http::Request::from_parts(parts, Body::from(own(rules)))).await.expect(200);
    }

    async fn key_now(&self, id: &str) -> Value {
        self.get(&format!("/v1/keys/{id}")).await.expect(200).json["key"].clone()
    }

    fn keys_path(&self) -> String {
        format!("/projects/{}/keys", self.project)
    }

    async fn made(&self, wish: Value) -> String {
        self.create(wish).await.expect(201).text("/key/id").to_owned()
    }
}

#[tokio::test]
async fn a_key_that_is_renamed_may_no_more_than_before() {
    let world = World::with_contract("own", &own("[scopes]\n\"a:x\" = \"A\"\nb = \"B\"\n")).await;
    let session = world.owner().await;
    let key = world.made(json!({ "name": "old", "scopes": ["a:*"] })).await;
    let page = world.open(&session, &format!("/keys/{key}/edit")).await.expect(200);
    assert!(page.body.contains("<code>a:*</code>"), "{}", page.body);
    world.submit(&session, &format!("/keys/{key}/edit"), "name=new").await.expect(303);
    let now = world.key_now(&key).await;
    assert_eq!((&now["name"], &now["scopes"]), (&json!("new"), &json!(["a:*"])));
    // Ticking one adds it.
    world.submit(&session, &format!("/keys/{key}/edit"), "name=new&scope=b").await.expect(303);
    assert_eq!(world.key_now(&key).await["scopes"], json!(["a:*", "b"]));
}

#[tokio::test]
async fn a_key_that_is_renamed_keeps_what_a_later_contract_does_not_offer() {
    let world = World::with_contract("own", &own("[scopes]\ngone = \"G\"\nb = \"B\"\n")).await;
    let session = world.owner().await;
    let end = "2027-01-31T23:59:59.999Z";
    let key = world
        .made(json!({
            "name": "old", "scopes": ["gone"], "addresses": ["192.0.2.0/24"], "expires_at": end,
            "metadata": { "team": "billing" },
        }))
        .await;
    let before = world.key_now(&key).await;
    world.govern("[key]\naddresses = false\nmetadata = false\nexpiry.offered = false\n[scopes]\nb = \"B\"\n").await;
    let form = "name=new&until=&scopes=&resources=&addresses=&metadata=";
    world.submit(&session, &format!("/keys/{key}/edit"), form).await.expect(303);
    let now = world.key_now(&key).await;
    assert_eq!(now["name"], "new");
    for field in ["scopes", "addresses", "expires_at", "metadata"] {
        assert_eq!(now[field], before[field], "{field}");
    }
    // Nor does a scope that the contract names no more stand in the way of another.
    world.submit(&session, &format!("/keys/{key}/edit"), "name=new&scope=b").await.expect(303);
    assert_eq!(world.key_now(&key).await["scopes"], json!(["b", "gone"]));
}

/// The keys that a page offers to revoke.
fn revocable(page: &str) -> Vec<String> {
    let paths = page.split("href=\"/keys/").skip(1).filter_map(|rest| rest.split_once('"'));
    paths.filter_map(|(path, _)| path.strip_suffix("/revoke")).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_list_of_more_live_keys_than_one_part_holds_shows_each_of_them_once() {
    let world = World::with("standard").await;
    let session = world.owner().await;
    let mut live = vec![world.key.0.clone()];
    for many in [50, 51, 60, 100] {
        while live.len() < many {
            live.push(world.made(json!({})).await);
            world.clock.advance(Duration::from_secs(1));
        }
        let mut shown = Vec::new();
        for part in 1..=many.div_ceil(50) {
            let page = world.open(&session, &format!("{}?part={part}", world.keys_path())).await.expect(200);
            assert!(page.body.contains(&format!("{many} of 100 active")), "{many}");
            assert_eq!(page.body.contains("id=\"full\""), many == 100, "{many}");
            assert_eq!(page.body.contains(&format!("The newest 50 of {many} active keys")), many > 50, "{many}");
            let here = revocable(&page.body);
            assert!(here.len() <= 50, "{many}");
            shown.extend(here);
        }
        shown.sort();
        let mut all = live.clone();
        all.sort();
        assert_eq!(shown, all, "{many}");
    }
}

#[tokio::test]
async fn keys_of_a_project_whose_own_limit_is_wider_than_its_contracts_are_rotated_and_revoked_one_by_one() {
    let world = World::with_contract("own", &own("[key]\nactive_limit = 1\nname.offered = false\n")).await;
    let session = world.owner().await;
    let (first, path) = (world.key.0.clone(), world.keys_path());
    let page = world.open(&session, &path).await.expect(200).body;
    assert!(page.contains(&format!("{path}/regenerate")) && !page.contains(&format!("/keys/{first}/rotate")));
    let limit = json!({ "active_key_limit": 2 });
    world.patch(&format!("/v1/projects/{}", world.project), limit).await.expect(200);
    world.submit(&session, &path, "").await.expect(200);
    let page = world.open(&session, &path).await.expect(200).body;
    assert_eq!(revocable(&page).len(), 2, "{page}");
    assert!(page.contains(&format!("/keys/{first}/rotate")) && !page.contains("/regenerate"), "{page}");
    world.submit(&session, &format!("/keys/{first}/rotate"), "overlap=0").await.expect(200);
    // Also where the wider limit is taken back while two keys are live.
    let limit = json!({ "active_key_limit": null });
    world.patch(&format!("/v1/projects/{}", world.project), limit).await.expect(200);
    let page = world.open(&session, &path).await.expect(200).body;
    let live = revocable(&page);
    assert_eq!(live.len(), 2, "{page}");
    world.submit(&session, &format!("/keys/{}/revoke", live[0]), "").await.expect(303);
    assert_eq!(world.live_keys().await, 1);
}

#[tokio::test]
async fn a_projects_one_key_is_named_edited_disabled_and_enabled_on_the_dashboard() {
    let rules = "[key]\nactive_limit = 1\nname = { offered = true, required = true, min_chars = 3 }\n";
    let world = World::with_contract("own", &own(rules)).await;
    let session = world.owner().await;
    let path = world.keys_path();
    world.submit(&session, &format!("/keys/{}/revoke", world.key.0), "").await.expect(303);
    let page = world.open(&session, &path).await.expect(200).body;
    assert!(page.contains("name=\"name\""), "{page}");
    let elsewhere = world.open(&session, &format!("{path}/regenerate")).await;
    assert_eq!(target(&elsewhere), path);
    // Nor is a new one asked for, without a name, by who would replace a key that has ended since.
    let late = format!("replaces={}&acknowledge=yes", world.key.0);
    assert_eq!(target(&world.submit(&session, &format!("{path}/regenerate"), &late).await), path);
    let refused = world.submit(&session, &path, "name=x").await.expect(422);
    assert!(refused.body.contains("value=\"x\""), "{}", refused.body);
    world.submit(&session, &path, "name=backend").await.expect(200);
    let page = world.open(&session, &path).await.expect(200).body;
    let key = revocable(&page)[0].clone();
    assert!(page.contains(&format!("/keys/{key}/edit")), "{page}");
    world.submit(&session, &format!("/keys/{key}/disable"), "").await.expect(303);
    let page = world.open(&session, &path).await.expect(200).body;
    assert!(page.contains(&format!("/keys/{key}/enable")), "{page}");
    world.submit(&session, &format!("/keys/{key}/enable"), "").await.expect(303);
    assert_eq!(world.live_keys().await, 1);
}

#[tokio::test]
async fn a_suspended_projects_one_key_can_still_be_revoked() {
    let rules = "[key]\nactive_limit = 1\nscopes = false\naddresses = false\ndisable = false\n\
                 name.offered = false\nexpiry.offered = false\n";
    let world = World::with_contract("own", &own(rules)).await;
    let session = world.owner().await;
    world.post(&format!("/v1/projects/{}/suspend", world.project), Value::Null).await.expect(200);
    let page = world.open(&session, &world.keys_path()).await.expect(200).body;
    assert_eq!(revocable(&page), [world.key.0.as_str()], "{page}");
}

/// The id of the form that a page holds.
fn form_id(page: &str) -> &str {
    let (_, rest) =
        page.split_once("name=\"form\" value=\"").unwrap_or_else(|| panic!("no form with an id: {page}"));
    rest.split_once('"').unwrap().0
}

#[tokio::test]
async fn a_new_project_that_is_asked_for_twice_is_made_once() {
    let world = World::with_contract("own", &own("[project]\nfirst_key = true\n")).await;
    let session = world.owner().await;
    let path = format!("/organizations/{}/new-project", world.organization);
    let page = world.open(&session, &path).await.expect(200).body;
    let form = format!("form={}&name=Second&api=own", form_id(&page));
    let made = world.submit(&session, &path, &form).await.expect(201);
    assert!(made.body.contains("data-once"), "{}", made.body);
    let again = world.submit(&session, &path, &form).await;
    let list = target(&again).to_owned();
    assert!(made.body.contains(&list), "{list}");
    let projects = format!("/v1/organizations/{}/projects", world.organization);
    assert_eq!(world.get(&projects).await.expect(200).json["items"].as_array().unwrap().len(), 2);
    // With other fields it is another wish, which this form may not stand for.
    let other = world.submit(&session, &path, &form.replace("Second", "Third")).await.expect(422);
    assert_ne!(form_id(&other.body), form_id(&page));
    assert_eq!(world.get(&projects).await.expect(200).json["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_form_that_makes_a_key_stands_for_its_own_project_alone() {
    let world = World::with("standard").await;
    let session = world.owner().await;
    let projects = format!("/v1/organizations/{}/projects", world.organization);
    let other = world.post(&projects, json!({ "name": "Other", "api": "standard" })).await.expect(201);
    let other = format!("/projects/{}/keys", other.text("/project/id"));
    let page = world.open(&session, &world.keys_path()).await.expect(200).body;
    let form = format!("form={}&name=one", form_id(&page));
    world.submit(&session, &world.keys_path(), &form).await.expect(200);
    let answer = world.submit(&session, &other, &form).await;
    assert_ne!(answer.status.as_u16(), 200, "{}", answer.body);
    assert!(answer.body.contains("had been sent before with other fields"), "{}", answer.body);
}
