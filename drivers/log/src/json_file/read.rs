//! Finding records again in a json-file. What gantry and Docker write is read without a general parser; any other JSON
//! record is left to one.

use crate::file::read::scan::LONGEST;
use crate::file::{RecordParser, Step};
use contract::log::{LogLine, StoredLine, Stream};
use memchr::{memchr, memmem};
use serde::Deserialize;
use std::collections::BTreeMap;

/// How records begin; inside of one its quotes would be escaped.
const BEGIN: &[u8] = b"{\"log\":\"";

#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    log: String,
    stream: Stream,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
    time: String,
}

impl Record {
    fn line(self) -> Option<StoredLine> {
        let time: jiff::Timestamp = self.time.parse().ok()?;
        let time_ns = i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX);
        let line =
            LogLine { stream: self.stream, time_ns, data: self.log.into_bytes().into(), partial: None };
        Some(StoredLine { line, attrs: self.attrs })
    }
}

/// Parses JSON lines.
pub(crate) struct JsonParser;

impl RecordParser for JsonParser {
    fn next(bytes: &[u8], last: bool) -> Step {
        let (text, whole) = match memchr(b'\n', bytes) {
            Some(lf) => (bytes.get(..lf).unwrap_or_default(), lf + 1),
            None if bytes.is_empty() || (!last && bytes.len() <= LONGEST) => return Step::Need,
            None => (bytes, bytes.len()),
        };
        if let Some(line) = plain(text) {
            return Step::Record(whole, line);
        }
        // Its end, or the LF behind it, may be lost: then another record can follow in the same text.
        let mut values = serde_json::Deserializer::from_slice(text).into_iter::<Record>();
        if let Some(line) = values.next().and_then(Result::ok).and_then(Record::line) {
            let used = values.byte_offset();
            return Step::Record(if used == text.len() { whole } else { used }, line);
        }
        let next = text.get(1..).and_then(|rest| memmem::find(rest, BEGIN)).map(|at| at + 1);
        Step::Damaged(next.unwrap_or(whole))
    }
}

/// A record in exactly the form it is written, without attributes.
fn plain(text: &[u8]) -> Option<StoredLine> {
    let (data, rest) = string(text.strip_prefix(BEGIN)?)?;
    let rest = rest.strip_prefix(b",\"stream\":\"std")?;
    let (stream, rest) = match rest.split_at_checked(4)? {
        (b"out\"", rest) => (Stream::Stdout, rest),
        (b"err\"", rest) => (Stream::Stderr, rest),
        _ => return None,
    };
    let time_ns = time(rest.strip_prefix(b",\"time\":\"")?.strip_suffix(b"\"}")?)?;
    let line = LogLine { stream, time_ns, data: data.into(), partial: None };
    Some(StoredLine { line, attrs: BTreeMap::new() })
}

/// A string's text, and what follows its closing quote.
fn string(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut out = Vec::new();
    loop {
        let stop = memchr::memchr2(b'"', b'\\', bytes)?;
        let (run, rest) = bytes.split_at_checked(stop)?;
        std::str::from_utf8(run).ok()?;
        if run.iter().any(|b| *b < b' ') {
            return None;
        }
        let (&mark, rest) = rest.split_first()?;
        if mark == b'"' {
            out.extend_from_slice(run);
            return Some((out, rest));
        }
        if out.is_empty() {
            // Most often what is escaped is the LF at the end.
            out.reserve_exact(run.len() + 1);
        }
        out.extend_from_slice(run);
        let (&escaped, rest) = rest.split_first()?;
        bytes = rest;
        match escaped {
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'"' | b'\\' | b'/' => out.push(escaped),
            b'u' => {
                let (digits, rest) = bytes.split_at_checked(4)?;
                let digits = std::str::from_utf8(digits).ok().filter(|d| !d.starts_with('+'))?;
                // Halves of pairs are rare and left to the general parser.
                let letter = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                bytes = rest;
            }
            _ => return None,
        }
    }
}

/// Nanoseconds since the epoch of `2006-01-02T15:04:05[.fraction]Z`.
fn time(text: &[u8]) -> Option<i64> {
    let text = text.strip_suffix(b"Z")?;
    let (second, fraction) = text.split_at_checked(19)?;
    let number = |from: usize, to: usize| {
        second
            .get(from..to)?
            .iter()
            .try_fold(0i64, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
    };
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|(at, mark)| second.get(*at) != Some(mark)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, seconds) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    // What does not exist is left to the general parser to refuse.
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || seconds > 59 || year < 1970 || (day > 28 && !exists(year, month, day)) {
        return None;
    }
    let nanos = match fraction.split_first() {
        None => 0,
        Some((b'.', digits)) if (1..=9).contains(&digits.len()) => {
            let mut scale = 1_000_000_000;
            digits.iter().try_fold(0i64, |n, b| {
                scale /= 10;
                b.is_ascii_digit().then(|| n + i64::from(b - b'0') * scale)
            })?
        }
        Some(_) => return None,
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + seconds;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// Days since the epoch (days-from-civil on the proleptic calendar).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn exists(year: i64, month: i64, day: i64) -> bool {
    match month {
        2 => day == 29 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0),
        4 | 6 | 9 | 11 => day <= 30,
        _ => day <= 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn general(text: &[u8]) -> Option<StoredLine> {
        serde_json::from_slice::<Record>(text).ok().and_then(Record::line)
    }

    fn all(bytes: &[u8]) -> (Vec<String>, usize) {
        let (mut at, mut lines, mut damaged) = (0, Vec::new(), 0);
        loop {
            match JsonParser::next(&bytes[at..], true) {
                Step::Record(n, line) => {
                    lines.push(String::from_utf8(line.line.data.to_vec()).unwrap());
                    at += n;
                }
                Step::Damaged(n) => {
                    damaged += n;
                    at += n;
                }
                Step::Need => return (lines, damaged),
            }
        }
    }

    fn record(text: &str) -> String {
        format!("{{\"log\":\"{text}\\n\",\"stream\":\"stdout\",\"time\":\"2024-02-29T01:02:03.04Z\"}}\n")
    }

    #[test]
    fn a_record_behind_half_a_line_or_zeroes_is_found() {
        let (a, b, c) = (record("a"), record("b"), record("c"));
        let torn = format!("{a}{}{b}{}{c}", &b[..20], "\0".repeat(50));
        assert_eq!(all(torn.as_bytes()), (vec!["a\n".into(), "b\n".into(), "c\n".into()], 70));
        let joined = format!("{}{b}", a.trim_end());
        assert_eq!(all(joined.as_bytes()), (vec!["a\n".into(), "b\n".into()], 0));
        let attributes = "{\"log\":\"x\\n\",\"stream\":\"stderr\",\"attrs\":{\"k\":\"v\"},\"time\":\"2024-01-01T00:00:00+02:00\"}";
        assert_eq!(all(attributes.as_bytes()), (vec!["x\n".into()], 0));
    }

    proptest! {
        #[test]
        fn what_is_read_the_short_way_is_what_the_general_parser_reads(
            text in "\\PC{0,20}", cut in any::<prop::sample::Index>(), byte: u8, time in 0..4_000_000_000_000_000_000i64,
        ) {
            let mut out = b"{\"log\":\"".to_vec();
            super::super::escape(text.as_bytes(), &mut out);
            let time = jiff::Timestamp::from_nanosecond(i128::from(time)).unwrap();
            out.extend_from_slice(format!("\\n\",\"stream\":\"stderr\",\"time\":\"{time}\"}}").as_bytes());
            prop_assert!(plain(&out).is_some());
            prop_assert_eq!(plain(&out), general(&out));
            let place = cut.index(out.len());
            out[place] = byte;
            if let Some(line) = plain(&out) {
                prop_assert_eq!(Some(line), general(&out));
            }
        }
    }
}
