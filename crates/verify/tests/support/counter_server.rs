//! A real Valkey or Redis of a test's own, on a port of 127.0.0.1, with nothing kept on disk: it can be paused,
//! killed, started again and spoken to. Gone when it is dropped.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Ports below those that the system gives to whoever asks for any: nobody takes ours while the server is down.
const PORTS: std::ops::Range<u32> = 20_000..32_000;
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(2);

/// A server.
pub struct CounterServer {
    port: u16,
    folder: tempfile::TempDir,
    process: Option<Child>,
}

impl CounterServer {
    /// Starts one and waits until it answers.
    pub fn start() -> Self {
        let mut server = CounterServer { port: 0, folder: tempfile::tempdir().unwrap(), process: None };
        // A port that another test takes just now makes the server end, and the next one is tried.
        while !server.start_at(free_port()) {}
        server
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Kills it, as a power cut would; what it held is lost.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts it again, at the same place.
    pub fn restart(&mut self) {
        self.kill();
        assert!(self.start_at(self.port), "the server does not start again; {}", self.log());
    }

    /// Stops it in the midst of whatever it does: connections stay, and nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        let state = format!("/proc/{}/stat", self.pid().as_raw_pid());
        self.wait_until(|| std::fs::read_to_string(&state).unwrap().contains(") T "));
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Has it carry out a command, and gives the first line of its answer.
    pub fn tell(&self, command: &str) -> String {
        self.asked(command).unwrap_or_else(|| panic!("no answer to {command}; {}", self.log()))
    }

    fn start_at(&mut self, port: u16) -> bool {
        let program = ["valkey-server", "redis-server"].into_iter().find(|program| is_installed(program));
        let program = program.expect("install valkey-server or redis-server, as `cargo xtask test` does");
        let process = Command::new(program)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"])
            .args(["--daemonize", "no", "--logfile", "log"])
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        (self.port, self.process) = (port, Some(process));
        let mut answers = false;
        self.wait_until(|| {
            answers = self.asked("PING").as_deref() == Some("+PONG");
            answers || !self.is_running()
        });
        // Whoever answered may be another's server, if ours ended.
        answers && self.is_running()
    }

    fn is_running(&self) -> bool {
        let state = std::fs::read_to_string(format!("/proc/{}/stat", self.pid().as_raw_pid()));
        state.is_ok_and(|state| !state.contains(") Z "))
    }

    fn asked(&self, command: &str) -> Option<String> {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        socket.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        let mut line = String::new();
        BufReader::new(socket).read_line(&mut line).ok()?;
        Some(line.trim_end().to_owned())
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.process.as_ref().expect("the server is not running"))
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    fn wait_until(&self, mut holds: impl FnMut() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < PATIENCE, "the server does not do what it was told; {}", self.log());
            sleep(LOOK);
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for CounterServer {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().ok();
            process.wait().ok();
        }
    }
}

fn is_installed(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

/// A port that nobody has now, other ones for other tests.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let ports = PORTS.end - PORTS.start;
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + (std::process::id().wrapping_mul(17) + step) % ports;
        let port = u16::try_from(port).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
