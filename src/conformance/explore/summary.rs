//! What is said about a search.

use std::fmt::Write as _;

use super::search::Outcome;
use crate::conformance::report::card::card;
use crate::conformance::report::paint::Paint;
use crate::conformance::report::repeat::Repeat;

impl Outcome {
    /// `4,711 orders of up to 4 events, 4,711 run, 0 violations in 12.3 s`, with what is said about each way to fail behind it.
    /// `what` names the half and the transport, `length` the number of events.
    pub fn text(&self, what: &str, length: &str, repeat: &Repeat, paint: Paint) -> String {
        let violations: usize = self.failures.iter().map(|failure| failure.count).sum();
        let mut text = format!(
            "{what}: {} orders of {length}, {} run, {violations} violations in {:.1} s\n",
            self.orders,
            self.run(),
            self.duration.as_secs_f64()
        );
        for failure in &self.failures {
            // Writing to a text cannot fail.
            let _ = write!(text, "\n{}", card(&failure.result, repeat, paint));
            if let Some(longer) = &failure.shrunk_from {
                let _ = writeln!(text, "  shrunk from {longer}");
            }
            if failure.count > 1 {
                let _ = writeln!(text, "  {} orders fail by this clause in this way", failure.count);
            }
        }
        if let Some(result) = &self.incomplete {
            let _ = write!(text, "\nnothing can be said of some orders; the first:\n{}", card(result, repeat, paint));
        }
        if violations > 0 && self.run() < self.orders {
            let _ = writeln!(text, "\nthe search ended behind {violations} orders that failed");
        }
        text
    }

    /// Orders that were played to their ends, with a verdict.
    pub fn run(&self) -> usize {
        let skipped = |class: &str| matches!(class, "not-run" | "error");
        self.tally.classes().filter(|(class, _)| !skipped(class)).map(|(_, count)| count).sum()
    }
}
