//! The record: length, `LogEntry` message, length again. The message is small and frozen, so it is coded by hand.

use crate::file::read::scan::LONGEST;
use crate::file::{RecordFormat, RecordParser, Step};
use contract::log::{LogLine, Partial, StoredLine, Stream};
use std::collections::BTreeMap;

/// How each entry begins: its first field is the source, `stdout` or `stderr`.
const BEGIN: &[u8] = b"\x0a\x06std";
/// Bytes of a length.
const LENGTH: usize = 4;

/// Writes entries.
pub(crate) struct Entries {
    pub(crate) attrs: BTreeMap<String, String>,
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn field(number: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(number << 3 | 2);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn number(field: u8, value: u64, out: &mut Vec<u8>) {
    if value != 0 {
        out.push(field << 3);
        varint(value, out);
    }
}

/// Appends a line's `LogEntry`, without attributes. Docker marks pieces as partial in two ways: all of them where plugins
/// read, all but the last in files.
pub(crate) fn entry(line: &LogLine, partial: bool, out: &mut Vec<u8>) {
    field(1, if line.stream == Stream::Stdout { b"stdout" } else { b"stderr" }, out);
    number(2, line.time_ns as u64, out);
    if !line.data.is_empty() {
        field(3, &line.data, out);
    }
    number(4, u64::from(partial), out);
    if let Some(partial) = &line.partial {
        let mut inner = Vec::with_capacity(80);
        number(1, u64::from(partial.last), &mut inner);
        field(2, partial.id.as_bytes(), &mut inner);
        number(3, u64::from(partial.ordinal), &mut inner);
        field(5, &inner, out);
    }
}

impl RecordFormat for Entries {
    fn encode(&mut self, line: &LogLine, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        entry(line, line.partial.as_ref().is_some_and(|partial| !partial.last), out);
        for (key, value) in &self.attrs {
            let mut inner = Vec::with_capacity(key.len() + value.len() + 8);
            field(1, key.as_bytes(), &mut inner);
            field(2, value.as_bytes(), &mut inner);
            field(6, &inner, out);
        }
        let length = ((out.len() - start - 4) as u32).to_be_bytes();
        if let Some(head) = out.get_mut(start..start + 4) {
            head.copy_from_slice(&length);
        }
        out.extend_from_slice(&length);
    }
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn read_field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let key = read_varint(bytes)?;
    let skip = |bytes: &mut &'a [u8], n: usize| {
        let (head, rest) = bytes.split_at_checked(n)?;
        *bytes = rest;
        Some(head)
    };
    let value = match key & 7 {
        0 => Field::Number(read_varint(bytes)?),
        1 => Field::Bytes(skip(bytes, 8)?),
        2 => {
            let length = usize::try_from(read_varint(bytes)?).ok()?;
            Field::Bytes(skip(bytes, length)?)
        }
        5 => Field::Bytes(skip(bytes, 4)?),
        _ => return None,
    };
    Some((key >> 3, value))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A `LogEntry` as it stands.
pub(crate) struct Entry {
    pub(crate) data: Vec<u8>,
    /// It says that its line goes on.
    pub(crate) unfinished: bool,
    pub(crate) partial: Option<Partial>,
    stream: Stream,
    time_ns: i64,
    attrs: BTreeMap<String, String>,
}

impl Entry {
    pub(crate) fn stored(self) -> StoredLine {
        let Self { data, partial, stream, time_ns, attrs, .. } = self;
        StoredLine { line: LogLine { stream, time_ns, data: data.into(), partial }, attrs }
    }
}

/// Reads a `LogEntry`; its text has an LF unless the entry says that it goes on.
fn parse(bytes: &[u8]) -> Option<StoredLine> {
    let mut entry = read_entry(bytes)?;
    if !entry.unfinished && entry.partial.as_ref().is_none_or(|p| p.last) {
        entry.data.push(b'\n');
    }
    Some(entry.stored())
}

/// Reads a `LogEntry`; its text has room for an LF.
pub(crate) fn read_entry(mut bytes: &[u8]) -> Option<Entry> {
    let mut stream = Stream::Stdout;
    let (mut time_ns, mut data, mut partial, mut unfinished) = (0, Vec::new(), None, false);
    let mut attrs = BTreeMap::new();
    while !bytes.is_empty() {
        match read_field(&mut bytes)? {
            (1, Field::Bytes(b"stderr")) => stream = Stream::Stderr,
            (2, Field::Number(n)) => time_ns = n as i64,
            (3, Field::Bytes(b)) => {
                data = Vec::with_capacity(b.len() + 1);
                data.extend_from_slice(b);
            }
            (4, Field::Number(n)) => unfinished = n != 0,
            (5, Field::Bytes(mut inner)) => {
                let mut found = Partial { id: String::new(), ordinal: 0, last: false };
                while !inner.is_empty() {
                    match read_field(&mut inner)? {
                        (1, Field::Number(n)) => found.last = n != 0,
                        (2, Field::Bytes(b)) => found.id = text(b),
                        (3, Field::Number(n)) => found.ordinal = n as u32,
                        _ => {}
                    }
                }
                partial = Some(found);
            }
            (6, Field::Bytes(mut inner)) => {
                let (mut key, mut value) = (String::new(), String::new());
                while !inner.is_empty() {
                    match read_field(&mut inner)? {
                        (1, Field::Bytes(b)) => key = text(b),
                        (2, Field::Bytes(b)) => value = text(b),
                        _ => {}
                    }
                }
                attrs.insert(key, value);
            }
            _ => {}
        }
    }
    Some(Entry { data, unfinished, partial, stream, time_ns, attrs })
}

/// Parses entries.
pub(crate) struct EntryParser;

/// What stands at the start of some bytes.
enum Start {
    Entry(usize, StoredLine),
    Unfinished,
    Other,
}

fn look(bytes: &[u8], last: bool) -> Start {
    let Some((head, rest)) = bytes.split_first_chunk::<LENGTH>() else { return Start::Unfinished };
    let length = u32::from_be_bytes(*head) as usize;
    let known = rest.len().min(BEGIN.len());
    if !(BEGIN.len()..=LONGEST).contains(&length) || rest.get(..known) != BEGIN.get(..known) {
        return Start::Other;
    }
    let (Some(body), Some(foot)) = (rest.get(..length), rest.get(length..length + LENGTH)) else {
        return Start::Unfinished;
    };
    let Some(line) = parse(body).filter(|_| foot == head) else { return Start::Other };
    let used = length + 2 * LENGTH;
    if !last && bytes.len() < used + LENGTH + BEGIN.len() {
        return Start::Unfinished;
    }
    // What is missing of a foot, the next entry's head may have supplied: all of it where both are of one length.
    let begins = |at: usize| bytes.get(at + LENGTH..).is_some_and(|next| next.starts_with(BEGIN));
    let taken = (1..=LENGTH).find(|taken| !begins(used) && begins(used - taken));
    Start::Entry(used - taken.unwrap_or(0), line)
}

impl RecordParser for EntryParser {
    fn next(bytes: &[u8], last: bool) -> Step {
        match look(bytes, last) {
            Start::Entry(used, line) => return Step::Record(used, line),
            Start::Unfinished if !last || bytes.is_empty() => return Step::Need,
            _ => {}
        }
        // A line's text holds no LF, so this stands nowhere but at an entry's beginning.
        let place = bytes.get(LENGTH + 1..).and_then(|rest| memchr::memmem::find(rest, BEGIN));
        match place {
            Some(place) => Step::Damaged(place + 1),
            None if last => Step::Damaged(bytes.len()),
            // The next one may have begun.
            None => match bytes.len().checked_sub(LENGTH + BEGIN.len() - 1).filter(|n| *n > 0) {
                Some(passed) => Step::Damaged(passed),
                None => Step::Need,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Vec<u8> {
        let data = text.as_bytes().to_vec().into();
        let line = LogLine { stream: Stream::Stderr, time_ns: 5, data, partial: None };
        let mut out = Vec::new();
        Entries { attrs: BTreeMap::new() }.encode(&line, &mut out);
        out
    }

    #[test]
    fn an_entry_whose_foot_is_cut_takes_no_byte_of_the_next() {
        // Lengths of 256 and 512 end in a zero byte, as every length begins with one.
        for text in (200..520).map(|length| "x".repeat(length)) {
            for (missing, next) in (1..=LENGTH).flat_map(|n| [(n, "next"), (n, &text)]) {
                let mut bytes = record(&text);
                bytes.truncate(bytes.len() - missing);
                let whole = bytes.len();
                bytes.extend(record(next));
                let mut at = 0;
                while at < whole {
                    match EntryParser::next(&bytes[at..], true) {
                        Step::Damaged(n) | Step::Record(n, _) => at += n,
                        Step::Need => panic!("no more is needed"),
                    }
                }
                assert_eq!(at, whole, "{missing} bytes of a foot of {}", whole + missing - 2 * LENGTH);
            }
        }
    }

    #[test]
    fn behind_a_wrong_length_the_next_entry_is_found() {
        let mut bytes = record("first");
        bytes[2] = 0x7f;
        let damaged = bytes.len();
        bytes.extend(record("second"));
        let mut at = 0;
        while let Step::Damaged(n) = EntryParser::next(&bytes[at..], true) {
            at += n;
        }
        assert_eq!(at, damaged);
        let Step::Record(used, line) = EntryParser::next(&bytes[at..], true) else { panic!() };
        assert_eq!((&line.line.data[..], at + used), (&b"second\n"[..], bytes.len()));
    }
}
