//! The files of a store's folder, whichever database keeps the state: the [`journal`] of restrictive changes, the
//! signed [`heads`], and the [`place`] they lie in with its lock.

pub(crate) mod heads;
pub(crate) mod journal;
pub(crate) mod new_file;
pub(crate) mod place;
