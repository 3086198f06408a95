//! Sessions as browsers hold them: what the cookie is like, that signing in makes a new one (W04), and that an old one
//! opens nothing, whatever ended it (W05).

use std::sync::Arc;
use std::time::Duration;

use keyward_control::Site;
use keyward_core::people::Role;
use serde_json::Value;
use tower::ServiceExt;

use super::{Browse, FORM, new_session, target};
use crate::people::PASSWORD;
use crate::support::World;

const SIGN_IN: &str = "email=ada@example.com&password=tangerine+boat+seven";

/// Whether a session opens pages; REST has to say the same.
async fn opens(world: &World, session: &str) -> bool {
    let page = world.open(session, "/account").await;
    let rest = world.by_session(&crate::people::secret(session), "GET", "/v1/whoami", Value::Null).await;
    match page.status.as_u16() {
        200 => assert_eq!(rest.status.as_u16(), 200, "{}", rest.body),
        _ => {
            assert_eq!(target(&page), "/sign-in?next=/account");
            assert_eq!(rest.status.as_u16(), 401, "{}", rest.body);
        }
    }
    page.status.as_u16() == 200
}

#[tokio::test]
async fn w04_a_session_brought_along_is_never_taken_over() {
    let world = World::with("standard").await;
    let member = world.member("ada@example.com", Role::Owner).await;
    let fixed = format!("session_{}", "0".repeat(43));
    assert!(!opens(&world, &fixed).await);
    let answer = world.submit(&fixed, "/sign-in", SIGN_IN).await;
    assert_eq!(target(&answer), "/");
    let own = new_session(&answer).expect("a session of one's own");
    assert_ne!(own, fixed);
    assert!(opens(&world, &own).await && !opens(&world, &fixed).await);
    // Who signs in again has a new one, and the one before is over.
    let again = new_session(&world.submit(&own, "/sign-in", SIGN_IN).await).unwrap();
    assert!(again != own && opens(&world, &again).await && !opens(&world, &own).await);
    assert!(opens(&world, member.secret.expose()).await, "another browser's goes on");
}

#[tokio::test]
async fn w04_by_whichever_way_somebody_comes_in_the_session_before_is_over() {
    let world = World::with("standard").await;
    let ada = world.member("ada@example.com", Role::Owner).await.person.id;
    let sign_in = async || world.submit("", "/sign-in", SIGN_IN).await;
    let setup = world.control.begin_setup().await.unwrap().unwrap();
    let link = world.control.make_sign_in_link(&World::machine(), ada).await.unwrap();
    let invited = world.invited("new@example.com", Role::Viewer).await.secret.secret().unwrap();
    let new = "name=New&password=sesame+of+eleven+gardens";
    for (path, form) in [
        ("/sign-in".to_owned(), SIGN_IN.to_owned()),
        (format!("/setup/{}", setup.expose()), format!("email=op@example.com&{new}")),
        (format!("/sign-in/link/{}", link.expose()), String::new()),
        (format!("/invitations/{}", invited.expose()), new.to_owned()),
    ] {
        let before = new_session(&sign_in().await).unwrap();
        let after = new_session(&world.submit(&before, &path, &form).await).expect(&path);
        assert!(opens(&world, &after).await && !opens(&world, &before).await, "{path}");
    }
}

#[tokio::test]
async fn w05_a_cookie_opens_nothing_after_its_session() {
    let world = World::with("standard").await;
    world.member("ada@example.com", Role::Owner).await;
    let sign_in = || async { new_session(&world.submit("", "/sign-in", SIGN_IN).await).unwrap() };

    let session = sign_in().await;
    let out = world.submit(&session, "/sign-out", "").await;
    assert_eq!(target(&out), "/sign-in");
    assert!(out.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert!(!opens(&world, &session).await, "after signing out");

    let (one, two) = (sign_in().await, sign_in().await);
    let change = format!("old_password={}&password=a+wholly+other+phrase", PASSWORD.replace(' ', "+"));
    let changed = world.submit(&one, "/account/password", &change).await;
    assert_eq!(target(&changed), "/account?done=password");
    let after = new_session(&changed).unwrap();
    assert!(
        !opens(&world, &one).await && !opens(&world, &two).await && opens(&world, &after).await,
        "after a new password"
    );
    world.clock.advance(Duration::from_secs(61 * 60));
    assert!(!opens(&world, &after).await, "after an hour without use");

    let other = "email=ada@example.com&password=a+wholly+other+phrase";
    let long = new_session(&world.submit("", "/sign-in", other).await).unwrap();
    for _ in 0..23 {
        world.clock.advance(Duration::from_secs(30 * 60));
        assert!(opens(&world, &long).await);
    }
    world.clock.advance(Duration::from_secs(30 * 60));
    assert!(!opens(&world, &long).await, "after twelve hours of use");
}

#[tokio::test]
async fn w05_what_an_operator_or_oneself_ends_is_over_with_the_next_click() {
    let world = World::with("standard").await;
    let operator = world.first_operator().await;
    let operator = operator.secret.expose();
    let member = world.member("ada@example.com", Role::Owner).await;
    world.member("grace@example.com", Role::Owner).await;
    let person = member.person.id;
    let sign_in = || async { new_session(&world.submit("", "/sign-in", SIGN_IN).await).unwrap() };

    let (one, two) = (sign_in().await, sign_in().await);
    let ended = world.submit(&one, &format!("/account/sessions/{}/end", member.session.id), "").await;
    assert_eq!(target(&ended), "/account?done=ended");
    assert!(!opens(&world, member.secret.expose()).await && opens(&world, &two).await);
    world.submit(&one, "/account/sessions/end-others", "").await;
    assert!(opens(&world, &one).await && !opens(&world, &two).await);

    let disabled = world.submit(operator, &format!("/operator/people/{person}/disable"), "").await;
    assert!(target(&disabled).ends_with("?done=disabled"));
    assert!(!opens(&world, &one).await, "after the account is disabled");
    world.submit(operator, &format!("/operator/people/{person}/enable"), "").await;
    assert!(!opens(&world, &one).await, "and what ended stays ended");

    let again = sign_in().await;
    let removed =
        world.submit(operator, &format!("/organizations/{}/members/{person}/remove", world.organization), "").await;
    assert!(target(&removed).ends_with("/members?done=removed"));
    assert!(!opens(&world, &again).await, "after they are removed (T07)");
}

#[tokio::test]
async fn w01_cookies_are_bound_to_the_site() {
    let world = World::with("standard").await;
    world.member("ada@example.com", Role::Owner).await;
    for (site, name, flags) in [
        ("https://keys.test", "__Host-keyward-session", "; HttpOnly; SameSite=Lax; Secure; Path=/"),
        ("http://127.0.0.1:7700", "keyward-session", "; HttpOnly; SameSite=Lax; Path=/"),
    ] {
        let router = keyward_control::router(Arc::clone(&world.control), Site::new(site).unwrap());
        let headers = vec![("origin", site), ("content-type", FORM)];
        let request = Browse { method: "POST", path: "/sign-in", headers, body: SIGN_IN }.request();
        let answer = router.oneshot(request).await.unwrap();
        let cookies: Vec<&str> =
            answer.headers().get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap()).collect();
        let session = cookies.iter().find(|cookie| cookie.starts_with(&format!("{name}="))).expect(name);
        assert!(session.ends_with(flags), "{session}");
        assert!(cookies.iter().all(|cookie| !cookie.contains("Domain")), "{cookies:?}");
    }
}
