//! Letters to people, by SMTP where the operator has configured a server, with the `lettre` crate.
//!
//! A letter is plain text that we wrote; what people gave (names) stands in its body alone and never in a header. Sending
//! takes a bounded time and comes after whatever the letter tells of: a use case never fails because of a letter, and every
//! link that is sent can also be handed over by whoever made it.

mod letters;
mod server;

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use keyward_core::clock::{Entropy, Timestamp};
use keyward_core::secret::Secret;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use tokio::sync::Semaphore;

pub use letters::Letter;
pub use server::{NotAServer, ServerAddress};

/// How long sending a letter may take, waiting for its turn included.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How many are sent at once.
const AT_ONCE: usize = 4;

/// How letters are sent.
pub struct MailSettings {
    /// To which server.
    pub server: ServerAddress,
    /// As whom, where the server wants to know; with the password.
    pub credentials: Option<(String, Secret)>,
    /// Who they are from: `keys@example.com`, or with a name, `Keyward <keys@example.com>`.
    pub from: String,
}

/// Sends letters.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    entropy: Arc<dyn Entropy>,
    turns: Semaphore,
}

/// Settings that no letter can be sent with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(String);

/// Why a letter was not sent. The words are for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// The address is none that mail goes to.
    #[error("the recipient's address is none that mail goes to")]
    NoAddress,
    /// The server cannot be reached, or says no.
    #[error("the mail server: {0}")]
    Refused(String),
    /// The server took too long; the letter may arrive nevertheless.
    #[error("the mail server took longer than {} seconds", TIMEOUT.as_secs())]
    TooSlow,
}

impl NotSent {
    /// What the person who had it sent is told, in a whole sentence.
    pub fn told(&self) -> &'static str {
        match self {
            NotSent::NoAddress => "No mail can be sent to this address. Hand the link over yourself.",
            NotSent::Refused(_) => "The mail could not be sent. Hand the link over yourself.",
            NotSent::TooSlow => {
                "The mail server took too long, so the mail may not arrive. Hand the link over yourself."
            }
        }
    }
}

impl Mailer {
    /// Gets ready to send. The server is not asked yet: it may be down while Keyward starts.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: MailSettings, entropy: Arc<dyn Entropy>) -> Result<Self, Unusable> {
        let MailSettings { server, credentials, from } = settings;
        let from: Mailbox = from
            .parse()
            .map_err(|_| Unusable(format!("{from:?} is no sender such as Keyward <keys@example.com>")))?;
        let transport = server.transport(credentials, from.email.domain(), TIMEOUT)?;
        Ok(Mailer { transport, from, entropy, turns: Semaphore::new(AT_ONCE) })
    }

    /// Sends a letter, in ten seconds at most. A failure is logged here, without the address and the link.
    ///
    /// # Errors
    /// Why it was not sent; [`NotSent::told`] has the words for whoever had it sent.
    pub async fn send(&self, letter: &Letter, now: Timestamp) -> Result<(), NotSent> {
        let sent = match tokio::time::timeout(TIMEOUT, self.send_patiently(letter, now)).await {
            Ok(sent) => sent,
            Err(_) => Err(NotSent::TooSlow),
        };
        if let Err(reason) = &sent {
            tracing::warn!(letter = letter.kind(), %reason, "a letter was not sent");
        }
        sent
    }

    async fn send_patiently(&self, letter: &Letter, now: Timestamp) -> Result<(), NotSent> {
        let message = self.message(letter, now)?;
        let _turn = self.turns.acquire().await;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_timeout() => Err(NotSent::TooSlow),
            Err(error) => Err(NotSent::Refused(said(&error))),
        }
    }

    fn message(&self, letter: &Letter, now: Timestamp) -> Result<Message, NotSent> {
        let to = letter.to().parse().map_err(|_| NotSent::NoAddress)?;
        let mut id = [0; 16];
        self.entropy.fill(&mut id);
        let id = format!("<{}@{}>", BASE64.encode(id), self.from.email.domain());
        let date = UNIX_EPOCH + Duration::from_millis(u64::try_from(now.as_millis()).unwrap_or(0));
        // RFC 3834: so that no absence note answers it.
        let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".into());
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(letter.subject())
            .message_id(Some(id))
            .date(date)
            .raw_header(automatic)
            .header(ContentType::TEXT_PLAIN);
        message.body(letter.text()).map_err(|_| NotSent::NoAddress)
    }
}

/// What went wrong, on one line and cut: servers write what they like.
fn said(error: &lettre::transport::smtp::Error) -> String {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        reason = format!("{reason}: {inner}");
        source = inner.source();
    }
    format!("{:?}", reason.chars().take(200).collect::<String>())
}
