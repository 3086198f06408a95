//! Named steps in order: says which one runs, how long it took, and at the end prints them as a table.

use anyhow::{Context as _, Result};
use std::time::{Duration, Instant};

/// What became of each step so far.
#[derive(Default)]
pub struct Steps {
    done: Vec<(String, Duration, bool)>,
}

impl Steps {
    /// Runs one step; its failure names it.
    pub fn step<T>(&mut self, name: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("==> {name}");
        let started = Instant::now();
        let result = run();
        let took = started.elapsed();
        eprintln!("==> {name}: {} after {}", if result.is_ok() { "done" } else { "FAILED" }, seconds(took));
        self.done.push((name.to_owned(), took, result.is_ok()));
        result.with_context(|| format!("the step `{name}` failed"))
    }

    /// One line a step and the total; steps in `all` that were never reached are listed as not run.
    pub fn table(&self, all: &[&str]) -> String {
        let width =
            all.iter().map(|name| name.len()).chain(self.done.iter().map(|step| step.0.len())).max().unwrap_or(0);
        let mut table = String::new();
        for (name, took, passed) in &self.done {
            let verdict = if *passed { "passed" } else { "FAILED" };
            table += &format!("{name:width$}  {verdict:7}  {:>9}\n", seconds(*took));
        }
        for name in all.iter().filter(|name| !self.done.iter().any(|step| step.0 == **name)) {
            table += &format!("{name:width$}  not run\n");
        }
        let total = self.done.iter().map(|step| step.1).sum();
        table + &format!("{:width$}  {:7}  {:>9}\n", "total", "", seconds(total))
    }
}

fn seconds(took: Duration) -> String {
    let tenths = took.as_millis() / 100;
    match tenths / 600 {
        0 => format!("{}.{} s", tenths / 10, tenths % 10),
        minutes => format!("{minutes} min {:02} s", tenths / 10 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn a_failed_step_is_named_and_later_steps_count_as_not_run() {
        let mut steps = Steps::default();
        steps.step("first", || Ok(())).unwrap();
        let error = steps.step("second", || -> Result<()> { bail!("why") }).unwrap_err();
        assert_eq!(format!("{error:#}"), "the step `second` failed: why");
        let table = steps.table(&["first", "second", "third"]);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].starts_with("first   passed"));
        assert!(lines[1].starts_with("second  FAILED"));
        assert_eq!(lines[2], "third   not run");
        assert!(lines[3].starts_with("total"));
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(seconds(Duration::from_millis(1_260)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
    }
}
