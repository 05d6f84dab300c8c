//! How often an actor may be respawned: pure decisions, time passed in.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// The longest pause between two tries of a parked actor.
const LONGEST_PARK: Duration = Duration::from_secs(60);

/// At most `max_respawns` respawns within `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intensity {
    /// Respawns allowed inside the window.
    pub max_respawns: u32,
    /// The sliding window.
    pub window: Duration,
}

impl Default for Intensity {
    fn default() -> Self {
        Self { max_respawns: 5, window: Duration::from_secs(60) }
    }
}

/// The pause before a respawn: doubles from `min` to `max` while panics stay within the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Pause before the first respawn.
    pub min: Duration,
    /// Longest pause.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { min: Duration::from_millis(50), max: Duration::from_secs(2) }
    }
}

/// What happens to an actor beyond its intensity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OverLimit {
    /// It ends for good.
    #[default]
    GiveUp,
    /// It is retried ever more slowly, at least once a minute.
    Park,
}

/// What to do after a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Respawn { after: Duration },
    Park { retry_in: Duration },
    GiveUp,
}

/// Remembers recent panics of one actor (or one group).
#[derive(Debug)]
pub(super) struct Tally {
    intensity: Intensity,
    backoff: Backoff,
    over_limit: OverLimit,
    recent: VecDeque<Instant>,
    parks: u32,
}

impl Tally {
    pub(super) fn new(intensity: Intensity, backoff: Backoff, over_limit: OverLimit) -> Self {
        Self { intensity, backoff, over_limit, recent: VecDeque::new(), parks: 0 }
    }

    /// Decides after a panic at `now` of an incarnation that had lived for `lived`.
    pub(super) fn panicked(&mut self, now: Instant, lived: Duration) -> Verdict {
        let window = self.intensity.window;
        // Time spent parked also empties the window, so only a life longer than it proves recovery.
        if lived >= window {
            self.parks = 0;
        }
        while self.recent.front().is_some_and(|at| now.duration_since(*at) >= window) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        let count = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        if self.parks == 0 && count <= self.intensity.max_respawns {
            return Verdict::Respawn { after: doubled(self.backoff.min, count - 1, self.backoff.max) };
        }
        match self.over_limit {
            OverLimit::GiveUp => Verdict::GiveUp,
            OverLimit::Park => {
                let retry_in = doubled(self.backoff.max, self.parks, LONGEST_PARK);
                self.parks = self.parks.saturating_add(1);
                Verdict::Park { retry_in }
            }
        }
    }
}

fn doubled(base: Duration, times: u32, most: Duration) -> Duration {
    base.saturating_mul(2u32.saturating_pow(times)).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn tally(over_limit: OverLimit) -> Tally {
        Tally::new(
            Intensity { max_respawns: 3, window: ms(1000) },
            Backoff { min: ms(10), max: ms(30) },
            over_limit,
        )
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_then_it_gives_up() {
        let (mut t, now) = (tally(OverLimit::GiveUp), Instant::now());
        let verdicts: Vec<_> = (0..4).map(|i| t.panicked(now + ms(i), ms(1))).collect();
        assert_eq!(
            verdicts,
            [
                Verdict::Respawn { after: ms(10) },
                Verdict::Respawn { after: ms(20) },
                Verdict::Respawn { after: ms(30) },
                Verdict::GiveUp
            ]
        );
    }

    #[test]
    fn panics_older_than_the_window_do_not_count() {
        let (mut t, now) = (tally(OverLimit::GiveUp), Instant::now());
        for i in 0..20 {
            assert_eq!(t.panicked(now + ms(i * 1000), ms(999)), Verdict::Respawn { after: ms(10) });
        }
    }

    #[test]
    fn a_parked_actor_stays_parked_until_it_outlives_the_window() {
        let (mut t, mut now) = (tally(OverLimit::Park), Instant::now());
        for _ in 0..3 {
            t.panicked(now, ms(1));
        }
        assert_eq!(t.panicked(now, ms(1)), Verdict::Park { retry_in: ms(30) });
        now += ms(5000);
        assert_eq!(t.panicked(now, ms(1)), Verdict::Park { retry_in: ms(60) });
        for _ in 0..20 {
            now += ms(70_000);
            let Verdict::Park { retry_in } = t.panicked(now, ms(1)) else { panic!("left the park") };
            assert!(retry_in <= LONGEST_PARK);
        }
        now += ms(5000);
        assert_eq!(t.panicked(now, ms(1500)), Verdict::Respawn { after: ms(10) });
    }

    #[test]
    fn zero_respawns_means_the_first_panic_is_the_last() {
        let mut t = Tally::new(
            Intensity { max_respawns: 0, window: ms(1000) },
            Backoff::default(),
            OverLimit::GiveUp,
        );
        assert_eq!(t.panicked(Instant::now(), ms(0)), Verdict::GiveUp);
    }
}
