//! From the button to a session, through the dashboard's own addresses: who a provider speaks for is signed in, and nobody
//! else, whatever their mail address is (trust.md T09).

use axum::body::Body;
use axum::http::Request;
use axum::http::request::Builder;
use keyward_control::use_cases::people::{NewPerson, Visitor};
use keyward_core::people::InvitedTo;
use keyward_core::secret::Secret;
use serde_json::json;

use super::provider::Provider;
use super::{NOW, at};
use crate::support::{Answer, World, preset_text};

/// A browser: what it sends along, and what it is told to keep.
#[derive(Default)]
struct Browser(Vec<(String, String)>);

impl Browser {
    async fn send(&mut self, world: &World, request: Builder, site: &str, body: Body) -> Answer {
        let cookies: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header("accept", "text/html").header("sec-fetch-site", site);
        let answer = world.send(request.header("cookie", cookies.join("; ")).body(body).unwrap()).await;
        for cookie in answer.headers.get_all("set-cookie") {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap().to_owned();
            self.0.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.0.push((name.to_owned(), value));
            }
        }
        answer
    }

    async fn get(&mut self, world: &World, path: &str, site: &str) -> Answer {
        self.send(world, Request::get(path), site, Body::empty()).await
    }

    async fn post(&mut self, world: &World, path: &str, site: &str, fields: &str) -> Answer {
        let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        self.send(world, request, site, Body::from(fields.to_owned())).await
    }

    /// Sets out to the provider by a form, and comes back as whoever it says.
    async fn go(&mut self, world: &World, provider: &Provider, path: &str, fields: &str) -> Answer {
        let left = self.post(world, path, "same-origin", fields).await.expect(200);
        let query = provider.sign_in(provider_address(&left));
        self.get(world, &format!("/sign-in/openid/callback?{query}"), "cross-site").await
    }

    fn is_signed_in(&self) -> bool {
        self.0.iter().any(|(name, _)| name == "__Host-keyward-session")
    }
}

fn location(answer: &Answer) -> &str {
    answer.headers["location"].to_str().unwrap()
}

/// Where the page on the way to the provider leads.
fn provider_address(page: &Answer) -> &str {
    page.headers["refresh"].to_str().unwrap().strip_prefix("0;url=").unwrap()
}

async fn world() -> (World, Provider) {
    let provider = Provider::start(NOW as u64).await;
    let openid = at(&provider.issuer);
    (World::with_sign_in("standard", &preset_text("standard"), Some(openid), None).await, provider)
}

/// The first operator, who signs in with a password; in a browser of theirs.
async fn operator(world: &World) -> Browser {
    let token = world.control.begin_setup().await.unwrap().unwrap();
    let wish = NewPerson {
        email: "ada@example.com".into(),
        name: "Ada".into(),
        password: Secret::new("sesame of the eleven gardens".into()),
    };
    let signed_in = world.control.set_up(token.expose(), &wish, &Visitor::default()).await.unwrap();
    Browser(vec![("__Host-keyward-session".into(), signed_in.secret.expose().to_owned())])
}

#[tokio::test]
async fn t09_nobody_is_found_by_their_mail_address() {
    let (world, provider) = world().await;
    operator(&world).await;
    // The provider says, verified, that this is ada@example.com: there is such a person, and it is not them.
    let mut stranger = Browser::default();
    let answer = stranger.go(&world, &provider, "/sign-in/openid", "").await.expect(401);
    assert!(answer.body.contains("No account here is linked") && !stranger.is_signed_in());
    assert_eq!(stranger.0, [], "the cookie of the attempt is taken away");
}

#[tokio::test]
async fn who_has_linked_an_account_signs_in_with_it() {
    let (world, provider) = world().await;
    let mut own = operator(&world).await;
    assert_eq!(
        location(&own.go(&world, &provider, "/account/openid", "").await.expect(303)),
        "/account?done=linked"
    );
    let mut elsewhere = Browser::default();
    let answer = elsewhere.go(&world, &provider, "/sign-in/openid", "next=/account").await.expect(303);
    assert_eq!((location(&answer), elsewhere.is_signed_in()), ("/account", true));
    // Signing in again ends the session before (trust.md W04).
    let mut before = Browser(elsewhere.0.clone());
    elsewhere.go(&world, &provider, "/sign-in/openid", "next=/account").await.expect(303);
    elsewhere.get(&world, "/account", "same-origin").await.expect(200);
    before.get(&world, "/account", "same-origin").await.expect(303);
    // Somebody else at the provider, with the same address.
    provider.plan().claims = json!({"sub": "eve"});
    let mut eve = Browser::default();
    eve.go(&world, &provider, "/sign-in/openid", "").await.expect(401);
    assert!(!eve.is_signed_in());
}

#[tokio::test]
async fn t09_an_account_is_linked_from_our_own_pages_by_who_set_out_alone() {
    let (world, provider) = world().await;
    let mut own = operator(&world).await;
    let answer = own.post(&world, "/account/openid", "cross-site", "").await.expect(403);
    assert!(answer.headers.get("set-cookie").is_none());
    let left = own.post(&world, "/account/openid", "same-origin", "").await.expect(200);
    let query = provider.sign_in(provider_address(&left));
    // The session is gone by the time the browser comes back.
    own.0.retain(|(name, _)| name != "__Host-keyward-session");
    let path = format!("/sign-in/openid/callback?{query}");
    let answer = own.get(&world, &path, "cross-site").await.expect(303);
    assert!(location(&answer).starts_with("/sign-in"), "{answer:?}");
    let mut fresh = Browser::default();
    fresh.go(&world, &provider, "/sign-in/openid", "").await.expect(401);
}

#[tokio::test]
async fn t09_a_session_left_open_links_nothing_without_the_password() {
    let (world, provider) = world().await;
    let mut own = operator(&world).await;
    let later = |seconds: u64| {
        world.clock.advance(std::time::Duration::from_secs(seconds));
        provider.plan().now += seconds;
    };
    later(14 * 60);
    // Who set out in time has the time that signing in at the provider may take.
    let left = own.post(&world, "/account/openid", "same-origin", "").await.expect(200);
    let in_time = provider_address(&left).to_owned();
    let mut early = Browser(own.0.clone());
    later(60);
    let page = own.get(&world, "/account", "same-origin").await.expect(200);
    let form =
        page.body.split("action=\"/account/openid\"").nth(1).expect("a form").split("</form>").next().unwrap();
    assert!(form.contains("name=\"current_password\""), "{form}");
    for wrong in ["", "current_password=", "current_password=not+the+one+it+is"] {
        let refused = own.post(&world, "/account/openid", "same-origin", wrong).await.expect(422);
        assert!(refused.body.contains("This is not your password") && refused.headers.get("refresh").is_none());
    }
    later(4 * 60);
    let query = provider.sign_in(&in_time);
    let back = early.get(&world, &format!("/sign-in/openid/callback?{query}"), "cross-site").await.expect(303);
    assert_eq!(location(&back), "/account?done=linked");

    // Unlinked again: the other browsers are signed out, and the provider signs nobody in.
    let mut other = Browser::default();
    other.go(&world, &provider, "/sign-in/openid", "next=/account").await.expect(303);
    let page = own.get(&world, "/account", "same-origin").await.expect(200);
    assert!(page.body.contains("Unlink ") && page.body.contains("/account/openid/unlink"));
    let unlinked = own.post(&world, "/account/openid/unlink", "same-origin", "").await.expect(303);
    assert_eq!(location(&unlinked), "/account?done=unlinked");
    other.get(&world, "/account", "same-origin").await.expect(303);
    own.get(&world, "/account?done=unlinked", "same-origin").await.expect(200);
    Browser::default().go(&world, &provider, "/sign-in/openid", "").await.expect(401);
    own.post(&world, "/account/openid/unlink", "same-origin", "").await.expect(404);

    // The password shows who they are, in a new session; the one before is over.
    let mut before = Browser(own.0.clone());
    own.post(&world, "/account/openid", "same-origin", "").await.expect(422);
    let linked =
        own.go(&world, &provider, "/account/openid", "current_password=sesame+of+the+eleven+gardens").await;
    assert_eq!(location(&linked.expect(303)), "/account?done=linked");
    before.get(&world, "/account", "same-origin").await.expect(303);
}

#[tokio::test]
async fn t09_the_only_way_in_is_not_unlinked() {
    let (world, provider) = world().await;
    let asked = keyward_control::Asked::by_operator("test");
    let made = world.control.invite(&asked, InvitedTo::Operators, "ada@example.com").await.unwrap();
    let mut own = Browser::default();
    let form = format!("invitation={}", made.secret.secret().unwrap().expose());
    own.go(&world, &provider, "/sign-in/openid", &form).await.expect(303);
    let refused = own.post(&world, "/account/openid/unlink", "same-origin", "").await.expect(422);
    assert!(refused.body.contains("choose a password first"), "{}", refused.body);
    Browser::default().go(&world, &provider, "/sign-in/openid", "").await.expect(303);
}

#[tokio::test]
async fn an_invitation_is_accepted_by_whom_the_provider_speaks_for() {
    let (world, provider) = world().await;
    let asked = keyward_control::Asked::by_operator("test");
    let invite = async |email: &str| {
        let made = world.control.invite(&asked, InvitedTo::Operators, email).await.unwrap();
        format!("invitation={}", made.secret.secret().unwrap().expose())
    };
    let for_another = invite("eve@example.com").await;
    let mut browser = Browser::default();
    let refused = browser.go(&world, &provider, "/sign-in/openid", &for_another).await;
    assert!(refused.status.is_client_error() && !browser.is_signed_in(), "the provider says that they are Ada");
    let answer =
        browser.go(&world, &provider, "/sign-in/openid", &invite("ada@example.com").await).await.expect(303);
    assert_eq!((location(&answer), browser.is_signed_in()), ("/", true));
    let mut elsewhere = Browser::default();
    elsewhere.go(&world, &provider, "/sign-in/openid", "").await.expect(303);
    assert!(elsewhere.is_signed_in(), "and signs in with it from then on");
}

#[tokio::test]
async fn without_a_provider_there_is_no_way_to_one() {
    let world = World::with("standard").await;
    for path in ["/sign-in/openid/callback?code=1", "/sign-in/forgotten"] {
        Browser::default().get(&world, path, "same-origin").await.expect(404);
    }
    Browser::default().post(&world, "/sign-in/openid", "same-origin", "").await.expect(404);
    let page = Browser::default().get(&world, "/sign-in", "none").await.expect(200);
    assert!(!page.body.contains("Continue with ") && !page.body.contains("mailed to you"));
}
