//! Writing what lies in several pieces. A head and a small body are copied together and sent as one: that
//! costs less than handing the system a list. What is large is not copied.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::Write;

/// The most that is copied together.
const COPIED_MAX: usize = 2048;

/// Writes the pieces, or as much of them as goes.
pub(crate) fn poll_write<W: Write>(
    to: Pin<&mut W>,
    cx: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if let [only] = pieces {
        return to.poll_write(cx, only);
    }
    if pieces.iter().map(|piece| piece.len()).sum::<usize>() > COPIED_MAX {
        return to.poll_write_vectored(cx, pieces);
    }
    let mut copied = [0; COPIED_MAX];
    let mut length = 0;
    for piece in pieces {
        copied[length..length + piece.len()].copy_from_slice(piece);
        length += piece.len();
    }
    to.poll_write(cx, &copied[..length])
}
