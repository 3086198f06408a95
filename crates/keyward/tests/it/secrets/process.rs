//! What the process shows of itself to others of the same machine (K10, S21).

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::harness::traces::Traces;
use crate::harness::{Keyward, eventually};

/// Somebody without rights: `nobody` on every Linux.
const NOBODY: u32 = 65_534;

/// The server as an ordinary user, whoever runs the tests.
fn dev_as_an_ordinary_user(folder: &std::path::Path) -> Child {
    let binary = folder.join("keyward");
    std::fs::copy(env!("CARGO_BIN_EXE_keyward"), &binary).unwrap();
    std::fs::set_permissions(&binary, PermissionsExt::from_mode(0o755)).unwrap();
    let any = "127.0.0.1:0";
    let mut command = Command::new(&binary);
    command.args(["dev", "--json", "--dir"]).arg(folder.join("data"));
    command.args(["--listen", any, "--check-listen", any, "--gateway-listen", any]).current_dir(folder);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("control_url"), "{line}");
    child
}

#[test]
fn k10_a_crash_leaves_no_core_and_others_cannot_look_in() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = dev_as_an_ordinary_user(folder.path());
    let process = format!("/proc/{}", child.id());
    let limits = std::fs::read_to_string(format!("{process}/limits")).unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(cores.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{cores}");
    // The system gives the files of a process that must not be dumped to root, so that nobody of the same
    // user can attach, read its memory or dump it.
    assert_eq!(std::fs::metadata(format!("{process}/mem")).unwrap().uid(), 0, "the process can be dumped");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::ABORT).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(6));
    assert!(!status.core_dumped(), "the crash left a core");
    let left =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert_eq!(left.len(), 2, "{left:?}");
}

/// Everything in a process's memory that can be read, part by part.
fn scan_memory(pid: u32, traces: &Traces) -> Vec<String> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut found = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw") && !line.contains("[vv")) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let address = |text| u64::from_str_radix(text, 16).unwrap();
        let (from, to) = (address(from), address(to));
        let mut part = vec![0; (to - from) as usize];
        memory.seek(SeekFrom::Start(from)).unwrap();
        if memory.read_exact(&mut part).is_ok() {
            found.extend(traces.find(&part).map(|what| format!("{line}: {what}")));
        }
    }
    found
}

#[test]
fn k10_secrets_that_were_shown_are_gone_from_memory() {
    let keyward = Keyward::dev("standard");
    if !rustix::process::geteuid().is_root() {
        // Only root can look: which is a thing to show, too.
        assert!(File::open(format!("/proc/{}/mem", keyward.pid())).is_err());
        return;
    }
    keyward.patch(&format!("/v1/projects/{}", keyward.project()), json!({"active_key_limit": 1_000})).expect(200);
    let secrets: Vec<String> = (0..200).map(|_| keyward.make(keyward.project(), json!({})).secret).collect();
    let traces = Traces::of(&secrets);
    eventually("no secret is left in memory", || {
        // What is in flight is in buffers that the next request on the connection uses again.
        keyward.get("/v1/whoami").expect(200);
        scan_memory(keyward.pid(), &traces).is_empty().then_some(())
    });
}

#[test]
fn s21_arguments_and_environment_hold_no_secret() {
    let keyward = Keyward::dev("standard");
    let secret = keyward.make(keyward.project(), json!({})).secret;
    let file = std::fs::read_to_string(keyward.dir().join("secrets.toml")).unwrap();
    let kept: Vec<&str> = file.lines().filter_map(|line| line.split('"').nth(1)).collect();
    assert!(kept.len() >= 3, "a pepper and two keys of the log");
    let traces = Traces::of(kept.iter().copied().chain([secret.as_str(), &keyward.started.management_key]));
    for name in ["cmdline", "environ"] {
        let shown = std::fs::read(format!("/proc/{}/{name}", keyward.pid())).unwrap();
        assert!(!shown.is_empty());
        traces.must_not_be_in(name, shown);
    }
    for command in
        [&["config", "show"][..], &["config", "show", "--json"], &["doctor"], &["doctor", "--json"], &["--version"]]
    {
        let ran = keyward.offline(command);
        traces.must_not_be_in(&command.join(" "), ran.stdout + &ran.stderr);
    }
}

#[test]
fn s21_a_secret_in_the_environment_is_not_shown_and_none_is_taken_as_an_argument() {
    let keyward = Keyward::dev("standard");
    let pepper = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCBzZWNyZXQ=";
    let env = [("KEYWARD_PEPPER_7", pepper), ("KEYWARD_LOG_CHAIN_KEY", pepper)];
    let traces = Traces::of([pepper]);
    for command in [&["config", "show"][..], &["doctor"], &["log", "verify", "--offline"]] {
        let ran = crate::harness::offline::run_with_env(&keyward.dir(), command, &env);
        traces.must_not_be_in(&command.join(" "), ran.stdout + &ran.stderr);
    }
    let secret = keyward.first_key().secret;
    let (code, _, stderr) = keyward.cli(&["key", "verify", "--key", &secret]);
    assert!(code != 0, "a secret as an argument stands in every list of processes");
    Traces::of([&secret]).must_not_be_in("the refusal", stderr);
    let check = keyward.started.check_url.clone();
    let asked = ["key", "verify", "--key", "-", "--json", "--check-url", &check];
    let (code, stdout, stderr) = keyward.cli_with_input(&asked, &secret);
    assert_eq!(code, 0, "{stdout}{stderr}");
}
