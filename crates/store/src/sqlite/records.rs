//! The writer's view of the state within one transaction: records are read once, moved on in memory and
//! written back.

use std::collections::HashMap;
use std::hash::Hash;

use keyward_core::id::{ApiName, KeyId, ManagementKeyId, OrganizationId, ProjectId};
use keyward_core::key::Key;
use keyward_core::log::LogKeys;
use keyward_core::store::StoreError;
use keyward_core::tenancy::{Api, ManagementKey, Organization, Project};

use super::record::{self, Record, Sealed};
use super::{Connection, record::DIGEST_KIND};

/// Why a proposal is not written.
#[derive(Debug)]
pub(super) enum Refusal {
    /// For a reason of its own: others in the batch go on.
    Proposal(StoreError),
    /// SQLite failed: the batch as a whole is lost.
    Database(sqlx::Error),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Refusal::Proposal(error)
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Refusal::Database(error)
    }
}

type Known<I, R> = HashMap<I, Option<R>>;

/// Records read or moved on in one transaction.
pub(super) struct Records<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) log_keys: &'a LogKeys,
    keys: Known<KeyId, Key>,
    projects: Known<ProjectId, Project>,
    organizations: Known<OrganizationId, Organization>,
    management_keys: Known<ManagementKeyId, ManagementKey>,
    apis: Known<ApiName, Api>,
}

/// A record, and the map that its kind is remembered in.
pub(super) trait Kept: Record {
    /// Its id.
    type Id: Hash + Eq + Clone + ToString;

    fn kept<'a>(records: &'a mut Records<'_>) -> &'a mut Known<Self::Id, Self>;
    fn id(&self) -> Self::Id;
}

macro_rules! kept {
    ($($record:ident: $id:ident in $map:ident by $field:ident;)*) => {$(
        impl Kept for $record {
            type Id = $id;

            fn kept<'a>(records: &'a mut Records<'_>) -> &'a mut Known<$id, Self> {
                &mut records.$map
            }

            fn id(&self) -> $id {
                self.$field.clone()
            }
        }
    )*};
}

kept! {
    Key: KeyId in keys by id;
    Project: ProjectId in projects by id;
    Organization: OrganizationId in organizations by id;
    ManagementKey: ManagementKeyId in management_keys by id;
    Api: ApiName in apis by name;
}

impl<'a> Records<'a> {
    pub(super) fn new(connection: &'a mut Connection, log_keys: &'a LogKeys) -> Self {
        Records {
            connection,
            log_keys,
            keys: HashMap::new(),
            projects: HashMap::new(),
            organizations: HashMap::new(),
            management_keys: HashMap::new(),
            apis: HashMap::new(),
        }
    }

    /// Forgets what was moved on: the transaction went back.
    pub(super) fn forget(&mut self) {
        self.keys.clear();
        self.projects.clear();
        self.organizations.clear();
        self.management_keys.clear();
        self.apis.clear();
    }

    /// The record with this id, as the transaction sees it.
    pub(super) async fn load<R: Kept>(&mut self, id: &R::Id) -> Result<Option<R>, Refusal> {
        if let Some(known) = R::kept(self).get(id) {
            return Ok(known.clone());
        }
        let text = id.to_string();
        let row = sqlx::query(R::SELECT).bind(&text).fetch_optional(&mut *self.connection).await?;
        let found: Option<R> = row.map(|row| record::open_as(self.log_keys, &row, &text)).transpose()?;
        R::kept(self).insert(id.clone(), found.clone());
        Ok(found)
    }

    /// Remembers a record as it now stands, without writing it.
    pub(super) fn keep<R: Kept>(&mut self, record: &R) {
        R::kept(self).insert(record.id(), Some(record.clone()));
    }

    fn seal<R: Kept>(&mut self, record: &R) -> Result<Sealed, Refusal> {
        self.keep(record);
        Ok(record::seal(self.log_keys, record)?)
    }

    pub(super) async fn put_api(&mut self, api: &Api) -> Result<(), Refusal> {
        let sealed = self.seal(api)?;
        sqlx::query(
            "INSERT INTO apis (name, revision, record, seal) VALUES ($1, $2, $3, $4)
             ON CONFLICT (name) DO UPDATE SET
                 revision = excluded.revision, record = excluded.record, seal = excluded.seal",
        )
        .bind(api.name.as_str())
        .bind(api.revision.0)
        .bind(sealed.json)
        .bind(&sealed.seal[..])
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    pub(super) async fn insert_organization(&mut self, organization: &Organization) -> Result<(), Refusal> {
        let sealed = self.seal(organization)?;
        sqlx::query(
            "INSERT INTO organizations (id, state, created_revision, revision, record, seal)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(organization.id.to_string())
        .bind(record::tenant_state_word(&organization.state))
        .bind(organization.created_revision.0)
        .bind(organization.revision.0)
        .bind(sealed.json)
        .bind(&sealed.seal[..])
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    pub(super) async fn update_organization(&mut self, organization: &Organization) -> Result<(), Refusal> {
        let sealed = self.seal(organization)?;
        sqlx::query("UPDATE organizations SET state = $2, revision = $3, record = $4, seal = $5 WHERE id = $1")
            .bind(organization.id.to_string())
            .bind(record::tenant_state_word(&organization.state))
            .bind(organization.revision.0)
            .bind(sealed.json)
            .bind(&sealed.seal[..])
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    pub(super) async fn insert_project(&mut self, project: &Project) -> Result<(), Refusal> {
        let sealed = self.seal(project)?;
        sqlx::query(
            "INSERT INTO projects (id, organization, state, created_revision, revision, record, seal)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(project.id.to_string())
        .bind(project.organization.to_string())
        .bind(record::tenant_state_word(&project.state))
        .bind(project.created_revision.0)
        .bind(project.revision.0)
        .bind(sealed.json)
        .bind(&sealed.seal[..])
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    pub(super) async fn update_project(&mut self, project: &Project) -> Result<(), Refusal> {
        let sealed = self.seal(project)?;
        sqlx::query("UPDATE projects SET state = $2, revision = $3, record = $4, seal = $5 WHERE id = $1")
            .bind(project.id.to_string())
            .bind(record::tenant_state_word(&project.state))
            .bind(project.revision.0)
            .bind(sealed.json)
            .bind(&sealed.seal[..])
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    /// Inserts a key with the digest it was made with.
    pub(super) async fn insert_key(&mut self, key: &Key) -> Result<(), Refusal> {
        let sealed = self.seal(key)?;
        sqlx::query(
            "INSERT INTO keys
                 (id, project, name, state, ends_at, expires_at, created_revision, revision, record, seal)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(key.id.to_string())
        .bind(key.project.to_string())
        .bind(key.name.as_deref())
        .bind(record::key_state_word(&key.state))
        .bind(record::key_ends_at(&key.state))
        .bind(key.expires_at.map(|end| end.as_millis()))
        .bind(key.created_revision.0)
        .bind(key.revision.0)
        .bind(sealed.json)
        .bind(&sealed.seal[..])
        .execute(&mut *self.connection)
        .await?;
        let (id, pepper) = (key.id.to_string(), i64::from(key.pepper));
        let digest = key.digest.as_bytes().as_slice();
        let seal = self.log_keys.seal(DIGEST_KIND, &record::digest_row(digest, &id, pepper));
        sqlx::query("INSERT INTO digests (digest, key_id, pepper, seal) VALUES ($1, $2, $3, $4)")
            .bind(digest)
            .bind(id)
            .bind(pepper)
            .bind(&seal[..])
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    pub(super) async fn update_key(&mut self, key: &Key) -> Result<(), Refusal> {
        let sealed = self.seal(key)?;
        sqlx::query(
            "UPDATE keys SET name = $2, state = $3, ends_at = $4, expires_at = $5, revision = $6,
                 record = $7, seal = $8
             WHERE id = $1",
        )
        .bind(key.id.to_string())
        .bind(key.name.as_deref())
        .bind(record::key_state_word(&key.state))
        .bind(record::key_ends_at(&key.state))
        .bind(key.expires_at.map(|end| end.as_millis()))
        .bind(key.revision.0)
        .bind(sealed.json)
        .bind(&sealed.seal[..])
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    pub(super) async fn insert_management_key(&mut self, key: &ManagementKey) -> Result<(), Refusal> {
        let sealed = self.seal(key)?;
        sqlx::query(
            "INSERT INTO management_keys (id, digest, created_revision, revision, record, seal)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(key.id.to_string())
        .bind(key.digest.as_bytes().as_slice())
        .bind(key.created_revision.0)
        .bind(key.revision.0)
        .bind(sealed.json)
        .bind(&sealed.seal[..])
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    pub(super) async fn update_management_key(&mut self, key: &ManagementKey) -> Result<(), Refusal> {
        let sealed = self.seal(key)?;
        sqlx::query("UPDATE management_keys SET revision = $2, record = $3, seal = $4 WHERE id = $1")
            .bind(key.id.to_string())
            .bind(key.revision.0)
            .bind(sealed.json)
            .bind(&sealed.seal[..])
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }
}
