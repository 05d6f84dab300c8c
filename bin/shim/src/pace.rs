//! When a process writes line by line, thousands of times a second, each read would wake this process for a single line
//! and each line would become a record. A short rest between the reads lets lines gather; a lone line never waits.

use std::time::{Duration, Instant};

/// Reads closer together than this belong to one rush.
const GAP: Duration = Duration::from_millis(1);
/// Reads in a row, all of one stream, before the first rest: people and prompts never come that far, and where both
/// streams are in use their order is kept as exactly as ever.
const STREAK: u32 = 64;
/// A read of this much needs no gathering.
const PLENTY: usize = 16 * 1024;
/// A pipe (64 KiB) does not fill in this time unless it is written in large blocks.
const REST: Duration = Duration::from_micros(100);

/// The rhythm of the main process's output.
#[derive(Debug, Default)]
pub struct Pace {
    last: Option<(u8, Instant)>,
    streak: u32,
}

impl Pace {
    /// So much was read of a stream.
    pub fn read(&mut self, stream: u8, bytes: usize, now: Instant) {
        let follows = self.last.is_some_and(|(s, at)| s == stream && now.duration_since(at) < GAP);
        self.streak = match follows {
            true if bytes < PLENTY => self.streak.saturating_add(1),
            true => self.streak,
            false => 0,
        };
        self.last = Some((stream, now));
    }

    /// How long to rest before the next look.
    pub fn rest(&self, now: Instant) -> Option<Duration> {
        let lasts = self.last.is_some_and(|(_, at)| now.duration_since(at) < GAP);
        (lasts && self.streak >= STREAK).then_some(REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rests(reads: impl IntoIterator<Item = (u8, u64)>) -> bool {
        let begin = Instant::now();
        let (mut pace, mut micros) = (Pace::default(), 0);
        for (stream, after) in reads {
            micros += after;
            pace.read(stream, 100, begin + Duration::from_micros(micros));
        }
        let end = begin + Duration::from_micros(micros);
        assert_eq!(pace.rest(end + Duration::from_millis(5)), None, "it is over");
        pace.rest(end).is_some()
    }

    #[test]
    fn only_a_long_rush_on_one_stream_is_given_a_rest() {
        assert!(rests((0..100).map(|_| (1, 20))));
        assert!(!rests((0..50).map(|_| (1, 20))), "too short");
        assert!(!rests((0..100).map(|_| (1, 2000))), "too slow");
        assert!(!rests((0..1000).map(|n| (1 + u8::from(n % 50 == 0), 20))), "two streams");
    }
}
