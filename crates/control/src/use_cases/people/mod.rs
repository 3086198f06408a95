//! People on the dashboard: how Keyward is set up, how somebody signs in and stays signed in, who is a member of
//! what, and who is invited. One file a subject.
//!
//! Cookies, links and pages are the doors' business: what is handed out here is the secret that goes into them.

mod account;
mod identities;
mod invitations;
mod leaving;
mod letters;
mod links;
mod members;
mod operators;
mod passwords;
mod phrases;
mod seats;
mod sessions;
mod setup;
mod sign_in;

use std::sync::Arc;
use std::time::Duration;

use keyward_core::change::Origin;
use keyward_core::id::ProjectId;
use keyward_core::people::Person;
use keyward_core::secret::{Digest, Format, Minted, Peppers, Secret};
use keyward_core::session::Session;

use self::letters::Requests;
use self::passwords::Passwords;
use self::setup::SetupToken;
use self::sign_in::Guesses;
use super::{Asked, Caller, Control, Seat};

pub use identities::Claims;
pub use invitations::{InvitationMade, SeenInvitation};
pub use links::SeenLink;
pub use members::SeenMember;
pub use phrases::{PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN};
pub use sessions::SeenSession;

/// What a person is called, in characters.
const NAME_CHARS_MAX: u32 = 100;

/// How people are let in.
#[derive(Debug, Clone)]
pub struct PeopleOptions {
    /// After how long without use a session ends.
    pub session_idle: Duration,
    /// How long a session lasts at most.
    pub session_max: Duration,
}

impl Default for PeopleOptions {
    fn default() -> Self {
        PeopleOptions { session_idle: Duration::from_secs(60 * 60), session_max: Duration::from_secs(12 * 60 * 60) }
    }
}

/// What the control plane keeps in memory about people.
pub(crate) struct People {
    pub options: PeopleOptions,
    passwords: Passwords,
    guesses: Guesses,
    requests: Requests,
    setup: SetupToken,
}

impl People {
    /// Ready for people; the threads that hash passwords run from now on.
    pub fn new(options: PeopleOptions, peppers: &Arc<Peppers>) -> Self {
        People {
            options,
            passwords: Passwords::start(Arc::clone(peppers)),
            guesses: Guesses::default(),
            requests: Requests::default(),
            setup: SetupToken::default(),
        }
    }
}

/// Who comes, before it is known who they are.
#[derive(Debug, Clone, Default)]
pub struct Visitor {
    /// From where.
    pub origin: Origin,
    /// With which browser, as it says itself: kept with the session, cut to a sensible length.
    pub browser: String,
}

/// Somebody who is to have an account with a password.
#[derive(Debug, Clone)]
pub struct NewPerson {
    /// Their mail address.
    pub email: String,
    /// What they are called.
    pub name: String,
    /// Their password.
    pub password: Secret,
}

/// Somebody who has just signed in.
#[derive(Debug)]
pub struct SignedIn {
    /// Who.
    pub person: Arc<Person>,
    /// Their new session.
    pub session: Session,
    /// What the session's cookie holds.
    pub secret: Secret,
    /// What the cookie of a known device holds: with it, nobody else's guesses keep them from signing in.
    pub device: Secret,
}

/// Somebody who is signed in, as of this request.
#[derive(Debug, Clone)]
pub struct Current {
    /// Who.
    pub person: Arc<Person>,
    /// Their session.
    pub session: Session,
}

impl Current {
    /// What they ask, in one of their seats.
    pub fn asked(&self, seat: Seat, origin: Origin) -> Asked {
        Asked {
            caller: Caller::Person { person: Arc::clone(&self.person), seat },
            origin,
            repeat: None,
            waits: true,
        }
    }

    /// What they ask for themselves.
    fn for_themselves(&self, origin: &Origin) -> Asked {
        self.asked(Seat::Nobody, origin.clone())
    }
}

/// What a secret that is handed to people is for: it stands before it, and it opens nothing else.
#[derive(Debug, Clone, Copy)]
enum Token {
    Session,
    Invitation,
    SignIn,
    Setup,
}

impl Token {
    fn format(self) -> Format {
        let prefix = match self {
            Token::Session => "session",
            Token::Invitation => "invite",
            Token::SignIn => "signin",
            Token::Setup => "setup",
        };
        Format::Keyward { prefix: prefix.into() }
    }
}

impl Control {
    /// How many passwords were hashed since the start: what attempts to sign in have cost.
    pub fn passwords_hashed(&self) -> u64 {
        self.people.passwords.hashed()
    }

    fn mint_token(&self, token: Token) -> (Secret, Digest) {
        // The project plays no part in this format.
        let Minted { secret, digest, .. } =
            token.format().mint(&self.peppers, ProjectId::from_u128(0), &*self.entropy);
        (secret, digest)
    }

    /// The digest that a presented secret is looked up by; a made-up one costs no look-up.
    fn token_digest(&self, token: Token, presented: &str) -> Option<Digest> {
        token.format().recognise(&self.peppers, presented).ok().map(|recognised| *recognised.digest())
    }
}

/// Takes a text as what a person is called.
fn person_name(name: &str) -> std::result::Result<String, String> {
    keyward_core::text::name(name, 1, NAME_CHARS_MAX)
}
