//! Lines that are accounted for one by one: written by `guest ledger`, found in a json-file's files and at receivers.

use crate::daemon::Daemon;
use flate2::read::GzDecoder;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Lines in one write, which the pipe takes whole or not at all; writes go to both streams in turn.
const BLOCK: u64 = 20;

/// Where the writers tell how many lines were taken from them.
#[derive(Debug)]
pub struct Ledger {
    folder: PathBuf,
}

/// A line's place: which run of its writer, and which of that run's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Run, from 0.
    pub run: u32,
    /// Line, from 0.
    pub line: u64,
}

/// The writer and place of a line that is one, to the last letter.
pub fn entry(text: &str) -> Option<(&str, Entry)> {
    let mut words = text.splitn(4, ' ');
    let (name, run, line, rest) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let entry = Entry { run: run.parse().ok()?, line: line.parse().ok()? };
    let whole = run.len() == 3 && line.len() == 8 && rest.len() as u64 == entry.line % 90;
    (whole && rest.bytes().all(|b| b == b'x')).then_some((name, entry))
}

impl Ledger {
    /// In a folder of a daemon's place.
    #[track_caller]
    pub fn new(gantry: &Daemon) -> Self {
        let folder = gantry.place().path("ctl");
        std::fs::create_dir(&folder).expect("make the writers' folder");
        Self { folder }
    }

    /// Options and command of `docker run` for a writer that rests so long between two blocks.
    pub fn writer(&self, name: &str, options: &[&str], rest_us: u64) -> Vec<String> {
        let mount = format!("{}:/ctl", self.folder.display());
        let mut args: Vec<String> = ["run", "-d", "--name", name, "-v", &mount].map(str::to_owned).to_vec();
        args.extend(options.iter().map(|o| (*o).to_owned()));
        args.extend(["busybox", "guest", "ledger", name, &rest_us.to_string()].map(str::to_owned));
        args
    }

    /// Lets all writers end.
    #[track_caller]
    pub fn stop(&self) {
        std::fs::write(self.folder.join("stop"), "").expect("tell the writers to stop");
    }

    /// How many lines were taken of each run of a writer.
    #[track_caller]
    pub fn taken(&self, name: &str) -> Vec<u64> {
        let file = |run: u32| self.folder.join(format!("{name}.{run:03}"));
        let runs = (0..).map(file).take_while(|f| f.exists());
        runs.map(|f| std::fs::read_to_string(f).expect("read a count").parse().unwrap_or(0)).collect()
    }

    /// Each line that was taken from a writer, and no other, once and in order in its json-file log. Answers how many there
    /// are of each run.
    #[track_caller]
    pub fn check_json(&self, gantry: &Daemon, name: &str) -> Vec<u64> {
        let mut account = Account::of(name);
        for file in files(&gantry.log_path(name)) {
            let what = file.display().to_string();
            for record in opened(&file).lines() {
                let record = record.unwrap_or_else(|e| panic!("{what}: {e}"));
                let (text, stderr) =
                    parted(&record).unwrap_or_else(|| panic!("{what}: not a record: {record}"));
                account.take(&what, text, stderr);
            }
        }
        account.close(&self.taken(name))
    }

    /// The same of what `docker logs` gives.
    #[track_caller]
    pub fn check_read_back(&self, gantry: &Daemon, name: &str) -> Vec<u64> {
        let read = gantry.docker(["logs", name]);
        let mut account = Account::of(name);
        read.lines().iter().for_each(|line| account.take("read back", line, false));
        read.stderr.lines().for_each(|line| account.take("read back", line, true));
        account.close(&self.taken(name))
    }
}

/// What was found of one writer.
struct Account<'a> {
    name: &'a str,
    streams: [Sequence; 2],
    counts: BTreeMap<u32, u64>,
}

impl<'a> Account<'a> {
    fn of(name: &'a str) -> Self {
        Self { name, streams: Sequence::both(), counts: BTreeMap::new() }
    }

    #[track_caller]
    fn take(&mut self, what: &str, text: &str, stderr: bool) {
        let (of, at) = entry(text).unwrap_or_else(|| panic!("{what}: not a line of ours: {text:?}"));
        assert_eq!(of, self.name, "{what}");
        self.streams[usize::from(stderr)].next(at).unwrap_or_else(|e| panic!("{of}, {what}: {e}"));
        *self.counts.entry(at.run).or_default() += 1;
    }

    #[track_caller]
    fn close(self, taken: &[u64]) -> Vec<u64> {
        let count = |run: usize| self.counts.get(&(run as u32)).copied().unwrap_or(0);
        let counts: Vec<u64> = (0..taken.len()).map(count).collect();
        assert_eq!(counts.iter().sum::<u64>(), self.counts.values().sum::<u64>(), "runs that never were");
        for (run, (found, taken)) in counts.iter().zip(taken).enumerate() {
            // A writer that was killed may not have told of its last block.
            let whole = found == taken || *found == taken + BLOCK;
            assert!(whole, "{}, run {run}: {found} lines of {taken}", self.name);
        }
        counts
    }
}

/// The files of a json-file log, oldest first.
fn files(log: &Path) -> Vec<PathBuf> {
    let numbered = |n: u32, suffix: &str| PathBuf::from(format!("{}.{n}{suffix}", log.display()));
    let older = (1..).map_while(|n| [".gz", ""].map(|s| numbered(n, s)).into_iter().find(|f| f.exists()));
    let mut files: Vec<PathBuf> = older.collect();
    files.reverse();
    files.push(log.to_owned());
    files
}

fn opened(path: &Path) -> Box<dyn BufRead> {
    // One that is being compressed is there until its archive is.
    let archive = PathBuf::from(format!("{}.gz", path.display()));
    let found = File::open(path).map(|file| (file, path));
    let found = found.or_else(|e| File::open(&archive).map(|file| (file, &*archive)).map_err(|_| e));
    let (file, found) = found.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let packed = found.extension().is_some_and(|e| e == "gz");
    let content: Box<dyn Read> = if packed { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
    Box::new(BufReader::new(content))
}

/// A record's text without its end, and whether it is of standard error. Our texts have nothing to escape.
fn parted(record: &str) -> Option<(&str, bool)> {
    let (text, rest) = record.strip_prefix("{\"log\":\"")?.split_once("\\n\",\"stream\":\"")?;
    let stderr = rest.starts_with("stderr\",\"time\":\"");
    let whole = (stderr || rest.starts_with("stdout\",\"time\":\"")) && rest.ends_with("Z\"}");
    whole.then_some((text, stderr))
}

/// The lines of one stream, one after the other.
#[derive(Debug, Clone)]
pub struct Sequence {
    /// The first line of each run on this stream.
    first: u64,
    last: Option<Entry>,
}

impl Sequence {
    fn new(first: u64) -> Self {
        Self { first, last: None }
    }

    /// Standard output's and standard error's.
    pub fn both() -> [Self; 2] {
        [Self::new(0), Self::new(BLOCK)]
    }

    /// Any line may be the first.
    pub fn anywhere(&mut self, entry: Entry) -> Result<(), String> {
        if self.last.is_none() {
            self.last = Some(entry);
            return Ok(());
        }
        self.next(entry)
    }

    /// The next line: neither one that was there before nor one before which another is missing.
    pub fn next(&mut self, entry: Entry) -> Result<(), String> {
        let begins = entry.line == self.first;
        let follows = match self.last {
            None => begins,
            Some(last) if last.run == entry.run => {
                let step = if last.line % BLOCK == BLOCK - 1 { BLOCK + 1 } else { 1 };
                entry.line == last.line + step
            }
            Some(last) => last.run < entry.run && begins,
        };
        if !follows {
            return Err(format!("{entry:?} after {:?}", self.last));
        }
        self.last = Some(entry);
        Ok(())
    }
}

/// Which lines of which writers one receiver has.
#[derive(Debug, Default)]
pub struct Received {
    runs: BTreeMap<(String, u32), Vec<u64>>,
    /// Lines that came again.
    pub again: u64,
    /// Texts that are not whole: what a connection broke off.
    pub torn: u64,
}

impl Received {
    /// Notes a text.
    pub fn note(&mut self, text: &str) {
        let Some((name, Entry { run, line })) = entry(text) else {
            self.torn += 1;
            return;
        };
        let bits = self.runs.entry((name.to_owned(), run)).or_default();
        let (word, bit) = ((line / 64) as usize, 1 << (line % 64));
        if bits.len() <= word {
            bits.resize(word + 1, 0);
        }
        self.again += u64::from(bits[word] & bit != 0);
        bits[word] |= bit;
    }

    /// The lines of a writer, so many of each run, that are not there.
    pub fn missing(&self, name: &str, counts: &[u64]) -> Vec<Entry> {
        let mut missing = Vec::new();
        for (run, count) in (0..).zip(counts) {
            let bits = self.runs.get(&(name.to_owned(), run)).map_or(&[][..], Vec::as_slice);
            let has = |line: u64| bits.get((line / 64) as usize).is_some_and(|w| w & (1 << (line % 64)) != 0);
            missing.extend((0..*count).filter(|l| !has(*l)).map(|line| Entry { run, line }));
        }
        missing
    }
}
