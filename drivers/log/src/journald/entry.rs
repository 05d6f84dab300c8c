//! One journal entry in the native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL), with Docker's fields.

use contract::log::{LogLine, LogSource, Stream};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Writes entries, numbering them.
pub(super) struct Writer {
    /// The fields that are the same in each entry, written out.
    head: Vec<u8>,
    ordinal: u64,
}

/// A field's name out of a label's or variable's: upper case, other characters as `_`, none at the front (moby
/// `sanitizeKeyMod`; the journal drops fields that begin with one).
fn name(key: &str) -> String {
    let upper = key.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    upper.collect::<String>().trim_start_matches('_').to_owned()
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

impl Writer {
    /// `epoch` tells this opening of the driver from others.
    pub(super) fn new(
        source: &LogSource,
        tag: &str,
        attributes: &BTreeMap<String, String>,
        epoch: &str,
    ) -> Self {
        let mut head = Vec::new();
        let id = source.container_id.as_str();
        for (name, value) in [
            ("CONTAINER_ID", id.get(..12).unwrap_or(id)),
            ("CONTAINER_ID_FULL", id),
            ("CONTAINER_NAME", &source.container_name),
            ("CONTAINER_TAG", tag),
            ("IMAGE_NAME", &source.image_name),
            ("SYSLOG_IDENTIFIER", tag),
            ("CONTAINER_LOG_EPOCH", epoch),
        ] {
            field(&mut head, name, value.as_bytes());
        }
        for (key, value) in attributes.iter().map(|(k, v)| (name(k), v)).filter(|(k, _)| !k.is_empty()) {
            field(&mut head, &key, value.as_bytes());
        }
        Self { head, ordinal: 0 }
    }

    /// The entry of `line`, in place of what was in `out`.
    pub(super) fn entry(&mut self, line: &LogLine, out: &mut Vec<u8>) {
        self.ordinal += 1;
        out.clear();
        field(out, "PRIORITY", if line.stream == Stream::Stderr { b"3" } else { b"6" });
        out.extend_from_slice(&self.head);
        field(out, "CONTAINER_LOG_ORDINAL", self.ordinal.to_string().as_bytes());
        let time = Timestamp::from_nanosecond(line.time_ns.into()).unwrap_or_default();
        field(out, "SYSLOG_TIMESTAMP", time.to_string().as_bytes());
        if let Some(partial) = &line.partial {
            field(out, "CONTAINER_PARTIAL_ID", partial.id.as_bytes());
            field(out, "CONTAINER_PARTIAL_ORDINAL", partial.ordinal.to_string().as_bytes());
            field(out, "CONTAINER_PARTIAL_LAST", if partial.last { b"true" } else { b"false" });
            if !partial.last {
                field(out, "CONTAINER_PARTIAL_MESSAGE", b"true");
            }
        }
        field(out, "MESSAGE", &line.data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::log::Partial;

    #[test]
    fn an_entry_has_dockers_fields_and_values_with_line_ends_have_their_length() {
        let source = LogSource { container_id: "0123456789abcdef".into(), ..LogSource::default() };
        let attributes = [("__app.name".to_owned(), "shop".to_owned())].into();
        let mut writer = Writer::new(&source, "t", &attributes, "e");
        let partial = Some(Partial { id: "p".into(), ordinal: 1, last: false });
        let line = LogLine { stream: Stream::Stderr, time_ns: 1_500_000_000, data: "a\nb".into(), partial };
        let mut out = Vec::new();
        writer.entry(&line, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("PRIORITY=3\nCONTAINER_ID=0123456789ab\nCONTAINER_ID_FULL=0123456789abcdef\n")
        );
        assert!(text.contains("\nAPP_NAME=shop\n") && text.contains("\nCONTAINER_LOG_ORDINAL=1\n"));
        assert!(text.contains("\nSYSLOG_TIMESTAMP=1970-01-01T00:00:01.5Z\nCONTAINER_PARTIAL_ID=p\n"));
        assert!(
            text.ends_with("\nCONTAINER_PARTIAL_MESSAGE=true\nMESSAGE\n\u{3}\0\0\0\0\0\0\0a\nb\n"),
            "{text:?}"
        );
    }
}
