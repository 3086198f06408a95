//! The pages of keys as a browser asks for them, without one: forms sent with a session's cookie, on a real store.

use axum::body::Body;
use axum::http::Request;
use keyward_core::people::Role;
use keyward_core::secret::Secret;
use serde_json::json;

use crate::support::{Answer, World};

/// Somebody with a session.
struct Browser<'a> {
    world: &'a World,
    session: Secret,
}

impl<'a> Browser<'a> {
    async fn of(world: &'a World, role: Role) -> Browser<'a> {
        let session = world.member(&format!("{}@example.com", role.as_str()), role).await.secret;
        Browser { world, session }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "").await
    }

    async fn post(&self, path: &str, form: &str) -> Answer {
        self.send("POST", path, form).await
    }

    async fn send(&self, method: &str, path: &str, form: &str) -> Answer {
        let cookie = format!("__Host-keyward-session={}", self.session.expose());
        let request = Request::builder().method(method).uri(path).header("cookie", cookie);
        let request = request
            .header("sec-fetch-site", "same-origin")
            .header("accept", "text/html")
            .header("content-type", "application/x-www-form-urlencoded");
        self.world.send(request.body(Body::from(form.to_owned())).unwrap()).await
    }

    fn keys(&self) -> String {
        format!("/projects/{}/keys", self.world.project)
    }
}

/// The secret that a page shows; none where it shows none.
fn shown(answer: &Answer) -> Option<String> {
    let (_, after) = answer.body.split_once("<output id=\"secret\"")?;
    let (_, after) = after.split_once('>')?;
    after.split_once('<').map(|(secret, _)| secret.to_owned())
}

const FORM: &str = "form=4KdGxDRyoUTXfmZ4LG1bRz";

#[tokio::test]
async fn k06_a_form_that_is_sent_twice_makes_one_key_and_shows_it_once() {
    let world = World::with("standard").await;
    let browser = Browser::of(&world, Role::Developer).await;
    let before = world.live_keys().await;
    let form = format!("{FORM}&name=CI");
    let first = browser.post(&browser.keys(), &form).await.expect(200);
    let secret = shown(&first).unwrap();
    assert!(secret.starts_with("kw_live_"));
    assert_eq!(first.headers["cache-control"], "no-store");
    let again = browser.post(&browser.keys(), &form).await.expect(200);
    assert!(shown(&again).is_none() && !again.body.contains(&secret), "{}", again.body);
    assert_eq!(world.live_keys().await, before + 1);
    let list = browser.get(&browser.keys()).await.expect(200);
    assert!(list.body.contains("CI") && !list.body.contains(&secret));
    // The same form with other fields is another wish: nothing is made of it unasked.
    let other = browser.post(&browser.keys(), &format!("{FORM}&name=Other")).await;
    assert!(other.body.contains("sent before with other fields") && shown(&other).is_none());
    assert_eq!(world.live_keys().await, before + 1);
}

#[tokio::test]
async fn q03_no_key_is_made_before_the_prompt_is_confirmed() {
    let world = World::with("qanapi").await;
    let browser = Browser::of(&world, Role::Developer).await;
    let before = world.live_keys().await;
    let form = format!("{FORM}&name=Billing");
    let prompt = browser.post(&browser.keys(), &form).await.expect(200);
    assert!(prompt.body.contains("displayed only once") && prompt.body.contains("Cancel"));
    assert!(
        prompt.body.contains("name=\"acknowledge\" value=\"yes\"") && prompt.body.contains("value=\"Billing\"")
    );
    assert_eq!(world.live_keys().await, before);
    let made = browser.post(&browser.keys(), &format!("{form}&acknowledge=yes")).await.expect(200);
    assert!(shown(&made).unwrap().starts_with("cd_"));
    assert_eq!(world.live_keys().await, before + 1);
}

#[tokio::test]
async fn p10_a_form_with_faults_comes_back_as_it_was_filled_in() {
    let world = World::with("profound").await;
    let browser = Browser::of(&world, Role::Owner).await;
    let before = world.live_keys().await;
    for (form, fault) in [
        ("name=ab&days=30", "must be at least 3 characters"),
        ("name=%20a%20&days=30", "must be at least 3 characters"),
        ("name=abc", "is required"),
        ("name=abc&until=2001-01-01", "must be in the future"),
        ("name=abc&days=30&scope=nothing", "none of this API"),
        ("name=%3Cscript%3E%E2%80%AE&days=30", "control or text-direction"),
    ] {
        let answer = browser.post(&browser.keys(), &format!("{FORM}&{form}")).await.expect(422);
        assert!(answer.body.contains(fault), "{form}: {}", answer.body);
        assert!(!answer.body.contains("<script>"));
    }
    assert_eq!(world.live_keys().await, before);
    let three = format!("{FORM}&name=%F0%9F%94%91%F0%9F%94%91%F0%9F%94%91&days=30");
    assert!(shown(&browser.post(&browser.keys(), &three).await.expect(200)).is_some());
}

#[tokio::test]
async fn m02_at_the_limit_the_page_says_why_no_key_can_be_made() {
    let world = World::with("metriport").await;
    let browser = Browser::of(&world, Role::Developer).await;
    assert!(browser.get(&browser.keys()).await.body.contains("1 of 2 active"));
    browser.post(&browser.keys(), FORM).await.expect(200);
    let full = browser.get(&browser.keys()).await.expect(200);
    assert!(
        full.body.contains("2 of 2 active") && full.body.contains("Both keys") && full.body.contains("disabled")
    );
    assert!(full.body.contains("Which key still gets traffic"));
    let refused = browser.post(&browser.keys(), "form=5KdGxDRyoUTXfmZ4LG1bRz").await.expect(409);
    assert!(shown(&refused).is_none() && refused.body.contains("No key was made"));
}

#[tokio::test]
async fn q10_a_key_is_revoked_by_confirming_and_stays_listed() {
    let world = World::with("qanapi").await;
    let browser = Browser::of(&world, Role::Developer).await;
    let id = &world.key.0;
    let page = browser.get(&format!("/keys/{id}/revoke")).await.expect(200);
    assert!(page.body.contains("lose access at once") && page.body.contains("last 24 hours"));
    assert_eq!(world.live_keys().await, 1);
    let refused = browser.post(&format!("/keys/{id}/revoke"), "reason=").await.expect(428);
    assert!(refused.body.contains("confirm the statements"));
    let done = browser.post(&format!("/keys/{id}/revoke"), "reason=leaked&acknowledge=yes").await.expect(303);
    let to = done.headers["location"].to_str().unwrap();
    assert!(to.starts_with(&format!("{}?done=revoked&nodes=1&ms=", browser.keys())), "{to}");
    assert_eq!(world.live_keys().await, 0);
    let list = browser.get(to).await.expect(200);
    assert!(
        list.body.contains("in force on every node") && list.body.contains("Revoked") && list.body.contains(id)
    );
}

#[tokio::test]
async fn g16_a_new_key_is_had_without_the_old_one_also_where_none_is_active() {
    let world = World::with("getprofile").await;
    let browser = Browser::of(&world, Role::Developer).await;
    let path = format!("{}/regenerate", browser.keys());
    let asks = browser.get(&path).await.expect(200);
    assert!(asks.body.contains("stops working immediately") && asks.body.contains(&world.key.0));
    // Nobody ends a key that the page they saw did not name.
    let unnamed = browser.post(&path, FORM).await.expect(200);
    assert!(shown(&unnamed).is_none() && world.live_keys().await == 1);
    let form = format!("{FORM}&replaces={}", world.key.0);
    let first = browser.post(&path, &form).await.expect(200);
    assert!(shown(&first).is_some() && first.body.contains("has stopped working"));
    let again = browser.post(&path, &form).await.expect(200);
    assert!(shown(&again).is_none() && again.body.contains("shown already"));
    let keys = world.get(&format!("/v1/projects/{}/keys?state=active", world.project)).await.expect(200);
    let id = keys.text("/items/0/id").to_owned();
    browser.post(&format!("/keys/{id}/revoke"), "acknowledge=yes").await.expect(303);
    assert!(browser.get(&browser.keys()).await.body.contains("No key is active"));
    let made = browser.post(&path, "form=5KdGxDRyoUTXfmZ4LG1bRz").await.expect(200);
    assert!(shown(&made).unwrap().starts_with("gp_") && world.live_keys().await == 1);
}

#[tokio::test]
async fn m13_an_overlap_is_chosen_and_the_page_says_how_long() {
    let world = World::with("standard").await;
    let browser = Browser::of(&world, Role::Developer).await;
    let path = format!("/keys/{}/rotate", world.key.0);
    let asks = browser.get(&path).await.expect(200);
    assert!(asks.body.contains("The old key goes on for") && asks.body.contains("it stops at once"));
    let made = browser.post(&path, &format!("{FORM}&overlap=3600")).await.expect(200);
    assert!(shown(&made).is_some() && made.body.contains("goes on until"));
    let list = browser.get(&browser.keys()).await.expect(200);
    assert!(list.body.contains("Ending") && list.body.contains("Which key still gets traffic"));
    let wrong = browser.post(&path, "form=5KdGxDRyoUTXfmZ4LG1bRz&overlap=99999999").await;
    assert!(wrong.status.as_u16() >= 400 && shown(&wrong).is_none());
}

#[tokio::test]
async fn t04_a_viewer_is_offered_nothing_and_can_do_nothing() {
    let world = World::with("standard").await;
    let browser = Browser::of(&world, Role::Viewer).await;
    let id = world.key.0.clone();
    let list = browser.get(&browser.keys()).await.expect(200);
    assert!(
        list.body.contains(&id) && !list.body.contains("/revoke") && !list.body.contains("Create API key</button>")
    );
    browser.post(&browser.keys(), FORM).await.expect(403);
    browser.post(&format!("{}/regenerate", browser.keys()), FORM).await.expect(403);
    for action in ["rotate", "revoke", "edit", "disable", "enable"] {
        browser.get(&format!("/keys/{id}/{action}")).await.expect(403);
        browser.post(&format!("/keys/{id}/{action}"), "").await.expect(403);
    }
    assert_eq!(world.live_keys().await, 1);
}

#[tokio::test]
async fn t02_another_customers_keys_are_not_there() {
    let world = World::with("standard").await;
    let browser = Browser::of(&world, Role::Owner).await;
    let (_, project) = world.another_customer("standard").await;
    let made = world.post(&format!("/v1/projects/{project}/keys"), json!({})).await.expect(201);
    let id = made.text("/key/id");
    browser.get(&format!("/projects/{project}/keys")).await.expect(404);
    browser.post(&format!("/projects/{project}/keys"), FORM).await.expect(404);
    for action in ["rotate", "revoke", "edit", "disable", "enable"] {
        browser.get(&format!("/keys/{id}/{action}")).await.expect(404);
        browser.post(&format!("/keys/{id}/{action}"), "").await.expect(404);
    }
}

#[tokio::test]
async fn p08_without_access_there_is_no_form_and_no_key() {
    let world = World::with("profound").await;
    let browser = Browser::of(&world, Role::Owner).await;
    world.patch(&format!("/v1/projects/{}", world.project), json!({ "plan": "starter" })).await.expect(200);
    let page = browser.get(&browser.keys()).await.expect(200);
    assert!(!page.body.contains("Create API Key") && page.body.contains("support@tryprofound.com"));
    browser.post(&browser.keys(), &format!("{FORM}&name=abc&days=30")).await.expect(403);
}

#[tokio::test]
async fn a_key_is_changed_and_switched() {
    let world = World::with("standard").await;
    let browser = Browser::of(&world, Role::Developer).await;
    let id = world.key.0.clone();
    let path = format!("/keys/{id}/edit");
    let bad = browser.post(&path, "name=x&addresses=nowhere").await.expect(422);
    assert!(bad.body.contains("is no address") && bad.body.contains("nowhere"));
    let good = "name=Nightly&addresses=192.0.2.0%2F24%0D%0A2001:db8::%2F32&metadata=%7B%22team%22%3A1%7D";
    browser.post(&path, good).await.expect(303);
    let key = world.get(&format!("/v1/keys/{id}")).await.expect(200).json["key"].clone();
    assert_eq!((&key["name"], &key["metadata"]["team"]), (&json!("Nightly"), &json!(1)));
    assert_eq!(key["addresses"], json!(["192.0.2.0/24", "2001:db8::/32"]));
    browser.post(&format!("/keys/{id}/disable"), "").await.expect(303);
    assert_eq!(world.live_keys().await, 0);
    assert!(browser.get(&browser.keys()).await.body.contains("Enable"));
    browser.post(&format!("/keys/{id}/enable"), "").await.expect(303);
    assert_eq!(world.live_keys().await, 1);
}

#[tokio::test]
async fn q19_keys_are_narrowed_and_sorted() {
    let world = World::with("standard").await;
    let browser = Browser::of(&world, Role::Viewer).await;
    for name in ["zebra", "aardvark", "lion"] {
        world.create(json!({ "name": name })).await.expect(201);
    }
    let order = |body: &str| {
        let at = |name| body.find(&format!("<bdi>{name}</bdi></strong>")).unwrap_or(usize::MAX);
        (at("aardvark"), at("lion"), at("zebra"))
    };
    let by_name = browser.get(&format!("{}?sort=name", browser.keys())).await.expect(200);
    let (first, second, third) = order(&by_name.body);
    assert!(first < second && second < third && third < usize::MAX);
    let narrowed = browser.get(&format!("{}?named=LIO", browser.keys())).await.expect(200);
    let (none, some, neither) = order(&narrowed.body);
    assert!(none == usize::MAX && some < usize::MAX && neither == usize::MAX);
    let unused = browser.get(&format!("{}?unused=30", browser.keys())).await.expect(200);
    assert!(unused.body.contains("No such keys"), "all of them are younger");
    for odd in
        ["?part=999", "?sort=digest&reverse=1&state=%3Cscript%3E&unused=0&part=-1", "?named=%27%22%3E%3Cscript%3E"]
    {
        let answer = browser.get(&format!("{}{odd}", browser.keys())).await.expect(200);
        assert!(!answer.body.contains("<script>"), "{odd}");
    }
}
