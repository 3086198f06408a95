//! Reading the state: single records, lists by age, and a key with its context in one snapshot.

use keyward_core::change::{Idempotency, Revision};
use keyward_core::id::OrganizationId;
use keyward_core::key::Key;
use keyward_core::log::LogKeys;
use keyward_core::secret::{Digest, PepperVersion};
use keyward_core::store::{KeyInContext, Page, Read, Result, StoreError};
use keyward_core::tenancy::{Api, ManagementKey, Organization, Project};
use sqlx::{QueryBuilder, Row as _};

use super::dialect::read_failure;
use super::record::{self, DIGEST_KIND, Record};
use super::{Connection, Db, Row, dialect};

/// A record by its id.
pub(crate) async fn one<R: Record>(
    connection: &mut Connection,
    log_keys: &LogKeys,
    id: String,
) -> Result<Option<R>> {
    let row = sqlx::query(R::SELECT).bind(&id).fetch_optional(connection).await.map_err(read_failure)?;
    row.map(|row| record::open_as(log_keys, &row, &id)).transpose()
}

/// The key with this digest. Its `digest` and `pepper` are those it was found by.
pub(crate) async fn key_by_digest(
    connection: &mut Connection,
    log_keys: &LogKeys,
    digest: &Digest,
) -> Result<Read<Option<KeyInContext>>> {
    let row = sqlx::query(
        "SELECT s.head_revision, d.key_id, d.pepper, d.seal AS digest_seal,
             k.record AS key_record, k.seal AS key_seal,
             p.record AS project_record, p.seal AS project_seal,
             o.record AS organization_record, o.seal AS organization_seal
         FROM store AS s
         LEFT JOIN digests AS d ON d.digest = $1
         LEFT JOIN keys AS k ON k.id = d.key_id
         LEFT JOIN projects AS p ON p.id = k.project
         LEFT JOIN organizations AS o ON o.id = p.organization",
    )
    .bind(digest.as_bytes().as_slice())
    .fetch_one(connection)
    .await
    .map_err(read_failure)?;
    let revision = Revision(row.try_get("head_revision").map_err(read_failure)?);
    let id: Option<&str> = row.try_get("key_id").map_err(read_failure)?;
    let value = match id {
        None => None,
        Some(id) => Some(in_context(log_keys, &row, id, digest)?),
    };
    Ok(Read { value, revision })
}

fn in_context(log_keys: &LogKeys, row: &Row, id: &str, digest: &Digest) -> Result<KeyInContext> {
    let pepper: i64 = row.try_get("pepper").map_err(read_failure)?;
    let seal: &[u8] = row.try_get("digest_seal").map_err(read_failure)?;
    let covered = record::digest_row(digest.as_bytes(), id, pepper);
    if !log_keys.has_sealed(DIGEST_KIND, &covered, seal) {
        return Err(StoreError::Damaged(format!("a digest of {id} is not as Keyward wrote it")));
    }
    let mut key: Key = record::open_columns(log_keys, row, "key_record", "key_seal")?;
    let project: Project = record::open_columns(log_keys, row, "project_record", "project_seal")?;
    let organization: Organization =
        record::open_columns(log_keys, row, "organization_record", "organization_seal")?;
    let fits = key.id.to_string() == id && key.project == project.id && project.organization == organization.id;
    if !fits {
        return Err(StoreError::Damaged(format!("the rows of {id}, its project and organization do not fit")));
    }
    key.digest = *digest;
    key.pepper = PepperVersion::try_from(pepper)
        .map_err(|_| StoreError::Damaged(format!("a digest of {id} has the pepper {pepper}")))?;
    Ok(KeyInContext { key, project, organization })
}

/// The management key with this digest.
pub(crate) async fn management_key_by_digest(
    connection: &mut Connection,
    log_keys: &LogKeys,
    digest: &Digest,
) -> Result<Read<Option<ManagementKey>>> {
    let row = sqlx::query(
        "SELECT s.head_revision, m.id, m.record, m.seal
         FROM store AS s LEFT JOIN management_keys AS m ON m.digest = $1",
    )
    .bind(digest.as_bytes().as_slice())
    .fetch_one(connection)
    .await
    .map_err(read_failure)?;
    let revision = Revision(row.try_get("head_revision").map_err(read_failure)?);
    let id: Option<&str> = row.try_get("id").map_err(read_failure)?;
    let Some(id) = id else { return Ok(Read { value: None, revision }) };
    let key: ManagementKey = record::open_as(log_keys, &row, &id)?;
    if key.digest != *digest {
        return Err(StoreError::Damaged(format!("the row of {id} has another's digest")));
    }
    Ok(Read { value: Some(key), revision })
}

/// All APIs, by name, with the revision of the snapshot.
pub(crate) async fn apis(connection: &mut Connection, log_keys: &LogKeys) -> Result<Read<Vec<Api>>> {
    let rows = sqlx::query(
        "SELECT s.head_revision, a.name, a.record, a.seal FROM store AS s LEFT JOIN apis AS a ON 1 = 1
         ORDER BY a.name",
    )
    .fetch_all(connection)
    .await
    .map_err(read_failure)?;
    let first = rows.first().ok_or_else(|| StoreError::Damaged("the store has no head".into()))?;
    let revision = Revision(first.try_get("head_revision").map_err(read_failure)?);
    let mut value = Vec::with_capacity(rows.len());
    for row in &rows {
        let name: Option<&str> = row.try_get("name").map_err(read_failure)?;
        if let Some(name) = name {
            value.push(record::open_as(log_keys, row, &name)?);
        }
    }
    Ok(Read { value, revision })
}

/// Organizations that are not deleted, newest first.
pub(crate) async fn organizations(
    connection: &mut Connection,
    log_keys: &LogKeys,
    page: Page,
) -> Result<Vec<Organization>> {
    let rows = sqlx::query(
        "SELECT record, seal FROM organizations WHERE state <> 'deleted' AND created_revision < $1
         ORDER BY created_revision DESC LIMIT $2",
    )
    .bind(before(page))
    .bind(i64::from(page.limit))
    .fetch_all(connection)
    .await
    .map_err(read_failure)?;
    rows.iter().map(|row| record::open(log_keys, row)).collect()
}

/// An organization's projects that are not deleted, newest first.
pub(crate) async fn projects(
    connection: &mut Connection,
    log_keys: &LogKeys,
    organization: OrganizationId,
    page: Page,
) -> Result<Vec<Project>> {
    let rows = sqlx::query(
        "SELECT record, seal FROM projects
         WHERE organization = $1 AND state <> 'deleted' AND created_revision < $2
         ORDER BY created_revision DESC LIMIT $3",
    )
    .bind(organization.to_string())
    .bind(before(page))
    .bind(i64::from(page.limit))
    .fetch_all(connection)
    .await
    .map_err(read_failure)?;
    let projects: Vec<Project> = rows.iter().map(|row| record::open(log_keys, row)).collect::<Result<_>>()?;
    within(projects, |project| project.organization == organization)
}

/// Projects of all organizations that are not deleted, newest first; where a beginning is told, those of such names.
pub(crate) async fn all_projects(
    connection: &mut Connection,
    log_keys: &LogKeys,
    name_start: Option<&str>,
    page: Page,
) -> Result<Vec<Project>> {
    let mut select: QueryBuilder<Db> =
        QueryBuilder::new("SELECT p.record, p.seal FROM projects p WHERE p.state <> 'deleted'");
    if let Some(start) = name_start {
        // What begins like this is what stands between it and it with the last of all characters behind.
        let start = dialect::text(&start.to_ascii_lowercase());
        select.push(" AND LOWER(p.name) >= ").push_bind(start.clone());
        select.push(" AND LOWER(p.name) < ").push_bind(format!("{start}\u{10ffff}"));
    }
    select.push(" AND p.created_revision < ").push_bind(before(page));
    select.push(" ORDER BY p.created_revision DESC LIMIT ").push_bind(i64::from(page.limit));
    let rows = select.build().fetch_all(connection).await.map_err(read_failure)?;
    rows.iter().map(|row| record::open(log_keys, row)).collect()
}

/// Management keys, newest first.
pub(crate) async fn management_keys(
    connection: &mut Connection,
    log_keys: &LogKeys,
    page: Page,
) -> Result<Vec<ManagementKey>> {
    let rows = sqlx::query(
        "SELECT record, seal FROM management_keys WHERE created_revision < $1
         ORDER BY created_revision DESC LIMIT $2",
    )
    .bind(before(page))
    .bind(i64::from(page.limit))
    .fetch_all(connection)
    .await
    .map_err(read_failure)?;
    rows.iter().map(|row| record::open(log_keys, row)).collect()
}

/// A list, where every record is what the columns it was found by say.
pub(crate) fn within<R: Record>(records: Vec<R>, fits: impl Fn(&R) -> bool) -> Result<Vec<R>> {
    match records.iter().find(|record| !fits(record)) {
        None => Ok(records),
        Some(record) => {
            Err(StoreError::Damaged(format!("the row of {} disagrees with its record", record.id_text())))
        }
    }
}

/// What was answered to a request with this `Idempotency-Key` of this caller.
pub(crate) async fn idempotency(
    connection: &mut Connection,
    caller: &str,
    key: &str,
) -> Result<Option<Idempotency>> {
    let row = sqlx::query(
        "SELECT caller, request_key, fingerprint, answer FROM idempotency WHERE caller = $1 AND request_key = $2",
    )
    .bind(dialect::text(caller))
    .bind(dialect::text(key))
    .fetch_optional(connection)
    .await
    .map_err(read_failure)?;
    row.map(|row| record::idempotency_of(&row).map_err(read_failure)).transpose()
}

pub(crate) fn before(page: Page) -> i64 {
    page.before.map_or(i64::MAX, |before| before.0)
}
