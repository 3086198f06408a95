//! Letters through a real mail server.

use std::sync::Arc;

use keyward_control::mail::{Letter, MailSettings, Mailer, NotSent};
use keyward_core::clock::{SystemEntropy, Timestamp};
use keyward_core::secret::Secret;

use super::{Visitor, invite};
use crate::harness::{Keyward, MailServer};

const LINK: &str = "https://keys.example.com/invitations/invite_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM";

fn mailer(port: u16, credentials: Option<(&str, &str)>) -> Mailer {
    let credentials = credentials.map(|(name, password)| (name.to_owned(), Secret::new(password.to_owned())));
    let server = format!("smtp://127.0.0.1:{port}").parse().unwrap();
    let settings = MailSettings { server, credentials, from: "Keyward <keys@example.com>".into() };
    Mailer::new(settings, Arc::new(SystemEntropy)).unwrap()
}

fn invitation(to: &str, inviter: &str, organization: &str) -> Letter {
    Letter::Invitation {
        to: to.into(),
        inviter: Some(inviter.into()),
        organization: Some(organization.into()),
        link: LINK.into(),
        expires_at: Timestamp::from_millis(1_795_218_680_000),
    }
}

#[tokio::test]
async fn an_invitation_arrives_as_it_was_written() {
    let mut server = MailServer::start_with_password("keyward", "a password");
    let now = Timestamp::from_millis(1_794_613_880_000);
    let letter = invitation("grace@example.test", "Zoë", "Müller & Söhne");
    mailer(server.port, Some(("keyward", "a password"))).send(&letter, now).await.unwrap();
    let mail = server.next();
    assert_eq!(
        (mail.from.as_str(), mail.to.as_slice()),
        ("keys@example.com", &["grace@example.test".to_owned()][..])
    );
    assert_eq!(mail.subject.as_deref(), Some("You are invited to keys.example.com"));
    let text = mail.text.unwrap();
    assert!(text.contains("\"Zoë\" invites you to join the organization \"Müller & Söhne\""), "{text}");
    assert!(text.lines().any(|line| line == LINK) && text.contains("until 2026-11-20 23:51 UTC"), "{text:?}");
    assert!(mail.raw.contains("Auto-Submitted: auto-generated") && mail.html.is_none(), "{}", mail.raw);
}

#[tokio::test]
async fn i02_no_name_writes_a_header_or_sends_to_anybody_else() {
    let mut server = MailServer::start();
    let mailer = mailer(server.port, None);
    let now = Timestamp::from_millis(0);
    let evil = "x\r\nBcc: all@example.test\r\n\r\n.\r\nRCPT TO:<all@example.test>\r\n<script>alert(1)</script>";
    mailer.send(&invitation("grace@example.test", evil, evil), now).await.unwrap();
    let mail = server.next();
    assert_eq!(mail.to, ["grace@example.test"]);
    let (head, _) = mail.raw.split_once("\r\n\r\n").unwrap();
    assert!(!head.contains("all@example.test") && !head.contains("Bcc"), "{head}");
    assert!(!mail.text.unwrap().lines().any(|line| line.starts_with("Bcc") || line == "."));
    for to in ["grace@example.test\r\nBcc: all@example.test", "grace@example.test, all@example.test", "grace", ""] {
        assert_eq!(mailer.send(&invitation(to, "Ada", "Acme"), now).await, Err(NotSent::NoAddress), "{to:?}");
    }
}

#[tokio::test]
async fn a_server_that_refuses_or_is_not_there_is_told() {
    let server = MailServer::start_with_password("keyward", "a password");
    let letter = invitation("grace@example.test", "Ada", "Acme");
    let refused = mailer(server.port, Some(("keyward", "another"))).send(&letter, Timestamp::from_millis(0)).await;
    let said = refused.unwrap_err().to_string();
    assert!(said.contains("535") && !said.contains("another"), "{said}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let refused = mailer(port, None).send(&letter, Timestamp::from_millis(0)).await;
    assert!(matches!(refused, Err(NotSent::Refused(_))), "{refused:?}");
}

#[tokio::test]
async fn a_server_that_keeps_silent_is_given_ten_seconds() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mailer = mailer(listener.local_addr().unwrap().port(), None);
    let letter = invitation("grace@example.test", "Ada", "Acme");
    assert_eq!(mailer.send(&letter, Timestamp::from_millis(0)).await, Err(NotSent::TooSlow));
}

#[test]
fn w07_a_link_is_mailed_to_who_is_known_and_everybody_is_told_the_same() {
    let mut server = MailServer::start();
    let address = format!("smtp://127.0.0.1:{}", server.port);
    let env = [("KEYWARD_MAIL_SERVER", address.as_str()), ("KEYWARD_MAIL_FROM", "keys@example.com")];
    let keyward = Keyward::dev_with_env("standard", &[], &env);
    let mut grace = Visitor::of(&keyward);
    let accept = format!("/invitations/{}", invite(&keyward, "grace@example.test"));
    let invitation = server.next();
    assert!(invitation.to == ["grace@example.test"] && invitation.text.unwrap().contains(&accept));
    let accepted = grace.post(&accept, "name=Grace&password=sesame+of+the+eleven+gardens");
    assert_eq!((accepted.status().as_u16(), grace.is_signed_in()), (303, true));

    let mut somebody = Visitor::of(&keyward);
    let unknown = somebody.post("/sign-in/forgotten", "email=nobody@example.test");
    let known = somebody.post("/sign-in/forgotten", "email=grace@example.test");
    assert_eq!((unknown.status(), known.status()), (known.status(), reqwest::StatusCode::OK));
    let without_address = |page: String, email: &str| page.replace(email, "");
    assert_eq!(
        without_address(unknown.text().unwrap(), "nobody@example.test"),
        without_address(known.text().unwrap(), "grace@example.test")
    );

    // The next mail is Grace's: nobody else got one.
    let mail = server.next();
    assert_eq!(mail.to, ["grace@example.test"]);
    let text = mail.text.unwrap();
    let link = text.lines().find(|line| line.contains("/sign-in/link/")).unwrap();
    let path = link.strip_prefix(&somebody.site).unwrap();
    assert_eq!(somebody.get(path).status(), 200, "looking at it does not use it up");
    assert_eq!((somebody.post(path, "").status().as_u16(), somebody.is_signed_in()), (303, true));
    assert_eq!(Visitor::of(&keyward).post(path, "").status(), 404, "it signs in once");
    assert!(!keyward.stderr().contains(path.rsplit('/').next().unwrap()));
}
