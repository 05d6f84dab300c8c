//! Finding records again in a json-file.

use crate::file::read::Bytes;
use crate::file::{RecordParser, Step};
use contract::log::{LogLine, StoredLine, Stream};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;

/// Longer than any record gantry or Docker writes; something longer is not a record.
const LONGEST: usize = 8 << 20;
const CHUNK: u64 = 64 * 1024;

#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    log: String,
    stream: Stream,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
    time: String,
}

/// Parses JSON lines.
pub(crate) struct JsonParser;

impl RecordParser for JsonParser {
    fn next(bytes: &[u8]) -> Step {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            return if bytes.len() > LONGEST { Step::Record(bytes.len(), None) } else { Step::Need };
        };
        let record = bytes.get(..end).and_then(|text| serde_json::from_slice::<Record>(text).ok());
        let line = record.and_then(|record| {
            let time: jiff::Timestamp = record.time.parse().ok()?;
            Some(Box::new(StoredLine {
                line: LogLine {
                    stream: record.stream,
                    time_ns: i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX),
                    data: record.log.into_bytes().into(),
                    partial: None,
                },
                attrs: record.attrs,
            }))
        });
        Step::Record(end + 1, line)
    }

    fn tail(source: &Bytes, end: u64, wanted: usize) -> io::Result<(u64, usize)> {
        let mut found = 0;
        let mut at = end;
        let mut buffer = vec![0; CHUNK as usize];
        // The LF that ends the last record begins nothing.
        while at > 0 {
            let from = at.saturating_sub(CHUNK);
            let chunk = buffer.get_mut(..(at - from) as usize).unwrap_or_default();
            let n = source.read_at(chunk, from)?;
            for lf in memchr::memrchr_iter(b'\n', chunk.get(..n).unwrap_or_default()) {
                let next = from + lf as u64 + 1;
                if next == end {
                    continue;
                }
                found += 1;
                if found == wanted {
                    return Ok((next, found));
                }
            }
            at = from;
        }
        Ok((0, found + usize::from(end > 0)))
    }
}
