//! `keyward serve`: opens the store, starts a node, says where it listens, and stops in order when asked to.

use std::sync::Arc;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::ServeArgs;
use crate::cli::Context;
use crate::config::Config;
use crate::failure::{Doing, Exit, Failure, Outcome};
use crate::logging;
use crate::node::{self, Addresses, Core, Node, Sockets, offline};
use crate::output::Output;
use crate::secrets::Secrets;
use crate::setting_up;

/// The exit code of a process that was told twice to stop: as a shell counts an interrupt.
const KILLED: i32 = 130;

/// Serves until a signal.
pub async fn run(args: ServeArgs, context: &Context) -> Outcome {
    let config = context.config(args.flags())?;
    logging::start(&config)?;
    let secrets = Secrets::load(&config, &context.environment)?;
    // Signals first: one that comes while the store is being opened must not leave it open.
    let signals = Signals::new()?;
    offline::require_store(&config)?;
    let sockets = Sockets::bind(&config).await?;
    let store = offline::open(&config, &secrets).await?;
    let core = Core::start(&config, &secrets, store).await?;
    drop(secrets);
    if core.engine.apis().is_empty() {
        tracing::info!("no contract is in force yet: keyward apply FILE puts one there");
    }
    let node = Node::start(&config, core, sockets, None).await?;
    let site = config.site(node.addresses.control);
    let setup = match setting_up::begin(&node.core.control, &site, &config.dir()).await {
        Ok(setup) => setup,
        Err(failure) => {
            node.stop().await;
            return Err(failure);
        }
    };
    let url = setup.as_ref().map(|begun| begun.url.as_str());
    banner(&node.addresses, &config, url, context.output);
    let control = Arc::clone(&node.core.control);
    let tidying = setup.map(|begun| tokio::spawn(setting_up::tidy_up(control, config.dir(), begun)));
    let stopped = signals.until_stopped(node).await;
    if let Some(tidying) = tidying {
        tidying.abort();
    }
    stopped
}

/// Says where the node listens: a line of JSON on standard output where wanted, else a line a listener.
fn banner(addresses: &Addresses, config: &Config, setup: Option<&str>, output: Output) {
    let url = |listener, address| config.url_of(listener, address);
    let ops = match addresses.ops {
        Some(address) => url("ops", address),
        None => url("control", addresses.control),
    };
    let gateway = addresses.gateway.map(|address| url("gateway", address));
    let dir = &config.dir().display().to_string();
    let database = config.database().map(|database| database.shown());
    let lease = node::lease(config);
    if output.is_json() {
        output.json(&json!({
            "control_url": url("control", addresses.control),
            "check_url": url("check", addresses.check),
            "gateway_url": gateway,
            "ops_url": ops,
            "setup_url": setup,
            "dir": dir,
            "store": database,
            "node": database.is_some().then(|| json!({
                "name": config.node_name(),
                "lease_ms": lease.length.as_millis(),
                "longest_wait_ms": lease.longest_wait().as_millis(),
            })),
        }));
        return;
    }
    output.line(format!("Keyward {} serves {dir}", env!("CARGO_PKG_VERSION")));
    output.line(format!("  control  {}", url("control", addresses.control)));
    output.line(format!("  check    {}/v1/verify", url("check", addresses.check)));
    output.line(format!("  gateway  {}", gateway.as_deref().unwrap_or("none")));
    output.line(format!("  ops      {ops}/readyz"));
    if let Some(database) = &database {
        output.line(format!("  store    {database}"));
        output.line(format!("  node     {}", config.node_name()));
        output.line(format!(
            "What is taken away is in force on every node when the call returns; where a node does not answer that takes \
             {:?} at most (its lease of {:?} runs out).",
            lease.longest_wait(),
            lease.length
        ));
    }
    if let Some(setup) = setup {
        output.line("Nobody is an operator yet. Whoever opens this within a day becomes the first:");
        output.verbatim(&format!("  {setup}\n"));
    }
    tracing::info!(control = %addresses.control, check = %addresses.check, dir, "serving");
}

/// SIGTERM and SIGINT: the first stops in order, a second at once.
pub struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Catches them from now on.
    ///
    /// # Errors
    /// Where the system does not let us.
    pub fn new() -> Outcome<Self> {
        let catch = |kind| signal(kind).doing("catch signals");
        Ok(Signals { terminate: catch(SignalKind::terminate())?, interrupt: catch(SignalKind::interrupt())? })
    }

    /// Waits for one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Runs a node until it is told to stop.
    ///
    /// # Errors
    /// None so far: a stop that was told twice ends the process.
    pub async fn until_stopped(mut self, node: Node) -> Outcome {
        self.next().await;
        tracing::info!("stopping: open requests finish");
        tokio::select! {
            () = node.stop() => {
                tracing::info!("stopped");
                Ok(())
            }
            () = self.next() => {
                tracing::warn!("told twice to stop: ending at once");
                std::process::exit(KILLED)
            }
        }
    }
}

/// A failure of a use case, for commands that call them without HTTP.
pub fn refused(what: &str, error: &keyward_control::ControlError) -> Failure {
    let mut message = format!("cannot {what}: {error}");
    if let keyward_control::ControlError::Invalid(faults) = error {
        for fault in faults {
            let line = fault.line.map(|line| format!("line {line}: ")).unwrap_or_default();
            message.push_str(&format!("\n  {line}{}: {}", fault.field, fault.message));
        }
    }
    Failure::new(Exit::Failed, message)
}
