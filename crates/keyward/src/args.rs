//! The command line: every command and the flags they share. What each does stands in the module of its name.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::cli;
use crate::config::Flags;
use crate::dev::DevArgs;
use crate::failure::EXIT_CODES;

/// API keys, in one binary: create, rotate and revoke them, and know in microseconds what one may do.
#[derive(Debug, Parser)]
#[command(name = "keyward", version, max_term_width = 110, after_help = EXIT_CODES, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Flags of every command.
    #[command(flatten)]
    pub common: Common,
}

/// Flags of every command.
#[derive(Debug, Clone, Default, Args)]
pub struct Common {
    /// Print JSON: the server's answer as it came
    #[arg(long, global = true)]
    pub json: bool,
    /// The folder that holds all that Keyward keeps [default: keyward-data]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub dir: Option<String>,
    /// The PostgreSQL that several nodes share, as postgres://USER@HOST/DATABASE [default: SQLite in the folder]
    #[arg(long, global = true, value_name = "URL")]
    pub store: Option<String>,
    /// The configuration file [default: FOLDER/keyward.toml where there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The control plane's address [default: from KEYWARD_URL, else FOLDER/cli.toml]
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,
    /// A file with the management key, or - for standard input [default: from KEYWARD_MANAGEMENT_KEY_FILE,
    /// else FOLDER/cli.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub management_key_file: Option<String>,
    /// Do not ask before what cannot be undone
    #[arg(long, short = 'y', global = true)]
    pub yes: bool,
    /// Let keys travel without TLS to or from other machines: something in front encrypts
    #[arg(long, global = true)]
    pub allow_plaintext: bool,
}

impl Common {
    /// The shared flags that are settings.
    pub fn flags(&self) -> Flags {
        let mut flags: Flags = self.dir.iter().map(|dir| ("dir", dir.clone())).collect();
        flags.extend(self.store.iter().map(|url| ("store.url", url.clone())));
        if self.allow_plaintext {
            flags.push(("allow_plaintext", "true".into()));
        }
        flags
    }
}

/// Flags of the commands that listen.
#[derive(Debug, Clone, Default, Args)]
pub struct ListenFlags {
    /// The control plane's address; port 0 for any free one [default: 127.0.0.1:7700]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// The address of /v1/verify [default: 127.0.0.1:7701]
    #[arg(long, value_name = "ADDRESS")]
    pub check_listen: Option<String>,
    /// The gateway's address [default: 127.0.0.1:7702]
    #[arg(long, value_name = "ADDRESS")]
    pub gateway_listen: Option<String>,
    /// An address of its own for /healthz, /readyz and /metrics [default: the control plane's]
    #[arg(long, value_name = "ADDRESS")]
    pub ops_listen: Option<String>,
    /// The address under which people reach the dashboard
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// text or json
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
}

impl ListenFlags {
    /// These flags as settings.
    pub fn flags(&self) -> Flags {
        let pairs = [
            ("control.listen", &self.listen),
            ("check.listen", &self.check_listen),
            ("gateway.listen", &self.gateway_listen),
            ("ops.listen", &self.ops_listen),
            ("control.public_url", &self.public_url),
            ("log.level", &self.log_level),
            ("log.format", &self.log_format),
        ];
        pairs.into_iter().filter_map(|(name, given)| Some((name, given.clone()?))).collect()
    }
}

/// Flags of `serve`.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// Where to listen and how to log.
    #[command(flatten)]
    pub listen: ListenFlags,
    /// The API of requests that neither host nor path prefix tells
    #[arg(long, value_name = "API")]
    pub gateway_api: Option<String>,
}

impl ServeArgs {
    /// These flags as settings.
    pub fn flags(&self) -> Flags {
        let mut flags = self.listen.flags();
        flags.extend(self.gateway_api.iter().map(|api| ("gateway.api", api.clone())));
        flags
    }
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Try Keyward: an embedded store, an echo upstream, a contract, and a key to paste
    Dev(DevArgs),
    /// Make a folder ready: secrets, an empty store, the first management key
    Init(cli::init::InitArgs),
    /// Run Keyward
    Serve(ServeArgs),
    /// Put a contract in force, or see what would change
    Apply(cli::apply::ApplyArgs),
    /// Look at contracts without a server
    #[command(subcommand)]
    Contract(cli::contract::ContractCommand),
    /// APIs and their contracts in force
    #[command(subcommand)]
    Api(cli::api::ApiCommand),
    /// Organizations: the customers
    #[command(subcommand, alias = "organization")]
    Org(cli::organization::OrganizationCommand),
    /// Projects: the walls around keys
    #[command(subcommand)]
    Project(cli::project::ProjectCommand),
    /// How often a project's keys were used, drawn over time
    Usage(cli::usage::UsageArgs),
    /// Keys of a project
    #[command(subcommand)]
    Key(cli::key::KeyCommand),
    /// Keys of the control plane
    #[command(subcommand)]
    ManagementKey(cli::management_key::ManagementKeyCommand),
    /// Members of an organization
    #[command(subcommand)]
    Member(cli::member::MemberCommand),
    /// People's accounts
    #[command(subcommand)]
    Person(cli::person::PersonCommand),
    /// The way in for whoever has the machine: on a folder, with its server stopped
    #[command(subcommand)]
    Operator(cli::operator::OperatorCommand),
    /// The log of all changes, and a project's event log
    #[command(subcommand)]
    Log(cli::log::LogCommand),
    /// The nodes, and how each stands: lease, revision, version
    Nodes,
    /// Backups of a running server
    #[command(subcommand)]
    Backup(cli::backup::BackupCommand),
    /// Put a backup in the place of a stopped store
    Restore(cli::backup::RestoreArgs),
    /// Write a whole store, its log included, into one file: to keep, or to move
    Export(cli::transfer::ExportArgs),
    /// Read an export into an empty folder, or with --store into an empty PostgreSQL database
    Import(cli::transfer::ImportArgs),
    /// Key-encryption keys: versions of the key under which data keys are wrapped
    #[command(subcommand)]
    EncryptionKey(cli::encryption_key::EncryptionKeyCommand),
    /// Peppers: versions of the secret under every digest
    #[command(subcommand)]
    Pepper(cli::pepper::PepperCommand),
    /// Check a folder: permissions, secrets, store, log
    Doctor,
    /// The effective configuration
    #[command(subcommand)]
    Config(cli::configuration::ConfigCommand),
    /// Completions for a shell
    Completions(cli::completions::CompletionsArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_documentation_names_every_command() {
        let documented =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md")).unwrap();
        for command in Arguments::command().get_subcommands() {
            let name = command.get_name();
            assert!(documented.contains(&format!("keyward {name}")), "docs/cli.md lacks keyward {name}");
            for action in command.get_subcommands().map(clap::Command::get_name) {
                let is_named = documented.lines().any(|line| {
                    let named = line.split("keyward ").nth(1).and_then(|rest| rest.strip_prefix(name));
                    named.is_some_and(|rest| rest.split([' ', '|']).any(|word| word == action))
                });
                assert!(is_named, "docs/cli.md lacks keyward {name} {action}");
            }
        }
    }

    #[test]
    fn flags_become_the_settings_that_they_name() {
        let parsed = Arguments::try_parse_from([
            "keyward",
            "serve",
            "--dir",
            "d",
            "--listen",
            "127.0.0.1:1",
            "--gateway-api",
            "a",
            "--allow-plaintext",
        ]);
        let Arguments { command: Command::Serve(serve), common } = parsed.unwrap() else { panic!("serve") };
        let mut flags = common.flags();
        flags.extend(serve.flags());
        let named: Vec<_> = flags.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let expected =
            [("dir", "d"), ("allow_plaintext", "true"), ("control.listen", "127.0.0.1:1"), ("gateway.api", "a")];
        assert_eq!(named, expected);
    }

    #[test]
    fn no_command_takes_a_shared_option_for_its_own() {
        // clap gives both the same value: an address to send to would become the server that gets the management key.
        let root = Arguments::command();
        let shared: Vec<String> = root.get_arguments().map(|argument| argument.get_id().to_string()).collect();
        assert!(shared.iter().any(|id| id == "url"), "{shared:?}");
        let mut commands: Vec<clap::Command> = root.get_subcommands().cloned().collect();
        while let Some(command) = commands.pop() {
            let own = command.get_arguments().map(|argument| argument.get_id().to_string());
            let clashes: Vec<String> = own.filter(|id| shared.contains(id)).collect();
            assert!(clashes.is_empty(), "{}: {clashes:?}", command.get_name());
            commands.extend(command.get_subcommands().cloned());
        }
    }
}
