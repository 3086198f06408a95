//! What is written to people. Plain text; the subject is ours alone, and what people gave is made one line of and stands
//! in quotation marks.

use keyward_core::clock::Timestamp;

/// A letter.
#[derive(Clone)]
pub enum Letter {
    /// Somebody is invited.
    Invitation {
        /// Whom.
        to: String,
        /// Who invites, where a person does.
        inviter: Option<String>,
        /// The organization; none where it is to the operators.
        organization: Option<String>,
        /// Where they accept.
        link: String,
        /// Until when they can.
        expires_at: Timestamp,
    },
    /// Somebody, perhaps the recipient, asked to be let in without a password.
    SignInLink {
        /// Whom.
        to: String,
        /// Where they sign in.
        link: String,
        /// Until when they can.
        expires_at: Timestamp,
    },
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Letter({})", self.kind())
    }
}

impl Letter {
    /// Which, for the log.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Letter::Invitation { .. } => "invitation",
            Letter::SignInLink { .. } => "sign-in link",
        }
    }

    pub(super) fn to(&self) -> &str {
        match self {
            Letter::Invitation { to, .. } | Letter::SignInLink { to, .. } => to,
        }
    }

    fn link(&self) -> &str {
        match self {
            Letter::Invitation { link, .. } | Letter::SignInLink { link, .. } => link,
        }
    }

    /// The site, as people know it: what stands between `//` and the next slash of the link.
    fn site(&self) -> &str {
        let rest = self.link().split_once("://").map_or("", |(_, rest)| rest);
        rest.split_once('/').map_or(rest, |(site, _)| site)
    }

    pub(super) fn subject(&self) -> String {
        match self {
            Letter::Invitation { .. } => format!("You are invited to {}", self.site()),
            Letter::SignInLink { .. } => format!("Your link to sign in to {}", self.site()),
        }
    }

    pub(super) fn text(&self) -> String {
        let site = self.site();
        match self {
            Letter::Invitation { inviter, organization, link, expires_at, .. } => {
                let inviter = inviter
                    .as_deref()
                    .map_or("You are invited".into(), |name| format!("\"{}\" invites you", one_line(name)));
                let place = match organization {
                    Some(name) => format!("the organization \"{}\" on {site}", one_line(name)),
                    None => format!("the operators of {site}"),
                };
                format!(
                    "Hello,\n\n{inviter} to join {place}.\n\nTo accept, open this link until {}:\n\n{link}\n\n\
                     It works once, and for this mail address only. If you did not expect it, you need not do \
                     anything.\n",
                    in_words(*expires_at)
                )
            }
            Letter::SignInLink { link, expires_at, .. } => format!(
                "Hello,\n\nsomebody asked for a link that signs you in to {site} without your password.\n\nIf it was \
                 you, open it until {}:\n\n{link}\n\nIt works once. If it was not you, you need not do anything: \
                 nobody else has this link, and your password stays as it is.\n",
                in_words(*expires_at)
            ),
        }
    }
}

/// A name on one line: names are kept without control characters, and a letter does not rely on it.
fn one_line(name: &str) -> String {
    name.chars().map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c }).collect()
}

/// A moment, to the minute, as `2026-11-28 06:24 UTC`.
fn in_words(moment: Timestamp) -> String {
    let text = moment.to_string();
    let minute = text.get(..16).unwrap_or(&text);
    format!("{} UTC", minute.replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invitation(inviter: &str, organization: &str) -> Letter {
        Letter::Invitation {
            to: "ada@example.com".into(),
            inviter: Some(inviter.into()),
            organization: Some(organization.into()),
            link: "https://keys.example.com/invitations/invite_secret".into(),
            expires_at: Timestamp::from_millis(1_795_218_680_123),
        }
    }

    #[test]
    fn i02_a_name_stays_on_its_line_and_out_of_the_subject() {
        let letter = invitation("Eve\r\nBcc: all@example.com", "Acme\u{2028}\u{7}<b>");
        assert_eq!(letter.subject(), "You are invited to keys.example.com");
        let text = letter.text();
        assert!(
            text.contains(r#""Eve  Bcc: all@example.com" invites you to join the organization "Acme  <b>" on"#)
        );
        assert!(text.contains("until 2026-11-20 23:51 UTC"), "{text}");
    }

    #[test]
    fn a_letter_is_not_printed() {
        assert_eq!(format!("{:?}", invitation("Ada", "Acme")), "Letter(invitation)");
    }
}
