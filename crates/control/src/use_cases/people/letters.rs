//! Letters about people, where mail is configured: an invitation for whom it is for, and a link for whoever has forgotten
//! their password.
//!
//! Who asks for a link is told the same, at once, whether there is such a person or not: looking them up, making the link and
//! sending it come after the answer (trust.md W07). Operators get none: theirs are made at the machine (W13).

use std::net::IpAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use keyward_core::change::Origin;
use keyward_core::limits::{Counted, Rate, network_of};
use keyward_core::people::Person;
use keyward_core::text;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::super::error::{ControlError, Result};
use super::InvitationMade;
use crate::mail::{Letter, NotSent};
use crate::use_cases::{Asked, Caller, Control, Disclosure, Seat};

/// Links that one account is sent: three at once, then three an hour.
static ACCOUNT: LazyLock<Rate> = LazyLock::new(|| rate(3));
/// Links that one network asks for.
static NETWORK: LazyLock<Rate> = LazyLock::new(|| rate(20));
/// How many links are being made and sent at once; what is asked for beyond that is left out.
const AT_ONCE: usize = 64;

fn rate(per_hour: u64) -> Rate {
    Rate::new(per_hour, Duration::from_secs(3600), per_hour).expect("a small rate can be kept")
}

/// How many links were asked for, by whom and for whom.
pub(super) struct Requests {
    accounts: Mutex<Counted<[u8; 32]>>,
    networks: Mutex<Counted<IpAddr>>,
    places: Arc<Semaphore>,
}

impl Default for Requests {
    fn default() -> Self {
        let (accounts, networks) = Default::default();
        Requests { accounts, networks, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Control {
    /// Sends an invitation that has just been made to whom it is for; `links` is the address of `/invitations/` on our site.
    /// None where no mail is configured, or the secret is not at hand any more. The invitation stands either way.
    pub async fn mail_invitation(
        &self,
        asked: &Asked,
        made: &InvitationMade,
        links: &str,
    ) -> Option<std::result::Result<(), NotSent>> {
        let mailer = self.mailer()?;
        let Disclosure::Now(secret) = &made.secret else { return None };
        let organization = match made.invitation.invited_to.organization() {
            // Read for its name alone, by whoever has just invited to it.
            Some(id) => self.store.organization(id).await.ok().flatten().map(|found| found.name),
            None => None,
        };
        let letter = Letter::Invitation {
            to: made.invitation.email.clone(),
            inviter: asked.caller.person().map(|person| person.name.clone()),
            organization,
            link: format!("{links}{}", secret.expose()),
            expires_at: made.invitation.expires_at,
        };
        Some(mailer.send(&letter, self.now()).await)
    }

    /// Sends a link that signs in once to whoever has this address, if anybody; `links` is the address of `/sign-in/link/`
    /// on our site.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] where no mail is configured; [`ControlError::RateLimited`] where the network asked too
    /// often. Nothing that tells whether there is such a person.
    pub fn request_sign_in_link(self: &Arc<Self>, email: &str, origin: &Origin, links: &str) -> Result<()> {
        if self.mailer().is_none() {
            return Err(ControlError::NotFound);
        }
        let Requests { accounts, networks, places } = &self.people.requests;
        let now = self.engine.clock().boottime_nanos();
        if let Some(address) = origin.address {
            let mut networks = networks.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = networks.take(network_of(address), &NETWORK, now);
            taken.map_err(|retry_after| ControlError::RateLimited { retry_after })?;
        }
        let Ok(email) = text::email(email) else { return Ok(()) };
        // Counted and told alike whether there is such a person or not.
        let account = Sha256::digest(email.as_bytes()).into();
        let may = accounts.lock().unwrap_or_else(PoisonError::into_inner).take(account, &ACCOUNT, now).is_ok();
        let place = Arc::clone(places).try_acquire_owned();
        let (true, Ok(place)) = (may, place) else {
            tracing::info!("a sign-in link was asked for too often and is not sent");
            return Ok(());
        };
        let (control, origin, links) = (Arc::clone(self), origin.clone(), links.to_owned());
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = control.send_sign_in_link(&email, origin, &links).await {
                tracing::warn!(%error, "a sign-in link that was asked for was not made");
            }
        });
        Ok(())
    }

    async fn send_sign_in_link(&self, email: &str, origin: Origin, links: &str) -> Result<()> {
        let (Some(mailer), Some(person)) = (self.mailer(), self.store.person_by_email(email).await?) else {
            return Ok(());
        };
        if !person.is_active() || person.is_operator {
            return Ok(());
        }
        let id = person.id;
        // For themselves: the log says that the link is theirs, and from where it was asked for.
        let caller = Caller::Person { person: Arc::new(person), seat: Seat::Nobody };
        let asked = Asked { caller, origin, repeat: None, waits: true };
        let may = |found: &Person| match found.is_active() && !found.is_operator {
            true => Ok(()),
            false => Err(ControlError::NotFound),
        };
        let (secret, expires_at) = self.make_link(&asked, id, may).await?;
        let letter =
            Letter::SignInLink { to: email.to_owned(), link: format!("{links}{}", secret.expose()), expires_at };
        // What fails is in the log already, and nobody waits to be told.
        let _sent = mailer.send(&letter, self.now()).await;
        Ok(())
    }
}
