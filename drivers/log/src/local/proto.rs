//! The record: length, `LogEntry` message, length again. The message is small and frozen, so it is coded by hand.

use crate::file::read::Bytes;
use crate::file::{RecordFormat, RecordParser, Step};
use contract::log::{LogLine, Partial, StoredLine, Stream};
use std::collections::BTreeMap;
use std::io;

const LONGEST: u32 = 1_000_000;

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

fn parse(mut bytes: &[u8]) -> Option<StoredLine> {
    let mut stream = Stream::Stdout;
    let (mut time_ns, mut data, mut partial, mut unfinished) = (0, Vec::new(), None, false);
    let mut attrs = BTreeMap::new();
    while !bytes.is_empty() {
        match read_field(&mut bytes)? {
            (1, Field::Bytes(b"stderr")) => stream = Stream::Stderr,
            (2, Field::Number(n)) => time_ns = n as i64,
            (3, Field::Bytes(b)) => data = b.to_vec(),
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
    if !unfinished && partial.as_ref().is_none_or(|p| p.last) {
        data.push(b'\n');
    }
    Some(StoredLine { line: LogLine { stream, time_ns, data: data.into(), partial }, attrs })
}

/// Parses entries.
pub(crate) struct EntryParser;

impl RecordParser for EntryParser {
    fn next(bytes: &[u8]) -> Step {
        let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Step::Need };
        let length = u32::from_be_bytes(*head);
        if length > LONGEST {
            return Step::Broken;
        }
        let length = length as usize;
        let Some(body) = rest.get(..length) else { return Step::Need };
        match rest.get(length..length + 4) {
            None => Step::Need,
            Some(foot) if foot != head => Step::Broken,
            Some(_) => Step::Record(length + 8, parse(body).map(Box::new)),
        }
    }

    fn tail(source: &Bytes, end: u64, wanted: usize) -> io::Result<(u64, usize)> {
        let (mut at, mut found) = (end, 0);
        while found < wanted && at >= 8 {
            let mut foot = [0; 4];
            source.read_at(&mut foot, at - 4)?;
            let length = u64::from(u32::from_be_bytes(foot)) + 8;
            if length > at {
                break;
            }
            at -= length;
            found += 1;
        }
        Ok((at, found))
    }
}
