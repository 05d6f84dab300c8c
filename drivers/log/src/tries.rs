//! When a driver gives up what its options limit. Nothing does unless it was asked for: sinks try again without end.

use contract::log::DeliverError;
use std::time::Duration;

/// How often a batch is tried, and how soon again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tries {
    /// Tries before a batch is given up; without end when not given.
    pub(crate) most: Option<u64>,
    /// Shortest pause between two.
    pub(crate) pause: Option<Duration>,
    /// Those in a row that failed.
    pub(crate) failed: u64,
}

impl Tries {
    /// A try failed: the same error, or that all `lines` are given up.
    pub(crate) fn fail(&mut self, error: DeliverError, lines: usize) -> DeliverError {
        self.failed += 1;
        match error {
            DeliverError::Retry { source, .. } if self.most.is_some_and(|most| self.failed > most) => {
                self.failed = 0;
                DeliverError::Reject { lines: (0..lines).collect(), source }
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
