//! Stored lines as `logs` sends them.

use super::hijack::stream;
use bytes::Bytes;
use contract::log::StoredLine;
use std::fmt::Write as _;
use wire::stdcopy;

/// What a line takes besides its text, mostly.
const ROOM: usize = 48;

/// What a client wants to see of each line.
#[derive(Debug, Clone, Copy)]
pub struct Dress {
    /// A tty's lines are raw, others framed.
    pub tty: bool,
    /// Prefix with the time.
    pub timestamps: bool,
    /// Prefix with the attributes.
    pub details: bool,
}

/// Lines on the wire: each with optional time, optional attributes, text.
pub fn encode(lines: &[StoredLine], dress: Dress) -> Bytes {
    let mut out = Vec::with_capacity(lines.iter().map(|l| l.line.data.len() + ROOM).sum());
    let mut prefix = String::new();
    for StoredLine { line, attrs } in lines {
        prefix.clear();
        if dress.timestamps {
            prefix.push_str(&timestamp(line.time_ns));
            prefix.push(' ');
        }
        if dress.details {
            // As Docker: the space is there without attributes, too.
            let shown: Vec<String> =
                attrs.iter().map(|(k, v)| format!("{}={}", escape(k), escape(v))).collect();
            prefix.push_str(&shown.join(","));
            prefix.push(' ');
        }
        if !dress.tty {
            out.extend_from_slice(&stdcopy::head(stream(line.stream), prefix.len() + line.data.len()));
        }
        out.extend_from_slice(prefix.as_bytes());
        out.extend_from_slice(&line.data);
    }
    out.into()
}

/// What ends a response whose lines could not be read on, as Docker writes it.
pub fn broken(cause: &str, dress: Dress) -> Bytes {
    let text = format!("Error grabbing logs: {cause}\n");
    match dress.tty {
        true => text.into(),
        false => stdcopy::frame(stdcopy::Stream::System, text.as_bytes()).into(),
    }
}

/// RFC 3339 with exactly nine digits of fraction, as Docker prints log times.
fn timestamp(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(ns)).map_or_else(|_| String::new(), |t| format!("{t:.9}"))
}

/// As in a query.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            // Writing to a String cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::log::{LogLine, Stream};
    use std::collections::BTreeMap;

    #[test]
    fn a_line_carries_its_time_with_nine_digits() {
        let line = LogLine {
            stream: Stream::Stderr,
            time_ns: 1_500_000_000,
            data: Bytes::from("x\n"),
            partial: None,
        };
        let stored = StoredLine { line, attrs: BTreeMap::new() };
        let sent = encode(&[stored], Dress { tty: false, timestamps: true, details: false });
        assert_eq!(&sent[..], b"\x02\0\0\0\0\0\0\x211970-01-01T00:00:01.500000000Z x\n");
    }

    #[test]
    fn an_error_amid_the_lines_is_told_in_the_response_and_does_not_break_it_off() {
        let dress = |tty| Dress { tty, timestamps: true, details: true };
        assert_eq!(&broken("gone", dress(false))[..], b"\x03\0\0\0\0\0\0\x1aError grabbing logs: gone\n");
        assert_eq!(&broken("gone", dress(true))[..], b"Error grabbing logs: gone\n");
    }

    #[test]
    fn details_stand_before_a_line_as_docker_writes_them_and_a_space_where_there_are_none() {
        let line = LogLine { stream: Stream::Stdout, time_ns: 0, data: Bytes::from("x\n"), partial: None };
        let attrs = BTreeMap::from([("a".to_owned(), "1 & 2".to_owned()), ("b".to_owned(), "~".to_owned())]);
        let with = |attrs| StoredLine { line: line.clone(), attrs };
        let lines = [with(attrs), with(BTreeMap::new())];
        let sent = encode(&lines, Dress { tty: true, timestamps: false, details: true });
        assert_eq!(&sent[..], b"a=1+%26+2,b=~ x\n x\n");
    }
}
