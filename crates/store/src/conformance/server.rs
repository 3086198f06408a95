//! A real PostgreSQL for tests: Debian's programs, in a temporary folder, on a free port of the loopback address. Whatever
//! happens to the test, it ends with it.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long it may take until a server answers.
const READY: Duration = Duration::from_secs(60);
/// A number in the template's name, raised whenever how it is made changes.
const TEMPLATE: u32 = 1;
/// The database's superuser.
const USER: &str = "keyward";

/// How a server is run.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    /// Whether commits reach the disk. Tests that pull no plug are faster without.
    pub is_durable: bool,
    /// Further settings, as `name=value`.
    pub settings: Vec<String>,
}

/// A PostgreSQL of its own. Stopped, with all that belongs to it, when it is dropped.
pub struct PostgresServer {
    bin: PathBuf,
    dir: PathBuf,
    port: u16,
    options: ServerOptions,
    running: Mutex<Option<Running>>,
}

/// A running one, and who ends it should this process be killed.
struct Running {
    server: Child,
    guard: Child,
}

impl PostgresServer {
    /// Starts one that forgets what it wrote when the machine crashes, which is all that most tests need.
    pub fn start() -> Self {
        Self::start_with(ServerOptions::default())
    }

    /// Starts one with these options.
    pub fn start_with(options: ServerOptions) -> Self {
        let bin = programs();
        let dir = new_folder();
        copy(&template(&bin), &dir.join("data"));
        Self::run(bin, dir, options)
    }

    fn run(bin: PathBuf, dir: PathBuf, options: ServerOptions) -> Self {
        let mut server = PostgresServer { bin, dir, port: 0, options, running: Mutex::new(None) };
        // Another program may take a free port before the server does.
        for _ in 0..10 {
            server.port = free_port();
            if server.try_start() {
                return server;
            }
        }
        panic!("PostgreSQL does not start: {}", server.log());
    }

    /// Where a database of it is.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// The port it listens at.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes an empty database, and tells where it is.
    pub fn create_database(&self, name: &str) -> String {
        self.psql("postgres", &format!("CREATE DATABASE \"{name}\""));
        self.url(name)
    }

    /// Runs SQL in a database; its rows as text, columns apart by `|`.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        let output = self.try_psql(database, sql);
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn try_psql(&self, database: &str, sql: &str) -> Output {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.env("PGCONNECT_TIMEOUT", "5").args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d"]);
        psql.arg(self.url(database)).args(["-c", sql]).stdin(Stdio::null());
        psql.output().expect("psql runs")
    }

    /// Runs a program that comes with PostgreSQL (`pg_dump`, …) on it.
    pub fn program(&self, name: &str) -> Command {
        let mut command = as_postgres(&self.bin.join(name));
        command.env("PGHOST", "127.0.0.1").env("PGPORT", self.port.to_string()).env("PGUSER", USER);
        command
    }

    /// Stops it in order; who is connected is cut off.
    pub fn stop(&self) {
        let Some(mut running) = self.lock().take() else { return };
        signal("INT", &[running.server.id()]);
        let _ = running.server.wait();
        running.dismiss();
    }

    /// Kills all of it at once, as a crash of the machine would but for the disk.
    pub fn crash(&self) {
        let Some(mut running) = self.lock().take() else { return };
        let postmaster = running.server.id();
        // It must start no more of them.
        signal("STOP", &[postmaster]);
        let mut all = children_of(postmaster);
        all.push(postmaster);
        signal("KILL", &all);
        let _ = running.server.wait();
        running.dismiss();
    }

    /// Starts it again where it was, on the same port.
    pub fn restart(&self) {
        self.stop();
        let until = Instant::now() + READY;
        while !self.try_start() {
            assert!(Instant::now() < until, "PostgreSQL does not start again: {}", self.log());
        }
    }

    /// Stops every process of it where it is, or lets them go on.
    pub fn freeze(&self, is_frozen: bool) {
        let running = self.lock();
        let postmaster = running.as_ref().expect("it runs").server.id();
        let mut all = vec![postmaster];
        all.extend(children_of(postmaster));
        signal(if is_frozen { "STOP" } else { "CONT" }, &all);
    }

    /// A standby that follows it; where `is_synchronous`, no commit returns before the standby has it.
    pub fn standby(&self, is_synchronous: bool) -> PostgresServer {
        let dir = new_folder();
        let mut copying = self.program("pg_basebackup");
        copying.args(["--wal-method=stream", "--checkpoint=fast", "--write-recovery-conf", "--no-sync", "-D"]);
        let copied = copying.arg(dir.join("data")).output().expect("pg_basebackup runs");
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        let options = ServerOptions { settings: Vec::new(), ..self.options.clone() };
        let standby = Self::run(self.bin.clone(), dir, options);
        if is_synchronous {
            self.psql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
            self.psql("postgres", "SELECT pg_reload_conf()");
            self.wait_for("SELECT COUNT(*) FROM pg_stat_replication WHERE sync_state = 'sync'", "1");
        }
        standby
    }

    /// Makes a standby the primary.
    pub fn promote(&self) {
        self.psql("postgres", "SELECT pg_promote(true, 60)");
        self.wait_for("SELECT pg_is_in_recovery()", "f");
    }

    /// Asks until the answer is as expected.
    pub fn wait_for(&self, sql: &str, expected: &str) {
        let until = Instant::now() + READY;
        loop {
            let found = self.psql("postgres", sql);
            if found == expected {
                return;
            }
            assert!(Instant::now() < until, "{sql} gives {found}, not {expected}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[allow(clippy::zombie_processes, reason = "whoever stops it waits for both processes")]
    /// Starts it, and waits until it answers; false where it ends instead.
    fn try_start(&self) -> bool {
        let log = File::create(self.dir.join("log")).expect("a file for what it says");
        let mut postgres = as_postgres(&self.bin.join("postgres"));
        postgres.arg("-D").arg(self.dir.join("data")).args([
            "-h",
            "127.0.0.1",
            "-p",
            &self.port.to_string(),
            "-k",
            "",
        ]);
        let durable = if self.options.is_durable { "on" } else { "off" };
        for setting in [
            &format!("fsync={durable}"),
            "shared_buffers=16MB",
            "max_connections=100",
            "wal_level=replica",
            "max_wal_senders=4",
            "log_min_messages=warning",
        ] {
            postgres.args(["-c", setting]);
        }
        for setting in &self.options.settings {
            postgres.args(["-c", setting]);
        }
        postgres.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        let mut server = postgres.spawn().expect("postgres runs");
        let guard = guard(server.id(), &self.dir);
        let until = Instant::now() + READY;
        loop {
            if server.try_wait().expect("it is our child").is_some() || Instant::now() > until {
                let _ = server.kill();
                let _ = server.wait();
                Running { server, guard }.dismiss();
                return false;
            }
            if self.try_psql("postgres", "SELECT 1").status.success() {
                *self.lock() = Some(Running { server, guard });
                return true;
            }
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.crash();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Running {
    /// The guard has nobody to guard any more.
    fn dismiss(mut self) {
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}

/// A process that waits for the end of this one, however it comes, and then ends the server and removes its folder.
fn guard(server: u32, dir: &Path) -> Child {
    let script = "cat > /dev/null; kill -QUIT $0; while kill -0 $0 2> /dev/null; do :; done; rm -rf \"$1\"";
    Command::new("sh")
        .args(["-c", script, &server.to_string()])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell")
}

/// The newest of Debian's PostgreSQLs.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.filter_map(|version| {
        let number: u32 = version.file_name().to_str()?.parse().ok()?;
        let bin = version.path().join("bin");
        bin.join("initdb").exists().then_some((number, bin))
    });
    found.max().expect("PostgreSQL in /usr/lib/postgresql: `cargo xtask test` installs it").1
}

/// The user that runs it: root may not, so root's tests run it as the user that Debian's package makes.
fn user() -> Option<(u32, u32)> {
    if std::fs::metadata("/proc/self").map(|found| std::os::unix::fs::MetadataExt::uid(&found)).ok()? != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("users");
    let line = users.lines().find(|line| line.starts_with("postgres:")).expect("the user postgres, of the package");
    let mut fields = line.split(':').skip(2);
    let mut number = || fields.next()?.parse().ok();
    Some((number()?, number()?))
}

fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = user() {
        command.uid(uid).gid(gid);
    }
    command.current_dir("/");
    command
}

/// A new folder that its user owns.
fn new_folder() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("keyward-postgres-{}-{number}", std::process::id()));
    // Of a process of the same number that was killed long ago.
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir(&dir).expect("a temporary folder");
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700)).expect("its mode");
    if let Some((uid, gid)) = user() {
        chown(&dir, Some(uid), Some(gid)).expect("its owner");
    }
    dir
}

/// A data directory that was initialised once for this build, and is only copied.
fn template(bin: &Path) -> PathBuf {
    let program = std::env::current_exe().expect("this program's path");
    let target = program.ancestors().find(|path| path.join("CACHEDIR.TAG").exists());
    let tmp = target.map_or_else(std::env::temp_dir, |target| target.join("tmp"));
    std::fs::create_dir_all(&tmp).expect("a folder for the build's own files");
    let version = bin.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    let template = tmp.join(format!("postgres-{version}-{TEMPLATE}"));
    let lock = File::create(tmp.join("postgres.lock")).expect("a lock");
    lock.lock().expect("the lock");
    if !template.exists() {
        let draft = new_folder();
        let mut initdb = as_postgres(&bin.join("initdb"));
        initdb.args(["--auth=trust", "--encoding=UTF8", "--no-sync", "--wal-segsize=1", "--username", USER]);
        // Not the order of bytes: what relies on that says so.
        initdb.args(["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]);
        let made = initdb.arg("-D").arg(draft.join("data")).output().expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let half = tmp.join(format!("postgres-{version}-{TEMPLATE}.half"));
        let _ = std::fs::remove_dir_all(&half);
        copy(&draft.join("data"), &half);
        std::fs::rename(&half, &template).expect("the template is put in place");
        let _ = std::fs::remove_dir_all(draft);
    }
    template
}

/// Copies a folder with owners and modes.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").args(["-a", "--reflink=auto"]).args([from, to]).status().expect("cp runs");
    assert!(copied.success(), "{} is copied to {}", from.display(), to.display());
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

fn signal(name: &str, processes: &[u32]) {
    let mut kill = Command::new("kill");
    kill.arg(format!("-{name}")).args(processes.iter().map(u32::to_string));
    // One that has ended meanwhile needs no signal.
    let _ = kill.stderr(Stdio::null()).status();
}

fn children_of(parent: u32) -> Vec<u32> {
    let parent_of = |process: u32| -> io::Result<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        // After the name, which may hold anything: the state, and then the parent.
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        after
            .split_whitespace()
            .nth(1)
            .and_then(|field| field.parse().ok())
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .filter(|process| parent_of(*process).is_ok_and(|found| found == parent))
        .collect()
}
