//! Writing back what a transaction moved: every kind of record in its table, many rows a statement. People and
//! invitations are [`super::people_rows`]'s.

use std::collections::HashMap;

use keyward_core::key::Key;
use keyward_core::log::LogKeys;
use keyward_core::secret::Digest;
use keyward_core::tenancy::{Api, ManagementKey, Organization, Project};
use sqlx::QueryBuilder;

use super::bulk::runs;
use super::data_keys;
use super::people_rows;
use super::record::{self, DIGEST_KIND, Record, Sealed};
use super::records::{Records, Refusal};
use super::{Connection, Db, dialect};

/// Writes every record that accepted proposals moved. Parents go before children.
pub(crate) async fn write(records: &mut Records<'_>) -> Result<(), Refusal> {
    let log_keys = records.log_keys;
    let apis = sealed(log_keys, records.apis.moved.drain())?;
    let organizations = sealed(log_keys, records.organizations.moved.drain())?;
    let projects = sealed(log_keys, records.projects.moved.drain())?;
    let keys = sealed(log_keys, records.keys.moved.drain())?;
    let management_keys = sealed(log_keys, records.management_keys.moved.drain())?;
    let connection = &mut *records.connection;
    write_apis(connection, &apis).await?;
    write_organizations(connection, &organizations).await?;
    write_projects(connection, &projects).await?;
    write_keys(connection, &keys).await?;
    write_digests(connection, log_keys, &keys, &mut records.digests.moved).await?;
    write_management_keys(connection, &management_keys).await?;
    data_keys::write_moved(records).await?;
    people_rows::write(records).await?;
    write_requests(records).await?;
    Ok(())
}

pub(crate) fn sealed<I, R: Record>(
    log_keys: &LogKeys,
    moved: impl Iterator<Item = (I, R)>,
) -> Result<Vec<(R, Sealed)>, Refusal> {
    moved
        .map(|(_, record)| {
            let sealed = record::seal(log_keys, &record)?;
            Ok((record, sealed))
        })
        .collect()
}

async fn write_apis(connection: &mut Connection, rows: &[(Api, Sealed)]) -> Result<(), Refusal> {
    for run in runs(rows) {
        let mut insert: QueryBuilder<Db> = QueryBuilder::new("INSERT INTO apis (name, revision, record, seal) ");
        insert.push_values(run, |mut columns, (api, sealed)| {
            columns
                .push_bind(api.name.as_str().to_owned())
                .push_bind(api.revision.0)
                .push_bind(sealed.json.clone())
                .push_bind(sealed.seal.to_vec());
        });
        insert.push(
            " ON CONFLICT (name) DO UPDATE SET
                  revision = excluded.revision, record = excluded.record, seal = excluded.seal",
        );
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

async fn write_organizations(connection: &mut Connection, rows: &[(Organization, Sealed)]) -> Result<(), Refusal> {
    for run in runs(rows) {
        let mut insert: QueryBuilder<Db> =
            QueryBuilder::new("INSERT INTO organizations (id, state, created_revision, revision, record, seal) ");
        insert.push_values(run, |mut columns, (organization, sealed)| {
            columns
                .push_bind(organization.id.to_string())
                .push_bind(organization.state.as_str())
                .push_bind(organization.created_revision.0)
                .push_bind(organization.revision.0)
                .push_bind(sealed.json.clone())
                .push_bind(sealed.seal.to_vec());
        });
        insert.push(
            " ON CONFLICT (id) DO UPDATE SET state = excluded.state,
                  revision = excluded.revision, record = excluded.record, seal = excluded.seal",
        );
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

async fn write_projects(connection: &mut Connection, rows: &[(Project, Sealed)]) -> Result<(), Refusal> {
    for run in runs(rows) {
        let mut insert: QueryBuilder<Db> = QueryBuilder::new(
            "INSERT INTO projects (id, organization, name, state, created_revision, revision, record, seal) ",
        );
        insert.push_values(run, |mut columns, (project, sealed)| {
            columns
                .push_bind(project.id.to_string())
                .push_bind(project.organization.to_string())
                .push_bind(dialect::text(&project.name))
                .push_bind(project.state.as_str())
                .push_bind(project.created_revision.0)
                .push_bind(project.revision.0)
                .push_bind(sealed.json.clone())
                .push_bind(sealed.seal.to_vec());
        });
        insert.push(
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name, state = excluded.state,
                  revision = excluded.revision, record = excluded.record, seal = excluded.seal",
        );
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

async fn write_keys(connection: &mut Connection, rows: &[(Key, Sealed)]) -> Result<(), Refusal> {
    for run in runs(rows) {
        let mut insert: QueryBuilder<Db> = QueryBuilder::new(
            "INSERT INTO keys
                 (id, project, name, state, ends_at, expires_at, created_at, created_revision, revision, record,
                  seal) ",
        );
        insert.push_values(run, |mut columns, (key, sealed)| {
            columns
                .push_bind(key.id.to_string())
                .push_bind(key.project.to_string())
                .push_bind(key.name.as_deref().map(dialect::text))
                .push_bind(record::key_state_word(&key.state))
                .push_bind(record::key_ends_at(&key.state))
                .push_bind(key.expires_at.map(|end| end.as_millis()))
                .push_bind(key.created_at.as_millis())
                .push_bind(key.created_revision.0)
                .push_bind(key.revision.0)
                .push_bind(sealed.json.clone())
                .push_bind(sealed.seal.to_vec());
        });
        insert.push(
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name, state = excluded.state,
                  ends_at = excluded.ends_at, expires_at = excluded.expires_at,
                  revision = excluded.revision, record = excluded.record, seal = excluded.seal",
        );
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Writes the digests of keys that the transaction made.
async fn write_digests(
    connection: &mut Connection,
    log_keys: &LogKeys,
    keys: &[(Key, Sealed)],
    made: &mut HashMap<Digest, String>,
) -> Result<(), Refusal> {
    let new: Vec<&Key> = keys.iter().map(|(key, _)| key).filter(|key| made.remove(&key.digest).is_some()).collect();
    for run in runs(&new) {
        let mut insert: QueryBuilder<Db> = QueryBuilder::new("INSERT INTO digests (digest, key_id, pepper, seal) ");
        insert.push_values(run, |mut columns, key| {
            let (id, pepper) = (key.id.to_string(), i64::from(key.pepper));
            let digest = key.digest.as_bytes();
            let seal = log_keys.seal(DIGEST_KIND, &record::digest_row(digest, &id, pepper));
            columns.push_bind(digest.to_vec()).push_bind(id).push_bind(pepper).push_bind(seal.to_vec());
        });
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

async fn write_management_keys(
    connection: &mut Connection,
    rows: &[(ManagementKey, Sealed)],
) -> Result<(), Refusal> {
    for run in runs(rows) {
        let mut insert: QueryBuilder<Db> = QueryBuilder::new(
            "INSERT INTO management_keys (id, digest, created_revision, revision, record, seal) ",
        );
        insert.push_values(run, |mut columns, (key, sealed)| {
            columns
                .push_bind(key.id.to_string())
                .push_bind(key.digest.as_bytes().to_vec())
                .push_bind(key.created_revision.0)
                .push_bind(key.revision.0)
                .push_bind(sealed.json.clone())
                .push_bind(sealed.seal.to_vec());
        });
        insert.push(
            " ON CONFLICT (id) DO UPDATE SET
                  revision = excluded.revision, record = excluded.record, seal = excluded.seal",
        );
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

async fn write_requests(records: &mut Records<'_>) -> Result<(), Refusal> {
    let made: Vec<_> = records.requests.moved.drain().map(|(_, made)| made).collect();
    for run in runs(&made) {
        let mut insert: QueryBuilder<Db> =
            QueryBuilder::new("INSERT INTO idempotency (caller, request_key, fingerprint, answer, at) ");
        insert.push_values(run, |mut columns, (request, at)| {
            columns
                .push_bind(dialect::text(&request.caller))
                .push_bind(dialect::text(&request.key))
                .push_bind(request.fingerprint.to_vec())
                .push_bind(dialect::text(&request.answer))
                .push_bind(at.as_millis());
        });
        insert.build().execute(&mut *records.connection).await?;
    }
    Ok(())
}
