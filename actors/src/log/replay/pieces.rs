//! Stored lines on their way back to what drivers take.

use contract::log::{LogLine, Partial, StoredLine, Stream};

/// Which line of each stream goes on. Some stores tell it by a missing LF alone, and so does text that a container wrote
/// last: what belongs together has one time, and one identity where the store keeps it.
#[derive(Debug, Default)]
pub struct Pieces {
    stdout: Option<Open>,
    stderr: Option<Open>,
    made: u64,
}

/// A line of which pieces may follow.
#[derive(Debug)]
struct Open {
    id: String,
    /// Place of the next piece.
    ordinal: u32,
    time_ns: i64,
    /// Its identity where it was read.
    stored: Option<String>,
}

impl Open {
    fn goes_on_with(&self, line: &LogLine) -> bool {
        let same = match (&self.stored, &line.partial) {
            (Some(id), Some(partial)) => *id == partial.id,
            // The rest of a line may be read where it is known how it goes on.
            (None, Some(partial)) => partial.ordinal > 1,
            (_, None) => true,
        };
        same && self.time_ns == line.time_ns
    }
}

impl Pieces {
    /// The line as it was delivered first.
    pub fn line(&mut self, stored: StoredLine, seed: &str) -> LogLine {
        let line = stored.line;
        let ended = line.data.last() == Some(&b'\n');
        let last = line.partial.as_ref().map_or(ended, |partial| partial.last);
        let open = match line.stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let held = open.take().filter(|held| held.goes_on_with(&line));
        let LogLine { stream, time_ns, mut data, partial: known } = line;
        if ended && last {
            data.truncate(data.len() - 1);
        }
        let partial = match (held, last) {
            (None, true) => None,
            (held, last) => {
                let (id, ordinal) = held.map(|held| (held.id, held.ordinal)).unwrap_or_else(|| {
                    self.made += 1;
                    (format!("{}{:016x}", seed.get(..48).unwrap_or_default(), self.made), 1)
                });
                if !last {
                    let stored = known.map(|known| known.id);
                    *open = Some(Open { id: id.clone(), ordinal: ordinal + 1, time_ns, stored });
                }
                Some(Partial { id, ordinal, last })
            }
        };
        LogLine { stream, time_ns, data, partial }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_long_line_belong_together_again() {
        let mut pieces = Pieces::default();
        let mut next = |stream, text: &str| {
            let line = LogLine { stream, time_ns: 1, data: text.to_owned().into(), partial: None };
            let line = pieces.line(StoredLine { line, attrs: Default::default() }, &"a".repeat(64));
            (String::from_utf8(line.data.to_vec()).unwrap(), line.partial)
        };
        assert_eq!(next(Stream::Stdout, "one\n"), ("one".into(), None));
        let (_, first) = next(Stream::Stdout, "long");
        assert_eq!(next(Stream::Stderr, "other\n").1, None);
        let (text, second) = next(Stream::Stdout, " line\n");
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!(text, " line");
        assert_eq!((first.ordinal, first.last, first.id.len()), (1, false, 64));
        assert_eq!((second.ordinal, second.last, second.id), (2, true, first.id));
        assert_eq!(next(Stream::Stdout, "end\n").1, None);
    }

    fn read(pieces: &mut Pieces, time_ns: i64, text: &str, partial: Option<Partial>) -> LogLine {
        let line = LogLine { stream: Stream::Stdout, time_ns, data: text.to_owned().into(), partial };
        pieces.line(StoredLine { line, attrs: Default::default() }, &"a".repeat(64))
    }

    #[test]
    fn text_that_a_container_wrote_last_is_not_joined_with_the_first_line_of_its_next_run() {
        let mut pieces = Pieces::default();
        let prompt = read(&mut pieces, 1, "password: ", None).partial.unwrap();
        assert_eq!((prompt.ordinal, prompt.last), (1, false));
        let next = read(&mut pieces, 2, "started\n", None);
        assert_eq!((&next.data[..], next.partial), (&b"started"[..], None));
        let other = read(&mut pieces, 3, "again ", None).partial.unwrap();
        assert_ne!(other.id, prompt.id);
    }

    #[test]
    fn a_record_that_says_where_it_stands_in_its_line_is_believed() {
        let piece = |id: &str, ordinal, last| Some(Partial { id: id.into(), ordinal, last });
        let mut pieces = Pieces::default();
        let first = read(&mut pieces, 1, "a\n", piece("x", 1, false));
        assert_eq!(&first.data[..], b"a\n", "an LF in the middle of a line");
        // Docker's files have no LF there.
        let last = read(&mut pieces, 1, "b", piece("x", 2, true)).partial.unwrap();
        assert_eq!((last.ordinal, last.last, last.id), (2, true, first.partial.unwrap().id));
        let first = read(&mut pieces, 1, "c", piece("y", 1, false)).partial.unwrap();
        let other = read(&mut pieces, 1, "d", piece("z", 1, false)).partial.unwrap();
        assert_eq!(other.ordinal, 1);
        assert_ne!(other.id, first.id);
    }
}
