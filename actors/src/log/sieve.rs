//! Which of the lines that are read a reader is given.

use super::follow::FollowRequest;
use contract::log::{StoredLine, Stream};
use std::sync::Arc;

/// Whether reading goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Goes,
    /// No later line is wanted.
    Ends,
}

/// Lines that come again when the stored ones are opened anew.
#[derive(Debug, Clone, Copy)]
enum Again {
    Nothing,
    /// The next so many.
    Lines(usize),
    /// Those before this time, and so many that have it.
    Until(i64, usize),
}

/// What becomes of a line.
#[derive(PartialEq, Eq)]
enum Fate {
    Given,
    LeftOut,
    /// It and all after it are not wanted.
    Last,
}

/// Chooses by what was asked for and by what was seen before.
#[derive(Debug)]
pub struct Sieve {
    request: FollowRequest,
    /// Lines to leave out of a tail, for those that were not stored yet count too.
    surplus: usize,
    /// No line of this time or later was seen yet.
    since: Option<i64>,
    /// Lines since the stored ones ended.
    lines: usize,
    /// The latest time there was, and how many lines had it: one read of the shim gives all its lines one time.
    latest: (i64, usize),
    again: Again,
    /// After so many more lines nothing is wanted.
    most: Option<usize>,
}

impl Sieve {
    /// One that leaves out the first `surplus` lines.
    pub fn new(request: &FollowRequest, surplus: usize) -> Self {
        let since = request.since_ns;
        let (request, again) = (request.clone(), Again::Nothing);
        Self { request, surplus, since, lines: 0, latest: (0, 0), again, most: None }
    }

    /// From here on only so many lines are wanted, those that come again not counted.
    pub fn limit(&mut self, most: Option<usize>) {
        self.most = most;
    }

    /// The stored lines have ended here: what follows is counted.
    pub fn anchor(&mut self) {
        (self.lines, self.again) = (0, Again::Nothing);
    }

    /// What was counted comes again.
    pub fn repeat(&mut self) {
        self.again = Again::Lines(self.lines);
    }

    /// Lines come again, and where they begin is not known: those up to the latest time are known.
    pub fn repeat_to_latest(&mut self) {
        if !matches!(self.again, Again::Until(..)) && self.latest.1 > 0 {
            self.again = Again::Until(self.latest.0, self.latest.1);
        }
    }

    /// The latest time of a line so far.
    pub fn latest(&self) -> Option<i64> {
        (self.latest.1 > 0).then_some(self.latest.0)
    }

    /// The lines that are given out.
    pub fn choose(&mut self, lines: Arc<Vec<StoredLine>>) -> (Arc<Vec<StoredLine>>, Flow) {
        let mut flow = Flow::Goes;
        // Only where something is left out, the others are copied.
        let mut chosen: Option<Vec<StoredLine>> = None;
        for (nth, line) in lines.iter().enumerate() {
            let fate = self.fate(line);
            if fate == Fate::Given {
                if let Some(chosen) = &mut chosen {
                    chosen.push(line.clone());
                }
                continue;
            }
            chosen.get_or_insert_with(|| lines.get(..nth).unwrap_or_default().to_vec());
            if fate == Fate::Last {
                flow = Flow::Ends;
                break;
            }
        }
        (chosen.map_or(lines, Arc::new), flow)
    }

    fn fate(&mut self, stored: &StoredLine) -> Fate {
        let time_ns = stored.line.time_ns;
        self.lines += 1;
        let repeated = match &mut self.again {
            Again::Lines(left) if *left > 0 => {
                *left -= 1;
                true
            }
            Again::Until(latest, _) if time_ns < *latest => true,
            Again::Until(latest, left) if time_ns == *latest && *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        };
        if repeated {
            return Fate::LeftOut;
        }
        if let Some(most) = &mut self.most {
            match most.checked_sub(1) {
                Some(left) => *most = left,
                None => return Fate::Last,
            }
        }
        match &mut self.latest {
            (latest, count) if *latest == time_ns => *count += 1,
            latest if latest.0 < time_ns || latest.1 == 0 => *latest = (time_ns, 1),
            _ => {}
        }
        if self.surplus > 0 {
            self.surplus -= 1;
            return Fate::LeftOut;
        }
        if self.since.is_some_and(|since| time_ns < since) {
            return Fate::LeftOut;
        }
        self.since = None;
        if self.request.until_ns.is_some_and(|until| time_ns > until) {
            return Fate::Last;
        }
        let wanted = match stored.line.stream {
            Stream::Stdout => self.request.stdout,
            Stream::Stderr => self.request.stderr,
        };
        if wanted { Fate::Given } else { Fate::LeftOut }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::log::LogLine;

    fn lines(times: &[i64]) -> Arc<Vec<StoredLine>> {
        let line = |time_ns: &i64| {
            let stream = if time_ns % 2 == 0 { Stream::Stdout } else { Stream::Stderr };
            let line = LogLine { stream, time_ns: *time_ns, data: "x\n".into(), partial: None };
            StoredLine { line, attrs: Default::default() }
        };
        Arc::new(times.iter().map(line).collect())
    }

    fn sieve(change: impl FnOnce(&mut FollowRequest), surplus: usize) -> Sieve {
        let mut request = FollowRequest { stdout: true, stderr: true, ..FollowRequest::default() };
        change(&mut request);
        Sieve::new(&request, surplus)
    }

    fn given(sieve: &mut Sieve, times: &[i64]) -> Vec<i64> {
        sieve.choose(lines(times)).0.iter().map(|l| l.line.time_ns).collect()
    }

    #[test]
    fn what_is_wanted_whole_is_handed_on_and_not_copied() {
        let all = lines(&[1, 2, 3]);
        let (same, flow) = sieve(|_| (), 0).choose(Arc::clone(&all));
        assert!(Arc::ptr_eq(&all, &same) && flow == Flow::Goes);
    }

    #[test]
    fn since_is_where_reading_begins_and_until_where_it_ends() {
        let mut both = sieve(|r| (r.since_ns, r.until_ns) = (Some(5), Some(9)), 0);
        assert_eq!(given(&mut both, &[1, 4, 5, 3, 8]), [5, 3, 8]);
        let (last, flow) = both.choose(lines(&[2, 9, 10, 7]));
        assert_eq!((last.len(), flow), (2, Flow::Ends));
        let mut out = sieve(|r| r.stderr = false, 2);
        assert_eq!(given(&mut out, &[1, 2, 3, 4, 5, 6]), [4, 6], "both streams count for a tail");
    }

    #[test]
    fn a_tail_ends_with_what_was_there_also_where_some_of_it_comes_again() {
        let mut tail = sieve(|_| (), 1);
        assert_eq!(given(&mut tail, &[1, 2]), [2]);
        tail.anchor();
        tail.limit(Some(3));
        assert_eq!(given(&mut tail, &[3, 4]), [3, 4]);
        tail.repeat();
        let (last, flow) = tail.choose(lines(&[3, 4, 5, 6]));
        assert_eq!((last.len(), last[0].line.time_ns, flow), (1, 5, Flow::Ends));
    }

    #[test]
    fn what_was_given_is_not_given_again() {
        let mut counted = sieve(|_| (), 0);
        given(&mut counted, &[1, 2, 3]);
        counted.anchor();
        given(&mut counted, &[9, 4, 4]);
        counted.repeat();
        assert_eq!(given(&mut counted, &[9, 4, 4, 4, 2]), [4, 2]);
        let mut timed = sieve(|_| (), 0);
        given(&mut timed, &[1, 4, 4]);
        timed.repeat_to_latest();
        assert_eq!(given(&mut timed, &[3, 4, 4, 4, 2, 5]), [4, 5], "what is later is new");
    }
}
