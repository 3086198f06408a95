//! The ways in, as pages: setting up once (W12), never sent elsewhere after signing in (W09), links that work once, and
//! invitations from each side.

use std::time::Duration;

use keyward_core::people::{InvitedTo, Role};

use super::{new_session, target};
use crate::support::World;

#[tokio::test]
async fn w09_signing_in_leads_to_our_own_pages_alone() {
    let world = World::with("standard").await;
    world.member("ada@example.com", Role::Owner).await;
    for (next, leads) in [
        ("/account", "/account"),
        ("/organizations/org_1/members?done=role", "/organizations/org_1/members?done=role"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("\\evil", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/%2fevil.example", "/"),
        ("%2f%2fevil.example", "/"),
        ("/a\r\nset-cookie: x=y", "/"),
        ("/sign-out", "/"),
        ("", "/"),
    ] {
        // Every try has a guess left.
        world.clock.advance(Duration::from_secs(120));
        let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let page = world.open("", &format!("/sign-in?next={}", encode(next))).await;
        assert!(page.body.contains(&format!("name=\"next\" value=\"{leads}\"")), "{next}: {}", page.body);
        let form = format!("email=ada@example.com&password=tangerine+boat+seven&next={}", encode(next));
        let answer = world.submit("", "/sign-in", &form).await;
        assert_eq!(target(&answer), leads, "{next}");
        assert_eq!(answer.headers.get_all("location").iter().count(), 1);
    }
}

#[tokio::test]
async fn w12_one_of_many_sets_keyward_up_and_then_there_is_no_such_page() {
    let world = World::with("standard").await;
    let token = world.control.begin_setup().await.unwrap().unwrap();
    let path = format!("/setup/{}", token.expose());
    let form = |n: usize| format!("email=op{n}@example.com&name=Op&password=tangerine+boat+seven");
    let made_up = format!("/setup/setup_{}", "1".repeat(43));
    for n in 0..100 {
        assert_eq!(world.submit("", &made_up, &form(n)).await.status.as_u16(), 404);
    }
    assert!(world.open("", &path).await.body.contains("Set up Keyward"), "looking uses nothing up");
    let tries = (0..8).map(|n| {
        let (path, form) = (&path, form(n));
        let world = &world;
        async move { world.submit("", path, &form).await.status.as_u16() }
    });
    let mut ends = futures_util::future::join_all(tries).await;
    ends.sort_unstable();
    assert_eq!(ends, [303, 404, 404, 404, 404, 404, 404, 404]);
    assert_eq!(world.open("", &path).await.status.as_u16(), 404);
}

#[tokio::test]
async fn a_refused_form_says_what_is_wrong_and_keeps_what_was_filled_in() {
    let world = World::with("standard").await;
    let token = world.control.begin_setup().await.unwrap().unwrap();
    let path = format!("/setup/{}", token.expose());
    let answer = world.submit("", &path, "email=nobody&name=Op&password=short").await.expect(422);
    assert!(answer.body.contains("must be at least 12 characters") && answer.body.contains("value=\"nobody\""));
    assert!(!answer.body.contains("short\""), "a password is never sent back");
}

#[tokio::test]
async fn a_link_signs_in_by_its_button_and_once() {
    let world = World::with("standard").await;
    let member = world.member("ada@example.com", Role::Viewer).await;
    let secret = world.control.make_sign_in_link(&World::machine(), member.person.id).await.unwrap();
    let path = format!("/sign-in/link/{}", secret.expose());
    for _ in 0..3 {
        let page = world.open("", &path).await.expect(200);
        assert!(page.body.contains("ada@example.com") && page.headers.get("set-cookie").is_none());
    }
    let session = new_session(&world.submit("", &path, "").await).expect("signed in");
    assert_eq!(world.open(&session, "/account").await.status.as_u16(), 200);
    assert_eq!(world.submit("", &path, "").await.status.as_u16(), 404);
    assert_eq!(world.open("", &path).await.status.as_u16(), 404);
}

#[tokio::test]
async fn an_invitation_is_answered_by_whom_it_is_for() {
    let world = World::with("standard").await;
    let owner = world.member("owner@example.com", Role::Owner).await;
    let members = format!("/organizations/{}/members", world.organization);
    let made =
        world.submit(owner.secret.expose(), &members, "email=ada@example.com&role=developer").await.expect(200);
    let at = made.body.find("https://keys.test/invitations/").expect("the link, under the site's address");
    let path: String = made.body[at + "https://keys.test".len()..].chars().take_while(|c| *c != '<').collect();
    assert!(world.open(owner.secret.expose(), &path).await.body.contains("you are signed in as"));
    assert!(world.open("", &path).await.body.contains("Create account and join"));
    let joined = world.submit("", &path, "name=Ada&password=tangerine+boat+seven").await;
    assert_eq!(target(&joined), format!("/organizations/{}", world.organization));
    assert_eq!(world.open("", &path).await.status.as_u16(), 404, "once");

    // To another organization, for the same person: signed out, they sign in and come back; then one click.
    let (other, _) = world.another_customer("standard").await;
    let to = InvitedTo::Organization { id: other.parse().unwrap(), role: Role::Viewer };
    let link =
        world.control.invite(&World::machine(), to, "ada@example.com").await.unwrap().secret.secret().unwrap();
    let path = format!("/invitations/{}", link.expose());
    let page = world.open("", &path).await.expect(200);
    assert!(page.body.contains("You have an account") && page.body.contains(&format!("value=\"{path}\"")));
    let form = format!("email=ada@example.com&password=tangerine+boat+seven&next={path}");
    let signed_in = world.submit("", "/sign-in", &form).await;
    assert_eq!(target(&signed_in), path);
    let before = new_session(&signed_in).unwrap();
    assert!(world.open(&before, &path).await.body.contains("Accept the invitation"));
    let accepted = world.submit(&before, &format!("{path}/accept"), "").await;
    assert_eq!(target(&accepted), format!("/organizations/{other}"));
    let after = new_session(&accepted).expect("a new session with the new place (W04)");
    assert!(world.open(&after, "/").await.body.contains("Your organizations"), "and a choice of two");
    assert_eq!(target(&world.open(&before, "/account").await), "/sign-in?next=/account");
}

#[tokio::test]
async fn k06_a_management_key_is_shown_once_and_made_once_however_often_its_form_is_sent() {
    let world = World::with("standard").await;
    let owner = world.member("owner@example.com", Role::Owner).await;
    let session = owner.secret.expose();
    let settings = format!("/organizations/{}/settings", world.organization);
    let page = world.open(session, &settings).await.expect(200);
    let at = page.body.find("name=\"form\" value=\"").expect("the form has an id");
    let id: String = page.body[at..].split('"').nth(3).unwrap().into();
    let path = format!("/organizations/{}/management-keys", world.organization);
    let form = format!("form={id}&name=Deployment&scopes=keys:read&scopes=keys:write&expires=");
    let made = world.submit(session, &path, &form).await.expect(200);
    let at = made.body.find("kwm_").expect("the secret");
    let secret: String = made.body[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    world
        .ask(&secret, "GET", &format!("/v1/projects/{}/keys", world.project), serde_json::Value::Null)
        .await
        .expect(200);
    assert_eq!(target(&world.submit(session, &path, &form).await), format!("{settings}?done=made-before"));
    let listed = world.open(session, &settings).await.expect(200);
    assert!(!listed.body.contains(&secret) && listed.body.matches("/rotate\"").count() == 1, "{}", listed.body);
}

#[tokio::test]
async fn somebody_becomes_what_was_asked_about_however_often_the_answer_is_sent() {
    let world = World::with("standard").await;
    let operator = world.first_operator().await;
    let session = operator.secret.expose();
    let ada = world.member("ada@example.com", Role::Developer).await.person.id;
    let path = format!("/operator/people/{ada}/operator");
    for (wish, is_operator) in [("yes", true), ("no", false)] {
        let page = world.open(session, &path).await.expect(200);
        assert!(page.body.contains(&format!("name=\"operator\" value=\"{wish}\"")), "{}", page.body);
        for _ in 0..2 {
            let done = world.submit(session, &path, &format!("operator={wish}")).await;
            assert!(target(&done).ends_with("?done=operator"));
            let found = world.control.person(&World::machine(), ada).await.unwrap();
            assert_eq!(found.is_operator, is_operator);
        }
    }
    let before = world.revision().await;
    for form in ["", "operator=", "operator=maybe"] {
        assert!(world.submit(session, &path, form).await.status.is_client_error(), "{form}");
    }
    assert_eq!(world.revision().await, before);
}
