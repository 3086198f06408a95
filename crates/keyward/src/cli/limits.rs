//! `keyward project limits`: the plan of a project and how its limits stand, drawn. Also how limits of a project's
//! own are named on the command line.

use std::time::Duration;

use keyward_core::clock::{Clock, Timestamp};
use keyward_verify::SystemClock;
use serde_json::{Map, Value, json};

use super::Context;
use super::chart::{each, gauge, grouped, in_words, painted, percent};
use super::client::{Client, segment};
use crate::failure::{Failure, Outcome};
use crate::output::{Screen, printable};

/// How wide the bars are, at least and at most.
const BAR: (usize, usize) = (10, 40);
// ANSI numbers of the bars' colours: enough left, not much left, next to nothing left.
const GREEN: u8 = 32;
const YELLOW: u8 = 33;
const RED: u8 = 31;

/// Shows them.
pub async fn show(client: &Client, project: &str, key: Option<String>, context: &Context) -> Outcome {
    let query = key.map(|key| ("key", key)).into_iter().collect();
    let found = client.get(&format!("/v1/projects/{}/limits", segment(project)), &query).await?;
    let output = context.output;
    if output.is_json() {
        output.json(&found);
        return Ok(());
    }
    output.line(about_plan(&found));
    let features = found["plan"]["features"].as_array().map(Vec::as_slice).unwrap_or_default();
    features.iter().filter_map(Value::as_str).for_each(|feature| output.line(format!("  · {feature}")));
    let limits = found["limits"].as_array().map(Vec::as_slice).unwrap_or_default();
    if limits.is_empty() {
        output.note("The plan has no limits.");
        return Ok(());
    }
    output.verbatim(&format!("\n{}\n", drawn(limits, output.screen(), SystemClock.now())));
    if limits.iter().any(|limit| limit["by"] == "key" && limit["used"].is_null()) {
        output.note("Limits by key are counted for each key alone: name one with --key.");
    }
    Ok(())
}

fn about_plan(found: &Value) -> String {
    let plan = &found["plan"];
    let (name, title) = (plan["name"].as_str().unwrap_or_default(), plan["title"].as_str().unwrap_or_default());
    let access = match (found["has_access"] == true, found["access"] == true) {
        (true, _) => "has access",
        (false, true) => "no access: the plan does not include it",
        (false, false) => "no access: by the plan, or until it is given with `project edit --access on`",
    };
    format!("Plan {title} ({name}), {access}")
}

/// Two lines a limit: how much there is; the bar, how much of it is used and when it renews.
fn drawn(limits: &[Value], screen: Screen, now: Timestamp) -> String {
    let standing = |limit: &Value| {
        let parts = [used(limit), renewal(limit, now)];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
    };
    let longest = |texts: Vec<String>| texts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
    let left = longest(limits.iter().map(name).collect());
    let right = longest(limits.iter().map(standing).collect());
    let width = screen.width.saturating_sub(left + right + 4).clamp(BAR.0, BAR.1);
    let mut lines = Vec::new();
    for limit in limits {
        lines.push(format!("{:<left$}  {}", name(limit), terms(limit)));
        let bar = bar(limit, width).map(|(bar, color)| painted(&bar, screen.has_color.then_some(color)) + "  ");
        lines.push(format!("{:<left$}  {}{}", "", bar.unwrap_or_default(), standing(limit)));
    }
    lines.join("\n")
}

fn name(limit: &Value) -> String {
    printable(limit["name"].as_str().unwrap_or_default())
}

/// `60 a minute, 10 at once, by key`.
fn terms(limit: &Value) -> String {
    let number = |field: &str| limit[field].as_u64().map(grouped);
    let time = match (limit["per_seconds"].as_u64(), limit["period"].as_str()) {
        (Some(seconds), _) => each(seconds),
        (None, Some("lifetime")) => "for ever".into(),
        (None, Some(period)) => format!("a {period}"),
        (None, None) => String::new(),
    };
    let mut text = format!("{} {time}", number("limit").unwrap_or_default());
    if let Some(burst) = number("burst").filter(|_| limit["burst"] != limit["limit"]) {
        text.push_str(&format!(", {burst} at once"));
    }
    text.push_str(&format!(", by {}", limit["by"].as_str().unwrap_or_default()));
    if limit["own"] == true {
        let plan = number("plan_limit").map_or_else(|| "own".into(), |plan| format!("own; the plan's: {plan}"));
        text.push_str(&format!(" ({plan})"));
    }
    text
}

/// How much is used, and of how much: of a rate, what may come at once.
fn fill(limit: &Value) -> Option<(u64, u64)> {
    let of = limit["burst"].as_u64().or(limit["limit"].as_u64())?;
    Some((limit["used"].as_u64()?, of))
}

/// The bar and its colour; none where nothing is told.
fn bar(limit: &Value, width: usize) -> Option<(String, u8)> {
    let (used, of) = fill(limit)?;
    let color = match u128::from(used) * 100 / u128::from(of.max(1)) {
        _ if used >= of => RED,
        90.. => RED,
        75.. => YELLOW,
        _ => GREEN,
    };
    Some((gauge(used, of, width), color))
}

fn used(limit: &Value) -> String {
    match fill(limit) {
        Some((used, of)) => format!("{} of {} used ({})", grouped(used), grouped(of), percent(used, of)),
        None if limit["by"] == "address" => "for each address alone".into(),
        None => "for each key alone".into(),
    }
}

fn renewal(limit: &Value, now: Timestamp) -> String {
    let at = limit["renews_at"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
    match (limit["kind"].as_str(), at) {
        (_, None) if limit["used"].is_null() => String::new(),
        (Some("rate"), Some(at)) => {
            format!("all back in {}", in_words(at.since(now).max(Duration::from_millis(1))))
        }
        (Some("rate"), None) => String::new(),
        (_, Some(at)) => {
            let date = at.to_string().get(..10).unwrap_or_default().to_owned();
            format!("renews in {} ({date})", in_words(at.since(now)))
        }
        (_, None) => "never renews".into(),
    }
}

/// Limits as they are named on the command line, `NAME=LIMIT[:BURST]` or `NAME=plan`, as the server takes them.
///
/// # Errors
/// Which one cannot be read.
pub fn named(texts: &[String]) -> Outcome<Option<Value>> {
    let mut limits = Map::new();
    for text in texts {
        let wrong = || {
            Failure::usage(format!(
                "--limit {text}: is NAME=LIMIT, NAME=LIMIT:BURST or NAME=plan for the plan's again"
            ))
        };
        let (name, value) = text.split_once('=').ok_or_else(wrong)?;
        let number = |text: &str| text.replace('_', "").parse::<u64>().map_err(|_| wrong());
        let limit = match value.split_once(':') {
            _ if value == "plan" => Value::Null,
            None => json!({ "limit": number(value)? }),
            Some((limit, burst)) => json!({ "limit": number(limit)?, "burst": number(burst)? }),
        };
        if limits.insert(name.to_owned(), limit).is_some() {
            return Err(Failure::usage(format!("--limit {name} was given twice")));
        }
    }
    Ok((!limits.is_empty()).then_some(Value::Object(limits)))
}

/// A project's own limits as they are named on the command line.
pub fn shown(limits: &Value) -> Vec<String> {
    let one = |(name, own): (&String, &Value)| {
        let burst = own["burst"].as_u64().map_or_else(String::new, |burst| format!(":{burst}"));
        format!("{name}={}{burst}", own["limit"])
    };
    limits.as_object().into_iter().flatten().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_named_as_the_server_takes_them() {
        let read = |texts: &[&str]| named(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(read(&[]).unwrap(), None);
        let told = read(&["credits=50_000", "requests=600:60", "bulk=plan"]).unwrap().unwrap();
        assert_eq!(
            told,
            json!({"credits": {"limit": 50000}, "requests": {"limit": 600, "burst": 60}, "bulk": null})
        );
        let own = json!({"credits": {"limit": 50000}, "requests": {"limit": 600, "burst": 60}});
        assert_eq!(shown(&own), ["credits=50000", "requests=600:60"]);
        for bad in [&["credits"][..], &["credits="], &["credits=-1"], &["credits=1:"], &["a=1", "a=2"]] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn g5_a_limit_is_drawn_with_its_terms_and_its_renewal() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let limits = [
            json!({"name": "requests", "kind": "rate", "by": "key", "limit": 60, "own": false, "burst": 10,
                   "per_seconds": 60, "used": 4, "remaining": 6, "renews_at": "2026-11-21T12:00:04.000Z"}),
            json!({"name": "credits", "kind": "quota", "by": "project", "limit": 5000, "plan_limit": 500, "own": true,
                   "period": "month", "used": 5000, "remaining": 0, "renews_at": "2026-12-01T00:00:00.000Z"}),
            json!({"name": "trial", "kind": "quota", "by": "organization", "limit": 10, "own": false,
                   "period": "lifetime", "used": 1, "remaining": 9, "renews_at": null}),
            json!({"name": "each", "kind": "rate", "by": "address", "limit": 5, "own": false, "burst": 5,
                   "per_seconds": 1, "used": null, "remaining": null, "renews_at": null}),
        ];
        let drawn = drawn(&limits, Screen { width: 90, has_color: false }, now);
        let lines = [
            "requests  60 a minute, 10 at once, by key",
            "          ███████░░░░░░░░░░░  4 of 10 used (40.0 %), all back in 4 s",
            "credits   5,000 a month, by project (own; the plan's: 500)",
            "          ██████████████████  5,000 of 5,000 used (100.0 %), renews in 9 days (2026-12-01)",
            "trial     10 for ever, by organization",
            "          ██░░░░░░░░░░░░░░░░  1 of 10 used (10.0 %), never renews",
            "each      5 a second, by address",
            "          for each address alone",
        ];
        assert_eq!(drawn.lines().collect::<Vec<_>>(), lines);
    }
}
