//! Plans, rates and quotas through the real binary: the rows of conformance.md about limits and gates, the rows
//! Q, I03 and S10 of trust.md, and what `docs/limits.md` promises. Limits are the presets', or the project's own
//! where a story needs small ones; times are as long as the very thing shown takes.

mod access;
mod cli;
#[path = "../../../../verify/tests/support/counter_server.rs"]
#[allow(dead_code)] // Its own tests pause it and speak to it, too.
mod counter_server;
mod crashes;
mod evasion;
mod exact;
mod getprofile;
mod guards;
mod metriport;
mod numbers;
mod scrapegraphai;
mod settled;
mod sharing;
mod told;
mod waiting;

use crate::harness::raw::Answer;
use crate::harness::{Keyward, Scripted, Upstream};

/// A Keyward with a vendor's preset in front of an upstream that answers `{"ok": true}` and remembers.
fn behind(preset: &str) -> (Keyward, Upstream) {
    let upstream = Upstream::start(Scripted::json(200, r#"{"ok":true}"#));
    (Keyward::dev_with(preset, &["--upstream", &upstream.url]), upstream)
}

/// Whole seconds that a refusal says to wait. Panics unless it also says `x-should-retry: false` where that is more
/// than a minute, and only there.
#[track_caller]
fn retry_after(answer: &Answer) -> u64 {
    let seconds = answer.header("retry-after").unwrap_or_else(|| panic!("no Retry-After: {}", answer.head));
    let seconds = seconds.parse().unwrap();
    assert!(seconds >= 1, "{}", answer.head);
    let hint = (seconds > 60).then_some("false");
    assert_eq!(answer.header("x-should-retry"), hint, "{}", answer.head);
    seconds
}

/// A header that is a whole number.
#[track_caller]
fn number(answer: &Answer, name: &str) -> u64 {
    let value = answer.header(name).unwrap_or_else(|| panic!("no {name}: {}", answer.head));
    value.parse().unwrap_or_else(|_| panic!("{name} is no number: {}", answer.head))
}
