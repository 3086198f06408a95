//! Uses over time as a chart: a line a step with a stacked bar, and a legend. Of what the server counted; asking
//! it is `usage`'s.

use std::collections::BTreeMap;

use comfy_table::Cell;
use keyward_core::clock::Timestamp;
use serde_json::Value;

use super::chart::{OUTCOMES, SERIES, bar, grouped, painted, percent, stack};
use crate::output::{Screen, plain_table, printable};

/// Steps beyond which runs of empty ones are drawn as one line.
const STEPS_DRAWN: usize = 48;
/// Runs of empty steps that are then drawn as one line.
const QUIET_STEPS: usize = 3;
const DAY: i64 = 86_400_000;
const HOUR: i64 = 3_600_000;

fn earlier(moment: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_millis(moment.as_millis().saturating_sub(millis))
}

/// The steps that are drawn, whether or not something happened in them.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    /// The first step's start.
    pub from: Timestamp,
    /// Until when is counted.
    pub to: Timestamp,
    step: i64,
}

impl Axis {
    /// From when on, where that is said, until when; by day or by hour.
    pub fn new(from: Option<Timestamp>, to: Timestamp, by_day: bool) -> Self {
        let (step, default) = if by_day { (DAY, 30 * DAY) } else { (HOUR, DAY) };
        let whole = |moment: Timestamp| Timestamp::from_millis(moment.as_millis().div_euclid(step) * step);
        // Whole steps, so that the first is not drawn shorter than it was.
        Axis { from: whole(from.unwrap_or_else(|| earlier(to, default))), to, step }
    }

    /// The step, as the server calls it.
    pub fn word(&self) -> &'static str {
        if self.step == DAY { "day" } else { "hour" }
    }

    fn steps(self) -> impl Iterator<Item = Timestamp> {
        let (from, to) = (self.from.as_millis(), self.to.as_millis());
        (0..).map(move |n| from + n * self.step).take_while(move |start| *start <= to).map(Timestamp::from_millis)
    }
}

/// One kind of uses that is told apart.
#[derive(Debug)]
pub struct Series {
    /// The key, the outcome, or both.
    pub name: String,
    total: u64,
    color: u8,
    texture: char,
}

/// Counts, ready to be drawn.
#[derive(Debug)]
pub struct Chart {
    axis: Axis,
    /// The largest first; what went well before all.
    pub series: Vec<Series>,
    /// By the step's start; a count for each series.
    counts: BTreeMap<Timestamp, Vec<u64>>,
    /// Of all series.
    pub total: u64,
}

impl Chart {
    /// Of an answer's items. What comes after the largest few is one series.
    pub fn of(answer: &Value, axis: Axis, is_by_outcome: bool) -> Self {
        let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let read = |item: &Value| {
            let start = item["start"].as_str()?.parse::<Timestamp>().ok()?;
            let parts = [item["key"].as_str(), item["outcome"].as_str()];
            Some((start, parts.into_iter().flatten().collect::<Vec<_>>().join(" "), item["count"].as_u64()?))
        };
        let points: Vec<_> = items.iter().filter_map(read).collect();
        let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, name, count) in &points {
            *totals.entry(name).or_default() += count;
        }
        let mut largest: Vec<_> = totals.into_iter().collect();
        // What went well stands first, whatever there is more of.
        largest.sort_by_key(|(name, total)| (*name != "valid", std::cmp::Reverse(*total)));
        let styles = if is_by_outcome { OUTCOMES } else { SERIES };
        let first = usize::from(is_by_outcome && largest.first().is_some_and(|(name, _)| *name != "valid"));
        let mut series: Vec<Series> = Vec::new();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        let has_rest = largest.len() + first > styles.len();
        for (place, (name, total)) in largest.iter().enumerate() {
            let at = (place + first).min(styles.len() - 1);
            let is_rest = has_rest && at == styles.len() - 1;
            places.insert(name, at - first);
            match series.get_mut(at - first) {
                Some(rest) => rest.total += total,
                None => {
                    let (color, texture) = styles[at];
                    let name = if is_rest { "others".into() } else { printable(name) };
                    series.push(Series { name, total: *total, color, texture });
                }
            }
        }
        let mut counts: BTreeMap<Timestamp, Vec<u64>> = BTreeMap::new();
        for (start, name, count) in &points {
            counts.entry(*start).or_insert_with(|| vec![0; series.len()])[places[name.as_str()]] += count;
        }
        let total = series.iter().map(|series| series.total).sum();
        Chart { axis, series, counts, total }
    }

    /// Whose requests these are, and when.
    pub fn heading(&self, project: &str) -> String {
        let when = |moment| format!("{} {}", date(moment), time(moment));
        let (from, to) = (when(self.axis.from), when(self.axis.to));
        format!("Requests of {} by {} (UTC), {from} to {to}", printable(project), self.axis.word())
    }

    fn sum(&self, start: Timestamp) -> u64 {
        self.counts.get(&start).map_or(0, |counts| counts.iter().sum())
    }

    /// A line a step: when, the bar, how many.
    pub fn drawn(&self, screen: Screen) -> String {
        let steps: Vec<Timestamp> = self.axis.steps().collect();
        let most = steps.iter().map(|start| self.sum(*start)).max().unwrap_or(0);
        let digits = grouped(most).len();
        let is_by_day = self.axis.step == DAY;
        let left = if is_by_day { 14 } else { 21 };
        let width = screen.width.saturating_sub(left + 2 + digits + 2).max(8);
        let mut lines = Vec::new();
        let mut quiet = quiet_runs(&steps, |start| self.sum(start) == 0);
        let mut day_before = None;
        for (place, start) in steps.iter().enumerate() {
            if let Some((first, length)) = quiet.first().copied().filter(|(first, _)| place >= *first) {
                if place == first {
                    lines.push(format!("{:>left$}  {}", "⋮", self.quiet(length)));
                }
                if place + 1 == first + length {
                    quiet.remove(0);
                }
                continue;
            }
            let day = start.as_millis().div_euclid(DAY);
            let is_new_day = day_before.replace(day) != Some(day);
            let when = match (is_by_day, is_new_day) {
                (true, _) => date(*start),
                (false, true) => format!("{}  {}", date(*start), time(*start)),
                (false, false) => time(*start),
            };
            let (text, cells) = self.bar_of(*start, most, width, screen.has_color);
            let sum = self.sum(*start);
            let sum = if sum == 0 { "·".to_owned() } else { grouped(sum) };
            lines.push(format!("{when:>left$}  {text}{:pad$}  {sum:>digits$}", "", pad = width - cells));
        }
        lines.join("\n") + "\n"
    }

    fn quiet(&self, length: usize) -> String {
        format!("{length} {}s without requests", self.axis.word())
    }

    /// A bar and how many cells it takes.
    fn bar_of(&self, start: Timestamp, most: u64, width: usize, has_color: bool) -> (String, usize) {
        let Some(counts) = self.counts.get(&start) else { return (String::new(), 0) };
        if let [only] = counts.as_slice() {
            let bar = bar(*only, most, width);
            return (painted(&bar, has_color.then_some(self.series[0].color)), bar.chars().count());
        }
        let cells = stack(counts, most, width);
        let parts = cells.iter().zip(&self.series).map(|(cells, series)| match has_color {
            true => painted(&"█".repeat(*cells), Some(series.color)),
            false => series.texture.to_string().repeat(*cells),
        });
        (parts.collect(), cells.iter().sum())
    }

    /// What stands for what, how many of each, and when most came.
    pub fn legend(&self, screen: Screen, about: &BTreeMap<String, String>) -> String {
        let mut table = plain_table();
        for series in &self.series {
            let mark = if screen.has_color { '█' } else { series.texture };
            let mark = if screen.has_color { Cell::new(mark).fg(color(series.color)) } else { Cell::new(mark) };
            let known = about.get(&series.name).map(|known| printable(known)).unwrap_or_default();
            let (total, share) = (grouped(series.total), percent(series.total, self.total));
            table.add_row(vec![mark, Cell::new(&series.name), right(total), right(share), Cell::new(known)]);
        }
        let busiest = self.axis.steps().max_by_key(|start| (self.sum(*start), std::cmp::Reverse(*start)));
        let busiest = busiest.map_or_else(String::new, |start| {
            let time = if self.axis.step == DAY { String::new() } else { format!(" {}", time(start)) };
            let most = grouped(self.sum(start));
            format!("most in one {}: {most}, {}{time}", self.axis.word(), date(start))
        });
        table.add_row(vec![
            Cell::new(""),
            Cell::new("total"),
            right(grouped(self.total)),
            Cell::new(""),
            Cell::new(busiest),
        ]);
        table.trim_fmt()
    }
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(comfy_table::CellAlignment::Right)
}

fn color(ansi: u8) -> comfy_table::Color {
    use comfy_table::Color;
    match ansi {
        31 => Color::DarkRed,
        32 => Color::DarkGreen,
        33 => Color::DarkYellow,
        34 => Color::DarkBlue,
        35 => Color::DarkMagenta,
        36 => Color::DarkCyan,
        _ => Color::DarkGrey,
    }
}

/// Runs of empty steps that are drawn as one line, by place and length; none where all steps find room.
fn quiet_runs(steps: &[Timestamp], is_quiet: impl Fn(Timestamp) -> bool) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    if steps.len() <= STEPS_DRAWN {
        return runs;
    }
    let quiet = steps.iter().enumerate().filter(|(_, start)| is_quiet(**start));
    for (place, _) in quiet {
        match runs.last_mut() {
            Some((first, length)) if *first + *length == place => *length += 1,
            _ => runs.push((place, 1)),
        }
    }
    runs.retain(|(_, length)| *length >= QUIET_STEPS);
    runs
}

/// `Sat 2026-11-21`.
fn date(moment: Timestamp) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let day = DAYS[moment.as_millis().div_euclid(DAY).rem_euclid(7) as usize];
    format!("{day} {}", moment.to_string().get(..10).unwrap_or_default())
}

/// `10:00`.
fn time(moment: Timestamp) -> String {
    moment.to_string().get(11..16).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PLAIN: Screen = Screen { width: 50, has_color: false };

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn point(start: &str, outcome: &str, count: u64) -> Value {
        json!({ "start": start, "outcome": outcome, "count": count })
    }

    #[test]
    fn p25_every_hour_has_its_line_and_every_outcome_its_part() {
        let axis = Axis::new(Some(at("2026-11-20T22:15:00Z")), at("2026-11-21T01:30:00Z"), false);
        let items = [
            point("2026-11-20T23:00:00.000Z", "revoked", 1),
            point("2026-11-20T23:00:00.000Z", "valid", 2_000),
            point("2026-11-21T01:00:00.000Z", "valid", 1_000),
        ];
        let chart = Chart::of(&json!({ "items": items }), axis, true);
        let lines = "Fri 2026-11-20  22:00                            ·\n\
                     \x20               23:00  ███████████████████▓  2,001\n\
                     Sat 2026-11-21  00:00                            ·\n\
                     \x20               01:00  ██████████            1,000\n";
        assert_eq!(chart.drawn(PLAIN), lines);
        assert_eq!(
            chart.heading("proj_1"),
            "Requests of proj_1 by hour (UTC), Fri 2026-11-20 22:00 to Sat 2026-11-21 01:30"
        );
        let legend = chart.legend(PLAIN, &BTreeMap::new());
        for part in ["valid", "3,000", "100.0 %", "revoked", "most in one hour: 2,001, Fri 2026-11-20 23:00"] {
            assert!(legend.contains(part), "{legend}");
        }
        let colored = chart.drawn(Screen { has_color: true, ..PLAIN });
        assert!(colored.contains("\u{1b}[32m███████████████████\u{1b}[0m\u{1b}[31m█\u{1b}[0m"), "{colored}");
    }

    #[test]
    fn long_quiet_times_are_one_line_and_many_series_a_few() {
        let axis = Axis::new(Some(at("2026-10-22T00:00:00Z")), at("2026-11-21T01:30:00Z"), false);
        let items: Vec<_> = (0..9)
            .map(|n| json!({ "start": "2026-11-01T05:00:00.000Z", "key": format!("key_{n}"), "count": 10 - n }))
            .collect();
        let chart = Chart::of(&json!({ "items": items }), axis, false);
        let names: Vec<_> = chart.series.iter().map(|series| (series.name.as_str(), series.total)).collect();
        assert_eq!(names, [("key_0", 10), ("key_1", 9), ("key_2", 8), ("key_3", 7), ("key_4", 6), ("others", 14)]);
        let drawn = chart.drawn(PLAIN);
        assert_eq!(drawn.lines().count(), 3, "{drawn}");
        assert!(
            drawn.starts_with("                    ⋮  245 hours without requests\nSun 2026-11-01  05:00  █"),
            "{drawn}"
        );
    }
}
