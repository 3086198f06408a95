//! Who may have how many of the process's file descriptors (S13). Every listener has a share that no other can take, so
//! that however many callers come, the store, health and metrics have theirs.

/// Descriptors that no connection of a caller gets: the store's, the log's, the journal's, operations'.
const KEPT: usize = 256;

/// How many connections each may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The control plane.
    pub control: usize,
    /// The check listener and each of the gateway, each.
    pub listener: usize,
    /// The APIs behind, together.
    pub upstreams: usize,
}

impl Room {
    /// What `wanted` becomes where the process may have so many `files` open and callers come by so many `listeners`.
    pub fn of(files: usize, wanted: Room, listeners: usize) -> Room {
        let control = wanted.control.min(files / 8).max(1);
        let free = files.saturating_sub(control + KEPT.min(files / 4));
        // Half for callers: each may need a connection to an API as well.
        let listener = wanted.listener.min(free / 2 / listeners.max(1)).max(1);
        let upstreams = wanted.upstreams.min(free.saturating_sub(listener * listeners)).max(1);
        Room { control, listener, upstreams }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Room = Room { control: 1024, listener: 10_000, upstreams: usize::MAX };

    #[test]
    fn s13_nobody_can_take_what_the_others_need() {
        for files in [64, 256, 1024, 4096, 20_000, 65_536] {
            for listeners in [1, 2, 5] {
                let room = Room::of(files, WANTED, listeners);
                let all = room.control + room.listener * listeners + room.upstreams;
                assert!(all + KEPT.min(files / 4) <= files, "{files} files, {listeners} listeners: {room:?}");
                assert!(room.upstreams >= room.listener, "{files} files, {listeners} listeners: {room:?}");
            }
        }
    }

    #[test]
    fn where_there_is_enough_everybody_gets_what_is_set() {
        let room = Room::of(524_288, WANTED, 2);
        assert_eq!((room.control, room.listener), (1024, 10_000));
    }
}
