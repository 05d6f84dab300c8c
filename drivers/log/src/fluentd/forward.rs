//! Messages of the Fluentd forward protocol, version 1: one tag, many entries, one option map. The entries are an array
//! (Forward mode) or lie one after the other in a gzip stream (CompressedPackedForward mode).

use crate::gzip::{gzip, level};
use contract::log::{LogLine, Stream};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};
use std::collections::BTreeMap;

/// How the time of an entry is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Precision {
    /// Whole seconds, an integer.
    Second,
    /// `EventTime`: extension type 0, seconds and nanoseconds as 32-bit big-endian numbers.
    Nanosecond,
}

/// How the entries of a message are laid down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// One by one.
    Plain,
    /// Compressed together.
    Gzip,
}

/// What is the same in each entry.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) tag: String,
    pub(super) container_id: String,
    /// With its leading slash.
    pub(super) container_name: String,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) precision: Precision,
    pub(super) packing: Packing,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Time {
    Whole(i64),
    Event(Event),
}

/// Text where it is text, else binary, so that no byte is changed.
#[derive(Serialize)]
#[serde(untagged)]
enum Field<'a> {
    Text(&'a str),
    Binary(&'a Bytes),
}

impl<'a> From<&'a [u8]> for Field<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        std::str::from_utf8(bytes).map_or_else(|_| Self::Binary(Bytes::new(bytes)), Self::Text)
    }
}

/// The name by which rmp-serde knows an extension.
#[derive(Serialize)]
#[serde(rename = "_ExtStruct")]
struct Event((i8, ByteBuf));

#[derive(Serialize)]
struct Options<'a> {
    size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compressed: Option<&'a str>,
}

/// A receiver's confirmation of a chunk.
#[derive(Debug, Deserialize)]
pub(super) struct Ack {
    pub(super) ack: String,
}

impl Head {
    fn time(&self, ns: i64) -> Time {
        let seconds = ns.div_euclid(1_000_000_000);
        if self.precision == Precision::Second {
            return Time::Whole(seconds);
        }
        let mut bytes = u32::try_from(seconds).unwrap_or(0).to_be_bytes().to_vec();
        let rest = u32::try_from(ns.rem_euclid(1_000_000_000)).unwrap_or(0);
        bytes.extend_from_slice(&rest.to_be_bytes());
        Time::Event(Event((0, ByteBuf::from(bytes))))
    }

    fn record<'a>(&'a self, line: &'a LogLine, ordinal: &'a str) -> BTreeMap<&'a str, Field<'a>> {
        let text = |text: &'a str| Field::Text(text);
        let mut record: BTreeMap<&str, Field<'_>> = BTreeMap::new();
        record.insert("container_id", text(&self.container_id));
        record.insert("container_name", text(&self.container_name));
        record.insert("source", text(if line.stream == Stream::Stderr { "stderr" } else { "stdout" }));
        record.insert("log", Field::from(&*line.data));
        record.extend(self.attributes.iter().map(|(key, value)| (key.as_str(), text(value))));
        if let Some(partial) = &line.partial {
            record.insert("partial_message", text("true"));
            record.insert("partial_id", text(&partial.id));
            record.insert("partial_ordinal", text(ordinal));
            record.insert("partial_last", text(if partial.last { "true" } else { "false" }));
        }
        record
    }

    /// One message with all `lines`; `chunk` asks for a confirmation under that name.
    pub(super) fn message(
        &self,
        lines: &[LogLine],
        chunk: Option<&str>,
    ) -> Result<Vec<u8>, rmp_serde::encode::Error> {
        let ordinals: Vec<String> = lines
            .iter()
            .map(|l| l.partial.as_ref().map_or_else(String::new, |p| p.ordinal.to_string()))
            .collect();
        let entries: Vec<_> =
            lines.iter().zip(&ordinals).map(|(l, n)| (self.time(l.time_ns), self.record(l, n))).collect();
        let mut out = Vec::new();
        let mut writer = rmp_serde::Serializer::new(&mut out).with_struct_map();
        let size = entries.len();
        match self.packing {
            Packing::Plain => {
                (&self.tag, &entries, Options { size, chunk, compressed: None }).serialize(&mut writer)?;
            }
            Packing::Gzip => {
                let mut packed = Vec::new();
                let mut inner = rmp_serde::Serializer::new(&mut packed).with_struct_map();
                for entry in &entries {
                    entry.serialize(&mut inner)?;
                }
                let packed = gzip(&packed, level(-1)).map_err(rmp_serde::encode::Error::custom)?;
                let options = Options { size, chunk, compressed: Some("gzip") };
                (&self.tag, ByteBuf::from(packed), options).serialize(&mut writer)?;
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::log::Partial;

    fn head(precision: Precision) -> Head {
        Head {
            tag: "t".into(),
            container_id: "c".into(),
            container_name: "/n".into(),
            attributes: [("app".to_owned(), "web".to_owned())].into(),
            precision,
            packing: Packing::Plain,
        }
    }

    #[test]
    fn a_message_is_a_tag_entries_and_options() {
        let line =
            LogLine { stream: Stream::Stderr, time_ns: 1_000_000_007, data: "x".into(), partial: None };
        let bytes = head(Precision::Second).message(&[line], Some("id")).unwrap();
        let mut expected = b"\x93\xa1t\x91\x92\x01\x85\xa3app\xa3web\xaccontainer_id\xa1c".to_vec();
        expected.extend_from_slice(b"\xaecontainer_name\xa2/n\xa3log\xa1x\xa6source\xa6stderr");
        expected.extend_from_slice(b"\x82\xa4size\x01\xa5chunk\xa2id");
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_time_with_nanoseconds_is_the_protocols_extension() {
        let partial = Some(Partial { id: "p".into(), ordinal: 2, last: true });
        let line =
            LogLine { stream: Stream::Stdout, time_ns: 1_000_000_007, data: vec![0xff].into(), partial };
        let bytes = head(Precision::Nanosecond).message(&[line], None).unwrap();
        let text = bytes.windows(10).any(|w| w == b"\xd7\x00\x00\x00\x00\x01\x00\x00\x00\x07");
        assert!(text, "{bytes:x?}");
        // Bytes that are no text go as binary, unharmed.
        assert!(bytes.windows(7).any(|w| w == b"\xa3log\xc4\x01\xff"), "{bytes:x?}");
        assert!(bytes.windows(17).any(|w| w == b"partial_ordinal\xa12"), "{bytes:x?}");
    }

    #[test]
    fn compressed_entries_lie_one_after_the_other() {
        let line = |data: &'static str| LogLine {
            stream: Stream::Stderr,
            time_ns: 1_000_000_007,
            data: data.into(),
            partial: None,
        };
        let packed = Head { packing: Packing::Gzip, ..head(Precision::Second) };
        let bytes = packed.message(&[line("x"), line("y")], Some("id")).unwrap();
        // A tag of one byte, then bytes with a length of one byte.
        assert_eq!(bytes[..4], *b"\x93\xa1t\xc4");
        let entries = &bytes[5..5 + usize::from(bytes[4])];
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(entries), &mut plain).unwrap();
        let one = |text: &[u8]| {
            let mut out = b"\x92\x01\x85\xa3app\xa3web\xaccontainer_id\xa1c".to_vec();
            out.extend_from_slice(b"\xaecontainer_name\xa2/n\xa3log\xa1");
            out.extend_from_slice(text);
            out.extend_from_slice(b"\xa6source\xa6stderr");
            out
        };
        assert_eq!(plain, [one(b"x"), one(b"y")].concat());
        assert!(bytes.ends_with(b"\x83\xa4size\x02\xa5chunk\xa2id\xaacompressed\xa4gzip"), "{bytes:x?}");
    }
}
