//! Output on its way into the spool, with the two ways to meet a full budget.

use sandbox::spool::{Appended, Kind, Writer};
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// ns since the epoch.
pub fn now_ns() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}

/// The spool and what could not be written to it.
pub struct Output {
    spool: Writer,
    drop_when_full: bool,
    /// Read from the container but not taken by the spool yet (blocking mode): stream, time, bytes.
    waiting: Option<(u8, i64, Vec<u8>)>,
    dropped: u64,
}

impl Output {
    /// Begins a new stretch of the spool.
    pub fn open(dir: &Path, budget: u64, drop_when_full: bool) -> io::Result<Self> {
        Ok(Self { spool: Writer::open(dir, budget)?, drop_when_full, waiting: None, dropped: 0 })
    }

    /// Whether reading from the container must pause.
    pub fn blocked(&self) -> bool {
        self.waiting.is_some()
    }

    /// Takes what was read at once.
    pub fn take(&mut self, stream: u8, bytes: &[u8]) {
        let time = now_ns();
        if self.dropped > 0 && !self.write_gap(time) {
            self.dropped += bytes.len() as u64;
            return;
        }
        match self.spool.append(Kind::Data, stream, time, bytes) {
            Ok(Appended::Written) => {}
            // A disk that fails is a budget that is full: the container must not notice more than that.
            Ok(Appended::Full) | Err(_) if self.drop_when_full => self.dropped += bytes.len() as u64,
            Ok(Appended::Full) | Err(_) => self.waiting = Some((stream, time, bytes.to_vec())),
        }
    }

    /// Tries again; true when nothing waits any more.
    pub fn retry(&mut self) -> bool {
        if let Some((stream, time, bytes)) = &self.waiting {
            match self.spool.append(Kind::Data, *stream, *time, bytes) {
                Ok(Appended::Written) => self.waiting = None,
                Ok(Appended::Full) | Err(_) => return false,
            }
        }
        true
    }

    /// From now on the budget does not count: the process has ended, at most two pipes' worth is left.
    pub fn lift_budget(&mut self) {
        self.spool.lift_budget();
        self.retry();
    }

    fn write_gap(&mut self, time: i64) -> bool {
        if !self.spool.has_room() {
            return false;
        }
        let written = self.spool.append(Kind::Gap, 0, time, &self.dropped.to_le_bytes());
        if matches!(written, Ok(Appended::Written)) {
            self.dropped = 0;
            return true;
        }
        false
    }

    /// Marks the end of this run's output.
    pub fn end(&mut self) -> io::Result<()> {
        let time = now_ns();
        if self.dropped > 0 {
            self.write_gap(time);
        }
        self.spool.append(Kind::End, 0, time, &[]).map(drop)
    }
}
