//! Fields of JSON bodies on their way: found while the body comes, piece by piece, and put back encrypted or decrypted;
//! everything else stays byte for byte. No I/O and no keys here: [`transform::Transformer`] hands out each value that is
//! named and goes on once told what stands in its place. What is done with it is `gateway::fields`' business.

pub(crate) mod paths;
mod scan;
mod text;
pub(crate) mod transform;
