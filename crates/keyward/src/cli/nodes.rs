//! `keyward nodes`: which nodes there are, and how each stands.

use serde_json::{Value, json};

use super::Context;
use crate::failure::Outcome;
use crate::output::Column;

const COLUMNS: &[Column] = &[
    ("NAME", "name"),
    ("ID", "id"),
    ("VERSION", "version"),
    ("LEASE", "shown.lease"),
    ("RENEWED", "lease.renewed_at"),
    ("REVISION", "revision"),
    ("BEHIND", "shown.behind"),
    ("READY", "ready"),
    ("STARTED", "started_at"),
];

/// Lists them.
pub async fn run(context: &Context) -> Outcome {
    let (client, output) = (context.client()?, context.output);
    let mut found = client.get("/v1/nodes", &Vec::new()).await?;
    if output.is_json() {
        output.json(&found);
        return Ok(());
    }
    let items = found["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let items: Vec<Value> = items.into_iter().map(for_people).collect();
    output.table(COLUMNS, &items);
    for node in &items {
        let name = node["name"].as_str().unwrap_or_default();
        if node["is_this"] == true && items.len() > 1 {
            output.note(format!("answered by {name}"));
        }
        for reason in node["reasons"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            output.note(format!("{name}: {reason}"));
        }
    }
    Ok(())
}

/// With what people want to read at once: how far behind, and how the lease stands.
fn for_people(mut node: Value) -> Value {
    let number = |field: &str| node[field].as_i64().unwrap_or(0);
    let behind = (number("head") - number("revision")).max(0);
    let state = node["lease"]["state"].as_str().unwrap_or("unknown");
    let lease = match node["lease"]["length_seconds"].as_f64() {
        Some(length) => format!("{state} ({length} s)"),
        None => state.to_owned(),
    };
    node["shown"] = json!({ "behind": behind, "lease": lease });
    node
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_shown_with_its_lag_and_its_lease() {
        let node =
            |revision: i64, lease: Value| for_people(json!({ "revision": revision, "head": 12, "lease": lease }));
        let held = node(9, json!({ "state": "held", "length_seconds": 10.0 }));
        assert_eq!(held["shown"], json!({ "behind": 3, "lease": "held (10 s)" }));
        let endless = node(13, json!({ "state": "endless", "length_seconds": null }));
        assert_eq!(endless["shown"], json!({ "behind": 0, "lease": "endless" }));
    }
}
