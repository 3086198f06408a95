//! A project's pages: walls, roles, plans and limits, settings, and new projects.

use keyward_core::people::Role;
use serde_json::{Value, json};

use super::{by_browser, location};
use crate::support::World;

const PAGES: [&str; 9] =
    ["usage", "events", "events.csv", "events.json", "limits", "settings", "suspend", "delete", "usage?range=7d"];

#[tokio::test]
async fn i01_another_organizations_project_answers_like_none() {
    let world = World::with("standard").await;
    let ada = world.member("ada@example.com", Role::Owner).await;
    let (_, theirs) = world.another_customer("standard").await;
    for page in PAGES {
        let other = world.page(&ada.secret, &format!("/projects/{theirs}/{page}")).await.expect(404);
        let none =
            world.page(&ada.secret, &format!("/projects/proj_0000000000000000000001/{page}")).await.expect(404);
        assert_eq!(other.body, none.body, "{page}");
    }
    for (path, fields) in [
        ("settings", "name=Mine"),
        ("limits", "plan=standard"),
        ("delete", "name=Theirs"),
        ("suspend", ""),
        ("resume", ""),
    ] {
        world.form(&ada.secret, &format!("/projects/{theirs}/{path}"), fields).await.expect(404);
    }
    assert_eq!(world.get(&format!("/v1/projects/{theirs}")).await.expect(200).text("/project/name"), "Theirs");
}

#[tokio::test]
async fn p25_the_usage_page_tells_of_every_preset() {
    for preset in ["standard", "getprofile", "profound", "metriport", "scrapegraphai", "qanapi"] {
        let world = World::with(preset).await;
        let ada = world.member("ada@example.com", Role::Viewer).await;
        for page in ["usage", "usage?range=30d", "events", "limits", "settings"] {
            world.page(&ada.secret, &format!("/projects/{}/{page}", world.project)).await.expect(200);
        }
    }
}

#[tokio::test]
async fn q20b_an_operator_sets_plan_and_limits_and_a_member_does_not() {
    let world = World::with("scrapegraphai").await;
    let operator = world.first_operator().await;
    let ada = world.member("ada@example.com", Role::Owner).await;
    let path = format!("/projects/{}/limits", world.project);
    let page = world.page(&ada.secret, &path).await.expect(200);
    assert!(page.body.contains("Plan: Free") && !page.body.contains("Save plan and limits"));
    assert!(page.body.contains("mailto:contact@scrapegraphai.com"));
    let fields = "plan=pro&active_key_limit=12&limit.requests=60&burst.requests=&limit.credits=7";
    world.form(&ada.secret, &path, fields).await.expect(404);
    let done = world.form(&operator.secret, &path, fields).await.expect(303);
    assert_eq!(location(&done), format!("{path}?done=saved"));
    let project = world.get(&format!("/v1/projects/{}", world.project)).await.expect(200).json["project"].clone();
    assert_eq!((&project["plan"], &project["active_key_limit"]), (&json!("pro"), &json!(12)));
    assert_eq!(project["limits"], json!({ "requests": { "limit": 60 }, "credits": { "limit": 7 } }));
    let page = world.page(&ada.secret, &path).await.expect(200);
    assert!(page.body.contains("Plan: Pro") && page.body.contains("own limit"));
    // What is wrong is told beside its field, and nothing of the form is done.
    let wrong =
        world.form(&operator.secret, &path, "plan=free&active_key_limit=many&limit.requests=-1").await.expect(422);
    assert!(wrong.body.contains("must be a whole number, or empty") && wrong.body.contains("value=\"many\""));
    let unknown = world.form(&operator.secret, &path, "plan=free&surprise=1").await.expect(422);
    assert!(unknown.body.contains("a field that the page does not have"));
    // Emptied, they are the plan's again.
    world
        .form(&operator.secret, &path, "plan=pro&active_key_limit=&limit.requests=&burst.requests=&limit.credits=")
        .await
        .expect(303);
    let project = world.get(&format!("/v1/projects/{}", world.project)).await.expect(200).json["project"].clone();
    assert_eq!((&project["limits"], &project["active_key_limit_override"]), (&json!({}), &Value::Null));
}

#[tokio::test]
async fn p02_access_is_asked_for_and_given_on_the_page() {
    let world = World::with("profound").await;
    let operator = world.first_operator().await;
    let ada = world.member("ada@example.com", Role::Owner).await;
    let made = format!("/organizations/{}/new-project", world.organization);
    let at = world.form(&ada.secret, &made, "name=Second&api=profound").await.expect(303);
    let project = location(&at).split('/').nth(2).unwrap().to_owned();
    let path = format!("/projects/{project}/limits");
    let waiting = world.page(&ada.secret, &path).await.expect(200);
    assert!(waiting.body.contains("Access on request") && waiting.body.contains("mailto:support@tryprofound.com"));
    world.form(&operator.secret, &path, "plan=growth").await.expect(303);
    let shut = world.page(&ada.secret, &path).await.expect(200);
    assert!(shut.body.contains("Not part of the plan") && shut.body.contains("Contact support"));
    world.form(&operator.secret, &path, "plan=enterprise&access=granted").await.expect(303);
    let open = world.page(&ada.secret, &path).await.expect(200);
    assert!(!open.body.contains("Access on request") && !open.body.contains("Not part of the plan"));
}

#[tokio::test]
async fn a_project_is_renamed_suspended_resumed_and_deleted() {
    let world = World::with("standard").await;
    let operator = world.first_operator().await;
    let ada = world.member("ada@example.com", Role::Owner).await;
    let viewer = world.member("v@example.com", Role::Viewer).await;
    let path = |page: &str| format!("/projects/{}/{page}", world.project);
    let secret = &world.key.1;
    assert!(!world.page(&viewer.secret, &path("settings")).await.expect(200).body.contains("Save name"));
    world.form(&viewer.secret, &path("settings"), "name=Mine").await.expect(403);
    world.form(&ada.secret, &path("settings"), "name=Reports").await.expect(303);
    let refused = world.form(&ada.secret, &path("settings"), "name=").await.expect(422);
    assert!(refused.body.contains("aria-invalid"));
    // Pausing it is the operator's, and looking at the question changes nothing.
    world.page(&ada.secret, &path("suspend")).await.expect(404);
    world.page(&operator.secret, &path("suspend")).await.expect(200);
    assert!(world.opens(secret).await);
    world.form(&operator.secret, &path("suspend"), "").await.expect(303);
    assert!(!world.opens(secret).await);
    world.form(&operator.secret, &path("resume"), "").await.expect(303);
    assert!(world.opens(secret).await);
    // Deleting takes the name, from one of our own pages.
    assert!(world.page(&ada.secret, &path("delete")).await.expect(200).body.contains("Reports"));
    world.page(&viewer.secret, &path("delete")).await.expect(403);
    let wrong = world.form(&ada.secret, &path("delete"), "name=reports").await.expect(422);
    assert!(wrong.body.contains("This is not the name"));
    let foreign = by_browser(&ada.secret, "POST", &path("delete"), "cross-site", "name=Reports");
    world.send(foreign).await.expect(403);
    assert!(world.opens(secret).await);
    let done = world.form(&ada.secret, &path("delete"), "name=+Reports+").await.expect(303);
    assert_eq!(location(&done), format!("/organizations/{}?done=deleted", world.organization));
    assert!(!world.opens(secret).await);
    world.page(&ada.secret, &path("settings")).await.expect(404);
}

#[tokio::test]
async fn k06_a_new_projects_first_key_is_shown_once() {
    let world = World::with("scrapegraphai").await;
    let ada = world.member("ada@example.com", Role::Owner).await;
    let viewer = world.member("v@example.com", Role::Viewer).await;
    let path = format!("/organizations/{}/new-project", world.organization);
    world.page(&viewer.secret, &path).await.expect(403);
    world.page(&ada.secret, &path).await.expect(200);
    let wrong = world.form(&ada.secret, &path, "name=").await.expect(422);
    assert!(wrong.body.contains("aria-invalid"));
    world.form(&ada.secret, &path, "name=Mine&plan=pro").await.expect(403);
    let made = world.form(&ada.secret, &path, "name=Crawler").await.expect(201);
    let (_, secret) = made.body.split_once("data-once").unwrap();
    let secret = secret.split_once('>').unwrap().1.split('<').next().unwrap().to_owned();
    assert!(world.opens(&secret).await, "{secret}");
    assert_eq!(made.headers["cache-control"], "no-store");
    let list = world.page(&ada.secret, &format!("/organizations/{}", world.organization)).await.expect(200);
    assert!(list.body.contains("Crawler") && !list.body.contains(&secret));
}
