//! `keyward key`: the keys of a project. What each call does to keys is the server's business; here is only
//! what is asked, and what people must confirm before.

use std::io::IsTerminal;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, Waiting, segment};
use super::project::named;
use super::target::secret_from;
use super::{Context, ExpiryArgs, PageArgs, body, force, note_in_force, print_changed, print_made, text, texts};
use crate::failure::{Exit, Failure, Outcome};
use crate::output::{Column, Output, confirm};

const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("NAME", "name"),
    ("HINT", "hint"),
    ("STATE", "state"),
    ("CREATED", "created_at"),
    ("EXPIRES", "expires_at"),
    ("LAST USED", "last_used_at"),
    ("USES", "uses"),
    ("REFUSALS", "refusals"),
];

/// Commands on keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make one; its secret is shown once
    Create(CreateArgs),
    /// A project's keys, newest first
    List(ListArgs),
    /// One of them
    Show {
        /// Its id
        key: String,
    },
    /// Give it another name
    Rename {
        /// Its id
        key: String,
        /// The new name
        name: String,
    },
    /// Replace its scopes
    Rescope {
        /// Its id
        key: String,
        /// The new scopes, all of them
        #[arg(required = true)]
        scopes: Vec<String>,
    },
    /// Let it end earlier
    Expire {
        /// Its id
        key: String,
        /// When it ends.
        #[command(flatten)]
        expiry: ExpiryArgs,
    },
    /// Replace the networks it may be used from; none for anywhere
    Addresses {
        /// Its id
        key: String,
        /// The networks, such as 203.0.113.0/24
        networks: Vec<String>,
    },
    /// Switch it off
    Disable {
        /// Its id
        key: String,
        /// Do not wait until it is in force
        #[arg(long)]
        no_wait: bool,
    },
    /// Switch it on again
    Enable {
        /// Its id
        key: String,
    },
    /// Put a new key in its place, at once or with overlap
    Rotate {
        /// Its id
        key: String,
        /// How long the old key goes on, such as 24h; 0 for not at all [default: the contract's]
        #[arg(long, value_name = "DURATION")]
        overlap: Option<String>,
        /// Do not wait until it is in force
        #[arg(long)]
        no_wait: bool,
    },
    /// Rotate the project's one key, or make one where none is live
    Regenerate {
        /// The project's id
        project: Option<String>,
        /// How long the old key goes on, such as 24h; 0 for not at all [default: the contract's]
        #[arg(long, value_name = "DURATION")]
        overlap: Option<String>,
        /// What the contract asks to acknowledge is acknowledged
        #[arg(long)]
        acknowledge: bool,
    },
    /// End it for ever; in force everywhere when this returns
    Revoke {
        /// The ids; several are revoked together
        #[arg(required = true)]
        keys: Vec<String>,
        /// Why, for the log
        #[arg(long)]
        reason: Option<String>,
        /// What the contract asks to acknowledge is acknowledged
        #[arg(long)]
        acknowledge: bool,
        /// Do not wait until it is in force: print where to ask
        #[arg(long)]
        no_wait: bool,
    },
    /// Ask whether a key may do something; exit code 1 where not
    Verify(VerifyArgs),
}

/// Flags of `key create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The project's id
    pub project: Option<String>,
    /// What it is called
    #[arg(long)]
    pub name: Option<String>,
    /// When it ends.
    #[command(flatten)]
    pub expiry: ExpiryArgs,
    /// What it may do; again for more [default: the contract's]
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// A network it may be used from; again for more
    #[arg(long = "address", value_name = "NETWORK")]
    pub addresses: Vec<String>,
    /// A JSON object to attach
    #[arg(long, value_name = "JSON")]
    pub metadata: Option<String>,
    /// Bring in a key issued elsewhere, by the SHA-256 of the whole key in hexadecimal
    #[arg(long, value_name = "HEX")]
    pub import_sha256: Option<String>,
    /// What the contract asks to acknowledge is acknowledged
    #[arg(long)]
    pub acknowledge: bool,
}

/// Flags of `key list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The project's id
    pub project: Option<String>,
    /// Only active, retiring, disabled, expired or revoked ones
    #[arg(long)]
    pub state: Option<String>,
    /// Only those of this name
    #[arg(long)]
    pub name: Option<String>,
    /// Which part.
    #[command(flatten)]
    pub page: PageArgs,
}

/// Flags of `key verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A file with the key, or - for standard input: never the key itself
    #[arg(long = "key", value_name = "FILE")]
    pub key_file: String,
    /// The API it is presented to
    #[arg(long)]
    pub api: Option<String>,
    /// The project that the request is about
    #[arg(long)]
    pub project: Option<String>,
    /// A scope that the request needs; again for more
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// The request's method
    #[arg(long)]
    pub method: Option<String>,
    /// The request's path
    #[arg(long)]
    pub path: Option<String>,
    /// Where the request comes from
    #[arg(long)]
    pub ip: Option<String>,
    /// What the request costs
    #[arg(long)]
    pub cost: Option<u64>,
    /// The check listener's address [default: from KEYWARD_CHECK_URL, else FOLDER/cli.toml]
    #[arg(long, value_name = "URL")]
    pub check_url: Option<String>,
}

/// Runs one.
pub async fn run(command: KeyCommand, context: &Context) -> Outcome {
    let (client, output) = (context.client()?, context.output);
    match command {
        KeyCommand::Create(args) => create(args, &client, output).await,
        KeyCommand::List(args) => list(args, &client, output).await,
        KeyCommand::Show { key } => {
            print_changed(output, &client.get(&at(&key), &Vec::new()).await?, "key");
            Ok(())
        }
        KeyCommand::Rename { key, name } => change(&client, &key, json!({"name": name}), output).await,
        KeyCommand::Rescope { key, scopes } => change(&client, &key, json!({"scopes": scopes}), output).await,
        KeyCommand::Addresses { key, networks } => {
            change(&client, &key, json!({"addresses": networks}), output).await
        }
        KeyCommand::Expire { key, expiry } => {
            let time = expiry.time()?.ok_or_else(|| Failure::usage("when? Give --expires-at or --expires-in."))?;
            change(&client, &key, json!({"expires_at": time}), output).await
        }
        KeyCommand::Disable { key, no_wait } => {
            let waiting = Waiting::unless(no_wait);
            let bar = force::spinner(output, waiting, "The key is switched off");
            let answer = client.restrict(&format!("{}/disable", at(&key)), &json!({}), waiting).await;
            bar.finish_and_clear();
            print_changed(output, &answer?, "key");
            Ok(())
        }
        KeyCommand::Enable { key } => {
            let answer = client.post(&format!("{}/enable", at(&key)), &json!({})).await?;
            print_changed(output, &answer, "key");
            Ok(())
        }
        KeyCommand::Rotate { key, overlap, no_wait } => {
            rotate(&key, overlap, Waiting::unless(no_wait), &client, context).await
        }
        KeyCommand::Regenerate { project, overlap, acknowledge } => {
            let project = named(project, &client)?;
            regenerate(&project, overlap, acknowledge, &client, context).await
        }
        KeyCommand::Revoke { keys, reason, acknowledge, no_wait } => {
            revoke(Ending { keys, reason, acknowledge }, Waiting::unless(no_wait), &client, context).await
        }
        KeyCommand::Verify(args) => verify(args, &client, output).await,
    }
}

fn at(key: &str) -> String {
    format!("/v1/keys/{}", segment(key))
}

async fn create(args: CreateArgs, client: &Client, output: Output) -> Outcome {
    let project = named(args.project, client)?;
    let metadata = args.metadata.as_deref().map(serde_json::from_str::<Value>).transpose();
    let metadata = metadata.map_err(|error| Failure::usage(format!("--metadata is no JSON: {error}")))?;
    let body = body([
        ("name", text(&args.name)),
        ("expires_at", text(&args.expiry.time()?)),
        ("scopes", texts(&args.scopes)),
        ("addresses", texts(&args.addresses)),
        ("metadata", metadata),
        ("import", args.import_sha256.map(|hex| json!({"sha256": hex}))),
    ]);
    let path = format!("/v1/projects/{}/keys", segment(&project));
    let answer = acknowledged(client, &path, body, (args.acknowledge, Waiting::Yes), output).await?;
    print_made(output, &answer, "key");
    Ok(())
}

async fn list(args: ListArgs, client: &Client, output: Output) -> Outcome {
    let project = named(args.project, client)?;
    let filters = [("state", args.state), ("name", args.name)];
    let query = filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let found = client.list(&format!("/v1/projects/{}/keys", segment(&project)), query, &args.page).await?;
    output.list(&found, COLUMNS);
    Ok(())
}

async fn change(client: &Client, key: &str, body: Value, output: Output) -> Outcome {
    print_changed(output, &client.patch(&at(key), &body).await?, "key");
    Ok(())
}

async fn rotate(
    key: &str,
    overlap: Option<String>,
    waiting: Waiting,
    client: &Client,
    context: &Context,
) -> Outcome {
    let overlap = overlap_seconds(overlap)?;
    // With an overlap nothing ends now that could not be looked at first.
    if overlap.as_ref().and_then(Value::as_u64).unwrap_or(0) == 0 {
        confirm(context.common.yes, &format!("Replace {key}? Without overlap the old key ends at once."))?;
    }
    let body = body([("overlap_seconds", overlap)]);
    let bar = force::spinner(context.output, waiting, "The new key is being put in its place");
    let answer = client.restrict(&format!("{}/rotate", at(key)), &body, waiting).await;
    bar.finish_and_clear();
    print_made(context.output, &answer?, "key");
    Ok(())
}

async fn regenerate(
    project: &str,
    overlap: Option<String>,
    acknowledge: bool,
    client: &Client,
    context: &Context,
) -> Outcome {
    confirm(context.common.yes, &format!("Replace the live key of {project}, where it has one?"))?;
    let body = body([("overlap_seconds", overlap_seconds(overlap)?)]);
    let path = format!("/v1/projects/{}/keys/regenerate", segment(project));
    let answer = acknowledged(client, &path, body, (acknowledge, Waiting::Yes), context.output).await?;
    print_made(context.output, &answer, "key");
    Ok(())
}

/// Which keys end, and why.
struct Ending {
    keys: Vec<String>,
    reason: Option<String>,
    acknowledge: bool,
}

async fn revoke(ending: Ending, waiting: Waiting, client: &Client, context: &Context) -> Outcome {
    let Ending { keys, reason, acknowledge } = ending;
    confirm(context.common.yes, &format!("End {} for ever?", keys.join(", ")))?;
    let output = context.output;
    let manner = (acknowledge, waiting);
    if let [key] = keys.as_slice() {
        let path = format!("{}/revoke", at(key));
        let answer = acknowledged(client, &path, body([("reason", text(&reason))]), manner, output).await?;
        print_changed(output, &answer, "key");
        return Ok(());
    }
    let body = body([("keys", texts(&keys)), ("reason", text(&reason))]);
    let answer = acknowledged(client, "/v1/revocations", body, manner, output).await?;
    match output.is_json() {
        true => output.json(&answer),
        false => output.line(format!("Revoked {} key(s).", answer["revoked"])),
    }
    note_in_force(output, &answer);
    Ok(())
}

/// Posts; where the contract asks for an acknowledgement that was not given, shows the statements and asks
/// whoever sits at the terminal.
async fn acknowledged(
    client: &Client,
    path: &str,
    mut body: Value,
    (acknowledge, waiting): (bool, Waiting),
    output: Output,
) -> Outcome<Value> {
    if acknowledge {
        body["acknowledge"] = true.into();
    }
    let call = async |body: &Value| {
        let bar = force::spinner(output, waiting, "Asked");
        let answer = client.restrict(path, body, waiting).await;
        bar.finish_and_clear();
        answer
    };
    let refusal = match call(&body).await {
        Err(refusal) if is_unacknowledged(&refusal) && std::io::stdin().is_terminal() => refusal,
        other => return other,
    };
    let statements = refusal.problem.as_ref().and_then(|problem| problem["statements"].as_array());
    let statements: Vec<_> = statements.into_iter().flatten().filter_map(Value::as_str).collect();
    confirm(false, &format!("Please acknowledge:\n  - {}\nDo you?", statements.join("\n  - ")))?;
    body["acknowledge"] = true.into();
    call(&body).await
}

fn is_unacknowledged(failure: &Failure) -> bool {
    failure.problem.as_ref().is_some_and(|problem| problem["code"] == "acknowledgement_required")
}

/// An overlap in seconds; `0` is allowed here beside the durations of contracts.
fn overlap_seconds(overlap: Option<String>) -> Outcome<Option<Value>> {
    match overlap.as_deref() {
        None => Ok(None),
        Some("0" | "0s") => Ok(Some(0.into())),
        Some(text) => match keyward_core::contract::duration::parse(text) {
            Ok(length) => Ok(Some(length.as_secs().into())),
            Err(reason) => Err(Failure::usage(format!("--overlap {reason}"))),
        },
    }
}

async fn verify(args: VerifyArgs, client: &Client, output: Output) -> Outcome {
    if args.key_file != "-" && !std::path::Path::new(&args.key_file).exists() {
        // Most often the key itself was given: it must not be repeated in the message.
        return Err(Failure::usage(
            "--key takes a file, or - to read the key from standard input; never the key itself",
        ));
    }
    let key = secret_from(&args.key_file)?;
    let body = body([
        ("key", Some(Value::String(key.expose().to_owned()))),
        ("api", text(&args.api)),
        ("project", text(&args.project)),
        ("scopes", texts(&args.scopes)),
        ("method", text(&args.method)),
        ("path", text(&args.path)),
        ("ip", text(&args.ip)),
        ("cost", args.cost.map(Value::from)),
    ]);
    let answer = client.check(args.check_url.as_deref(), &body).await?;
    output.record(&answer);
    match answer["valid"].as_bool() {
        Some(true) => Ok(()),
        _ => {
            let code = answer["code"].as_str().unwrap_or("unknown");
            Err(Failure::new(Exit::Failed, format!("the key is not valid here: {code}")))
        }
    }
}
