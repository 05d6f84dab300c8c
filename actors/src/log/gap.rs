//! Lines that a sink is not given, as it meets them on its way through the spool.

use super::record::Builder;
use contract::log::{BatchPolicy, Cursor, LogLine, Loss, Position, Stream, Streams};

/// What lies before a sink that is not to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ahead {
    /// What it is passed over, in order.
    pub losses: Vec<Loss>,
    /// Where reading ends for now.
    pub until: Option<Cursor>,
}

/// What among a batch's lines tells of others that are not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Lines that tell of it.
    pub markers: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that never came into the spool, because it was full.
    pub unspooled: u64,
    /// Parts of the spool that were gone.
    pub lost: u64,
    /// Lines that a limit on the rate suppressed among those passed over; a batch counts its own.
    pub suppressed: u64,
    /// Bytes of lines that a limit on the rate suppressed, also a batch's own.
    pub suppressed_bytes: u64,
}

impl Gaps {
    /// Counts a line that tells of a gap.
    pub fn mark(&mut self, line: &LogLine) {
        self.markers += 1;
        self.bytes += line.data.len() as u64;
    }
}

impl std::ops::Add for Gaps {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            markers: self.markers + other.markers,
            bytes: self.bytes + other.bytes,
            unspooled: self.unspooled + other.unspooled,
            lost: self.lost + other.lost,
            suppressed: self.suppressed + other.suppressed,
            suppressed_bytes: self.suppressed_bytes + other.suppressed_bytes,
        }
    }
}

/// What came of looking whether something is to be passed over.
pub enum Passed {
    /// Not yet.
    Nothing,
    /// Reading goes on there.
    On(Position),
    /// Reading ends here.
    End,
}

/// One way through the spool, past what is not to be read.
pub struct Way<'a> {
    ahead: &'a Ahead,
    policy: &'a BatchPolicy,
    seed: u64,
    builder: Builder,
    /// How many of the losses lie behind.
    behind: usize,
    gaps: Gaps,
    suppressed: u64,
    end: Option<Cursor>,
}

impl<'a> Way<'a> {
    /// From there.
    pub fn new(from: &Cursor, ahead: &'a Ahead, policy: &'a BatchPolicy, seed: u64) -> Self {
        let (builder, gaps) = (Builder::at(from, policy, seed), Gaps::default());
        let mut way = Self { ahead, policy, seed, builder, behind: 0, gaps, suppressed: 0, end: None };
        way.begin(from);
        way
    }

    fn begin(&mut self, from: &Cursor) {
        let limit = self.ahead.losses.get(self.behind).map(|loss| &loss.from).or(self.ahead.until.as_ref());
        self.builder = Builder::at(from, self.policy, self.seed).until(limit);
    }

    /// Whether something that is not to be read follows.
    pub fn is_limited(&self) -> bool {
        self.behind < self.ahead.losses.len() || self.ahead.until.is_some()
    }

    /// What builds the lines of the part that is read.
    pub fn builder(&mut self) -> &mut Builder {
        &mut self.builder
    }

    /// Passes over what follows, if the way has come to it: all before it was read, or nothing is left but what follows.
    pub fn pass(&mut self, over: bool, out: &mut Vec<LogLine>) -> Passed {
        if !self.is_limited() || !(over || self.builder.is_done()) {
            return Passed::Nothing;
        }
        self.builder.end(out);
        let Some(loss) = self.ahead.losses.get(self.behind) else {
            self.end.clone_from(&self.ahead.until);
            return Passed::End;
        };
        (self.gaps, self.suppressed) = (self.gaps(), self.suppressed());
        if let Some(text) = passed_over(loss.lines, loss.bytes) {
            let told = marker(text, loss.time_ns, self.policy.streams);
            self.gaps.mark(&told);
            out.push(told);
        }
        self.behind += 1;
        self.begin(&loss.to);
        Passed::On(loss.to.floor())
    }

    /// All that was told of lines that are not there.
    pub fn gaps(&self) -> Gaps {
        self.gaps + self.builder.gaps()
    }

    /// Lines suppressed so far.
    pub fn suppressed(&self) -> u64 {
        self.suppressed + self.builder.suppressed()
    }

    /// From here exactly the lines after those given out come again.
    pub fn cursor(&self) -> Cursor {
        self.end.clone().unwrap_or_else(|| self.builder.cursor())
    }
}

/// A line that tells of a gap. It stands on standard error, unless only the other goes to the sink.
pub fn marker(text: String, time_ns: i64, streams: Streams) -> LogLine {
    let stream = if streams == Streams::Stdout { Stream::Stdout } else { Stream::Stderr };
    LogLine { stream, time_ns, data: text.into(), partial: None }
}

/// Tells of lines for which a sink's buffer had no room, if there were any.
fn passed_over(lines: u64, bytes: u64) -> Option<String> {
    let what = match (lines, bytes) {
        (0, 0) => return None,
        (0, _) => return Some(unspooled(bytes)),
        (1, _) => format!("1 line ({bytes} bytes) was"),
        _ => format!("{lines} lines ({bytes} bytes) were"),
    };
    Some(format!("gantry: {what} dropped here: this driver's buffer was full"))
}

/// Tells of output for which the spool had no room.
pub fn unspooled(bytes: u64) -> String {
    format!("gantry: {bytes} bytes were dropped here: the spool was full")
}

/// Tells where a start of the container left no end.
pub fn unwritten() -> String {
    "gantry: an unknown amount of output may be missing here: the container's shim died".to_owned()
}

/// Tells of a part of the spool that is gone.
pub fn lost() -> String {
    "gantry: an unknown number of lines was lost here: a part of the spool is gone".to_owned()
}

#[cfg(test)]
mod tests;
