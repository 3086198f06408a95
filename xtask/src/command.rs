//! Running other programs: with their output shown as it comes, collected, or both; never with our standard
//! input, so that nothing waits for an answer that nobody gives.

use anyhow::{Context as _, Result, bail};
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

/// A command without standard input.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}

/// The cargo that started us.
pub fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs it with its output shown; an error names the command and how it ended.
pub fn show(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start `{}`", line(command)))?;
    ended(command, status)
}

/// Runs it and gives its standard output; its standard error is shown only when it fails.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start `{}`", line(command)))?;
    if !output.status.success() {
        std::io::stderr().write_all(&output.stderr).ok();
        ended(command, output.status)?;
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` did not print UTF-8", line(command)))
}

/// Runs it silently; true when it started and ended well. For asking whether a program is there and works.
pub fn works(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Runs it with its output shown as it comes, and gives every line of it to `see` as well, colours taken off.
pub fn watch(command: &mut Command, mut see: impl FnMut(&str)) -> Result<ExitStatus> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    let (sender, lines) = std::sync::mpsc::channel();
    let mut readers = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let sender = sender.clone();
        readers.push(thread::spawn(move || pass_on(stdout, std::io::stdout(), &sender)));
    }
    if let Some(stderr) = child.stderr.take() {
        readers.push(thread::spawn(move || pass_on(stderr, std::io::stderr(), &sender)));
    }
    for line in lines {
        see(&line);
    }
    for reader in readers {
        reader.join().ok();
    }
    child.wait().with_context(|| format!("`{}` was lost", line(command)))
}

/// Copies lines from the child to our own output and to the channel, until the child closes its end.
fn pass_on(from: impl Read, mut to: impl std::io::Write, lines: &std::sync::mpsc::Sender<String>) {
    let mut from = BufReader::new(from);
    let mut bytes = Vec::new();
    while from.read_until(b'\n', &mut bytes).is_ok_and(|length| length > 0) {
        to.write_all(&bytes).ok();
        to.flush().ok();
        lines.send(without_colours(&String::from_utf8_lossy(&bytes))).ok();
        bytes.clear();
    }
}

/// The text without ANSI escape sequences and the line's end.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.trim_end().chars();
    while let Some(character) = characters.next() {
        if character != '\u{1b}' {
            plain.push(character);
        } else if characters.next() == Some('[') {
            characters.by_ref().find(|end| end.is_ascii_alphabetic());
        }
    }
    plain
}

/// An error when `status` is a failure.
pub fn ended(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{}` ended with {status}", line(command));
    }
    Ok(())
}

/// The command as one would type it.
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_taken_off() {
        assert_eq!(
            without_colours("\u{1b}[32;1m     Summary\u{1b}[0m [   0.1s] 3 tests\r\n"),
            "     Summary [   0.1s] 3 tests"
        );
    }

    #[test]
    fn a_watched_command_gives_both_its_outputs_and_its_status() {
        let mut seen = Vec::new();
        let status =
            watch(command("sh").args(["-c", "echo out; echo err >&2; exit 3"]), |line| seen.push(line.to_owned()));
        seen.sort();
        assert_eq!(seen, ["err", "out"]);
        assert_eq!(status.unwrap().code(), Some(3));
    }

    #[test]
    fn a_failure_names_the_command() {
        let error = show(&mut command("false")).unwrap_err();
        assert_eq!(error.to_string(), "`false` ended with exit status: 1");
        assert!(show(&mut command("no-such-program-anywhere")).unwrap_err().to_string().contains("cannot start"));
    }
}
