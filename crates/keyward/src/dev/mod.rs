//! `keyward dev`: Keyward in a folder of its own with an echo upstream, one contract, and a first
//! organization, project and key, made where they are missing. Started again it finds them.

mod state;

use std::path::Path;
use std::time::Duration;

use clap::Args;
use keyward_control::snippets::{self, Call, Credential};
use keyward_core::clock::SystemEntropy;
use keyward_core::contract::{Contract, Presets};
use keyward_core::id::ApiName;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::args::ListenFlags;
use crate::cli::Context;
use crate::cli::target::Profile;
use crate::config::{Config, Flags};
use crate::echo;
use crate::failure::{Doing, Failure, Outcome};
use crate::listener::{self, Limits};
use crate::logging;
use crate::node::{Addresses, Core, Node, Sockets, offline};
use crate::presets;
use crate::private_file;
use crate::secrets::Secrets;
use crate::serve::Signals;
use state::State;

/// Flags of `dev`.
#[derive(Debug, Clone, Default, Args)]
pub struct DevArgs {
    /// The contract to try: `keyward contract list` shows what there is [default: standard]
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// The API behind the gateway [default: an echo upstream of its own]
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// Make another key, or where only one may be active a new one in its place, and print it
    #[arg(long)]
    pub new_key: bool,
    /// Where to listen and how to log.
    #[command(flatten)]
    pub listen: ListenFlags,
}

/// The preset where none is named.
const DEFAULT_PRESET: &str = "standard";

/// A preset chosen, read and checked.
struct Chosen {
    api: ApiName,
    source: String,
    contract: Contract,
}

/// Runs until a signal.
pub async fn run(args: DevArgs, context: &Context) -> Outcome {
    let presets = presets::load();
    let preset = args.preset.as_deref().unwrap_or(DEFAULT_PRESET);
    let chosen = choose(preset, &presets)?;
    let config = configure(&args, preset, &chosen.api, context)?;
    logging::start(&config)?;
    let signals = Signals::new()?;
    let sockets = Sockets::bind(&config).await?;
    let secrets = prepare(&config, context)?;
    let store = offline::open(&config, &secrets).await?;
    let core = Core::start(&config, &secrets, store).await?;
    drop(secrets);
    let state = match state::ensure(&core.control, &chosen.api, &chosen.source, args.new_key).await {
        Ok(state) => state,
        Err(failure) => {
            core.stop().await;
            return Err(failure);
        }
    };
    let echo = Echo::start(args.upstream.clone(), &chosen.contract).await?;
    let node = Node::start(&config, core, sockets, Some(echo.url.clone())).await?;
    write_profile(&config, &node.addresses, &state)?;
    let told = Told { config: &config, addresses: &node.addresses, chosen: &chosen, state: &state, echo: &echo };
    match context.output.is_json() {
        true => told.json(context),
        false => told.people(context),
    }
    let stopped = signals.until_stopped(node).await;
    echo.stop().await;
    stopped
}

fn choose(preset: &str, presets: &Presets) -> Outcome<Chosen> {
    let Some(source) = presets.get(preset) else {
        let known = presets.names().collect::<Vec<_>>().join(", ");
        return Err(Failure::usage(format!("there is no preset {preset}")).advise(format!("There are {known}.")));
    };
    let contract = Contract::read(source, presets).doing(format!("read the preset {preset}"))?;
    let named = preset.parse().doing("name the API")?;
    Ok(Chosen { api: contract.api.clone().unwrap_or(named), source: source.to_owned(), contract })
}

/// The configuration of `dev`: a folder of the preset's own, the preset's API on the gateway, and a quiet log.
fn configure(args: &DevArgs, preset: &str, api: &ApiName, context: &Context) -> Outcome<Config> {
    let mut flags: Flags = args.listen.flags();
    let environment = &context.environment;
    if context.common.dir.is_none() && environment.get("KEYWARD_DIR").is_none() {
        flags.push(("dir", format!(".keyward/dev-{preset}")));
    }
    if args.listen.log_level.is_none() && environment.get("KEYWARD_LOG_LEVEL").is_none() {
        flags.push(("log.level", "warn".into()));
    }
    // A script that wants any free port for one listener does not want fixed ones for the others.
    if flags.iter().any(|(name, given)| name.ends_with(".listen") && given.ends_with(":0")) {
        for name in ["control.listen", "check.listen", "gateway.listen"] {
            let variable = format!("KEYWARD_{}", name.to_uppercase().replace('.', "_"));
            if !flags.iter().any(|(given, _)| *given == name) && environment.get(&variable).is_none() {
                flags.push((name, "127.0.0.1:0".into()));
            }
        }
    }
    flags.push(("gateway.api", api.to_string()));
    if let Some(url) = &args.upstream {
        let read = url.parse::<keyward_edge::Address>();
        read.map_err(|error| Failure::usage(format!("--upstream: \"{url}\" {error}")))?;
    }
    let config = context.config(flags)?;
    match config.gateway() {
        Some(_) => Ok(config),
        None => Err(Failure::usage("dev needs a gateway: --gateway-listen cannot be empty")),
    }
}

/// The folder and its secrets, made where they are missing.
fn prepare(config: &Config, context: &Context) -> Outcome<Secrets> {
    let file = config.secrets_file();
    let has_store = keyward_store::Place::new(config.dir()).database().exists();
    private_file::create_folder(&config.dir())?;
    match Secrets::load(config, &context.environment) {
        // New secrets beside an old store would open nothing: only a folder without either begins anew.
        Err(_) if !file.exists() && !has_store => Secrets::create(&file, &SystemEntropy),
        other => other,
    }
}

fn write_profile(config: &Config, addresses: &Addresses, state: &State) -> Outcome {
    let profile = Profile {
        url: Some(config.url_of("control", addresses.control)),
        check_url: Some(config.url_of("check", addresses.check)),
        management_key: Some(state.management_secret.expose().to_owned()),
        project: Some(state.project.id.to_string()),
    };
    profile.write(&config.dir())
}

/// The echo upstream, where no other was named.
struct Echo {
    url: String,
    is_own: bool,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Echo {
    async fn start(upstream: Option<String>, contract: &Contract) -> Outcome<Echo> {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        if let Some(url) = upstream {
            return Ok(Echo { url, is_own: false, stop, tasks });
        }
        let bound = listener::bind(([127, 0, 0, 1], 0).into(), "--upstream").await?;
        let url = format!("http://{}", bound.address);
        // The gateway has its own limits; behind it everything is echoed, however slowly it comes.
        let limits = Limits { connections_max: 16_384, body_timeout: Duration::from_secs(3600) };
        let router = echo::router(contract.examples.clone());
        listener::serve(bound, None, router, limits, stop.clone(), &tasks);
        Ok(Echo { url, is_own: true, stop, tasks })
    }

    async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        // Nothing is lost with an echo: what is open is given a moment, not the whole drain.
        let _ = tokio::time::timeout(Duration::from_millis(200), self.tasks.wait()).await;
    }
}

/// All that is told at the start.
struct Told<'a> {
    config: &'a Config,
    addresses: &'a Addresses,
    chosen: &'a Chosen,
    state: &'a State,
    echo: &'a Echo,
}

impl Told<'_> {
    fn gateway_url(&self) -> String {
        self.addresses.gateway.map(|address| self.config.url_of("gateway", address)).unwrap_or_default()
    }

    fn sign_in_url(&self) -> String {
        let path = format!("/sign-in/link/{}", self.state.sign_in.expose());
        self.config.site(self.addresses.control).url(&path)
    }

    /// One line, for scripts.
    fn json(&self, context: &Context) {
        let Told { config, addresses, chosen, state, .. } = self;
        context.output.json(&json!({
            "control_url": config.url_of("control", addresses.control),
            "check_url": config.url_of("check", addresses.check),
            "gateway_url": self.gateway_url(),
            "management_key": state.management_secret.expose(),
            "sign_in_url": self.sign_in_url(),
            "api": chosen.api,
            "organization": state.organization,
            "project": state.project.id,
            "key_id": state.key,
            "secret": state.secret.as_ref().map(|secret| secret.expose()),
        }));
    }

    fn people(&self, context: &Context) {
        let (output, dir) = (context.output, self.config.dir().display().to_string());
        let Told { addresses, chosen, state, echo, .. } = self;
        let (contract, program) = (&chosen.contract, program());
        let upstream = if echo.is_own { format!("{} (an echo)", echo.url) } else { echo.url.clone() };
        output.line(format!("Keyward dev: {}, in {dir}", contract.title));
        output.line(format!("  gateway   {}  in front of {upstream}", self.gateway_url()));
        output.line(format!("  check     {}/v1/verify", self.config.url_of("check", addresses.check)));
        let control = self.config.url_of("control", addresses.control);
        output.line(format!("  control   {control}  (REST; /openapi.json)"));
        output.line("");
        match &state.secret {
            Some(_) => output.line("This works. Paste it:"),
            None => {
                output.line("The key's secret was shown when it was made and cannot be shown again.");
                output.line(format!(
                    "Start with --new-key for another, or set {} to it:",
                    contract.environment_variable
                ));
            }
        }
        self.examples(output);
        output.line("");
        output.line("The dashboard. This signs you in, once, within 15 minutes:");
        output.verbatim(&format!("  {}\n", self.sign_in_url()));
        output.line("");
        output.line(format!("The management key, which may do everything (also in {dir}/cli.toml, for the CLI):"));
        output.line(format!("  {}", state.management_secret.expose()));
        output.line("");
        output.line(format!("The organization, its {}, and the key:", contract.project.noun));
        output.line(format!("  {}  {}  {}", state.organization, state.project.id, state.key_text()));
        for command in ["key list", "key create", "log show"] {
            output.line(format!("  {program} --dir {} {command}", snippets::quoted(&dir)));
        }
        output.line("");
        output.line(format!("Everything is kept in {dir}. Ctrl-C stops; started again it goes on from here."));
    }

    fn examples(&self, output: crate::output::Output) {
        let (contract, project) = (&self.chosen.contract, self.state.project.id.to_string());
        let Some(example) = contract.examples.first() else {
            return output.line("  (the contract has no example)");
        };
        let base = self.gateway_url();
        let line = |credential| Call { base: &base, contract, example, project: &project }.curl(credential);
        let works = match &self.state.secret {
            Some(secret) => line(Credential::Key(secret.expose())),
            None => line(Credential::Variable(&contract.environment_variable)),
        };
        output.verbatim(&format!("  {works}\n"));
        output.line("");
        output.line("This is refused, as the API's own page says:");
        output.verbatim(&format!("  {} -i\n", line(Credential::Key("not-a-key"))));
    }
}

/// How this program was called, for commands to paste.
fn program() -> String {
    let called = std::env::args().next().unwrap_or_else(|| "keyward".into());
    snippets::quoted(Path::new(&called).to_str().unwrap_or("keyward"))
}
