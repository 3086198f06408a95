//! Every setting, once: its name in the file, its flag, its default and what it means. The environment
//! variable follows from the name; `config show`, docs/configuration.md and the errors are made from this.

use super::tls::TLS_LISTENERS;
use super::value::Kind;

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name in the file: `table.field`.
    pub name: &'static str,
    /// Its flag on `serve` and `dev`, where it has one.
    pub flag: Option<&'static str>,
    /// What it can be.
    pub kind: Kind,
    /// What it is where nobody says, as it is written in the environment; empty for none.
    pub default: &'static str,
    /// What it means.
    pub help: &'static str,
}

impl Setting {
    /// Its environment variable.
    pub fn variable(&self) -> String {
        format!("KEYWARD_{}", self.name.replace('.', "_").to_ascii_uppercase())
    }
}

const fn setting(
    name: &'static str,
    flag: Option<&'static str>,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting { name, flag, kind, default, help }
}

const LEVELS: Kind = Kind::OneOf(&["error", "warn", "info", "debug", "trace"]);

/// All of them, in the order of the documentation.
pub static SETTINGS: &[Setting] = &[
    setting("dir", Some("--dir"), Kind::Path, "keyward-data", "the folder that holds all that Keyward keeps"),
    setting(
        "secrets.file",
        None,
        Kind::Path,
        "",
        "where peppers and log keys are; secrets.toml in the folder where empty",
    ),
    setting(
        "store.url",
        Some("--store"),
        Kind::Database,
        "",
        "the PostgreSQL that several nodes share: postgres://USER@HOST/DATABASE; empty for SQLite in the folder",
    ),
    setting(
        "store.password_file",
        None,
        Kind::Path,
        "",
        "a file of mode 0600 with the database's password; empty where the URL has it or none is asked",
    ),
    setting(
        "store.connections",
        None,
        Kind::Count { min: 2, max: 1000 },
        "8",
        "connections to PostgreSQL that a node reads by; nine more write, renew its lease and listen",
    ),
    setting("node.name", None, Kind::Text, "", "what people call this node; empty for the machine's name"),
    setting(
        "node.lease_milliseconds",
        None,
        Kind::Count { min: 500, max: 600_000 },
        "10000",
        "how long a node on PostgreSQL decides from memory without hearing from the database; what is taken away is in \
         force everywhere within five quarters of it, whatever becomes of a node",
    ),
    setting(
        "node.renew_milliseconds",
        None,
        Kind::Count { min: 0, max: 200_000 },
        "0",
        "how often its lease is renewed, at most every third of it; 0 for every fifth",
    ),
    setting(
        "control.listen",
        Some("--listen"),
        Kind::Address,
        "127.0.0.1:7700",
        "the address of the control plane: REST, and operations unless ops.listen is set",
    ),
    setting(
        "check.listen",
        Some("--check-listen"),
        Kind::Address,
        "127.0.0.1:7701",
        "the address that services ask whether a key may do something: /v1/verify",
    ),
    setting(
        "check.asking_proxies",
        None,
        Kind::Networks,
        "",
        "the networks of proxies that may ask on behalf of callers: forward-auth and ext_authz",
    ),
    setting(
        "check.proxy_secret_file",
        None,
        Kind::Path,
        "",
        "a file of mode 0600 with a secret that a proxy may show instead, in X-Keyward-Proxy-Secret; empty for none",
    ),
    setting(
        "gateway.listen",
        Some("--gateway-listen"),
        Kind::Address,
        "127.0.0.1:7702",
        "the address of the gateway in front of the APIs; empty for no gateway",
    ),
    setting(
        "ops.listen",
        Some("--ops-listen"),
        Kind::Address,
        "",
        "an address of its own for /healthz, /readyz and /metrics; empty for the control plane's",
    ),
    setting(
        "allow_plaintext",
        Some("--allow-plaintext"),
        Kind::Truth,
        "false",
        "acknowledges that something in front of every listener that speaks no TLS itself does: keys travel here",
    ),
    setting(
        "tls.certificate_file",
        None,
        Kind::Path,
        "",
        "the certificate that listeners show, with its chain, in PEM; read again when it changes; empty for plain HTTP",
    ),
    setting("tls.private_key_file", None, Kind::Path, "", "a file of mode 0600 with its private key, in PEM"),
    setting(
        "tls.listeners",
        None,
        Kind::SomeOf(TLS_LISTENERS),
        "control,check,gateway",
        "which listeners speak TLS where there is a certificate",
    ),
    setting(
        "tls.client_ca_file",
        None,
        Kind::Path,
        "",
        "who vouches for clients of the check listener, in PEM: a certificate that one presents is verified by it",
    ),
    setting(
        "upstream.ca_file",
        None,
        Kind::Path,
        "",
        "who vouches for https upstreams, in PEM, and nobody else; empty for the public authorities",
    ),
    setting(
        "upstream.client_certificate_file",
        None,
        Kind::Path,
        "",
        "the certificate, in PEM, that is shown to https upstreams that ask for one",
    ),
    setting("upstream.client_key_file", None, Kind::Path, "", "a file of mode 0600 with its private key, in PEM"),
    setting(
        "gateway.api",
        Some("--gateway-api"),
        Kind::ApiName,
        "",
        "the API of requests that neither host nor path prefix tells; empty for the only one there is",
    ),
    setting(
        "gateway.listeners",
        None,
        Kind::ApiAddresses,
        "",
        "further addresses of the gateway that serve one API each: API=ADDRESS",
    ),
    setting(
        "gateway.upstreams",
        None,
        Kind::ApiUrls,
        "",
        "where the API behind is, whatever its contract says: API=URL; several of an API are several upstreams",
    ),
    setting(
        "gateway.trusted_proxies",
        None,
        Kind::Networks,
        "",
        "the networks of proxies in front, whose X-Forwarded-For is believed",
    ),
    setting(
        "destinations.allowed_networks",
        None,
        Kind::Networks,
        "",
        "networks beside the public internet that projects' destinations may be in, over plain HTTP too",
    ),
    setting(
        "gateway.connections_max",
        None,
        Kind::Count { min: 1, max: 1_000_000 },
        "10000",
        "the most connections to the check and the gateway listener each",
    ),
    setting(
        "gateway.header_timeout_seconds",
        None,
        Kind::Count { min: 1, max: 3600 },
        "10",
        "how long a caller of the check and the gateway listener may take to send a request's head",
    ),
    setting(
        "gateway.body_grace_seconds",
        None,
        Kind::Count { min: 1, max: 3600 },
        "10",
        "how long a caller may make them wait for a body in all, beside a second for every KiB that came",
    ),
    setting(
        "gateway.workers",
        None,
        Kind::Count { min: 0, max: 1024 },
        "0",
        "threads that serve the check and the gateway listeners; 0 for one a core",
    ),
    setting(
        "gateway.public_url",
        None,
        Kind::Site,
        "",
        "the address under which callers reach the gateway, for snippets; a contract's own host wins; empty for gateway.listen's on loopback",
    ),
    setting(
        "access_log.file",
        None,
        Kind::Path,
        "",
        "a file that a line of JSON is appended to for every request to the check and the gateway listeners; - for standard output; empty for none",
    ),
    setting(
        "traces.endpoint",
        None,
        Kind::Collector,
        "",
        "where spans are sent: a collector's URL for OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces; empty for no traces",
    ),
    setting(
        "traces.sample",
        None,
        Kind::Share,
        "0.01",
        "the share of requests that are traced, from 0 to 1; where a trusted proxy traces one, its choice counts",
    ),
    setting(
        "control.public_url",
        Some("--public-url"),
        Kind::Site,
        "",
        "the address under which people reach the dashboard: https, or http on loopback; empty for control.listen's",
    ),
    setting(
        "control.trusted_proxies",
        None,
        Kind::Networks,
        "",
        "the networks of proxies in front of the dashboard, whose X-Forwarded-For is believed",
    ),
    setting(
        "control.connections_max",
        None,
        Kind::Count { min: 1, max: 1_000_000 },
        "1024",
        "the most connections to the control plane",
    ),
    setting(
        "control.failed_authentications_per_minute",
        None,
        Kind::Count { min: 1, max: 1_000_000 },
        "60",
        "requests without a live management key that one network may send; then they are told to wait",
    ),
    setting(
        "openid.issuer",
        None,
        Kind::Issuer,
        "",
        "the OpenID provider that people can sign in with, as it writes its own name; empty for none",
    ),
    setting("openid.client_id", None, Kind::Text, "", "what Keyward is called there"),
    setting(
        "openid.client_secret_file",
        None,
        Kind::Path,
        "",
        "a file of mode 0600 with the secret that the provider gave for it; empty for a public client",
    ),
    setting(
        "openid.title",
        None,
        Kind::Text,
        "single sign-on",
        "what the button calls the provider: Sign in with …",
    ),
    setting(
        "openid.scopes",
        None,
        Kind::Text,
        "email profile",
        "what is asked for beside openid, with spaces between",
    ),
    setting(
        "mail.server",
        None,
        Kind::MailServer,
        "",
        "where invitations and sign-in links are mailed: smtp:// (with STARTTLS, but on loopback) or smtps://; empty for no mail",
    ),
    setting("mail.from", None, Kind::Text, "", "who mail is from, such as Keyward <keys@example.com>"),
    setting("mail.username", None, Kind::Text, "", "as whom mail is sent; empty where the server does not ask"),
    setting("mail.password_file", None, Kind::Path, "", "a file of mode 0600 with its password"),
    setting(
        "verify.misses_per_second",
        None,
        Kind::Count { min: 1, max: 1_000_000 },
        "1000",
        "look-ups a second of credentials that anybody could have made up, over all callers",
    ),
    setting(
        "verify.misses_per_second_per_address",
        None,
        Kind::Count { min: 1, max: 1_000_000 },
        "50",
        "the same for one address",
    ),
    setting(
        "rates.server",
        None,
        Kind::CounterServer,
        "",
        "a Valkey or Redis server that nodes share rate limits in; empty where each node counts alone",
    ),
    setting("rates.password_file", None, Kind::Path, "", "a file of mode 0600 with its password; empty for none"),
    setting(
        "rates.prefix",
        None,
        Kind::Word,
        "keyward",
        "what Keyward's keys on it begin with: nodes share where it is the same",
    ),
    setting(
        "rates.nodes",
        None,
        Kind::Count { min: 1, max: 1000 },
        "1",
        "how many nodes share, for a node that starts while the server is away; else the server tells",
    ),
    setting(
        "encryption.cache_seconds",
        None,
        Kind::Count { min: 1, max: 86_400 },
        "300",
        "how long a node holds a data key unwrapped: for so long it goes on where the key-encryption key is away",
    ),
    setting(
        "encryption.cache_keys",
        None,
        Kind::Count { min: 1, max: 1_000_000 },
        "4096",
        "how many data keys a node holds unwrapped, at most",
    ),
    setting(
        "usage.keep_minutes_days",
        None,
        Kind::Count { min: 1, max: 36_500 },
        "30",
        "how many days uses and refusals stay in projects' event logs, counted by the minute",
    ),
    setting(
        "usage.keep_hours_days",
        None,
        Kind::Count { min: 1, max: 36_500 },
        "400",
        "how many days counts by the hour are kept, which usage over time is told from",
    ),
    setting(
        "sessions.idle_minutes",
        None,
        Kind::Count { min: 1, max: 43_200 },
        "60",
        "how many minutes a session of the dashboard may go unused before it ends",
    ),
    setting(
        "sessions.hours_max",
        None,
        Kind::Count { min: 1, max: 8_760 },
        "12",
        "how many hours a session of the dashboard lasts at most, however much it is used",
    ),
    setting(
        "stop.notice_seconds",
        None,
        Kind::Count { min: 0, max: 3600 },
        "0",
        "how long a node that was told to stop goes on while /readyz says so, for a load balancer to look elsewhere",
    ),
    setting(
        "stop.drain_seconds",
        None,
        Kind::Count { min: 0, max: 3600 },
        "10",
        "how long a stop waits for open requests",
    ),
    setting("log.level", Some("--log-level"), LEVELS, "info", "what Keyward logs to standard error"),
    setting("log.format", Some("--log-format"), Kind::OneOf(&["text", "json"]), "text", "how it logs"),
];

/// The setting of this name.
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// Environment variables that are not settings: for the commands, and secrets (second best to the file).
pub const OTHER_VARIABLES: &[&str] = &[
    "KEYWARD_CONFIG",
    "KEYWARD_URL",
    "KEYWARD_CHECK_URL",
    "KEYWARD_MANAGEMENT_KEY_FILE",
    "KEYWARD_LOG_CHAIN_KEY",
    "KEYWARD_LOG_SIGNING_KEY",
];

/// What begins the variables of peppers; a version follows.
pub const PEPPER_VARIABLE: &str = "KEYWARD_PEPPER_";

/// What begins the variables of key-encryption keys; a version follows.
pub const ENCRYPTION_KEY_VARIABLE: &str = "KEYWARD_ENCRYPTION_KEY_";

/// Whether a variable is one that Kubernetes sets by itself in the pods beside a service named keyward.
pub fn is_service_link(name: &str) -> bool {
    name == "KEYWARD_PORT" || name.starts_with("KEYWARD_PORT_") || name.starts_with("KEYWARD_SERVICE_")
}
