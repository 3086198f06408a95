//! What the process does to itself before it reads a secret (K10): no core dumps, and no look into its
//! memory by others of the same user.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Makes core dumps impossible and the process undumpable, where the system can.
pub fn harden() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // Neither is fatal: a container may forbid the calls, and then has its own rules on dumps.
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
