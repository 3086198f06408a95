//! Where letters are taken to: `smtp://host` (TLS from STARTTLS on, always, unless the host is this machine) or
//! `smtps://host` (TLS from the first byte on).

use std::time::Duration;

use keyward_core::secret::Secret;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, Tokio1Executor};

use super::Unusable;

/// A mail server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    host: String,
    port: u16,
    security: Security,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Security {
    /// On this machine only.
    None,
    StartTls,
    Tls,
}

/// A text that is no mail server's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a mail server such as smtp://mail.example.com:587, or smtps:// for TLS from the first byte on")]
pub struct NotAServer;

impl std::str::FromStr for ServerAddress {
    type Err = NotAServer;

    fn from_str(text: &str) -> Result<Self, NotAServer> {
        let uri: http::Uri = text.parse().map_err(|_| NotAServer)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(NotAServer) };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let has_more = !matches!(uri.path(), "" | "/") || uri.query().is_some() || authority.as_str().contains('@');
        if host.is_empty() || has_more {
            return Err(NotAServer);
        }
        let address = host.parse::<std::net::IpAddr>();
        let is_loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        let (security, usual_port) = match scheme {
            "smtps" => (Security::Tls, 465),
            "smtp" if is_loopback => (Security::None, 25),
            "smtp" => (Security::StartTls, 587),
            _ => return Err(NotAServer),
        };
        let port = match authority.as_str().rsplit_once(':') {
            // The colon of an IPv6 address is within brackets.
            Some((_, port)) if !port.ends_with(']') => port.parse().map_err(|_| NotAServer)?,
            _ => usual_port,
        };
        Ok(ServerAddress { host: host.to_owned(), port, security })
    }
}

impl ServerAddress {
    pub(super) fn transport(
        self,
        credentials: Option<(String, Secret)>,
        hello: &str,
        timeout: Duration,
    ) -> Result<AsyncSmtpTransport<Tokio1Executor>, Unusable> {
        let ServerAddress { host, port, security } = self;
        let parameters =
            || TlsParameters::new(host.clone()).map_err(|error| Unusable(format!("TLS to {host}: {error}")));
        let tls = match security {
            Security::None => Tls::None,
            Security::StartTls => Tls::Required(parameters()?),
            Security::Tls => Tls::Wrapper(parameters()?),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host.clone())
            .port(port)
            .tls(tls)
            .timeout(Some(timeout))
            .hello_name(ClientId::Domain(hello.to_owned()));
        if let Some((username, password)) = credentials {
            builder = builder.credentials(Credentials::new(username, password.expose().to_owned()));
        }
        Ok(builder.build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_elsewhere_is_never_spoken_to_in_the_clear() {
        for (text, host, port, security) in [
            ("smtp://mail.example.com", "mail.example.com", 587, Security::StartTls),
            ("smtp://mail.example.com:25", "mail.example.com", 25, Security::StartTls),
            ("smtp://192.0.2.1", "192.0.2.1", 587, Security::StartTls),
            ("smtps://mail.example.com/", "mail.example.com", 465, Security::Tls),
            ("smtps://127.0.0.1:4650", "127.0.0.1", 4650, Security::Tls),
            ("smtp://localhost", "localhost", 25, Security::None),
            ("smtp://127.0.0.1:2525", "127.0.0.1", 2525, Security::None),
            ("smtp://[::1]:2525", "::1", 2525, Security::None),
            ("smtp://[2001:db8::1]", "2001:db8::1", 587, Security::StartTls),
        ] {
            assert_eq!(text.parse(), Ok(ServerAddress { host: host.into(), port, security }), "{text}");
        }
        for text in [
            "",
            "mail.example.com",
            "http://mail.example.com",
            "smtp://",
            "smtp://me:secret@mail.example.com",
            "smtp://mail.example.com/?tls=none",
            "smtp://mail.example.com/path",
            "smtp://mail.example.com:smtp",
            "smtp://mail.example.com:99999",
        ] {
            assert_eq!(text.parse::<ServerAddress>(), Err(NotAServer), "{text}");
        }
    }
}
