//! Logs: to standard error, as text or JSON, from Keyward's own crates only. What libraries say in detail
//! may hold headers, and so keys; from them only warnings are taken (K09).

use tracing_subscriber::EnvFilter;

use crate::config::Config;
use crate::failure::{Doing, Outcome};

/// Begins to log as configured.
///
/// # Errors
/// Where something else has begun to log in this process.
pub fn start(config: &Config) -> Outcome {
    let level = config.log_level();
    let ours = ["keyward", "keyward_core", "keyward_store", "keyward_verify", "keyward_edge", "keyward_control"];
    let directives = ours.map(|name| format!("{name}={level}")).join(",");
    let floor = if level == "error" { "error" } else { "warn" };
    let filter = EnvFilter::try_new(format!("{floor},{directives}")).doing("read the log level")?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.logs_json() {
        true => subscriber.json().flatten_event(true).try_init(),
        // Colours only where people look; escape sequences in a file help nobody.
        false => subscriber.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
    };
    started.doing("begin to log")
}
