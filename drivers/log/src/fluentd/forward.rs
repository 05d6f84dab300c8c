//! Messages of the Fluentd forward protocol, version 1, in PackedForward mode: one tag, the entries one after the other in
//! one binary value, an option map. Compressed, that value is a gzip stream (CompressedPackedForward mode).
//!
//! Most of an entry is the same in all of a container's lines, so it is encoded once and copied.

use crate::gzip::{gzip, level};
use contract::log::{LogLine, Partial, Stream};
use rmp::encode::{write_bin, write_map_len, write_sint, write_str, write_uint};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;

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
    /// As they are.
    Plain,
    /// Compressed.
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

/// A receiver's confirmation of a chunk.
#[derive(Debug, Deserialize)]
pub(super) struct Ack {
    pub(super) ack: String,
}

/// An array of two: time and record.
const ENTRY: u8 = 0x92;
/// An array of three: tag, entries, options.
const MESSAGE: u8 = 0x93;
/// An extension of eight bytes and type 0.
const EVENT_TIME: [u8; 2] = [0xd7, 0];
/// Binary with a length of 32 bits.
const BINARY: u8 = 0xc6;
const PIECE: [&str; 4] = ["partial_message", "partial_id", "partial_ordinal", "partial_last"];

/// The fields of a stream's records that do not change, after the head of the map that they begin.
struct Fields {
    whole: Vec<u8>,
    /// For pieces of long lines, which have fields of their own.
    piece: Vec<u8>,
}

impl Fields {
    fn new(head: &Head, source: &str) -> io::Result<Self> {
        let mut all: BTreeMap<&str, &str> = [
            ("container_id", head.container_id.as_str()),
            ("container_name", &head.container_name),
            ("source", source),
        ]
        .into();
        all.extend(head.attributes.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        let log = u32::from(!all.contains_key("log"));
        let whole = constant(&all, log)?;
        all.retain(|key, _| !PIECE.contains(key));
        Ok(Self { whole, piece: constant(&all, log + PIECE.len() as u32)? })
    }
}

/// A map's head and first fields; so many more follow.
fn constant(fields: &BTreeMap<&str, &str>, more: u32) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    write_map_len(&mut out, fields.len() as u32 + more)?;
    for (key, value) in fields {
        write_str(&mut out, key)?;
        write_str(&mut out, value)?;
    }
    Ok(out)
}

/// Makes messages.
pub(super) struct Encoder {
    head: Head,
    stdout: Fields,
    stderr: Fields,
    entries: Vec<u8>,
}

impl Encoder {
    pub(super) fn new(head: Head) -> io::Result<Self> {
        let (stdout, stderr) = (Fields::new(&head, "stdout")?, Fields::new(&head, "stderr")?);
        Ok(Self { head, stdout, stderr, entries: Vec::new() })
    }

    /// Appends one message with all `lines`; `chunk` asks for a confirmation under that name.
    pub(super) fn message(
        &mut self,
        lines: &[LogLine],
        chunk: Option<&str>,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        out.push(MESSAGE);
        write_str(out, &self.head.tag)?;
        match self.head.packing {
            Packing::Plain => {
                out.extend_from_slice(&[BINARY, 0, 0, 0, 0]);
                let begin = out.len();
                self.append(lines, out)?;
                let length = u32::try_from(out.len() - begin).map_err(io::Error::other)?;
                if let Some(place) = out.get_mut(begin - 4..begin) {
                    place.copy_from_slice(&length.to_be_bytes());
                }
            }
            Packing::Gzip => {
                let mut entries = std::mem::take(&mut self.entries);
                entries.clear();
                self.append(lines, &mut entries)?;
                write_bin(out, &gzip(&entries, level(-1))?)?;
                self.entries = entries;
            }
        }
        let compressed = self.head.packing == Packing::Gzip;
        write_map_len(out, 1 + u32::from(chunk.is_some()) + u32::from(compressed))?;
        write_str(out, "size")?;
        write_uint(out, lines.len() as u64)?;
        for (key, value) in [("chunk", chunk), ("compressed", compressed.then_some("gzip"))] {
            if let Some(value) = value {
                write_str(out, key)?;
                write_str(out, value)?;
            }
        }
        Ok(())
    }

    fn append(&self, lines: &[LogLine], out: &mut Vec<u8>) -> io::Result<()> {
        let own_log = !self.head.attributes.contains_key("log");
        for line in lines {
            let fields = if line.stream == Stream::Stderr { &self.stderr } else { &self.stdout };
            out.reserve(fields.piece.len() + line.data.len() + 256);
            out.push(ENTRY);
            time(self.head.precision, line.time_ns, out)?;
            match &line.partial {
                None => out.extend_from_slice(&fields.whole),
                Some(partial) => {
                    out.extend_from_slice(&fields.piece);
                    piece(partial, out)?;
                }
            }
            if own_log {
                write_str(out, "log")?;
                // Text where it is text, else binary, so that no byte is changed.
                match std::str::from_utf8(&line.data) {
                    Ok(text) => write_str(out, text)?,
                    Err(_) => write_bin(out, &line.data)?,
                }
            }
        }
        Ok(())
    }
}

fn time(precision: Precision, ns: i64, out: &mut Vec<u8>) -> io::Result<()> {
    let seconds = ns.div_euclid(1_000_000_000);
    match precision {
        Precision::Second => drop(write_sint(out, seconds)?),
        Precision::Nanosecond => {
            let rest = u32::try_from(ns.rem_euclid(1_000_000_000)).unwrap_or(0);
            out.extend_from_slice(&EVENT_TIME);
            out.extend_from_slice(&u32::try_from(seconds).unwrap_or(0).to_be_bytes());
            out.extend_from_slice(&rest.to_be_bytes());
        }
    }
    Ok(())
}

fn piece(partial: &Partial, out: &mut Vec<u8>) -> io::Result<()> {
    let ordinal = partial.ordinal.to_string();
    let last = if partial.last { "true" } else { "false" };
    for (key, value) in PIECE.into_iter().zip(["true", &partial.id, &ordinal, last]) {
        write_str(out, key)?;
        write_str(out, value)?;
    }
    Ok(())
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

    fn message(head: Head, lines: &[LogLine], chunk: Option<&str>) -> Vec<u8> {
        let mut out = Vec::new();
        Encoder::new(head).unwrap().message(lines, chunk, &mut out).unwrap();
        out
    }

    #[test]
    fn a_message_is_a_tag_entries_and_options() {
        let line =
            LogLine { stream: Stream::Stderr, time_ns: 1_000_000_007, data: "x".into(), partial: None };
        let bytes = message(head(Precision::Second), &[line], Some("id"));
        let mut expected = b"\x93\xa1t\xc6\0\0\0\x40\x92\x01\x85\xa3app\xa3web\xaccontainer_id\xa1c".to_vec();
        expected.extend_from_slice(b"\xaecontainer_name\xa2/n\xa6source\xa6stderr\xa3log\xa1x");
        expected.extend_from_slice(b"\x82\xa4size\x01\xa5chunk\xa2id");
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_time_with_nanoseconds_is_the_protocols_extension() {
        let partial = Some(Partial { id: "p".into(), ordinal: 2, last: true });
        let line =
            LogLine { stream: Stream::Stdout, time_ns: 1_000_000_007, data: vec![0xff].into(), partial };
        let bytes = message(head(Precision::Nanosecond), &[line], None);
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
        let bytes = message(packed, &[line("x"), line("y")], Some("id"));
        // A tag of one byte, then bytes with a length of one byte.
        assert_eq!(bytes[..4], *b"\x93\xa1t\xc4");
        let entries = &bytes[5..5 + usize::from(bytes[4])];
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(entries), &mut plain).unwrap();
        let one = |text: &[u8]| {
            let mut out = b"\x92\x01\x85\xa3app\xa3web\xaccontainer_id\xa1c".to_vec();
            out.extend_from_slice(b"\xaecontainer_name\xa2/n\xa6source\xa6stderr\xa3log\xa1");
            out.extend_from_slice(text);
            out
        };
        assert_eq!(plain, [one(b"x"), one(b"y")].concat());
        assert!(bytes.ends_with(b"\x83\xa4size\x02\xa5chunk\xa2id\xaacompressed\xa4gzip"), "{bytes:x?}");
    }

    #[test]
    fn attributes_take_the_place_of_fields_and_fields_of_pieces_theirs() {
        let attributes = [("log", "own"), ("source", "label"), ("partial_id", "label")];
        let attributes: BTreeMap<_, _> =
            attributes.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let fields = |partial| {
            let line = LogLine { stream: Stream::Stdout, time_ns: 0, data: "x".into(), partial };
            let head = Head { attributes: attributes.clone(), ..head(Precision::Second) };
            let mut out = Vec::new();
            Encoder::new(head).unwrap().append(&[line], &mut out).unwrap();
            rmp_serde::from_slice::<(i64, BTreeMap<String, String>)>(&out).unwrap().1
        };
        let text =
            |fields: &BTreeMap<String, String>, key: &str| fields.get(key).cloned().unwrap_or_default();
        let whole = fields(None);
        assert_eq!(["log", "source", "partial_id"].map(|k| text(&whole, k)), ["own", "label", "label"]);
        assert_eq!(whole.len(), 5);
        let piece = fields(Some(Partial { id: "p".into(), ordinal: 1, last: false }));
        assert_eq!(["log", "partial_id", "partial_last"].map(|k| text(&piece, k)), ["own", "p", "false"]);
        assert_eq!(piece.len(), 8);
    }
}
