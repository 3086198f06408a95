//! The operator's pages: nobody else's; organizations, projects, contracts, the log and its check, nodes.

use keyward_core::people::Role;
use serde_json::json;

use super::location;
use crate::support::{World, preset_text};

#[tokio::test]
async fn t04_the_operators_pages_are_nobody_elses() {
    let world = World::with("standard").await;
    let ada = world.member("ada@example.com", Role::Owner).await;
    let of_one = format!("organizations/{}", world.organization);
    let pages = ["organizations", "projects", "apis", "apis/standard", "log", "nodes"].map(str::to_owned);
    for page in pages.into_iter().chain([format!("{of_one}/suspend"), format!("{of_one}/delete")]) {
        world.page(&ada.secret, &format!("/operator/{page}")).await.expect(404);
    }
    let forms = [
        ("organizations".to_owned(), "name=Mine"),
        (format!("{of_one}/suspend"), ""),
        (format!("{of_one}/resume"), ""),
        (format!("{of_one}/delete"), "name=Customer"),
        ("apis/standard".to_owned(), "source=x&act=apply"),
        ("log".to_owned(), ""),
    ];
    for (path, fields) in forms {
        world.form(&ada.secret, &format!("/operator/{path}"), fields).await.expect(404);
    }
    assert!(world.opens(&world.key.1).await);
}

#[tokio::test]
async fn organizations_are_made_suspended_and_deleted() {
    let world = World::with("standard").await;
    let operator = world.first_operator().await;
    let made = world.form(&operator.secret, "/operator/organizations", "name=Umbrella").await.expect(303);
    let id = location(&made).split(['/', '?']).nth(2).unwrap().to_owned();
    world.page(&operator.secret, location(&made)).await.expect(200);
    assert!(world.page(&operator.secret, "/operator/organizations").await.expect(200).body.contains("Umbrella"));
    world.form(&operator.secret, "/operator/organizations", "name=").await.expect(422);
    let home = format!("/operator/organizations/{}", world.organization);
    world.page(&operator.secret, &format!("{home}/suspend")).await.expect(200);
    world.form(&operator.secret, &format!("{home}/suspend"), "").await.expect(303);
    assert!(!world.opens(&world.key.1).await);
    world.form(&operator.secret, &format!("{home}/resume"), "").await.expect(303);
    assert!(world.opens(&world.key.1).await);
    let path = format!("/operator/organizations/{id}/delete");
    world.form(&operator.secret, &path, "name=umbrella").await.expect(422);
    world.form(&operator.secret, &path, "name=Umbrella").await.expect(303);
    world.page(&operator.secret, &path).await.expect(404);
}

#[tokio::test]
async fn projects_of_all_are_found_by_id_and_by_name() {
    let world = World::with("standard").await;
    let operator = world.first_operator().await;
    let (organization, theirs) = world.another_customer("standard").await;
    let found = async |search: &str| {
        let page = world.page(&operator.secret, &format!("/operator/projects?search={search}")).await.expect(200);
        [&world.project, &theirs].map(|id| page.body.contains(&format!("/projects/{id}/limits")))
    };
    assert_eq!(found("").await, [true, true]);
    assert_eq!(found("the").await, [false, true]);
    assert_eq!(found("heirs").await, [false, false]);
    assert_eq!(found(&world.project).await, [true, false]);
    assert_eq!(found(&organization).await, [false, true]);
    assert_eq!(found("proj_0000000000000000000001").await, [false, false]);
    world
        .form(&operator.secret, &format!("/operator/organizations/{organization}/delete"), "name=Another")
        .await
        .expect(303);
    assert_eq!(found("the").await, [false, false], "gone with its organization");
}

#[tokio::test]
async fn a_contract_is_tried_before_it_is_put_in_force() {
    let world = World::with("standard").await;
    let operator = world.first_operator().await;
    assert!(
        world.page(&operator.secret, "/operator/apis").await.expect(200).body.contains("/operator/apis/standard")
    );
    let source = preset_text("standard").replacen("title = ", "title = \"Other\" #", 1);
    let send = async |source: &str, act: &str| {
        let fields = serde_html_form::to_string([("source", source), ("act", act)]).unwrap();
        world.form(&operator.secret, "/operator/apis/standard", &fields).await
    };
    let title = async || world.get("/v1/apis/standard").await.expect(200).text("/api/title").to_owned();
    let before = title().await;
    let tried = send(&source.replace('\n', "\r\n"), "try").await.expect(200);
    assert!(tried.body.contains("What would change") && tried.body.contains("Other"));
    assert_eq!(title().await, before);
    let wrong = send(&format!("{source}\nsurprise = 1\n"), "apply").await.expect(422);
    assert!(wrong.body.contains("Line ") && wrong.body.contains("surprise"));
    assert_eq!(title().await, before);
    let done = send(&source, "apply").await.expect(303);
    assert_eq!(location(&done), "/operator/apis/standard?done=applied");
    assert_eq!(title().await, "Other");
}

#[tokio::test]
async fn s17_the_log_is_shown_and_checked() {
    let world = World::with("standard").await;
    let operator = world.first_operator().await;
    world.create(json!({ "name": "one" })).await.expect(201);
    let page = world.page(&operator.secret, "/operator/log").await.expect(200);
    for told in ["Key created", "Contract put in force", "Public key", "Check the whole chain"] {
        assert!(page.body.contains(told), "{told}");
    }
    let checked = world.form(&operator.secret, "/operator/log", "").await.expect(200);
    assert!(checked.body.contains("Intact."));
    let narrow = world.page(&operator.secret, &format!("/operator/log?about={}", world.key.0)).await.expect(200);
    assert!(narrow.body.contains("Key created") && !narrow.body.contains("Contract put in force"));
    let wrong = world.page(&operator.secret, "/operator/log?about=nonsense").await.expect(200);
    assert!(wrong.body.contains("is no id of"));
    let nodes = world.page(&operator.secret, "/operator/nodes").await.expect(200);
    assert!(nodes.body.contains("ready") && nodes.body.contains("up to date"));
    assert!(nodes.body.contains("The embedded store serves one node"));
    world.store.share(crate::nodes::three_nodes(world.control.now()));
    let nodes = world.page(&operator.secret, "/operator/nodes").await.expect(200);
    for told in ["node-a", "node-b", "This node", "not held", "behind", "lasts 10 s"] {
        assert!(nodes.body.contains(told), "{told}");
    }
    assert!(!nodes.body.contains("The embedded store serves one node"));
}
