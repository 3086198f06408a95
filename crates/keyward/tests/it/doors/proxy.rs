//! The real programs, each with its configuration as shipped.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::harness::raw::{Answer, Socket};
use crate::harness::{Request, eventually};

/// A proxy that asks Keyward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Caddy,
    Traefik,
    /// ext_authz over gRPC.
    Envoy,
    /// ext_authz over HTTP.
    EnvoyHttp,
}

impl Kind {
    pub const ALL: [Kind; 5] = [Kind::Nginx, Kind::Caddy, Kind::Traefik, Kind::Envoy, Kind::EnvoyHttp];

    /// Whether it can take a credential out of the query. One that cannot has such requests refused.
    pub fn strips_queries(self) -> bool {
        !matches!(self, Kind::Traefik | Kind::EnvoyHttp)
    }

    /// Whether it passes on to callers what it is told for them with a grant: how limits stand.
    pub fn tells_callers(self) -> bool {
        !matches!(self, Kind::Caddy | Kind::Traefik)
    }

    fn file(self) -> &'static str {
        match self {
            Kind::Nginx => "nginx.conf",
            Kind::Caddy => "Caddyfile",
            Kind::Traefik => "traefik-api.yaml",
            Kind::Envoy => "envoy.yaml",
            Kind::EnvoyHttp => "envoy-http.yaml",
        }
    }
}

/// What stands around a proxy.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// `host:port` of the check listener.
    pub check: &'a str,
    /// `host:port` of the API behind.
    pub upstream: &'a str,
    /// The API's name.
    pub api: &'a str,
}

/// A running proxy. Killed when dropped.
pub struct Proxy {
    pub kind: Kind,
    /// `host:port` that callers reach.
    pub address: String,
    child: Child,
    folder: TempDir,
}

impl Proxy {
    /// Starts one with its configuration as shipped.
    pub fn start(kind: Kind, around: Around<'_>) -> Self {
        Self::start_with(kind, around, |text| text)
    }

    /// The same with the configuration changed.
    pub fn start_with(kind: Kind, around: Around<'_>, change: impl Fn(String) -> String) -> Self {
        let folder = TempDir::new().unwrap();
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let config = folder.path().join(kind.file());
        let text = placed(&shipped(kind.file()), around, &address);
        std::fs::write(&config, change(text)).unwrap();
        let child = command(kind, &config, folder.path(), &address)
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env("XDG_DATA_HOME", folder.path())
            .env("XDG_CONFIG_HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("{kind:?} does not start ({error}): run cargo xtask test"));
        let mut proxy = Proxy { kind, address, child, folder };
        eventually("the proxy answers", || {
            assert!(proxy.child.try_wait().unwrap().is_none(), "{kind:?} has ended: {}", proxy.log());
            proxy.is_ready().then_some(())
        });
        proxy
    }

    /// Whether it listens and has its routes. Traefik listens first.
    fn is_ready(&self) -> bool {
        if std::net::TcpStream::connect(&self.address).is_err() {
            return false;
        }
        let mut socket = Socket::connect(&self.address);
        socket.patience(std::time::Duration::from_millis(200));
        socket.send(Request::get("/").bytes(&self.address));
        // No answer is a question that waits for its own.
        self.kind != Kind::Traefik || socket.answer().is_none_or(|answer| answer.text() != "404 page not found\n")
    }

    /// Sends a request on a connection of its own.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Answer {
        self.send_bytes(request.bytes(&self.address)).unwrap_or_else(|| panic!("{:?} does not answer", self.kind))
    }

    /// Sends bytes; none where the connection ends without an answer.
    pub fn send_bytes(&self, bytes: String) -> Option<Answer> {
        let mut socket = Socket::connect(&self.address);
        socket.patience(std::time::Duration::from_secs(60));
        socket.send(bytes);
        socket.answer()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {:?}:\n{}", self.kind, self.log());
        }
    }
}

/// A file under deploy/proxies.
fn shipped(file: &str) -> String {
    std::fs::read_to_string(format!("{}/../../deploy/proxies/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A configuration with addresses and the API's name put in.
fn placed(text: &str, around: Around<'_>, address: &str) -> String {
    let mut text = text.to_owned();
    for (port, placed) in [("7701", around.check), ("8000", around.upstream), ("8080", address)] {
        let written = [format!("127.0.0.1:{port}"), format!("port_value: {port}")];
        assert!(port == "8080" || written.iter().any(|written| text.contains(written)), "nothing has port {port}");
        text = text.replace(&written[0], placed);
        text = text.replace(&written[1], &format!("port_value: {}", placed.rsplit(':').next().unwrap()));
    }
    text.replace("forward-auth/standard", &format!("forward-auth/{}", around.api))
        .replace("refusals/standard", &format!("refusals/{}", around.api))
        .replace("api: standard", &format!("api: {}", around.api))
}

fn command(kind: Kind, config: &Path, folder: &Path, address: &str) -> Command {
    match kind {
        Kind::Nginx => {
            let mut command = Command::new("nginx");
            let settings = "daemon off; master_process off; pid nginx.pid; error_log stderr;";
            command.arg("-p").arg(folder).arg("-c").arg(config).args(["-g", settings]);
            // Where Debian's package keeps these may be nobody's but root's.
            let text = std::fs::read_to_string(config).unwrap();
            let folders =
                ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|of| format!("{of}_temp_path {of};"));
            let begun = format!("http {{\naccess_log off;\n{}", folders.join("\n"));
            std::fs::write(config, text.replace("http {", &begun)).unwrap();
            command
        }
        Kind::Caddy => {
            let mut command = Command::new(installed("caddy"));
            command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config);
            command
        }
        Kind::Traefik => {
            let own = shipped("traefik.yaml").replace("127.0.0.1:8080", address);
            let own = own.replace("traefik-api.yaml", config.to_str().unwrap());
            let file = folder.join("traefik.yaml");
            std::fs::write(&file, own).unwrap();
            let mut command = Command::new(installed("traefik"));
            command.arg(format!("--configFile={}", file.display()));
            command
        }
        Kind::Envoy | Kind::EnvoyHttp => {
            let mut command = Command::new(installed("envoy"));
            command
                .args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning", "-c"])
                .arg(config);
            command
        }
    }
}

/// A program under `target/proxies`, which `cargo xtask test` fills.
fn installed(program: &str) -> PathBuf {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/proxies")).join(program);
    assert!(path.exists(), "{} is not installed: run cargo xtask test", path.display());
    path
}
