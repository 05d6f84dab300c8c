//! When a driver gives up what its options limit. Nothing does unless it was asked for: sinks try again without end.

use contract::log::DeliverError;
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

/// How often a batch is tried, and how soon again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tries {
    /// Tries before a batch is given up; without end when not given.
    pub(crate) most: Option<u64>,
    /// Shortest pause between two.
    pub(crate) pause: Option<Duration>,
    /// Those in a row that failed.
    pub(crate) failed: u64,
    /// Lines of the batch that arrived in the course of them, as places in it.
    pub(crate) arrived: BTreeSet<usize>,
}

impl Tries {
    /// A part of the batch arrived, but for those it says.
    pub(crate) fn arrive(&mut self, part: Range<usize>, refused: &Range<usize>) {
        // Where nothing is given up nobody asks.
        if self.most.is_some() {
            self.arrived.extend(part.filter(|line| !refused.contains(line)));
        }
    }

    /// The batch is over.
    pub(crate) fn succeed(&mut self) {
        self.failed = 0;
        self.arrived.clear();
    }

    /// A try failed: the same error, or that those of so many lines are given up that did not arrive.
    pub(crate) fn fail(&mut self, error: DeliverError, lines: usize) -> DeliverError {
        self.failed += 1;
        match error {
            DeliverError::Retry { source, .. } if self.most.is_some_and(|most| self.failed > most) => {
                self.failed = 0;
                let arrived = std::mem::take(&mut self.arrived);
                DeliverError::Reject { lines: (0..lines).filter(|l| !arrived.contains(l)).collect(), source }
            }
            DeliverError::Retry { source, after } => {
                DeliverError::Retry { source, after: after.max(self.pause) }
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(after: Option<Duration>) -> DeliverError {
        DeliverError::Retry { source: "down".into(), after }
    }

    #[test]
    fn lines_are_given_up_only_where_tries_are_limited() {
        let mut endless = Tries::default();
        assert!((0..100).all(|_| matches!(endless.fail(retry(None), 2), DeliverError::Retry { .. })));
        let mut limited = Tries { most: Some(2), ..Tries::default() };
        assert!((0..2).all(|_| matches!(limited.fail(retry(None), 2), DeliverError::Retry { .. })));
        assert!(
            matches!(limited.fail(retry(None), 2), DeliverError::Reject { lines, .. } if lines == [0, 1])
        );
        // The next batch has as many.
        assert!(matches!(limited.fail(retry(None), 2), DeliverError::Retry { .. }));
    }

    #[test]
    fn lines_that_arrived_before_the_last_try_are_not_given_up() {
        let mut tries = Tries { most: Some(1), ..Tries::default() };
        tries.arrive(0..3, &(1..2));
        assert!(matches!(tries.fail(retry(None), 5), DeliverError::Retry { .. }));
        tries.arrive(0..1, &(0..0));
        let given_up = tries.fail(retry(None), 5);
        assert!(matches!(given_up, DeliverError::Reject { lines, .. } if lines == [1, 3, 4]));
        // They say nothing of the next batch.
        tries.arrive(0..1, &(0..0));
        tries.succeed();
        assert!(tries.arrived.is_empty());
    }

    #[test]
    fn the_longer_of_two_pauses_is_kept() {
        let seconds = Duration::from_secs;
        let mut tries = Tries { pause: Some(seconds(2)), ..Tries::default() };
        for (asked, wanted) in [(None, 2), (Some(1), 2), (Some(3), 3)] {
            let DeliverError::Retry { after, .. } = tries.fail(retry(asked.map(seconds)), 1) else {
                panic!()
            };
            assert_eq!(after, Some(seconds(wanted)));
        }
    }
}
