//! Signing in with a real OpenID provider, invitations that come by real mail, and who is not let in.

use super::Browser;
use super::world::World;
use crate::harness::openid::{CLIENT_ID, CLIENT_SECRET};
use crate::harness::{Keyward, MailServer, OpenIdProvider};

/// A world whose Keyward knows the provider and sends mail.
struct Inviting {
    world: World,
    provider: OpenIdProvider,
    mail: MailServer,
    _secrets: tempfile::TempDir,
}

impl Inviting {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let provider = OpenIdProvider::start();
        let mail = MailServer::start_with_password("keyward", "of the mail server");
        let folder = tempfile::TempDir::new().unwrap();
        let kept = |name: &str, secret: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, secret).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
            file.to_str().unwrap().to_owned()
        };
        let (client, password) = (kept("client", CLIENT_SECRET), kept("password", "of the mail server"));
        let server = format!("smtp://127.0.0.1:{}", mail.port);
        let environment = [
            ("KEYWARD_OPENID_ISSUER", provider.issuer.as_str()),
            ("KEYWARD_OPENID_CLIENT_ID", CLIENT_ID),
            ("KEYWARD_OPENID_CLIENT_SECRET_FILE", &client),
            ("KEYWARD_OPENID_TITLE", "Example ID"),
            ("KEYWARD_MAIL_SERVER", &server),
            ("KEYWARD_MAIL_FROM", "Keyward <keys@keyward.test>"),
            ("KEYWARD_MAIL_USERNAME", "keyward"),
            ("KEYWARD_MAIL_PASSWORD_FILE", &password),
        ];
        let keyward = Keyward::dev_with_env("standard", &[], &environment);
        Inviting { world: World::around(keyward, Browser::open()), provider, mail, _secrets: folder }
    }

    /// Invites somebody on the members' page; the link that they get by mail.
    fn invite(&mut self, email: &str) -> String {
        let world = &self.world;
        world.goto(&format!("/organizations/{}/members", world.keyward.started.organization));
        world.browser.fill("E-mail", email);
        world.browser.click("Invite");
        world.browser.see(email);
        let mail = self.mail.next();
        assert_eq!(mail.to, [email.to_owned()]);
        let text = mail.text.expect("a mail in plain text");
        let link = text.split_whitespace().find(|word| word.contains("/invitations/"));
        let secret = link.expect("the mail has the link").to_owned();
        assert!(!mail.subject.unwrap().contains(&secret));
        secret
    }
}

/// Goes through the provider's pages as somebody.
fn at_the_provider(browser: &Browser, login: &str) {
    browser.fill("Enter any login", login);
    browser.fill("and password", "any");
    browser.click("Sign-in");
}

#[test]
fn t09_who_was_invited_comes_in_by_the_provider_and_nobody_else() {
    let mut inviting = Inviting::new();
    let link = inviting.invite("ada@example.test");
    let sign_in = inviting.world.url("/sign-in");
    let ada = Browser::open();
    ada.goto(&link);
    ada.is_sound();
    ada.click("Continue with Example ID");
    at_the_provider(&ada, "ada");
    ada.see("Account menu");
    // Again, without the invitation.
    ada.click("Account menu");
    ada.click("Sign out");
    // What the provider's pages complain of is not ours.
    ada.errors();
    ada.goto(&sign_in);
    ada.is_sound();
    ada.click("Continue with Example ID");
    if ada.url().starts_with(&inviting.provider.issuer) && ada.offers("Sign-in") {
        at_the_provider(&ada, "ada");
    }
    ada.see("Account menu");
    // The provider knows many people, whom nobody invited; one of them even has Ada's address.
    inviting.provider.person("eve", serde_json::json!({"email": "ada@example.test", "email_verified": true}));
    for login in ["mallory", "eve"] {
        let stranger = Browser::open();
        stranger.goto(&sign_in);
        stranger.click("Continue with Example ID");
        at_the_provider(&stranger, login);
        stranger.see("You are not signed in");
        assert!(!stranger.offers("Account menu"), "{login} is in:\n{}", stranger.text());
        assert!(!stranger.cookies().iter().any(|(name, _)| name == "keyward-session"), "{login}");
    }
    // The link was for once, and for one address.
    let late = Browser::open();
    late.goto(&link);
    late.see("Ask for a new one");
}

#[test]
fn t09_an_invitation_is_for_one_address() {
    let mut inviting = Inviting::new();
    let link = inviting.invite("grace@example.test");
    let claims = serde_json::json!({"email": "somebody.else@example.test", "email_verified": true});
    inviting.provider.person("grace", claims);
    let grace = Browser::open();
    grace.goto(&link);
    grace.click("Continue with Example ID");
    at_the_provider(&grace, "grace");
    grace.see("The invitation is for another mail address");
    assert!(!grace.cookies().iter().any(|(name, _)| name == "keyward-session"));
    // It is still good for whom it is.
    grace.goto(&link);
    grace.fill("Your name", "Grace");
    grace.fill("Password", "several words that nobody guesses");
    grace.click("Create account and join");
    grace.see("Account menu");
}
