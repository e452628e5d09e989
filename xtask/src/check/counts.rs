//! Adds up what the test runners say, so that the run closes on one honest line.

use std::fmt;

/// Tests that ran, over all runners.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Counts {
    /// Heeds one line of output: the closing lines of nextest and of cargo's own runner count, all others do not.
    pub fn heed(&mut self, line: &str) {
        // Nextest shows the output of failed tests indented: closing lines in there are not its own.
        let cargo = line.starts_with("test result: ");
        let line = line.trim();
        let closing = cargo || line.starts_with("Summary [") && line.contains(" run: ");
        if !closing {
            return;
        }
        let words: Vec<&str> =
            line.split([' ', ';', ',']).filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            let [number, what] = pair else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match *what {
                "passed" => self.passed += number,
                "failed" | "timed" => self.failed += number,
                "skipped" | "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "tests: {} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(formatter, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_both_runners_are_added_up() {
        let mut counts = Counts::default();
        counts.heed(
            "     Summary [  12.345s] 100 tests run: 98 passed (3 slow), 2 failed, 4 skipped",
        );
        counts.heed("test result: ok. 7 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        counts.heed("    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured");
        counts.heed("        PASS [   0.004s] engine plan::tests::one 5 passed");
        assert_eq!(counts, Counts { passed: 105, failed: 2, skipped: 5 });
        assert_eq!(counts.to_string(), "tests: 105 passed, 2 failed, 5 skipped");
    }
}
