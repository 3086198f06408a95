//! What addresses are about: ids of nothing, texts that are no ids, and what stays to be seen when something else is gone.

use serde_json::json;

use crate::support::World;

#[tokio::test]
async fn t02_a_text_that_is_no_id_is_answered_like_an_id_of_nothing() {
    let world = World::with("standard").await;
    let session = world.first_operator().await.secret.expose().to_owned();
    for path in
        ["/projects/x/keys", "/organizations/x", "/keys/x/revoke", "/operator/people/x", "/operator/apis/No%20Name"]
    {
        let answer = world.open(&session, path).await;
        assert_eq!(answer.status.as_u16(), 404, "{path}: {}", answer.body);
        assert!(answer.body.contains("There is nothing here"), "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn an_organizations_settings_outlive_a_project_that_a_management_key_was_for() {
    let world = World::with("standard").await;
    let (other, project) = world.another_customer("standard").await;
    world.management_key(&["keys:read"], json!({ "project": project })).await;
    world.management_key(&["keys:read"], json!({ "project": world.project })).await;
    world.ask(&world.operator, "DELETE", &format!("/v1/projects/{project}"), json!(null)).await.expect(200);
    let session = world.first_operator().await.secret.expose().to_owned();
    for (organization, keys) in [(&other, 1), (&world.organization, 1)] {
        let answer = world.open(&session, &format!("/organizations/{organization}/settings")).await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.body);
        assert_eq!(
            answer.body.matches("Revoke").count(),
            keys,
            "the keys of this organization alone: {}",
            answer.body
        );
    }
}
