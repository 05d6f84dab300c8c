//! How many lines come in a time.

use super::nanoseconds;
use crate::log::gap::Gaps;
use contract::log::{LogLine, Pace, Position, Rate, Stream};
use std::sync::Arc;

/// Holds lines to a rate: each window lets so many through, the others are counted, and the end of the window tells.
#[derive(Debug)]
pub(super) struct Limiter {
    rule: Arc<Rate>,
    window_ns: i64,
    /// None before the first line.
    pace: Option<Pace>,
    /// What it told, and the bytes that it kept back.
    gaps: Gaps,
}

impl Limiter {
    /// Goes on where a cursor stands.
    pub(super) fn at(rule: Arc<Rate>, pace: Option<Pace>) -> Self {
        let window_ns = nanoseconds(rule.window).max(1);
        Self { rule, window_ns, pace, gaps: Gaps::default() }
    }

    pub(super) fn pace(&self) -> Option<Pace> {
        self.pace.clone()
    }

    /// The lines that told of others, and how many bytes those had.
    pub(super) fn gaps(&self) -> Gaps {
        self.gaps
    }

    /// Output stands at that place, with that time. Where that begins a window, the line that tells of the one before.
    pub(super) fn tick(&mut self, at: Position, time_ns: i64) -> Option<LogLine> {
        let Rate { lines, burst, .. } = *self.rule;
        let Some(pace) = &mut self.pace else {
            self.pace = Some(Pace { at, since_ns: time_ns, left: burst, ..Pace::default() });
            return None;
        };
        if at <= pace.at {
            return None;
        }
        pace.at = at;
        let passed = time_ns.saturating_sub(pace.since_ns);
        if (0..self.window_ns).contains(&passed) {
            return None;
        }
        // A clock that was put back begins a window that adds nothing.
        let windows = u64::try_from(passed / self.window_ns).unwrap_or(0);
        pace.left = pace.left.saturating_add(lines.saturating_mul(windows)).min(burst);
        pace.since_ns = time_ns;
        self.told()
    }

    /// Whether a line, which is so many of the container's, goes through.
    pub(super) fn lets(&mut self, line: &LogLine, lines: u64) -> bool {
        let Some(pace) = &mut self.pace else { return true };
        let cut = match line.stream {
            Stream::Stdout => &mut pace.cut_out,
            Stream::Stderr => &mut pace.cut_err,
        };
        let goes_on = line.partial.as_ref().is_some_and(|p| !p.last);
        if line.partial.as_ref().is_some_and(|p| p.ordinal > 1) {
            let lets = !*cut;
            *cut &= goes_on;
            return lets;
        }
        let lets = pace.left > 0;
        *cut = goes_on && !lets;
        if lets {
            pace.left = pace.left.saturating_sub(lines);
        } else {
            self.suppress(line.stream, line.time_ns, lines);
        }
        lets
    }

    /// Whether the window lets nothing more through.
    pub(super) fn is_used_up(&self) -> bool {
        self.pace.as_ref().is_some_and(|pace| pace.left == 0)
    }

    /// Counts lines that do not go through.
    pub(super) fn suppress(&mut self, stream: Stream, time_ns: i64, lines: u64) {
        if let Some(pace) = &mut self.pace {
            pace.suppressed = pace.suppressed.saturating_add(lines);
            pace.last_ns = time_ns;
            pace.last_err = stream == Stream::Stderr;
        }
    }

    /// Counts bytes of lines that do not go through.
    pub(super) fn withhold(&mut self, bytes: u64) {
        self.gaps.suppressed_bytes += bytes;
    }

    /// Whether a line that has no end goes through: the rest of a suppressed one does not.
    pub(super) fn lets_tail(&mut self, line: &LogLine) -> bool {
        line.partial.as_ref().is_none_or(|p| p.ordinal == 1) || self.lets(line, 0)
    }

    /// The line that tells what the window suppressed, if it is over by then.
    pub(super) fn over(&mut self, now_ns: i64) -> Option<LogLine> {
        let passed = now_ns.saturating_sub(self.pace.as_ref()?.since_ns);
        // Long before its beginning, the clock was put back, and nobody knows.
        if (-self.window_ns..self.window_ns).contains(&passed) { None } else { self.told() }
    }

    /// When there will be something to tell.
    pub(super) fn due(&self) -> Option<i64> {
        let pace = self.pace.as_ref().filter(|pace| pace.suppressed > 0)?;
        Some(pace.since_ns.saturating_add(self.window_ns))
    }

    /// The container's output ended at that place.
    pub(super) fn end(&mut self, at: Position) -> Option<LogLine> {
        let pace = self.pace.as_mut().filter(|pace| at > pace.at)?;
        pace.at = at;
        self.told()
    }

    fn told(&mut self) -> Option<LogLine> {
        let pace = self.pace.as_mut()?;
        let text = match std::mem::take(&mut pace.suppressed) {
            0 => return None,
            1 => format!("gantry: 1 line was suppressed here by rate-limit={}", self.rule.given),
            n => format!("gantry: {n} lines were suppressed here by rate-limit={}", self.rule.given),
        };
        let stream = if pace.last_err { Stream::Stderr } else { Stream::Stdout };
        let told = LogLine { stream, time_ns: pace.last_ns, data: text.into(), partial: None };
        self.gaps.mark(&told);
        Some(told)
    }
}
