//! Reading people, their passwords and invitations.

use keyward_core::id::{OrganizationId, PersonId};
use keyward_core::log::LogKeys;
use keyward_core::people::{Identity, Invitation, PasswordHash, Person};
use keyward_core::secret::Digest;
use keyward_core::store::{Page, PersonFilter, Result, StoreError};
use sqlx::{QueryBuilder, Row as _};

use super::dialect::read_failure;
use super::read::{before, within};
use super::record::{self, PASSWORD_KIND};
use super::{Connection, Db, dialect};

/// The person with this mail address.
pub(crate) async fn by_email(
    connection: &mut Connection,
    log_keys: &LogKeys,
    email: &str,
) -> Result<Option<Person>> {
    let row = sqlx::query("SELECT id, record, seal FROM people WHERE email = $1")
        .bind(dialect::text(email))
        .fetch_optional(connection)
        .await
        .map_err(read_failure)?;
    let person: Option<Person> = row.map(|row| record::open(log_keys, &row)).transpose()?;
    Ok(within(person.into_iter().collect(), |person| person.email == email)?.pop())
}

/// The person that an OpenID provider speaks for.
pub(crate) async fn by_identity(
    connection: &mut Connection,
    log_keys: &LogKeys,
    identity: &Identity,
) -> Result<Option<Person>> {
    let row = sqlx::query(
        "SELECT p.record, p.seal FROM identities AS i JOIN people AS p ON p.id = i.person
         WHERE i.issuer = $1 AND i.subject = $2",
    )
    .bind(dialect::text(&identity.issuer))
    .bind(dialect::text(&identity.subject))
    .fetch_optional(connection)
    .await
    .map_err(read_failure)?;
    let person: Option<Person> = row.map(|row| record::open(log_keys, &row)).transpose()?;
    Ok(within(person.into_iter().collect(), |person| person.identities.contains(identity))?.pop())
}

/// People, newest first.
pub(crate) async fn people(
    connection: &mut Connection,
    log_keys: &LogKeys,
    filter: &PersonFilter,
    page: Page,
) -> Result<Vec<Person>> {
    let mut select: QueryBuilder<Db> = match filter.organization {
        Some(organization) => {
            let mut select = QueryBuilder::new(
                "SELECT p.record, p.seal FROM memberships AS l JOIN people AS p ON p.id = l.person
                 WHERE l.organization = ",
            );
            select.push_bind(organization.to_string());
            select.push(" AND l.created_revision < ");
            select
        }
        None => {
            QueryBuilder::new("SELECT l.record, l.seal, l.is_operator FROM people AS l WHERE l.created_revision < ")
        }
    };
    select.push_bind(before(page));
    if filter.is_operator {
        select.push(" AND is_operator = 1");
    }
    select.push(" ORDER BY l.created_revision DESC LIMIT ").push_bind(i64::from(page.limit));
    let rows = select.build().fetch_all(connection).await.map_err(read_failure)?;
    let people: Vec<Person> = rows.iter().map(|row| record::open(log_keys, row)).collect::<Result<_>>()?;
    within(people, |person| {
        filter.organization.is_none_or(|organization| person.membership(organization).is_some())
            && (person.is_operator || !filter.is_operator)
    })
}

/// A person's password.
pub(crate) async fn password(
    connection: &mut Connection,
    log_keys: &LogKeys,
    person: PersonId,
) -> Result<Option<PasswordHash>> {
    let person = person.to_string();
    let row = sqlx::query("SELECT phc, seal FROM passwords WHERE person = $1")
        .bind(&person)
        .fetch_optional(connection)
        .await
        .map_err(read_failure)?;
    let Some(row) = row else { return Ok(None) };
    let phc: String = row.try_get("phc").map_err(read_failure)?;
    let seal: &[u8] = row.try_get("seal").map_err(read_failure)?;
    match log_keys.has_sealed(PASSWORD_KIND, &record::password_row(&person, &phc), seal) {
        true => Ok(Some(PasswordHash(phc))),
        false => Err(StoreError::Damaged(format!("the password of {person} is not as Keyward wrote it"))),
    }
}

/// The invitation with this digest.
pub(crate) async fn invitation_by_digest(
    connection: &mut Connection,
    log_keys: &LogKeys,
    digest: &Digest,
) -> Result<Option<Invitation>> {
    let row = sqlx::query("SELECT record, seal FROM invitations WHERE digest = $1")
        .bind(digest.as_bytes().as_slice())
        .fetch_optional(connection)
        .await
        .map_err(read_failure)?;
    let invitation: Option<Invitation> = row.map(|row| record::open(log_keys, &row)).transpose()?;
    Ok(within(invitation.into_iter().collect(), |invitation| invitation.digest == *digest)?.pop())
}

/// Invitations to an organization, or to the operators, newest first.
pub(crate) async fn invitations(
    connection: &mut Connection,
    log_keys: &LogKeys,
    organization: Option<OrganizationId>,
    page: Page,
) -> Result<Vec<Invitation>> {
    let mut select: QueryBuilder<Db> = QueryBuilder::new("SELECT record, seal FROM invitations WHERE organization");
    match organization {
        Some(organization) => select.push(" = ").push_bind(organization.to_string()),
        None => select.push(" IS NULL"),
    };
    select.push(" AND created_revision < ").push_bind(before(page));
    select.push(" ORDER BY created_revision DESC LIMIT ").push_bind(i64::from(page.limit));
    let rows = select.build().fetch_all(connection).await.map_err(read_failure)?;
    let found: Vec<Invitation> = rows.iter().map(|row| record::open(log_keys, row)).collect::<Result<_>>()?;
    within(found, |invitation| invitation.invited_to.organization() == organization)
}
