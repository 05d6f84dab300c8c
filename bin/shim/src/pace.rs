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

/// What keeps a connection from being accepted, as no free descriptor, is not over at once, and its socket stays readable.
const DEAF: Duration = Duration::from_millis(100);

/// Whether new connections are listened for.
#[derive(Debug, Default)]
pub struct Ear {
    failed: Option<Instant>,
}

impl Ear {
    /// One could not be accepted.
    pub fn fail(&mut self, now: Instant) {
        self.failed = Some(now);
    }

    /// How long until it listens again; `None` if it does.
    pub fn rest(&self, now: Instant) -> Option<Duration> {
        let rest = DEAF.saturating_sub(now.duration_since(self.failed?));
        (!rest.is_zero()).then_some(rest)
    }
}

/// The count of what was dropped is tried again after so long,
const SOON: Duration = Duration::from_millis(10);
/// and ever later, since no container waits for it, up to this.
const LATEST: Duration = Duration::from_secs(1);

/// When the spool is told of what was dropped, if nothing follows that could take the word along.
#[derive(Debug, Default)]
pub struct Retries {
    /// When the last one was, and the pause after it.
    last: Option<(Instant, Duration)>,
}

impl Retries {
    /// Whether it is time to try, which is then done. What was just refused is not tried again at once.
    pub fn due(&mut self, now: Instant) -> bool {
        let (due, next) = match self.last {
            None => (false, SOON),
            Some((at, pause)) if now.duration_since(at) < pause => return false,
            Some((_, pause)) => (true, LATEST.min(pause * 2)),
        };
        self.last = Some((now, next));
        due
    }

    /// How long until the next try; `None` if there is nothing to try.
    pub fn rest(&self, now: Instant) -> Option<Duration> {
        self.last.map(|(at, pause)| pause.saturating_sub(now.duration_since(at)))
    }

    /// There is nothing to try any more.
    pub fn clear(&mut self) {
        self.last = None;
    }
}

/// Announcements of output are no closer than this,
const CLOSEST: Duration = Duration::from_micros(250);
/// and in a rush, where whoever hears them is busy with what it has, no closer than this.
const IN_A_RUSH: Duration = Duration::from_millis(2);
/// Announcements in a row that had to wait make a rush.
const RUSH: u32 = 32;

/// When those who follow the output are told of it.
#[derive(Debug)]
pub struct Notices {
    last: Instant,
    /// Output waits to be announced.
    pending: bool,
    /// It had to wait for its time.
    waits: bool,
    /// Announcements in a row that did.
    waited: u32,
}

impl Notices {
    /// Nothing is to be announced.
    pub fn new(now: Instant) -> Self {
        Self { last: now, pending: false, waits: false, waited: 0 }
    }

    /// There is output.
    pub fn note(&mut self) {
        self.pending = true;
    }

    /// How long until the next announcement; `None` if there is nothing to announce.
    pub fn rest(&self, now: Instant) -> Option<Duration> {
        let apart = if self.waited < RUSH { CLOSEST } else { IN_A_RUSH };
        self.pending.then(|| apart.saturating_sub(now.duration_since(self.last)))
    }

    /// Whether it is time to announce what there is, which is then done.
    pub fn due(&mut self, now: Instant) -> bool {
        let Some(rest) = self.rest(now) else { return false };
        if !rest.is_zero() {
            self.waits = true;
            return false;
        }
        self.waited = if self.waits { self.waited.saturating_add(1) } else { 0 };
        (self.last, self.pending, self.waits) = (now, false, false);
        true
    }

    /// All was announced in another way.
    pub fn clear(&mut self) {
        self.pending = false;
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

    #[test]
    fn who_cannot_be_accepted_is_left_to_wait_for_a_moment() {
        // The socket stayed readable: with no free descriptor the loop turned without a pause.
        let (mut ear, begin) = (Ear::default(), Instant::now());
        assert_eq!(ear.rest(begin), None);
        ear.fail(begin);
        assert_eq!(ear.rest(begin + DEAF / 4), Some(DEAF * 3 / 4));
        assert_eq!(ear.rest(begin + DEAF), None);
    }

    #[test]
    fn what_was_dropped_is_tried_again_by_itself_and_ever_later() {
        // It was not tried before there was more output, which may never come.
        let (mut retries, mut now) = (Retries::default(), Instant::now());
        assert_eq!(retries.rest(now), None);
        assert!(!retries.due(now), "it was just refused");
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let rest = retries.rest(now).unwrap();
            assert!(!retries.due(now + rest / 2));
            now += rest;
            assert!(retries.due(now));
            pauses.push(rest.as_millis());
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        retries.clear();
        assert_eq!(retries.rest(now), None);
        assert!(!retries.due(now));
        assert_eq!(retries.rest(now), Some(SOON));
    }

    /// How late output is announced that comes so often, looked after each 10 µs: most, in µs.
    fn latest(every: u64, times: u64) -> u64 {
        let begin = Instant::now();
        let (mut notices, mut since, mut most) = (Notices::new(begin), None, 0);
        for micros in (10..every * times).step_by(10) {
            if micros % every == 0 {
                notices.note();
                since.get_or_insert(micros);
            }
            if notices.due(begin + Duration::from_micros(micros)) {
                most = most.max(since.take().map_or(0, |s| micros - s));
            }
        }
        most
    }

    #[test]
    fn single_lines_are_announced_at_once_and_a_rush_in_larger_parts() {
        assert_eq!(latest(2000, 500), 0);
        assert_eq!(latest(300, 500), 0);
        assert_eq!(latest(100, 20), 200);
        assert!((1900..=2000).contains(&latest(100, 2000)));
    }
}
