//! `keyward usage`: how often a project's keys were used, drawn over time. Counting is the server's business; here
//! is what to ask for, and how it is shown.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use keyward_core::clock::{Clock, Timestamp};
use keyward_core::contract::duration;
use keyward_verify::SystemClock;

use super::Context;
use super::chart::in_words;
use super::client::{Client, Query, segment};
use super::project::named;
use super::usage_chart::{Axis, Chart};
use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// Flags of `usage`.
#[derive(Debug, Args)]
pub struct UsageArgs {
    /// The project's id
    pub project: Option<String>,
    /// From when on: a time, or how long ago, such as 7d [default: 1d with steps of an hour, 30d of a day]
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Until when: a time, or how long ago [default: now]
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// hour (at most 31 days) or day (at most 366 days, of UTC) [default: hour]
    #[arg(long, value_parser = ["hour", "day"], hide_possible_values = true)]
    pub step: Option<String>,
    /// key, outcome or key_and_outcome [default: outcome where it is drawn]
    #[arg(long, value_parser = ["key", "outcome", "key_and_outcome"], hide_possible_values = true)]
    pub by: Option<String>,
}

/// Runs it.
pub async fn run(args: UsageArgs, context: &Context) -> Outcome {
    let (client, output) = (context.client()?, context.output);
    let project = named(args.project, &client)?;
    let path = format!("/v1/projects/{}/usage", segment(&project));
    let now = SystemClock.now();
    let (from, to) = (moment("--from", args.from, now)?, moment("--to", args.to, now)?);
    if output.is_json() {
        let (from, to) = (from.map(|from| from.to_string()), to.map(|to| to.to_string()));
        let asked = [("from", from), ("to", to), ("step", args.step), ("by", args.by)];
        let query = asked.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        output.json(&client.get(&path, &query).await?);
        return Ok(());
    }
    let axis = Axis::new(from, to.unwrap_or(now), args.step.as_deref() == Some("day"));
    let by = args.by.unwrap_or_else(|| "outcome".into());
    let query: Query = vec![
        ("from", axis.from.to_string()),
        ("to", axis.to.to_string()),
        ("step", axis.word().into()),
        ("by", by.clone()),
    ];
    let found = client.get(&path, &query).await?;
    let chart = Chart::of(&found, axis, by == "outcome");
    if chart.total == 0 {
        return nothing(output, &project, &chart);
    }
    let screen = output.screen();
    output.verbatim(&format!("{}\n\n{}\n", chart.heading(&project), chart.drawn(screen)));
    let about = if by == "outcome" { BTreeMap::new() } else { keys(&client, &chart).await };
    output.verbatim(&format!("{}\n", chart.legend(screen, &about)));
    Ok(())
}

/// A moment that was named as such, or by how long ago it was.
fn moment(flag: &str, text: Option<String>, now: Timestamp) -> Outcome<Option<Timestamp>> {
    let Some(text) = text else { return Ok(None) };
    if let Ok(ago) = duration::parse(&text) {
        return Ok(Some(Timestamp::from_millis(now.as_millis().saturating_sub(ago.as_millis() as i64))));
    }
    let wrong = |_| Failure::usage(format!("{flag} is a time such as 2030-01-31T12:00:00Z, or how long ago: 7d"));
    text.parse().map(Some).map_err(wrong)
}

fn nothing(output: Output, project: &str, chart: &Chart) -> Outcome {
    output.line(format!("No {}.", chart.heading(project).replacen('R', "r", 1)));
    output.note(
        "A use is counted, within two seconds, for each request with one of the project's keys that the gateway\n\
         passes on or refuses, and for each that a service asks about at /v1/verify. Look further back with\n\
         --from 30d --step day.",
    );
    Ok(())
}

/// What is known of the keys that a chart tells apart; less where they may not be read.
async fn keys(client: &Client, chart: &Chart) -> BTreeMap<String, String> {
    let mut about = BTreeMap::new();
    for series in &chart.series {
        let id = series.name.split(' ').next().unwrap_or_default();
        if !id.starts_with("key_") {
            continue;
        }
        if let Ok(answer) = client.get(&format!("/v1/keys/{}", segment(id)), &Vec::new()).await {
            let text = |field: &str| answer["key"][field].as_str().unwrap_or_default().to_owned();
            let parts = [text("name"), text("hint"), text("state"), last_used(&text("last_used_at"))];
            let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            about.insert(series.name.clone(), parts.join("  "));
        }
    }
    about
}

fn last_used(at: &str) -> String {
    match at.parse::<Timestamp>() {
        Ok(at) => {
            let ago = SystemClock.now().since(at);
            format!("last used {} ago", in_words(Duration::from_secs(ago.as_secs())))
        }
        Err(_) => String::new(),
    }
}
