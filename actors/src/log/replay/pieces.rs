//! Stored lines on their way back to what drivers take.

use contract::log::{LogLine, Partial, StoredLine, Stream};

/// Which line of each stream goes on. Stores tell it by a missing LF alone.
#[derive(Debug, Default)]
pub struct Pieces {
    stdout: Option<(String, u32)>,
    stderr: Option<(String, u32)>,
    made: u64,
}

impl Pieces {
    /// The line as it was delivered first.
    pub fn line(&mut self, stored: StoredLine, seed: &str) -> LogLine {
        let LogLine { stream, time_ns, mut data, .. } = stored.line;
        let ends = data.last() == Some(&b'\n');
        if ends {
            data.truncate(data.len() - 1);
        }
        let open = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let partial = match (open.take(), ends) {
            (None, true) => None,
            (held, last) => {
                let (id, ordinal) = held.unwrap_or_else(|| {
                    self.made += 1;
                    (format!("{}{:016x}", seed.get(..48).unwrap_or_default(), self.made), 1)
                });
                if !last {
                    *open = Some((id.clone(), ordinal + 1));
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
}
