//! `keyward doctor`: looks at a folder and says, line by line, what is right and what to do about the rest.
//! Changes nothing, and works beside a running server.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use keyward_core::contract::{Contract, Presets};
use keyward_core::key_encryption::KeyEncryption as _;
use keyward_core::store::LogVerdict;
use keyward_core::tenancy::Api;
use keyward_store::{Place, PostgresStore, SqliteStore};
use rustix::fs::statvfs;
use serde_json::json;

use super::Context;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::node::encryption::KeyEncryptionKeys;
use crate::node::offline::{self, Readable};
use crate::node::peppers;
use crate::secrets::{Origin, Secrets};

/// Less room than this and writing may soon stop.
const FREE_BYTES_MIN: u64 = 256 * 1024 * 1024;

/// One thing that was looked at.
struct Finding {
    what: &'static str,
    is_right: bool,
    told: String,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn right(&mut self, what: &'static str, told: impl Into<String>) {
        self.0.push(Finding { what, is_right: true, told: told.into() });
    }

    fn wrong(&mut self, what: &'static str, told: impl Into<String>) {
        self.0.push(Finding { what, is_right: false, told: told.into() });
    }
}

/// Looks at everything.
pub async fn run(context: &Context) -> Outcome {
    let mut findings = Findings::default();
    match context.config(Vec::new()) {
        Err(failure) => findings.wrong("configuration", failure.message),
        Ok(config) => {
            let from = config.file.as_ref().map_or("defaults".into(), |file| file.display().to_string());
            findings.right("configuration", from);
            look(&config, context, &mut findings).await;
        }
    }
    let wrong = findings.0.iter().filter(|finding| !finding.is_right).count();
    let output = context.output;
    if output.is_json() {
        let items: Vec<_> =
            findings.0.iter().map(|f| json!({"check": f.what, "ok": f.is_right, "detail": f.told})).collect();
        output.json(&json!({"items": items, "next_cursor": null}));
    }
    for Finding { what, is_right, told } in &findings.0 {
        output.line(format!("{} {what}: {told}", if *is_right { '✓' } else { '✗' }));
    }
    match wrong {
        0 => Ok(()),
        wrong => Err(Failure::failed(format!("{wrong} thing(s) need attention"))),
    }
}

async fn look(config: &Config, context: &Context, findings: &mut Findings) {
    let place = Place::new(config.dir());
    if !place.dir().is_dir() {
        return findings.wrong("folder", format!("there is no {}: keyward init makes one", place.dir().display()));
    }
    permissions(&place, findings);
    room(place.dir(), findings);
    lock(&place, findings);
    let secrets = match Secrets::load(config, &context.environment) {
        Err(failure) => return findings.wrong("secrets", failure.to_string()),
        Ok(secrets) => secrets,
    };
    let second_best = match secrets.origin() {
        Origin::File(_) => "",
        Origin::Environment => " (a file is safer: the environment is seen by more)",
    };
    findings.right("secrets", format!("{}{second_best}", secrets.origin()));
    match offline::read_only(config, &secrets).await {
        Err(failure) => findings.wrong("store", failure.to_string()),
        Ok(readable) => {
            let at = config.database().map(|database| format!(" in {}", database.shown())).unwrap_or_default();
            let store = readable.store();
            findings.right("store", format!("{}{at}, of a schema that this version knows", store.id()));
            content(&readable, &secrets, context, findings).await;
            store.close().await;
        }
    }
}

async fn content(readable: &Readable, secrets: &Secrets, context: &Context, findings: &mut Findings) {
    let bar = context.output.progress("Checking the store");
    match readable {
        Readable::Sqlite(store) => file(store, findings).await,
        Readable::Postgres(store) => settings(store, findings),
    }
    bar.set_message("Checking the log");
    log(readable, &bar, findings).await;
    bar.finish_and_clear();
    encryption_keys(readable, secrets, findings).await;
    match peppers::known(readable.store(), secrets).await {
        Err(failure) => findings.wrong("peppers", failure.message),
        Ok(known) => {
            for pepper in known {
                let told = format!("version {}: {}, {} key(s) need it", pepper.version, pepper.state, pepper.keys);
                match pepper.state {
                    "missing" | "wrong" => {
                        findings.wrong("pepper", format!("{told}; bring back the right secrets"))
                    }
                    "in use" if pepper.keys == 0 => findings.right("pepper", format!("{told}: it can be retired")),
                    _ => findings.right("pepper", told),
                }
            }
        }
    }
}

/// Whether every data key can be unwrapped with what is at hand.
async fn encryption_keys(readable: &Readable, secrets: &Secrets, findings: &mut Findings) {
    let counts = match readable.store().data_key_counts().await {
        Ok(counts) => counts,
        Err(error) => return findings.wrong("encryption keys", error.to_string()),
    };
    let keys = KeyEncryptionKeys::new(secrets);
    for (version, count) in counts {
        let told = format!("version {version}: {count} data key(s) are wrapped under it");
        let sample = readable.store().data_keys_under(version, None, 1).await;
        let Some(sample) = sample.ok().and_then(|found| found.into_iter().next()) else { continue };
        match keys.unwrap(sample.which, &sample.wrapped).await {
            Ok(_) => findings.right("encryption key", told),
            Err(error) => {
                findings.wrong("encryption key", format!("{told}, and {error}; bring back the right secrets"))
            }
        }
    }
    match secrets.encryption_versions().last() {
        Some(newest) => {
            findings.right("encryption keys", format!("new data keys are wrapped under version {newest}"))
        }
        None => match encrypting_apis(readable).await {
            Err(reason) => findings.wrong("encryption keys", reason),
            Ok(apis) if apis.is_empty() => findings.right("encryption keys", "none, and no contract needs one"),
            Ok(apis) => findings.wrong(
                "encryption keys",
                format!("none, and {} encrypts: keyward encryption-key add makes one", apis.join(", ")),
            ),
        },
    }
}

/// The APIs whose contract in force encrypts fields.
async fn encrypting_apis(readable: &Readable) -> Result<Vec<String>, String> {
    let apis = readable.store().apis().await.map_err(|error| error.to_string())?;
    let encrypts =
        |api: &Api| Contract::read(&api.resolved, &Presets::default()).is_ok_and(|c| c.encryption.is_some());
    Ok(apis.value.iter().filter(|api| encrypts(api)).map(|api| api.name.to_string()).collect())
}

async fn file(store: &SqliteStore, findings: &mut Findings) {
    match store.check_file().await {
        Err(error) => findings.wrong("file", error.to_string()),
        Ok(complaints) if complaints.is_empty() => findings.right("file", "SQLite finds no damage"),
        Ok(complaints) => findings.wrong("file", format!("{}: restore a backup", complaints.join("; "))),
    }
}

fn settings(store: &PostgresStore, findings: &mut Findings) {
    match store.warnings() {
        [] => findings.right("database", "its settings keep what is acknowledged"),
        warnings => warnings.iter().for_each(|warning| findings.wrong("database", warning.clone())),
    }
}

async fn log(readable: &Readable, bar: &indicatif::ProgressBar, findings: &mut Findings) {
    let heads = match readable.store().signed_heads() {
        Ok(heads) => heads,
        Err(error) => return findings.wrong("signed heads", error.to_string()),
    };
    let progress = |done: u64, total: u64| bar.set_message(format!("Checking the log: {done} of {total}"));
    match readable.verify_log(&heads, progress).await {
        Err(error) => findings.wrong("log", error.to_string()),
        Ok(LogVerdict::Intact { revision, heads }) => {
            findings.right("log", format!("intact up to revision {revision}; {heads} signed heads agree"));
        }
        Ok(LogVerdict::Broken { revision, reason }) => findings.wrong(
            "log",
            format!(
                "broken at revision {revision}: {reason}. Keep the folder as it is and compare it with backups"
            ),
        ),
    }
}

fn permissions(place: &Place, findings: &mut Findings) {
    let files = [place.dir().to_owned(), place.database(), place.journal(), place.heads(), place.lock()];
    let open: Vec<_> = files
        .iter()
        .filter(|path| std::fs::metadata(path).is_ok_and(|found| found.mode() & 0o077 != 0))
        .map(|path| path.display().to_string())
        .collect();
    match open.is_empty() {
        true => findings.right("permissions", "only this user can read the folder"),
        false => findings.wrong("permissions", format!("others can read {0}: chmod go= {0}", open.join(" "))),
    }
}

fn room(dir: &Path, findings: &mut Findings) {
    match statvfs(dir) {
        Err(error) => findings.wrong("disk", error.to_string()),
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let told = format!("{} MiB free", free / (1024 * 1024));
            match free {
                FREE_BYTES_MIN.. => findings.right("disk", told),
                _ => findings.wrong("disk", format!("{told}: make room before writing stops")),
            }
        }
    }
}

fn lock(place: &Place, findings: &mut Findings) {
    let held = std::fs::File::open(place.lock())
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)));
    findings.right("lock", if held { "a server is running on this folder" } else { "no server is running" });
}
