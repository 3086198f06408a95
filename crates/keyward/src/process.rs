//! What the process does to itself: before it reads a secret (K10), no core dumps and no look into its memory by others
//! of the same user; before it serves, as many open files as it may have (S13).

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// Makes core dumps impossible and the process undumpable, where the system can.
pub fn harden() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // Neither is fatal: a container may forbid the calls, and then has its own rules on dumps.
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Raises the limit of open files as far as the process may; what it is then.
pub fn raise_open_files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    // Where it may not, what there is has to do.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let current = getrlimit(Resource::Nofile).current;
    current.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX)
}
