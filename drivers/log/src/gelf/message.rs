//! GELF 1.1 messages, with Docker's fields in Docker's order.

use crate::json_file::escape;
use crate::template::hostname;
use contract::log::{LogLine, LogSource, Stream};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Makes messages.
pub(super) struct Writer {
    /// Up to the text.
    head: Vec<u8>,
    /// What follows the level.
    tail: Vec<u8>,
}

fn text(value: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escape(value.as_bytes(), out);
    out.push(b'"');
}

impl Writer {
    pub(super) fn new(source: &LogSource, tag: &str, attributes: &BTreeMap<String, String>) -> Self {
        let created = Timestamp::from_nanosecond(source.created_ns.into()).unwrap_or_default().to_string();
        let mut fields: BTreeMap<String, &str> = BTreeMap::from([
            ("_container_id".to_owned(), source.container_id.as_str()),
            ("_container_name".to_owned(), &source.container_name),
            ("_image_id".to_owned(), &source.image_id),
            ("_image_name".to_owned(), &source.image_name),
            ("_command".to_owned(), &source.command),
            ("_tag".to_owned(), tag),
            ("_created".to_owned(), &created),
        ]);
        for (key, value) in attributes {
            let name = if key.starts_with('_') { key.clone() } else { format!("_{key}") };
            fields.insert(name, value);
        }
        let mut head = b"{\"version\":\"1.1\",\"host\":".to_vec();
        text(&hostname(), &mut head);
        head.extend_from_slice(b",\"short_message\":\"");
        let mut tail = Vec::new();
        for (name, value) in fields {
            tail.push(b',');
            text(&name, &mut tail);
            tail.push(b':');
            text(value, &mut tail);
        }
        Self { head, tail }
    }

    /// Appends the message for `line`.
    pub(super) fn append(&self, line: &LogLine, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        escape(&line.data, out);
        let level = if line.stream == Stream::Stderr { 3 } else { 6 };
        let time = seconds(line.time_ns);
        out.extend_from_slice(format!("\",\"timestamp\":{time},\"level\":{level}").as_bytes());
        out.extend_from_slice(&self.tail);
        if let Some(partial) = &line.partial {
            out.extend_from_slice(b",\"_partial_message\":\"true\",\"_partial_id\":");
            text(&partial.id, out);
            let rest = format!(
                ",\"_partial_ordinal\":\"{}\",\"_partial_last\":\"{}\"",
                partial.ordinal, partial.last
            );
            out.extend_from_slice(rest.as_bytes());
        }
        out.push(b'}');
    }
}

/// A time to the millisecond as Go writes the number: without zeros at its end.
fn seconds(time_ns: i64) -> String {
    let (second, milli) = (time_ns.div_euclid(1_000_000_000), time_ns.rem_euclid(1_000_000_000) / 1_000_000);
    let text = format!("{second}.{milli:03}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::log::Partial;

    #[test]
    fn a_message_has_dockers_fields() {
        let source = LogSource {
            container_id: "c1".into(),
            container_name: "web".into(),
            image_id: "sha256:1".into(),
            image_name: "busybox".into(),
            command: "sh -c 'a <b>'".into(),
            created_ns: 1_704_164_645_000_042_000,
            ..LogSource::default()
        };
        let attributes = [("app", "shop"), ("_own", "1"), ("z", "\"")];
        let attributes = attributes.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let writer = Writer::new(&source, "c1", &attributes);
        let mut line = LogLine {
            stream: Stream::Stderr,
            time_ns: 1_704_164_645_120_999_000,
            data: "say \"x\"".into(),
            partial: None,
        };
        let mut out = Vec::new();
        writer.append(&line, &mut out);
        let host = hostname();
        let wanted = format!(
            concat!(
                r#"{{"version":"1.1","host":"{host}","short_message":"say \"x\"","timestamp":1704164645.12,"level":3,"#,
                r#""_app":"shop","_command":"sh -c 'a \u003cb\u003e'","_container_id":"c1","_container_name":"web","#,
                r#""_created":"2024-01-02T03:04:05.000042Z","_image_id":"sha256:1","_image_name":"busybox","#,
                r#""_own":"1","_tag":"c1","_z":"\""}}"#
            ),
            host = host
        );
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
        (line.stream, line.partial) =
            (Stream::Stdout, Some(Partial { id: "p".into(), ordinal: 2, last: true }));
        let mut out = Vec::new();
        writer.append(&line, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("\"level\":6,"), "{text}");
        let partial =
            r#","_partial_message":"true","_partial_id":"p","_partial_ordinal":"2","_partial_last":"true"}"#;
        assert!(text.ends_with(partial), "{text}");
    }

    #[test]
    fn times_have_milliseconds_and_no_zeros_at_their_end() {
        assert_eq!(seconds(1_700_000_000_000_000_000), "1700000000");
        assert_eq!(seconds(1_700_000_000_100_000_000), "1700000000.1");
        assert_eq!(seconds(10_999_999), "0.01");
    }
}
