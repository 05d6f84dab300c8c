//! Output on its way into the spool, with the two ways to meet a full budget.

use sandbox::spool::{Appended, HEADER, Kind, Writer};
use std::collections::VecDeque;
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
    /// Read from the container but not taken by the spool yet (blocking mode): stream, time, bytes. More than one, since both
    /// streams may have been found readable before the first of them filled the budget.
    waiting: VecDeque<(u8, i64, Vec<u8>)>,
    dropped: u64,
    /// Room that what was dropped last would have taken. Only where there is as much again it is told.
    missed: usize,
}

impl Output {
    /// Begins a new stretch of the spool.
    pub fn open(dir: &Path, budget: u64, drop_when_full: bool) -> io::Result<Self> {
        let spool = Writer::open(dir, budget)?;
        Ok(Self { spool, drop_when_full, waiting: VecDeque::new(), dropped: 0, missed: 0 })
    }

    /// Meets a full budget in the other way from now on. What was read and waits is dropped with the rest.
    pub fn set_drop_when_full(&mut self, drop: bool) {
        self.drop_when_full = drop;
        if drop && !self.retry() {
            self.give_up();
        }
    }

    /// Counts what waits as dropped.
    fn give_up(&mut self) {
        for (_, _, bytes) in std::mem::take(&mut self.waiting) {
            self.leave_out(&bytes);
        }
        self.spool.settle();
    }

    fn wait(&mut self, stream: u8, time: i64, bytes: &[u8]) {
        self.waiting.push_back((stream, time, bytes.to_vec()));
        self.spool.owe();
    }

    fn leave_out(&mut self, bytes: &[u8]) {
        self.dropped += bytes.len() as u64;
        self.missed = HEADER + bytes.len();
    }

    /// Whether reading from the container must pause.
    pub fn blocked(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Bytes that were taken and of which the spool has no word yet: they wait, or were dropped.
    pub fn owing(&self) -> u64 {
        self.dropped + self.waiting.iter().map(|(_, _, bytes)| bytes.len() as u64).sum::<u64>()
    }

    /// Bytes that were dropped, and of which the spool has no word yet.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes what was read at once.
    pub fn take(&mut self, stream: u8, bytes: &[u8]) {
        let time = now_ns();
        if self.blocked() {
            self.wait(stream, time, bytes);
            return;
        }
        if self.dropped > 0 && !self.write_gap(time, HEADER + bytes.len()) {
            if self.drop_when_full {
                self.leave_out(bytes);
            } else {
                self.wait(stream, time, bytes);
            }
            return;
        }
        match self.spool.append(Kind::Data, stream, time, bytes) {
            Ok(Appended::Written) => {}
            // A disk that fails is a budget that is full: the container must not notice more than that.
            Ok(Appended::Full) | Err(_) if self.drop_when_full => self.leave_out(bytes),
            Ok(Appended::Full) | Err(_) => self.wait(stream, time, bytes),
        }
    }

    /// Tries again; true when nothing is owed any more.
    pub fn retry(&mut self) -> bool {
        let done = self.write_waiting();
        if self.blocked() {
            self.spool.owe();
        } else {
            self.spool.settle();
        }
        done
    }

    fn write_waiting(&mut self) -> bool {
        let next = self.waiting.front().map_or(self.missed, |(_, _, bytes)| HEADER + bytes.len());
        if self.dropped > 0 && !self.write_gap(now_ns(), next) {
            return false;
        }
        while let Some((stream, time, bytes)) = self.waiting.front() {
            match self.spool.append(Kind::Data, *stream, *time, bytes) {
                Ok(Appended::Written) => drop(self.waiting.pop_front()),
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

    /// Not before there is room for what follows it, too: the end of a budget would be filled with gaps alone.
    fn write_gap(&mut self, time: i64, follows: usize) -> bool {
        let told = self.dropped.to_le_bytes();
        if !self.spool.has_room(HEADER + told.len() + follows) {
            return false;
        }
        let written = self.spool.append(Kind::Gap, 0, time, &told);
        if matches!(written, Ok(Appended::Written)) {
            self.dropped = 0;
            return true;
        }
        false
    }

    /// Marks the end of this run's output.
    pub fn end(&mut self) -> io::Result<()> {
        let time = now_ns();
        if !self.retry() {
            // A disk without room for it may still have some for the few bytes that tell of it.
            self.give_up();
        }
        if self.dropped > 0 {
            self.write_gap(time, 0);
        }
        self.spool.append(Kind::End, 0, time, &[])?;
        self.close()
    }

    /// Gives back the room that was kept. Nothing follows.
    pub fn close(&mut self) -> io::Result<()> {
        self.spool.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};
    use sandbox::spool::{Place, owes, read, trim};
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    #[test]
    fn a_second_stream_found_readable_when_the_budget_fills_is_kept_too() {
        // It replaced what waited of the first stream: a pipe's worth of lines was lost.
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("spool");
        let mut output = Output::open(&dir, 1000, false).unwrap();
        output.take(1, &[b'a'; 900]);
        output.take(1, &[b'b'; 900]);
        output.take(2, &[b'c'; 900]);
        output.take(1, &[b'd'; 9]);
        assert!(output.blocked() && !output.retry());
        let mut seen = Vec::new();
        let mut place = Place::default();
        while output.blocked() || seen.len() < 4 {
            let (records, next) = read(&dir, place, 1 << 20).unwrap();
            seen.extend(records.into_iter().map(|(_, r)| (r.stream, r.payload.first().copied())));
            place = next;
            trim(&dir, |segment| segment > place.segment).unwrap();
            output.retry();
        }
        assert_eq!(seen, [(1, Some(b'a')), (1, Some(b'b')), (2, Some(b'c')), (1, Some(b'd'))]);
    }

    /// What the spool holds: bytes of output, and for a gap how many it stands for.
    fn contents(dir: &Path) -> Vec<(Kind, u64)> {
        contents_from(dir, &mut Place::default())
    }

    /// The same from a place on, which is then where it ends.
    fn contents_from(dir: &Path, place: &mut Place) -> Vec<(Kind, u64)> {
        let told = |payload: &[u8]| payload.first_chunk::<8>().map_or(0, |b| u64::from_le_bytes(*b));
        let length =
            |kind, payload: &[u8]| if kind == Kind::Gap { told(payload) } else { payload.len() as u64 };
        let mut all = Vec::new();
        loop {
            let (records, next) = read(dir, *place, 1 << 20).unwrap();
            if records.is_empty() {
                return all;
            }
            all.extend(records.into_iter().map(|(_, r)| (r.kind, length(r.kind, &r.payload))));
            *place = next;
        }
    }

    /// Takes output while its disk and its budget are full and free in turns: what the spool holds, what it tells to be
    /// missing and what it still owes is all that was taken, at any time.
    fn adds_up(disk: &Path, drop_when_full: bool, steps: &[(u8, usize)]) -> Result<(), TestCaseError> {
        let folder = tempfile::tempdir_in(disk).unwrap();
        let dir = folder.path().join("spool");
        let filler = File::create(folder.path().join("filler")).unwrap();
        let mut output = Output::open(&dir, 160_000, drop_when_full).unwrap();
        let (mut taken, mut told, mut place) = (0, 0, Place::default());
        for (step, size) in steps {
            match step {
                0 => {
                    let mut at = 0;
                    while filler.write_at(&[1; 4096], at).is_ok() {
                        at += 4096;
                    }
                }
                1 => filler.set_len(0).unwrap(),
                2 => trim(&dir, |segment| segment >= place.segment).unwrap(),
                3 => {
                    output.retry();
                }
                4 => output.set_drop_when_full(size % 2 == 0),
                _ => {
                    output.take(1, &vec![b'x'; *size]);
                    taken += *size as u64;
                }
            }
            told += contents_from(&dir, &mut place).iter().map(|(_, bytes)| bytes).sum::<u64>();
            prop_assert_eq!(told + output.owing(), taken);
        }
        output.lift_budget();
        output.end().unwrap();
        let rest = contents_from(&dir, &mut place);
        prop_assert_eq!(rest.last(), Some(&(Kind::End, 0)));
        told += rest.iter().map(|(_, bytes)| bytes).sum::<u64>();
        prop_assert_eq!(told, taken);
        Ok(())
    }

    #[test]
    fn each_byte_taken_is_output_or_told_to_be_missing_however_often_the_disk_is_full() {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().to_owned();
        let on_small_disk = std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
            mount(Some("small"), &disk, Some("tmpfs"), MsFlags::empty(), Some("size=1m")).unwrap();
            let steps = prop::collection::vec((0_u8..12, 1_usize..6000), 1..100);
            let config = Config { failure_persistence: None, ..Config::with_cases(64) };
            let tried = TestRunner::new(config)
                .run(&(any::<bool>(), steps), |(drop, steps)| adds_up(&disk, drop, &steps));
            tried.unwrap();
        });
        on_small_disk.join().unwrap();
    }

    #[test]
    fn readers_see_whether_there_is_output_without_room() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("spool");
        let mut output = Output::open(&dir, 1000, false).unwrap();
        output.take(1, &[b'a'; 900]);
        assert!(!owes(&dir).unwrap());
        output.take(1, &[b'b'; 900]);
        assert!(owes(&dir).unwrap());
        assert!(!output.retry() && owes(&dir).unwrap());
        trim(&dir, |segment| segment > 0).unwrap();
        assert!(output.retry() && !owes(&dir).unwrap());
        output.take(1, &[b'c'; 900]);
        assert!(owes(&dir).unwrap());
        output.set_drop_when_full(true);
        assert!(!owes(&dir).unwrap());
        output.set_drop_when_full(false);
        output.take(1, &[b'd'; 900]);
        assert!(owes(&dir).unwrap());
        drop(output);
        assert!(!owes(&dir).unwrap(), "its end shows as well");
    }

    #[test]
    fn a_container_that_waits_for_room_goes_on_once_its_output_may_be_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("spool");
        let mut output = Output::open(&dir, 1000, false).unwrap();
        output.take(1, &[b'a'; 900]);
        output.take(1, &[b'b'; 900]);
        assert!(output.blocked());
        output.set_drop_when_full(true);
        assert!(!output.blocked());
        output.take(2, &[b'c'; 100]);
        assert!(!output.blocked());
        output.lift_budget();
        output.take(1, &[b'd'; 9]);
        assert_eq!(contents(&dir), [(Kind::Data, 900), (Kind::Gap, 1000), (Kind::Data, 9)]);
    }

    #[test]
    fn what_was_dropped_is_told_without_further_output() {
        // It was told with the next output only: a log just ended where a container fell silent after its last lines were
        // dropped.
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("spool");
        let mut output = Output::open(&dir, 1000, true).unwrap();
        output.take(1, &[b'a'; 900]);
        output.take(1, &[b'b'; 800]);
        output.take(2, &[b'c'; 700]);
        assert!(!output.retry() && !output.blocked());
        assert_eq!((output.owing(), contents(&dir)), (1500, vec![(Kind::Data, 900)]));
        trim(&dir, |segment| segment > 0).unwrap();
        assert!(output.retry());
        assert_eq!((output.owing(), contents(&dir)), (0, vec![(Kind::Gap, 1500)]));
    }

    #[test]
    fn what_is_dropped_in_a_row_is_one_gap() {
        // Each piece for which there was no room left a gap of its own, until the rest of the budget was full of them.
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("spool");
        let mut output = Output::open(&dir, 2000, true).unwrap();
        output.take(1, &[b'a'; 900]);
        output.take(1, &[b'b'; 500]);
        for _ in 0..10 {
            output.take(1, &[b'c'; 600]);
        }
        trim(&dir, |segment| segment > 0).unwrap();
        output.take(1, &[b'd'; 600]);
        assert_eq!(contents(&dir), [(Kind::Data, 500), (Kind::Gap, 6000), (Kind::Data, 600)]);
    }

    #[test]
    fn what_finds_no_room_to_the_end_is_told_as_a_gap() {
        // It went with the shim, and nothing stood where it was missing.
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("spool");
        let mut output = Output::open(&dir, 1000, false).unwrap();
        output.take(1, &[b'a'; 900]);
        output.take(1, &[b'b'; 900]);
        output.take(2, &[b'c'; 50]);
        assert!(output.blocked());
        output.end().unwrap();
        assert_eq!(contents(&dir), [(Kind::Data, 900), (Kind::Gap, 950), (Kind::End, 0)]);
    }

    #[test]
    fn output_that_may_no_longer_be_dropped_waits_behind_the_gap_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("spool");
        let mut output = Output::open(&dir, 1000, true).unwrap();
        output.take(1, &[b'a'; 900]);
        output.take(1, &[b'b'; 900]);
        output.set_drop_when_full(false);
        output.take(1, &[b'c'; 9]);
        assert!(output.blocked());
        output.lift_budget();
        assert!(!output.blocked());
        assert_eq!(contents(&dir), [(Kind::Data, 900), (Kind::Gap, 900), (Kind::Data, 9)]);
    }
}
