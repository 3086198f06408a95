//! Where a log stands: the revision of an entry and the chain's hash up to it.

use keyward_core::change::Revision;

/// A place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadOfLog {
    pub(crate) revision: Revision,
    pub(crate) hash: [u8; 32],
}

impl HeadOfLog {
    /// Whether a transaction that came after `other` shows that this was not in its past.
    pub(crate) fn is_contradicted_by(self, other: HeadOfLog) -> bool {
        self.revision > other.revision || (self.revision == other.revision && self.hash != other.hash)
    }

    /// Whether this cannot be where a transaction came after, on the branch that `backup` is the end of.
    pub(crate) fn contradicts_backup(self, backup: HeadOfLog) -> bool {
        self.revision < backup.revision || (self.revision == backup.revision && self.hash != backup.hash)
    }
}
