//! Lines that come again though they stand in the files: a batch with a rotation in it is written in parts, and was broken off
//! after one of them. Under other options the same output may come in other lines; so it is known by its text.

use super::commit::Commit;
use contract::log::{LogLine, Stream};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::cmp::Ordering;

/// What was written of each stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Texts {
    stdout: Text,
    stderr: Text,
}

/// A text, in whatever lines it comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Text {
    bytes: u64,
    sum: u32,
}

/// What follows a line's data.
fn end(line: &LogLine) -> &'static [u8] {
    if line.partial.as_ref().is_none_or(|p| p.last) { b"\n" } else { b"" }
}

impl Text {
    fn with(self, more: &[u8]) -> Self {
        let mut sum = crc32fast::Hasher::new_with_initial(self.sum);
        sum.update(more);
        Self { bytes: self.bytes + more.len() as u64, sum: sum.finalize() }
    }

    /// In which of the lines it ends, and after how many bytes of that; `None` where they do not begin with it.
    fn ends_in<'a>(self, lines: impl Iterator<Item = (usize, &'a LogLine)>) -> Option<(usize, usize)> {
        if self == Self::default() {
            return Some((0, 0));
        }
        let mut so_far = Self::default();
        for (index, line) in lines {
            let left = self.bytes.saturating_sub(so_far.bytes);
            match line.data.get(..usize::try_from(left).unwrap_or(usize::MAX)) {
                Some(part) if part.len() < line.data.len() + end(line).len() => {
                    return (so_far.with(part) == self).then_some((index, part.len()));
                }
                _ => so_far = so_far.with(&line.data).with(end(line)),
            }
            if so_far.bytes == self.bytes {
                return (so_far == self).then_some((index + 1, 0));
            }
        }
        None
    }
}

impl Texts {
    fn of(&mut self, stream: Stream) -> &mut Text {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    /// Whether nothing is known.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A line was written.
    pub(crate) fn add(&mut self, line: &LogLine) {
        let text = self.of(line.stream);
        *text = text.with(&line.data).with(end(line));
    }

    /// What comes next of a stream is not what was written.
    pub(crate) fn forget(&mut self, stream: Stream) {
        *self.of(stream) = Text::default();
    }
}

/// A batch without what already stands in the files.
pub(crate) struct Again<'a> {
    pub(crate) lines: Cow<'a, [LogLine]>,
    /// Lines that stand there,
    pub(crate) ahead: u64,
    /// and their text.
    pub(crate) texts: Texts,
}

impl<'a> Again<'a> {
    /// What of `lines` is still to be written. Those of a stream that do not begin with what was written all are: better
    /// twice than not at all.
    pub(crate) fn of(at: &Commit, lines: &'a [LogLine]) -> Self {
        let mut texts = at.texts;
        if at.ahead == 0 || texts.is_empty() {
            // Gantry knew them by their number alone before.
            let done = usize::try_from(at.ahead).unwrap_or(usize::MAX).min(lines.len());
            lines.iter().take(done).for_each(|line| texts.add(line));
            let rest = lines.get(done..).unwrap_or_default();
            return Self { lines: Cow::Borrowed(rest), ahead: at.ahead, texts };
        }
        let mut begin = |stream: Stream| {
            let own = lines.iter().enumerate().filter(|(_, line)| line.stream == stream);
            texts.of(stream).ends_in(own).unwrap_or_else(|| {
                texts.forget(stream);
                (0, 0)
            })
        };
        let (stdout, stderr) = (begin(Stream::Stdout), begin(Stream::Stderr));
        let rest = lines.iter().enumerate().filter_map(|(index, line)| {
            let (first, used) = if line.stream == Stream::Stdout { stdout } else { stderr };
            match index.cmp(&first) {
                Ordering::Less => None,
                Ordering::Equal => Some(LogLine { data: line.data.slice(used..), ..line.clone() }),
                Ordering::Greater => Some(line.clone()),
            }
        });
        let ahead = if texts.is_empty() { 0 } else { at.ahead };
        Self { lines: Cow::Owned(rest.collect()), ahead, texts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::log::Partial;

    fn line(stream: Stream, text: &str, partial: Option<Partial>) -> LogLine {
        LogLine { stream, time_ns: 0, data: text.to_owned().into(), partial }
    }

    fn out(text: &str) -> LogLine {
        line(Stream::Stdout, text, None)
    }

    fn piece(text: &str, ordinal: u32, last: bool) -> LogLine {
        line(Stream::Stdout, text, Some(Partial { id: "p".into(), ordinal, last }))
    }

    /// What is left of lines where others were written.
    fn left(written: &[LogLine], lines: &[LogLine]) -> Vec<String> {
        let mut at = Commit { ahead: written.len() as u64, ..Commit::default() };
        written.iter().for_each(|line| at.texts.add(line));
        let text = |line: &LogLine| String::from_utf8(line.data.to_vec()).unwrap();
        Again::of(&at, lines).lines.iter().map(text).collect()
    }

    #[test]
    fn what_was_written_is_known_however_it_is_cut_when_it_comes_again() {
        let apart = [out("a"), out("b"), out(""), out("c")];
        let joined = [out("a\nb\n"), out("c")];
        assert_eq!(left(&apart[..2], &apart), ["", "c"]);
        assert_eq!(left(&apart[..2], &joined), ["", "c"], "the rest of a record");
        assert_eq!(left(&joined[..1], &apart), ["c"]);
        let pieces = [piece("xx", 1, false), piece("yy", 2, true), out("z")];
        assert_eq!(left(&pieces[..1], &[out("xxyy"), out("z")]), ["yy", "z"]);
        assert_eq!(left(&pieces[..1], &[out("xx"), out("z")]), ["", "z"], "its end is not there yet");
        assert_eq!(left(&[out("xxyy")], &pieces), ["z"]);
        let errors = [line(Stream::Stderr, "e", None), out("a")];
        assert_eq!(left(&errors, &[out("a"), out("b"), line(Stream::Stderr, "e", None)]), ["b"]);
    }

    #[test]
    fn lines_of_which_it_is_not_sure_that_they_were_written_are_not_left_out() {
        // They were counted: of lines that came joined, too many were left out.
        assert_eq!(left(&[out("a"), out("b")], &[out("a"), out("x"), out("c")]), ["a", "x", "c"]);
        assert_eq!(left(&[out("a"), out("b")], &[out("a")]), ["a"]);
        let errors = [line(Stream::Stderr, "e", None), line(Stream::Stderr, "f", None)];
        assert_eq!(left(&[out("a"), errors[0].clone()], &[out("a"), errors[1].clone()]), ["f"]);
    }

    #[test]
    fn what_an_earlier_gantry_noted_is_a_number() {
        let at = Commit { ahead: 2, ..Commit::default() };
        let lines = ["a", "b", "c"].map(out);
        let again = Again::of(&at, &lines);
        assert_eq!((again.lines.len(), again.ahead), (1, 2));
        let mut texts = Texts::default();
        lines.iter().take(2).for_each(|line| texts.add(line));
        assert_eq!(again.texts, texts);
    }
}
