//! A project's limits, as the operator sets them and as they stand.

use serde_json::{Value, json};

use super::server::{Keyward, Reply};

/// More than any story asks for, in a rate's time and in a quota's period.
const OUT_OF_REACH: u64 = 1_000_000_000;

impl Keyward {
    /// Changes the operator's side of a project: plan, limits, access.
    pub fn edit(&self, project: &str, change: Value) -> Reply {
        self.patch(&format!("/v1/projects/{project}"), change)
    }

    /// Gives a project limits of its own: `{"NAME": {"limit": …}}`.
    #[track_caller]
    pub fn set_limits(&self, project: &str, limits: Value) {
        self.edit(project, json!({"limits": limits})).expect(200);
    }

    /// Puts every limit of the project that `dev` made out of reach, for stories of something else that send more
    /// than its plan gives.
    #[track_caller]
    pub fn lift_limits(&self) {
        self.lift_limits_of(self.project());
    }

    /// The same for another project.
    #[track_caller]
    pub fn lift_limits_of(&self, project: &str) {
        for limit in self.limits(project) {
            let name = limit["name"].as_str().unwrap();
            let burst = (limit["kind"] == "rate").then_some(OUT_OF_REACH);
            self.set_limits(project, json!({name: {"limit": OUT_OF_REACH, "burst": burst}}));
        }
    }

    /// A project's limits and how they stand.
    #[track_caller]
    pub fn limits(&self, project: &str) -> Vec<Value> {
        let told = self.get(&format!("/v1/projects/{project}/limits")).expect(200).json();
        told["limits"].as_array().unwrap_or_else(|| panic!("{told}")).clone()
    }

    /// One of them.
    #[track_caller]
    pub fn limit(&self, project: &str, name: &str) -> Value {
        let limits = self.limits(project);
        let found = limits.iter().find(|limit| limit["name"] == name);
        found.unwrap_or_else(|| panic!("no limit {name}: {limits:?}")).clone()
    }

    /// What of one of them is used.
    #[track_caller]
    pub fn used_of(&self, project: &str, name: &str) -> u64 {
        let limit = self.limit(project, name);
        limit["used"].as_u64().unwrap_or_else(|| panic!("{limit}"))
    }
}
