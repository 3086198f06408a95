//! Facts that a contract's own headers and answers are filled in with: how limits stand, the plan, the project.

use http::HeaderName;
use keyward_core::clock::Timestamp;
use keyward_core::contract::{Contract, Fact, LimitFact, Piece, Template};
use keyward_core::decision::{Grant, ProjectFacts};
use keyward_core::id::ProjectId;
use keyward_verify::limits::{Charge, LimitState};
use serde_json::Value;
use smallvec::SmallVec;

use super::limits::{resets_after, whole_seconds, write_number};

const NANOS: u128 = 1_000_000_000;
const NANOS_OF_MILLI: u128 = 1_000_000;

/// A header of a contract's own.
#[derive(Debug)]
pub(crate) struct Header {
    pub name: HeaderName,
    pub template: Template,
}

impl Header {
    /// None where that is no header's name.
    pub fn of(name: &str, template: &Template) -> Option<Self> {
        Some(Header { name: name.parse().ok()?, template: template.clone() })
    }
}

/// What can be told about a request.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    contract: &'a Contract,
    project: Option<&'a ProjectFacts>,
    /// How its limits stand, in the plan's order.
    pub states: SmallVec<[LimitState<'a>; 6]>,
    at: Option<Timestamp>,
}

/// What a fact turns out to be.
enum Known<'a> {
    Number(u64),
    Text(&'a str),
    Project(ProjectId),
}

impl<'a> Facts<'a> {
    /// Those of a request; `grant`: where it was granted.
    pub fn of(contract: &'a Contract, charge: &'a Charge, grant: Option<&'a Grant>) -> Self {
        let project = grant.map(Grant::project).or_else(|| charge.project());
        Facts { contract, project, states: charge.states().collect(), at: charge.at() }
    }

    /// Whose key it is.
    pub fn project_id(&self) -> Option<ProjectId> {
        self.project.map(|project| project.id)
    }

    /// Writes a template with its facts filled in; none where one of them is not known.
    pub fn write(&self, line: &mut Vec<u8>, template: &Template) -> Option<()> {
        for piece in template.pieces() {
            match piece {
                Piece::Text(text) => line.extend_from_slice(text.as_bytes()),
                Piece::Fact(fact) => match self.find(fact)? {
                    Known::Number(number) => write_number(line, number),
                    Known::Text(text) => line.extend_from_slice(text.as_bytes()),
                    Known::Project(id) => line.extend_from_slice(id.to_string().as_bytes()),
                },
            }
        }
        Some(())
    }

    /// A fact as JSON; none where it is not known.
    pub fn value(&self, fact: &Fact) -> Option<Value> {
        Some(match self.find(fact)? {
            Known::Number(number) => number.into(),
            Known::Text(text) => text.into(),
            Known::Project(id) => id.to_string().into(),
        })
    }

    fn find(&self, fact: &Fact) -> Option<Known<'_>> {
        Some(match fact {
            Fact::Limit { name, what } => {
                let state = self.states.iter().find(|state| *state.name == **name)?;
                Known::Number(match what {
                    LimitFact::Limit => state.limit,
                    LimitFact::Remaining => state.remaining,
                    LimitFact::Used => state.used,
                    LimitFact::ResetAfter => whole_seconds(resets_after(state)?),
                    LimitFact::ResetAt => self.reset_at(state)?,
                })
            }
            Fact::Plan => Known::Text(&self.project?.plan),
            Fact::PlanTitle => Known::Text(&self.contract.plans.get(&self.project?.plan)?.title),
            Fact::Project => Known::Project(self.project?.id),
        })
    }

    /// When a limit is all there again, in whole seconds since the Unix epoch, rounded up.
    fn reset_at(&self, state: &LimitState<'_>) -> Option<u64> {
        let at = u128::try_from(self.at?.as_millis()).ok()? * NANOS_OF_MILLI;
        u64::try_from((at + resets_after(state)?.as_nanos()).div_ceil(NANOS)).ok()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use keyward_core::contract::Presets;
    use keyward_core::limits::{LimitBy, NEVER};
    use keyward_core::tenancy::TenantState;
    use keyward_verify::limits::LimitKind;

    use super::*;

    /// A contract that says this besides what every contract says.
    pub fn contract(more: &str) -> Contract {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contracts/standard.toml");
        let presets = Presets::new([("standard".to_owned(), std::fs::read_to_string(folder).unwrap())]);
        let plan = "[plans.standard]\ntitle = \"Größe S\"\nrates.requests = { limit = 10, per = \"1m\", by = \"key\" }\n\
                    quotas.credits = { limit = 500, per = \"month\", by = \"project\" }\n\
                    quotas.trial = { limit = 100, per = \"lifetime\", by = \"project\" }\n";
        Contract::read(&format!("schema = 1\nextends = \"standard\"\n{plan}{more}"), &presets).unwrap()
    }

    pub fn project() -> ProjectFacts {
        ProjectFacts {
            id: ProjectId::from_u128(7),
            organization: keyward_core::id::OrganizationId::from_u128(8),
            api: "standard".parse().unwrap(),
            plan: "standard".into(),
            limits: Default::default(),
            is_granted: false,
            destination: None,
            state: TenantState::Active,
            organization_state: TenantState::Active,
        }
    }

    pub fn requests() -> LimitState<'static> {
        LimitState {
            name: "requests",
            kind: LimitKind::Rate,
            by: LimitBy::Key,
            limit: 10,
            remaining: 9,
            used: 1,
            reset_after: Duration::from_millis(5_001),
            window: Some(Duration::from_secs(60)),
        }
    }

    pub fn credits() -> LimitState<'static> {
        LimitState {
            name: "credits",
            kind: LimitKind::Quota,
            by: LimitBy::Project,
            limit: 500,
            remaining: 495,
            used: 5,
            reset_after: Duration::from_secs(777_600),
            window: Some(Duration::from_secs(2_592_000)),
        }
    }

    pub fn trial() -> LimitState<'static> {
        LimitState {
            name: "trial",
            limit: 100,
            remaining: 93,
            used: 7,
            reset_after: NEVER,
            window: None,
            ..credits()
        }
    }

    /// Facts at 2026-11-21T12:00:00.250Z.
    pub fn facts<'a>(
        contract: &'a Contract,
        project: &'a ProjectFacts,
        states: impl IntoIterator<Item = LimitState<'a>>,
    ) -> Facts<'a> {
        let at = Timestamp::from_millis(1_795_262_400_250);
        Facts { contract, project: Some(project), states: states.into_iter().collect(), at: Some(at) }
    }

    #[test]
    fn facts_are_what_the_limits_say_and_unknown_where_there_are_none() {
        let (contract, project) = (contract(""), project());
        let facts = facts(&contract, &project, [requests(), trial()]);
        let limit = |name: &str, what| facts.value(&Fact::Limit { name: name.into(), what });
        assert_eq!(limit("requests", LimitFact::Limit), Some(10.into()));
        assert_eq!(limit("requests", LimitFact::Remaining), Some(9.into()));
        assert_eq!(limit("requests", LimitFact::Used), Some(1.into()));
        assert_eq!(limit("requests", LimitFact::ResetAfter), Some(6.into()));
        // 250 ms and 5,001 ms after the second.
        assert_eq!(limit("requests", LimitFact::ResetAt), Some((1_795_262_400_u64 + 6).into()));
        assert_eq!(limit("trial", LimitFact::Remaining), Some(93.into()));
        assert_eq!((limit("trial", LimitFact::ResetAfter), limit("trial", LimitFact::ResetAt)), (None, None));
        assert_eq!(limit("credits", LimitFact::Limit), None);
        assert_eq!(facts.value(&Fact::Plan), Some("standard".into()));
        assert_eq!(facts.value(&Fact::PlanTitle), Some("Größe S".into()));
        assert_eq!(facts.value(&Fact::Project), Some(project.id.to_string().into()));
    }
}
