//! What a setting can be, and the reading of it from a file's value or from text.

use std::net::SocketAddr;

use ipnet::IpNet;
use keyward_core::id::ApiName;

/// The kinds of settings.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// An address and port to listen on; empty for none.
    Address,
    /// Networks, in CIDR notation.
    Networks,
    /// A whole number.
    Count {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// One of a few words.
    OneOf(&'static [&'static str]),
    /// A file or folder.
    Path,
    /// The name of an API; empty for none.
    ApiName,
    /// Yes or no.
    Truth,
    /// APIs with an address each: `API=ADDRESS`.
    ApiAddresses,
    /// APIs with a URL each: `API=URL`.
    ApiUrls,
    /// A collector of traces: an http or https URL; empty for none.
    Collector,
    /// A share, from 0 to 1, in quotes.
    Share,
    /// A Valkey or Redis server, without its password; empty for none.
    CounterServer,
    /// A PostgreSQL database; empty for none.
    Database,
    /// The address of a site for people; empty for the one that follows from where the listener is.
    Site,
    /// An OpenID provider's issuer identifier; empty for none.
    Issuer,
    /// A mail server, without its password; empty for none.
    MailServer,
    /// Any text on one line.
    Text,
    /// Letters, digits, `_` and `-`.
    Word,
    /// Any of a few words.
    SomeOf(&'static [&'static str]),
}

/// A value as a source gave it, before it is known to be right.
#[derive(Debug, Clone, PartialEq)]
pub enum Raw {
    /// Text: from the environment and flags always, from the file where it is quoted.
    Text(String),
    /// A number of the file.
    Number(i64),
    /// A truth of the file.
    Truth(bool),
    /// A list of texts of the file.
    List(Vec<String>),
    /// Something else of the file.
    Other(&'static str),
}

/// A value that is right for its setting.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// An address, or none.
    Address(Option<SocketAddr>),
    /// Networks.
    Networks(Vec<IpNet>),
    /// A number.
    Count(u64),
    /// A word, a path or a name.
    Text(String),
    /// A truth.
    Truth(bool),
    /// APIs with an address each.
    ApiAddresses(Vec<(ApiName, SocketAddr)>),
    /// APIs with a URL each.
    ApiUrls(Vec<(ApiName, String)>),
    /// Words.
    Words(Vec<String>),
}

impl Kind {
    /// Reads a value.
    ///
    /// # Errors
    /// What would be right instead.
    pub fn read(self, raw: &Raw) -> Result<Value, String> {
        match (self, raw) {
            (Kind::Count { min, max }, Raw::Number(number)) => count(u64::try_from(*number).ok(), min, max),
            (Kind::Truth, Raw::Truth(truth)) => Ok(Value::Truth(*truth)),
            (Kind::Networks, Raw::List(items)) => networks(items.iter().map(String::as_str)),
            (Kind::ApiAddresses | Kind::ApiUrls, Raw::List(items)) => self.pairs(items.iter().map(String::as_str)),
            (Kind::SomeOf(words), Raw::List(items)) => some_of(words, items.iter().map(String::as_str)),
            // A truth or a number in quotes is a mistake in a file, but the only way in the environment.
            (_, Raw::Text(text)) => self.read_text(text),
            _ => Err(format!("expected {}, not {}", self.expected(), raw.named())),
        }
    }

    fn read_text(self, text: &str) -> Result<Value, String> {
        match self {
            Kind::Address => address(text),
            Kind::Networks => networks(parts(text)),
            Kind::ApiAddresses | Kind::ApiUrls => self.pairs(parts(text)),
            Kind::SomeOf(words) => some_of(words, parts(text)),
            Kind::Count { min, max } => count(text.parse().ok(), min, max),
            Kind::OneOf(words) if words.contains(&text) => Ok(Value::Text(text.to_owned())),
            Kind::ApiName if text.is_empty() => Ok(Value::Text(String::new())),
            Kind::ApiName => match text.parse::<ApiName>() {
                Ok(name) => Ok(Value::Text(name.to_string())),
                Err(error) => Err(error.to_string()),
            },
            Kind::Path if text.contains('\0') => Err("a path cannot contain U+0000".into()),
            Kind::Path => Ok(Value::Text(text.to_owned())),
            Kind::Truth => match text {
                "true" | "1" => Ok(Value::Truth(true)),
                "false" | "0" => Ok(Value::Truth(false)),
                _ => Err("expected true or false".into()),
            },
            Kind::CounterServer => counter_server(text),
            Kind::Collector if text.is_empty() || text.parse::<keyward_edge::Address>().is_ok() => {
                Ok(Value::Text(text.to_owned()))
            }
            Kind::Share if text.parse().is_ok_and(|share: f64| (0.0..=1.0).contains(&share)) => {
                Ok(Value::Text(text.to_owned()))
            }
            Kind::Collector | Kind::Share => Err(format!("expected {}", self.expected())),
            Kind::Database => database(text),
            Kind::Site if text.is_empty() => Ok(Value::Text(String::new())),
            Kind::Site => match keyward_control::Site::new(text) {
                Ok(site) => Ok(Value::Text(site.origin().to_owned())),
                Err(error) => Err(error.to_string()),
            },
            Kind::Issuer | Kind::MailServer if text.is_empty() => Ok(Value::Text(String::new())),
            Kind::Issuer => match keyward_control::openid::check_issuer(text) {
                Ok(()) => Ok(Value::Text(text.to_owned())),
                Err(error) => Err(error.to_string()),
            },
            Kind::MailServer => match text.parse::<keyward_control::mail::ServerAddress>() {
                Ok(_) => Ok(Value::Text(text.to_owned())),
                Err(error) => Err(error.to_string()),
            },
            Kind::Text if !text.contains(char::is_control) => Ok(Value::Text(text.to_owned())),
            Kind::Word if is_word(text) => Ok(Value::Text(text.to_owned())),
            Kind::OneOf(_) | Kind::Text | Kind::Word => Err(format!("expected {}", self.expected())),
        }
    }

    /// `API=…` pairs: an address each API once, a URL as often as it has upstreams.
    fn pairs<'a>(self, items: impl Iterator<Item = &'a str>) -> Result<Value, String> {
        let mut split: Vec<(ApiName, &str)> = Vec::new();
        for item in items {
            let (api, of) = item.split_once('=').ok_or_else(|| format!("expected {}", self.expected()))?;
            let api: ApiName = api.trim().parse().map_err(|error| format!("\"{item}\": {error}"))?;
            let is_several = matches!(self, Kind::ApiUrls);
            if split.iter().any(|(other, url)| *other == api && (!is_several || *url == of.trim())) {
                return Err(format!("{api} stands there twice"));
            }
            split.push((api, of.trim()));
        }
        if matches!(self, Kind::ApiUrls) {
            let bad = split.iter().find(|(_, url)| !(url.starts_with("http://") || url.starts_with("https://")));
            return match bad {
                Some((_, url)) => Err(format!("\"{url}\" is no http or https URL")),
                None => Ok(Value::ApiUrls(split.into_iter().map(|(api, url)| (api, url.to_owned())).collect())),
            };
        }
        let read = split.into_iter().map(|(api, of)| match address(of)? {
            Value::Address(Some(address)) => Ok((api, address)),
            _ => Err(format!("{api} has no address")),
        });
        Ok(Value::ApiAddresses(read.collect::<Result<_, String>>()?))
    }

    fn expected(self) -> String {
        match self {
            Kind::Address => "an address such as 127.0.0.1:7700".into(),
            Kind::Networks => "a list of networks such as [\"10.0.0.0/8\"]".into(),
            Kind::Count { min, max } => format!("a whole number from {min} to {max}"),
            Kind::OneOf(words) => format!("one of {}", words.join(", ")),
            Kind::Path => "a path in quotes".into(),
            Kind::ApiName => "the name of an API in quotes".into(),
            Kind::Truth => "true or false".into(),
            Kind::ApiAddresses => "a list such as [\"standard=127.0.0.1:7710\"]".into(),
            Kind::ApiUrls => "a list such as [\"standard=http://127.0.0.1:8000\"]".into(),
            Kind::Collector => "a URL such as http://127.0.0.1:4318/v1/traces".into(),
            Kind::Share => "a share from 0 to 1 in quotes, such as \"0.01\"".into(),
            Kind::CounterServer => "a URL such as redis://127.0.0.1:6379/0, or rediss:// for TLS".into(),
            Kind::Database => "a URL such as postgres://keyward@127.0.0.1:5432/keyward".into(),
            Kind::Site => "an address such as https://keys.example.com, or http on loopback, without a path".into(),
            Kind::Issuer => "an https URL such as https://accounts.example.com".into(),
            Kind::MailServer => "a mail server such as smtp://mail.example.com:587".into(),
            Kind::Text => "text on one line".into(),
            Kind::Word => "letters, digits, _ and -".into(),
            Kind::SomeOf(words) => format!("a list of some of {}", words.join(", ")),
        }
    }
}

impl Raw {
    fn named(&self) -> &'static str {
        match self {
            Raw::Text(_) => "a text",
            Raw::Number(_) => "a number",
            Raw::Truth(_) => "a truth",
            Raw::List(_) => "a list",
            Raw::Other(name) => name,
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Address(Some(address)) => write!(f, "{address}"),
            Value::Address(None) => Ok(()),
            Value::Networks(networks) => {
                let networks: Vec<_> = networks.iter().map(IpNet::to_string).collect();
                f.write_str(&networks.join(","))
            }
            Value::Count(count) => write!(f, "{count}"),
            Value::Text(text) => f.write_str(text),
            Value::Truth(truth) => write!(f, "{truth}"),
            Value::ApiAddresses(pairs) => {
                let pairs: Vec<_> = pairs.iter().map(|(api, address)| format!("{api}={address}")).collect();
                f.write_str(&pairs.join(","))
            }
            Value::ApiUrls(pairs) => {
                let pairs: Vec<_> = pairs.iter().map(|(api, url)| format!("{api}={url}")).collect();
                f.write_str(&pairs.join(","))
            }
            Value::Words(words) => f.write_str(&words.join(",")),
        }
    }
}

/// A URL with the password in it covered.
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    // To the last `@`: a password that was not encoded may hold any of the characters that end it elsewhere.
    match rest.rsplit_once('@').and_then(|(user, place)| Some((user.split_once(':')?.0, place))) {
        Some((user, place)) => format!("{scheme}://{user}:***@{place}"),
        None => url.to_owned(),
    }
}

/// The parts of a list as the environment writes it.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn address(text: &str) -> Result<Value, String> {
    if text.is_empty() {
        return Ok(Value::Address(None));
    }
    match text.parse() {
        Ok(address) => Ok(Value::Address(Some(address))),
        Err(_) if text.starts_with("localhost:") => Err("write an IP address: 127.0.0.1 for localhost".into()),
        Err(_) => Err("expected an IP address and a port, such as 127.0.0.1:7700 or [::1]:7700".into()),
    }
}

fn counter_server(text: &str) -> Result<Value, String> {
    if text.is_empty() {
        return Ok(Value::Text(String::new()));
    }
    let rest = text.strip_prefix("redis://").or_else(|| text.strip_prefix("rediss://"));
    let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
        return Err(format!("expected {}", Kind::CounterServer.expected()));
    };
    match rest.rsplit_once('@') {
        Some((user, _)) if user.contains(':') => Err(
            "holds a password, which is no configuration: put it into a file and name that in rates.password_file"
                .into(),
        ),
        _ => Ok(Value::Text(text.to_owned())),
    }
}

fn database(text: &str) -> Result<Value, String> {
    let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
    match rest {
        None if !text.is_empty() => Err(format!("expected {}", Kind::Database.expected())),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            Err(format!("expected {}", Kind::Database.expected()))
        }
        Some(rest) if rest.contains("password=") => {
            Err("has the password among its options: put it into a file and name that in store.password_file"
                .into())
        }
        _ => Ok(Value::Text(text.to_owned())),
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn networks<'a>(parts: impl Iterator<Item = &'a str>) -> Result<Value, String> {
    let read = parts.map(|part| {
        let network: IpNet = part
            .parse()
            .or_else(|_| part.parse::<std::net::IpAddr>().map(IpNet::from))
            .map_err(|_| format!("\"{part}\" is no network such as 10.0.0.0/8"))?;
        let shortest = if network.addr().is_ipv4() { 8 } else { 16 };
        if network.prefix_len() < shortest {
            return Err(format!("{network} trusts most of the internet; name the proxies' own networks"));
        }
        Ok(network)
    });
    Ok(Value::Networks(read.collect::<Result<_, _>>()?))
}

fn some_of<'a>(words: &'static [&'static str], parts: impl Iterator<Item = &'a str>) -> Result<Value, String> {
    let read = parts.map(|part| match words.contains(&part) {
        true => Ok(part.to_owned()),
        false => Err(format!("expected {}", Kind::SomeOf(words).expected())),
    });
    Ok(Value::Words(read.collect::<Result<_, _>>()?))
}

fn count(number: Option<u64>, min: u64, max: u64) -> Result<Value, String> {
    match number.filter(|number| (min..=max).contains(number)) {
        Some(number) => Ok(Value::Count(number)),
        None => Err(format!("expected a whole number from {min} to {max}")),
    }
}
