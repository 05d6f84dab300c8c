//! The encoder: runs of ordinary bytes are copied whole, and a second's text is made once.

use crate::file::RecordFormat;
use contract::log::{LogLine, Stream};
use std::collections::BTreeMap;

/// Writes records as Docker's `jsonlog` does.
pub(crate) struct JsonLines {
    attrs: Vec<u8>,
    second: i64,
    second_text: [u8; 19],
}

impl JsonLines {
    pub(crate) fn new(attrs: &BTreeMap<String, String>) -> Self {
        let mut text = Vec::new();
        if !attrs.is_empty() {
            text.extend_from_slice(b",\"attrs\":{");
            for (index, (key, value)) in attrs.iter().enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                text.push(b'"');
                escape(key.as_bytes(), &mut text);
                text.extend_from_slice(b"\":\"");
                escape(value.as_bytes(), &mut text);
                text.push(b'"');
            }
            text.push(b'}');
        }
        Self { attrs: text, second: i64::MIN, second_text: [0; 19] }
    }

    fn time(&mut self, time_ns: i64, out: &mut Vec<u8>) {
        let (second, nanos) = (time_ns.div_euclid(1_000_000_000), time_ns.rem_euclid(1_000_000_000));
        if second != self.second {
            self.second = second;
            self.second_text = second_text(second);
        }
        out.extend_from_slice(&self.second_text);
        if nanos != 0 {
            let mut digits = [b'0'; 9];
            let mut rest = nanos;
            for digit in digits.iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
            let kept = digits.iter().rposition(|d| *d != b'0').map_or(0, |last| last + 1);
            out.push(b'.');
            out.extend_from_slice(digits.get(..kept).unwrap_or_default());
        }
        out.push(b'Z');
    }
}

impl RecordFormat for JsonLines {
    fn encode(&mut self, line: &LogLine, out: &mut Vec<u8>) {
        out.reserve(line.data.len() + self.attrs.len() + 96);
        out.extend_from_slice(b"{\"log\":\"");
        escape(&line.data, out);
        if line.partial.as_ref().is_none_or(|p| p.last) {
            out.extend_from_slice(b"\\n");
        }
        out.extend_from_slice(match line.stream {
            Stream::Stdout => b"\",\"stream\":\"stdout\"",
            Stream::Stderr => b"\",\"stream\":\"stderr\"",
        });
        out.extend_from_slice(&self.attrs);
        out.extend_from_slice(b",\"time\":\"");
        self.time(line.time_ns, out);
        out.extend_from_slice(b"\"}\n");
    }
}

/// `2006-01-02T15:04:05` of a second since the epoch (civil-from-days on the proleptic calendar).
fn second_text(second: i64) -> [u8; 19] {
    let (days, of_day) = (second.div_euclid(86_400), second.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let d = |n: i64, unit: i64| b'0' + (n / unit % 10) as u8;
    let (h, m, s) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    [
        d(year, 1000),
        d(year, 100),
        d(year, 10),
        d(year, 1),
        b'-',
        d(month, 10),
        d(month, 1),
        b'-',
        d(day, 10),
        d(day, 1),
        b'T',
        d(h, 10),
        d(h, 1),
        b':',
        d(m, 10),
        d(m, 1),
        b':',
        d(s, 10),
        d(s, 1),
    ]
}

/// Bytes that cannot be copied as they are; 0xE2 may begin U+2028 or U+2029.
#[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 0x20 {
        table[b] = true;
        b += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table[b'<' as usize] = true;
    table[b'>' as usize] = true;
    table[b'&' as usize] = true;
    table[0xE2] = true;
    table
};

fn special(byte: u8) -> bool {
    SPECIAL.get(usize::from(byte)).copied().unwrap_or(true)
}

/// True when none of the eight bytes needs a closer look.
fn plain(word: [u8; 8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let x = u64::from_ne_bytes(word);
    let zero = |v: u64| v.wrapping_sub(ONES) & !v;
    let same = |b: u8| zero(x ^ (ONES * b as u64));
    // `>` and `<` differ in one bit, so one comparison finds both.
    let angle = zero((x | (ONES * 2)) ^ (ONES * b'>' as u64));
    let control = x.wrapping_sub(ONES * 0x20) & !x;
    (x | control | same(b'"') | same(b'\\') | same(b'&') | angle) & HIGH == 0
}

pub(crate) fn escape(data: &[u8], out: &mut Vec<u8>) {
    let words = data.chunks_exact(8);
    let ordinary = words.remainder().iter().all(|b| !special(*b) && b.is_ascii())
        && words.clone().all(|w| w.try_into().is_ok_and(plain));
    if ordinary {
        out.extend_from_slice(data);
        return;
    }
    for chunk in data.utf8_chunks() {
        escape_text(chunk.valid().as_bytes(), out);
        // Go decodes byte by byte: one replacement for each.
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

fn escape_text(mut text: &[u8], out: &mut Vec<u8>) {
    loop {
        let mut run = 0;
        while let Some(word) = text.get(run..).and_then(|t| t.first_chunk::<8>()).filter(|w| plain(**w)) {
            run += word.len();
        }
        run += text.iter().skip(run).take_while(|b| !special(**b)).count();
        let Some((ordinary, rest)) = text.split_at_checked(run) else { return };
        out.extend_from_slice(ordinary);
        let Some((&byte, after)) = rest.split_first() else { return };
        text = after;
        match (byte, after) {
            (b'"' | b'\\', _) => out.extend_from_slice(&[b'\\', byte]),
            (b'\n', _) => out.extend_from_slice(b"\\n"),
            (b'\r', _) => out.extend_from_slice(b"\\r"),
            (0xE2, [0x80, last @ (0xA8 | 0xA9), rest @ ..]) => {
                out.extend_from_slice(if *last == 0xA8 { b"\\u2028" } else { b"\\u2029" });
                text = rest;
            }
            (0xE2, _) => out.push(byte),
            _ => {
                let hex = |n: u8| if n < 10 { b'0' + n } else { b'a' + n - 10 };
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[hex(byte >> 4), hex(byte & 15)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::log::Partial;
    use proptest::prelude::*;

    fn record(data: &[u8], time_ns: i64, partial: Option<Partial>) -> String {
        let mut out = Vec::new();
        let line = LogLine { stream: Stream::Stdout, time_ns, data: data.to_vec().into(), partial };
        JsonLines::new(&BTreeMap::new()).encode(&line, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn records_are_dockers_bytes() {
        assert_eq!(
            record(b"a\"b\\c<d>&\t\r\x7f", 1_700_000_000_120_000_000, None),
            "{\"log\":\"a\\\"b\\\\c\\u003cd\\u003e\\u0026\\u0009\\r\x7f\\n\",\"stream\":\"stdout\",\"time\":\"2023-11-14T22:13:20.12Z\"}\n"
        );
        assert_eq!(
            record("é\u{2028}\u{2029}€".as_bytes(), 0, None),
            "{\"log\":\"é\\u2028\\u2029€\\n\",\"stream\":\"stdout\",\"time\":\"1970-01-01T00:00:00Z\"}\n"
        );
        let open = Partial { id: "x".into(), ordinal: 1, last: false };
        assert_eq!(
            record(b"\xff\xfe\xe2\x82x", 951_782_400_000_000_001, Some(open)),
            "{\"log\":\"\\ufffd\\ufffd\\ufffd\\ufffdx\",\"stream\":\"stdout\",\"time\":\"2000-02-29T00:00:00.000000001Z\"}\n"
        );
    }

    proptest! {
        #[test]
        fn any_text_reads_back(text in "\\PC*|[\\x00-\\x7f]{0,40}", time in 0..4_000_000_000_000_000_000i64) {
            let line = record(text.as_bytes(), time, None);
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(value["log"].as_str().unwrap(), format!("{text}\n"));
            let stamp: jiff::Timestamp = value["time"].as_str().unwrap().parse().unwrap();
            prop_assert_eq!(stamp.as_nanosecond(), i128::from(time));
        }
    }
}
