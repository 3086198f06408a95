//! How a change took force, in words, and a sign of life while a call waits for that.

use indicatif::ProgressBar;
use serde_json::Value;

use super::client::Waiting;
use crate::output::Output;

/// How a change took force, as `in_force` of an answer tells; none where it does not.
pub fn words(in_force: &Value) -> Option<String> {
    let nodes = in_force["nodes"].as_u64()?;
    let waited = in_force["waited_ms"].as_u64().unwrap_or(0);
    let on = if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") };
    Some(match in_force["by"].as_str() {
        Some("lease_expired") => format!(
            "In force on every node after {waited} ms: {on} confirmed it, and the lease of the others has run out."
        ),
        _ => format!("In force on {on} after {waited} ms."),
    })
}

/// Turns while a call waits; hidden where it does not, or nobody looks.
pub fn spinner(output: Output, waiting: Waiting, what: &str) -> ProgressBar {
    match waiting {
        Waiting::Yes => output.progress(&format!("{what}; waiting until it is in force on every node")),
        Waiting::No => ProgressBar::hidden(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn how_it_took_force_is_said_in_words() {
        let told = |by: &str, nodes: u64| words(&json!({ "by": by, "nodes": nodes, "waited_ms": 12 }));
        assert_eq!(told("acknowledged", 1).as_deref(), Some("In force on 1 node after 12 ms."));
        assert_eq!(told("acknowledged", 3).as_deref(), Some("In force on 3 nodes after 12 ms."));
        let expired = told("lease_expired", 2).unwrap();
        assert!(expired.contains("2 nodes confirmed it, and the lease of the others has run out"), "{expired}");
        assert_eq!(words(&Value::Null), None);
    }
}
