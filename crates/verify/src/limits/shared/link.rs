//! One connection to the server, with the scripts loaded: what is sent over it and how answers are read. When it
//! is used, and what becomes of its failures, is the breaker's and the keeper's.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, ServerErrorKind};

use super::{SharedAsk, SharedBack, Stand, Taken};

const TAKE: &str = concat!(include_str!("counter.lua"), include_str!("take.lua"));
const UNDO: &str = concat!(include_str!("counter.lua"), include_str!("undo.lua"));
const BEAT: &str = include_str!("beat.lua");

/// For how long after its last beat a node is taken to be there; a beat comes each second.
const COUNTS: Duration = Duration::from_secs(5);
/// After how long without a beat a node is forgotten; far longer than it counts, so that a beat that is missing
/// sooner was lost by the server.
pub(super) const FORGOTTEN: Duration = Duration::from_secs(3600);
/// More units than anyone wants at once, and few enough that the script's numbers stay whole.
const MORE_MAX: u64 = 1 << 40;
/// What the core's rates allow themselves as well.
const TOLERANCE_MAX: i64 = i64::MAX / 4;

/// Why the server could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("it did not answer in time")]
    Late,
    #[error(transparent)]
    Error(#[from] RedisError),
    #[error("its answer to a script is not what the script gives")]
    Answer,
}

impl Failure {
    /// For the metric.
    pub fn reason(&self) -> &'static str {
        match self {
            Failure::Late => "late",
            Failure::Error(error) if matches!(error.kind(), ErrorKind::Server(_)) => "refused",
            Failure::Error(_) => "connection",
            Failure::Answer => "answer",
        }
    }
}

/// What a beat found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beat {
    /// The server's clock, in microseconds.
    pub at: i64,
    /// The beat before this one, as the server has it.
    pub before: Option<i64>,
    /// When the server began to know anything, by its clock, in microseconds.
    pub epoch: i64,
    /// How many nodes are there.
    pub nodes: u32,
}

/// A connection that is ready to be asked.
pub(super) struct Link {
    connection: MultiplexedConnection,
    take: String,
    undo: String,
    beat: String,
}

impl Link {
    /// Connects and loads the scripts; as long as that takes, so the caller sets a time.
    pub async fn open(client: &Client) -> Result<Self, Failure> {
        // Every caller has a time of its own already.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut load = redis::pipe();
        for script in [TAKE, UNDO, BEAT] {
            load.cmd("SCRIPT").arg("LOAD").arg(script);
        }
        let (take, undo, beat) = load.query_async(&mut connection).await?;
        Ok(Link { connection, take, undo, beat })
    }

    /// Asks for units.
    pub async fn take(&self, prefix: &str, asks: &[SharedAsk<'_>]) -> Result<Taken, Failure> {
        let answer = self.run((&self.take, TAKE), |command| {
            command.arg(asks.len());
            for ask in asks {
                command.arg(counter_key(prefix, ask.key));
            }
            for ask in asks {
                for number in ask_arguments(ask) {
                    command.arg(number);
                }
            }
        });
        read_taken(&answer.await?, asks).ok_or(Failure::Answer)
    }

    /// Gives units back.
    pub async fn undo(&self, prefix: &str, backs: &[SharedBack<'_>]) -> Result<(), Failure> {
        let answer = self.run((&self.undo, UNDO), |command| {
            command.arg(backs.len());
            for back in backs {
                command.arg(counter_key(prefix, back.key));
            }
            for back in backs {
                let interval = back.interval.clamp(1, TOLERANCE_MAX);
                let takes = (i128::from(interval) * i128::from(back.units)).min(i128::from(TOLERANCE_MAX));
                for number in [split(interval), split(takes as i64)].as_flattened() {
                    command.arg(number);
                }
                command.arg(back.at);
            }
        });
        answer.await.map(|_| ())
    }

    /// Says that `node` is there.
    pub async fn beat(&self, prefix: &str, node: &str) -> Result<Beat, Failure> {
        let answer = self.run((&self.beat, BEAT), |command| {
            let (counts, forgotten) = (COUNTS.as_micros() as u64, FORGOTTEN.as_micros() as u64);
            command.arg(2).arg(nodes_key(prefix)).arg([prefix, ":epoch"].concat());
            command.arg(node).arg(counts).arg(forgotten);
        });
        let answer = answer.await?;
        let &[at, before, epoch, nodes] = answer.as_slice() else { return Err(Failure::Answer) };
        let nodes = u32::try_from(nodes).map_err(|_| Failure::Answer)?;
        Ok(Beat { at, before: (before >= 0).then_some(before), epoch, nodes })
    }

    /// Says that `node` is gone.
    pub async fn leave(&self, prefix: &str, node: &str) -> Result<(), Failure> {
        let mut connection = self.connection.clone();
        Ok(redis::cmd("ZREM").arg(nodes_key(prefix)).arg(node).query_async(&mut connection).await?)
    }

    /// Runs a script by its hash, and by its text where the server has forgotten it, which loads it again.
    async fn run(&self, (hash, text): (&str, &str), fill: impl Fn(&mut Cmd)) -> Result<Vec<i64>, Failure> {
        let mut connection = self.connection.clone();
        let mut command = redis::cmd("EVALSHA");
        fill(command.arg(hash));
        match command.query_async(&mut connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {}
            answer => return Ok(answer?),
        }
        let mut command = redis::cmd("EVAL");
        fill(command.arg(text));
        Ok(command.query_async(&mut connection).await?)
    }
}

fn counter_key(prefix: &str, key: &str) -> String {
    [prefix, ":rate:", key].concat()
}

fn nodes_key(prefix: &str) -> String {
    [prefix, ":nodes"].concat()
}

/// Whole microseconds, and the nanoseconds beyond them.
const fn split(nanos: i64) -> [i64; 2] {
    [nanos / 1000, nanos % 1000]
}

fn joined(micros: i64, nanos: i64) -> Option<i64> {
    micros.checked_mul(1000)?.checked_add(nanos)
}

/// The seven numbers that the script wants of each counter.
fn ask_arguments(ask: &SharedAsk<'_>) -> [i64; 7] {
    let interval = ask.interval.clamp(1, TOLERANCE_MAX);
    let tolerance = ask.tolerance.clamp(0, TOLERANCE_MAX);
    // Anything above a whole burst is refused for good, however far above it is.
    let need = (i128::from(interval) * i128::from(ask.need)).min(i128::from(tolerance) + 1);
    let more = ask.slice.saturating_sub(ask.need).min(MORE_MAX);
    let ([interval_us, interval_ns], [tolerance_us, tolerance_ns]) = (split(interval), split(tolerance));
    let [need_us, need_ns] = split(need as i64);
    [interval_us, interval_ns, tolerance_us, tolerance_ns, need_us, need_ns, more as i64]
}

fn read_taken(answer: &[i64], asks: &[SharedAsk<'_>]) -> Option<Taken> {
    let (&[at, by, wait_us, wait_ns], rest) = answer.split_first_chunk()?;
    let (each, []) = rest.as_chunks::<3>() else { return None };
    if each.len() != asks.len() {
        return None;
    }
    let by = usize::try_from(by).ok().filter(|by| *by <= asks.len())?;
    let stand = |(&[more, us, ns], ask): (&[i64; 3], &SharedAsk<'_>)| {
        let taken = if by == 0 { ask.need.checked_add(u64::try_from(more).ok()?)? } else { 0 };
        Some(Stand { taken, ahead: joined(us, ns)?, at })
    };
    let stands = each.iter().zip(asks).map(stand).collect::<Option<Vec<_>>>()?;
    let Some(by) = by.checked_sub(1) else { return Some(Taken::Granted(stands)) };
    let wait = if wait_us < 0 { None } else { Some(joined(wait_us, wait_ns)?) };
    Some(Taken::Refused { wait, by, stands })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASK: SharedAsk<'_> = SharedAsk { key: "k", interval: 1_500, tolerance: 3_000, need: 1, slice: 1 };

    #[test]
    fn i03_what_no_number_holds_is_refused_and_nothing_wraps() {
        assert_eq!(ask_arguments(&SharedAsk { slice: 3, ..ASK }), [1, 500, 3, 0, 1, 500, 2]);
        assert_eq!(ask_arguments(&SharedAsk { need: u64::MAX, ..ASK }), [1, 500, 3, 0, 3, 1, 0]);
        assert_eq!(ask_arguments(&SharedAsk { slice: u64::MAX, ..ASK })[6], 1 << 40);
        // A limit of 0: one unit takes for ever, and no burst at all.
        let none = ask_arguments(&SharedAsk { interval: i64::MAX, tolerance: 0, ..ASK });
        assert_eq!(none[2..6], [0, 0, 0, 1]);
        assert_eq!(ask_arguments(&SharedAsk { interval: -1, tolerance: i64::MIN, ..ASK })[..4], [0, 1, 0, 0]);
    }

    #[test]
    fn an_answer_is_read_whole_or_not_at_all() {
        let stand = |taken| Stand { taken, ahead: 2_007, at: 9 };
        assert_eq!(read_taken(&[9, 0, 0, 0, 4, 2, 7], &[ASK]), Some(Taken::Granted(vec![stand(5)])));
        let refused = |wait| Some(Taken::Refused { wait, by: 0, stands: vec![stand(0)] });
        assert_eq!(read_taken(&[9, 1, 3, 1, 0, 2, 7], &[ASK]), refused(Some(3_001)));
        assert_eq!(read_taken(&[9, 1, -1, 0, 0, 2, 7], &[ASK]), refused(None));
        for wrong in [&[][..], &[9, 0, 0], &[9, 0, 0, 0], &[9, 2, 0, 0, 4, 2, 7], &[9, 0, 0, 0, 4, 2, 7, 1]] {
            assert_eq!(read_taken(wrong, &[ASK]), None);
        }
        assert_eq!(read_taken(&[9, 0, 0, 0, -1, 2, 7], &[ASK]), None);
        assert_eq!(read_taken(&[9, 0, 0, 0, 0, i64::MAX, 7], &[ASK]), None);
    }
}
