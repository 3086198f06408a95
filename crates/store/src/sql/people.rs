//! What a change of a person or an invitation touches beside its record, and what is expected of people: whose a mail
//! address or an identity is, and whether an operator or an owner is left. All of it as the proposal at hand sees it:
//! with what the accepted ones before it did.

use keyward_core::change::{Expect, InvitationChange, PersonChange, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::id::{InvitationId, OrganizationId, PersonId};
use keyward_core::people::{Identity, Invitation, Person, Role};
use keyward_core::store::StoreError;
use keyward_core::tenancy::Organization;
use sqlx::{QueryBuilder, Row as _};

use super::apply::conflict;
use super::bulk::{parts, push_list};
use super::records::{DigestKind, Records, Refusal};
use super::{Db, Row, dialect};

/// Makes a change of a person.
pub(crate) async fn person(
    records: &mut Records<'_>,
    id: PersonId,
    what: &mut PersonChange,
    at: Timestamp,
    revision: Revision,
) -> Result<(), Refusal> {
    let found: Option<Person> = records.load(&id).await?;
    let (mut person, what) = match (found, what) {
        (None, PersonChange::Created { person, password }) => {
            (person.created_revision, person.revision) = (revision, revision);
            add(records, person).await?;
            if let Some(password) = password.take() {
                records.passwords.put(id, Some(password));
            }
            return Ok(());
        }
        (Some(_), PersonChange::Created { .. }) | (None, _) => return conflict(Expect::Person(id, Revision::ZERO)),
        (Some(person), what) => (person, what),
    };
    match what {
        PersonChange::PasswordSet { password } => records.passwords.put(id, password.take()),
        PersonChange::IdentityLinked { identity } => link(records, id, identity).await?,
        PersonChange::IdentityUnlinked { identity } => unlink(records, id, identity).await?,
        PersonChange::Joined { organization, .. } => exists(records, *organization).await?,
        _ => {}
    }
    person.apply(what, at, revision);
    records.put(person);
    Ok(())
}

async fn add(records: &mut Records<'_>, person: &Person) -> Result<(), Refusal> {
    if records.person_with_email(&person.email).await?.is_some() {
        return conflict(Expect::NoPerson(person.email.clone()));
    }
    for membership in &person.memberships {
        exists(records, membership.organization).await?;
    }
    for identity in &person.identities {
        link(records, person.id, identity).await?;
    }
    records.emails.put(person.email.clone(), person.id);
    records.put(person.clone());
    Ok(())
}

/// Whose an identity is, stays: another cannot take it.
async fn link(records: &mut Records<'_>, id: PersonId, identity: &Identity) -> Result<(), Refusal> {
    if records.person_with_identity(identity).await?.is_some_and(|holder| holder != id) {
        return conflict(Expect::Person(id, Revision::ZERO));
    }
    records.identities.put(identity.clone(), Some(id));
    Ok(())
}

/// An identity that is somebody else's stays theirs.
pub(crate) async fn unlink(records: &mut Records<'_>, id: PersonId, identity: &Identity) -> Result<(), Refusal> {
    if records.person_with_identity(identity).await? == Some(id) {
        records.identities.put(identity.clone(), None);
    }
    Ok(())
}

async fn exists(records: &mut Records<'_>, id: OrganizationId) -> Result<(), Refusal> {
    match records.load::<Organization>(&id).await? {
        Some(_) => Ok(()),
        None => conflict(Expect::Organization(id, Revision::ZERO)),
    }
}

/// Makes a change of an invitation.
pub(crate) async fn invitation(
    records: &mut Records<'_>,
    id: InvitationId,
    what: &mut InvitationChange,
    at: Timestamp,
    revision: Revision,
) -> Result<(), Refusal> {
    let found: Option<Invitation> = records.load(&id).await?;
    match (found, what) {
        (None, InvitationChange::Created { invitation }) => {
            if records.holder(DigestKind::Invitation, &invitation.digest).await?.is_some() {
                return conflict(Expect::Invitation(id, Revision::ZERO));
            }
            if let Some(organization) = invitation.invited_to.organization() {
                exists(records, organization).await?;
            }
            (invitation.created_revision, invitation.revision) = (revision, revision);
            records.invitation_digests.put(invitation.digest, id.to_string());
            records.put(Invitation::clone(invitation));
            Ok(())
        }
        (Some(_), InvitationChange::Created { .. }) | (None, _) => conflict(Expect::Invitation(id, Revision::ZERO)),
        (Some(mut invitation), what) => {
            invitation.apply(what, at, revision);
            records.put(invitation);
            Ok(())
        }
    }
}

impl Records<'_> {
    /// Who has this mail address.
    pub(crate) async fn person_with_email(&mut self, email: &str) -> Result<Option<PersonId>, Refusal> {
        let email = email.to_owned();
        if self.emails.get(&email).is_none() {
            self.fetch_emails(std::slice::from_ref(&email)).await?;
        }
        Ok(self.emails.get(&email).flatten().copied())
    }

    /// Reads whose mail addresses these are, together.
    pub(crate) async fn fetch_emails(&mut self, emails: &[String]) -> Result<(), Refusal> {
        for part in parts(emails) {
            let mut select: QueryBuilder<Db> = QueryBuilder::new("SELECT email, id FROM people WHERE email IN (");
            push_list(&mut select, part, |query, email| {
                query.push_bind(dialect::text(email));
            });
            select.push(")");
            let rows = select.build().fetch_all(&mut *self.connection).await?;
            self.emails.found.extend(part.iter().map(|email| (email.clone(), None)));
            for row in &rows {
                self.emails.found.insert(dialect::text_of(row, "email")?, Some(person_id(row, "id")?));
            }
        }
        Ok(())
    }

    /// Whom an OpenID provider speaks for.
    async fn person_with_identity(&mut self, identity: &Identity) -> Result<Option<PersonId>, Refusal> {
        if self.identities.get(identity).is_none() {
            let row = sqlx::query("SELECT person FROM identities WHERE issuer = $1 AND subject = $2")
                .bind(dialect::text(&identity.issuer))
                .bind(dialect::text(&identity.subject))
                .fetch_optional(&mut *self.connection)
                .await?;
            let holder = row.map(|row| person_id(&row, "person")).transpose()?;
            self.identities.found.insert(identity.clone(), Some(holder));
        }
        Ok(self.identities.get(identity).flatten().copied().flatten())
    }

    /// Whether anybody is an operator, whoever may not sign in included.
    pub(crate) async fn has_operator(&mut self) -> Result<bool, Refusal> {
        let moved = self.moved_people();
        if moved.iter().any(|person| person.is_operator) {
            return Ok(true);
        }
        let mut select: QueryBuilder<Db> = QueryBuilder::new("SELECT id FROM people WHERE is_operator = 1");
        self.any_but(&mut select, moved.iter().map(|person| person.id).collect()).await
    }

    /// Whether somebody else who may sign in is an operator.
    pub(crate) async fn has_operator_beside(&mut self, but: PersonId) -> Result<bool, Refusal> {
        let moved = self.moved_people();
        if moved.iter().any(|person| person.id != but && person.is_operator && person.is_active()) {
            return Ok(true);
        }
        let mut select: QueryBuilder<Db> =
            QueryBuilder::new("SELECT id FROM people WHERE is_operator = 1 AND state = 'active'");
        self.any_but(&mut select, moved.iter().map(|person| person.id).chain([but]).collect()).await
    }

    /// Whether somebody else who may sign in is an owner of the organization.
    pub(crate) async fn has_owner_beside(
        &mut self,
        organization: OrganizationId,
        but: PersonId,
    ) -> Result<bool, Refusal> {
        let is_owner = |person: &Person| {
            person.is_active() && person.membership(organization).is_some_and(|place| place.role == Role::Owner)
        };
        let moved = self.moved_people();
        if moved.iter().any(|person| person.id != but && is_owner(person)) {
            return Ok(true);
        }
        let mut select: QueryBuilder<Db> = QueryBuilder::new(
            "SELECT p.id FROM memberships AS m JOIN people AS p ON p.id = m.person
             WHERE m.organization = ",
        );
        select.push_bind(organization.to_string()).push(" AND m.role = ").push_bind(Role::Owner.as_str());
        select.push(" AND p.state = 'active'");
        self.any_but(&mut select, moved.iter().map(|person| person.id).chain([but]).collect()).await
    }

    /// The people that this transaction moved, as the proposal at hand sees them.
    fn moved_people(&self) -> Vec<Person> {
        let older = self.people.moved.iter().filter(|(id, _)| !self.people.pending.contains_key(id));
        older.chain(&self.people.pending).map(|(_, person)| person.clone()).collect()
    }

    /// Whether the database gives anybody who is not among `but`: their rows may say what is no longer so.
    async fn any_but(&mut self, select: &mut QueryBuilder<Db>, but: Vec<PersonId>) -> Result<bool, Refusal> {
        // One row more than there are people to pass over tells for sure.
        select.push(" LIMIT ").push_bind(but.len() as i64 + 1);
        let rows = select.build().fetch_all(&mut *self.connection).await?;
        for row in &rows {
            if !but.contains(&person_id(row, "id")?) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn person_id(row: &Row, column: &str) -> Result<PersonId, Refusal> {
    let id: &str = row.try_get(column)?;
    id.parse().map_err(|_| StoreError::Damaged(format!("{id} is no person's id")).into())
}
