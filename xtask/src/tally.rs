//! Counts tests from what nextest and `cargo test` print. Both print a summary meant for people; the shapes
//! read here are kept by tests with real lines.

/// How many tests passed, failed and were left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    /// Marked `#[ignore]`; tests that a filter leaves out are not counted.
    pub ignored: u64,
}

impl Tally {
    /// Takes a line of either runner into account; every other line changes nothing.
    pub fn see(&mut self, line: &str) {
        let line = line.trim();
        if let Some(counts) = line.strip_prefix("test result:") {
            self.see_cargo(counts);
        } else if let Some(counts) = line.strip_prefix("Summary [") {
            self.see_nextest(counts);
        }
    }

    /// ` ok. 5 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s`
    fn see_cargo(&mut self, counts: &str) {
        for part in counts.split(['.', ';']) {
            match number_and_word(part) {
                Some((number, "passed")) => self.passed += number,
                Some((number, "failed")) => self.failed += number,
                Some((number, "ignored")) => self.ignored += number,
                _ => {}
            }
        }
    }

    /// `   1.2s] 12/14 tests run: 9 passed (1 slow, 1 leaky), 2 failed, 1 timed out, 3 skipped`
    ///
    /// nextest counts a test that a filter left out and an ignored one alike as skipped: neither is counted.
    fn see_nextest(&mut self, counts: &str) {
        let Some((_, results)) = counts.split_once("run:") else { return };
        for part in outside_parentheses(results).split(',') {
            match number_and_word(part) {
                Some((number, "passed")) => self.passed += number,
                Some((number, "failed" | "timed" | "exec")) => self.failed += number,
                _ => {}
            }
        }
    }

    /// `N passed, N failed`; tests marked `#[ignore]` are never passed over in silence.
    pub fn line(&self) -> String {
        let ignored = if self.ignored > 0 { format!(", {} ignored", self.ignored) } else { String::new() };
        format!("{} passed, {} failed{ignored}", self.passed, self.failed)
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

fn number_and_word(part: &str) -> Option<(u64, &str)> {
    let mut words = part.split_whitespace();
    Some((words.next()?.parse().ok()?, words.next()?))
}

fn outside_parentheses(text: &str) -> String {
    let mut depth = 0;
    text.chars()
        .filter(|character| {
            depth += i32::from(*character == '(');
            let outside = depth == 0;
            depth -= i32::from(*character == ')');
            outside
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lines: &[&str]) -> Tally {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.see(line));
        tally
    }

    #[test]
    fn nextest_summaries_are_counted() {
        let lines = [
            "     Summary [   0.005s] 12 tests run: 12 passed, 3 skipped",
            "     Summary [   9.120s] 14/20 tests run: 9 passed (1 slow, 1 leaky), 2 failed, 1 timed out, 2 exec failed, 0 skipped",
        ];
        assert_eq!(tally(&lines), Tally { passed: 21, failed: 5, ignored: 0 });
    }

    #[test]
    fn every_result_of_cargo_test_is_added_up() {
        let lines = [
            "test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out; finished in 1.25s",
        ];
        assert_eq!(tally(&lines), Tally { passed: 8, failed: 2, ignored: 1 });
    }

    #[test]
    fn the_closing_line_is_plain() {
        assert_eq!(Tally { passed: 8, failed: 2, ignored: 0 }.line(), "8 passed, 2 failed");
        assert_eq!(Tally { passed: 8, failed: 0, ignored: 1 }.line(), "8 passed, 0 failed, 1 ignored");
    }

    #[test]
    fn other_lines_change_nothing() {
        assert_eq!(tally(&["running 5 tests", "test a ... ok", "Summary of the day: 7 passed"]), Tally::default());
    }
}
