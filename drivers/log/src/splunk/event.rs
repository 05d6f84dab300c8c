//! Events, concatenated JSON objects with Docker's keys in Docker's order.

use super::options::Format;
use crate::json_file::escape;
use crate::template::hostname;
use contract::log::{LogLine, Stream};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// What is the same in each event.
#[derive(Debug, Clone, Default)]
pub(super) struct Labels {
    pub(super) source: String,
    pub(super) source_type: String,
    pub(super) index: String,
    pub(super) tag: String,
    pub(super) attributes: BTreeMap<String, String>,
}

/// Makes events.
pub(super) struct Writer {
    format: Format,
    /// What follows the stream's name inside an event.
    tail: Vec<u8>,
    /// What precedes the text of a raw event.
    prefix: Vec<u8>,
    /// What follows the time.
    envelope: Vec<u8>,
}

fn string(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    escape(value, out);
    out.push(b'"');
}

fn field(key: &str, value: &str, out: &mut Vec<u8>) {
    out.push(b',');
    string(key.as_bytes(), out);
    out.push(b':');
    string(value.as_bytes(), out);
}

impl Writer {
    pub(super) fn new(format: Format, labels: &Labels) -> Self {
        let (mut tail, mut prefix, mut envelope) = (Vec::new(), Vec::new(), Vec::new());
        if !labels.tag.is_empty() {
            field("tag", &labels.tag, &mut tail);
            prefix.extend_from_slice(format!("{} ", labels.tag).as_bytes());
        }
        let mut attributes = Vec::new();
        for (key, value) in &labels.attributes {
            field(key, value, &mut attributes);
            prefix.extend_from_slice(format!("{key}={value} ").as_bytes());
        }
        if let Some((_comma, attributes)) = attributes.split_first() {
            tail.extend_from_slice(b",\"attrs\":{");
            tail.extend_from_slice(attributes);
            tail.push(b'}');
        }
        field("host", &hostname(), &mut envelope);
        let rest =
            [("source", &labels.source), ("sourcetype", &labels.source_type), ("index", &labels.index)];
        for (key, value) in rest.into_iter().filter(|(_, value)| !value.is_empty()) {
            field(key, value, &mut envelope);
        }
        envelope.push(b'}');
        Self { format, tail, prefix, envelope }
    }

    /// False for lines that collectors do not take as events.
    pub(super) fn is_sent(&self, line: &LogLine) -> bool {
        self.format != Format::Raw || !String::from_utf8_lossy(&line.data).trim().is_empty()
    }

    /// Appends the event for `line`.
    pub(super) fn append(&self, line: &LogLine, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"event\":");
        if self.format == Format::Raw {
            out.push(b'"');
            escape(&self.prefix, out);
            escape(&line.data, out);
            out.push(b'"');
        } else {
            out.extend_from_slice(b"{\"line\":");
            match serde_json::from_slice::<&RawValue>(&line.data) {
                Ok(json) if self.format == Format::Json => out.extend_from_slice(json.get().as_bytes()),
                _ => string(&line.data, out),
            }
            out.extend_from_slice(match line.stream {
                Stream::Stdout => b",\"source\":\"stdout\"",
                Stream::Stderr => b",\"source\":\"stderr\"",
            });
            out.extend_from_slice(&self.tail);
            if let Some(partial) = &line.partial {
                field("partial_message", "true", out);
                field("partial_id", &partial.id, out);
                field("partial_ordinal", &partial.ordinal.to_string(), out);
                field("partial_last", &partial.last.to_string(), out);
            }
            out.push(b'}');
        }
        out.extend_from_slice(format!(",\"time\":\"{}\"", seconds(line.time_ns)).as_bytes());
        out.extend_from_slice(&self.envelope);
    }
}

/// A time with six decimals, the last one rounded.
fn seconds(time_ns: i64) -> String {
    let micros = time_ns.saturating_add(500).div_euclid(1000);
    format!("{}.{:06}", micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::log::Partial;

    fn event(format: Format, labels: &Labels, data: &'static str, partial: Option<Partial>) -> String {
        let line = LogLine {
            stream: Stream::Stderr,
            time_ns: 1_704_164_645_000_042_600,
            data: data.into(),
            partial,
        };
        let mut out = Vec::new();
        Writer::new(format, labels).append(&line, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn labels() -> Labels {
        let attributes = [("app".to_owned(), "a b".to_owned()), ("v".to_owned(), "1".to_owned())].into();
        Labels {
            source: "s".into(),
            source_type: "t".into(),
            index: "i".into(),
            tag: "web".into(),
            attributes,
        }
    }

    #[test]
    fn each_format_has_dockers_bytes() {
        let host = hostname();
        let end = format!(
            r#","time":"1704164645.000043","host":"{host}","source":"s","sourcetype":"t","index":"i"}}"#
        );
        let inner = r#","source":"stderr","tag":"web","attrs":{"app":"a b","v":"1"}}"#;
        let of = |format, data| event(format, &labels(), data, None);
        let wanted = |line: &str| format!(r#"{{"event":{{"line":{line}{inner}{end}"#);
        assert_eq!(of(Format::Inline, "{\"a\": 1}"), wanted(r#""{\"a\": 1}""#));
        assert_eq!(of(Format::Json, "{\"a\": 1}"), wanted(r#"{"a": 1}"#));
        assert_eq!(of(Format::Json, "{\"a\": 1"), wanted(r#""{\"a\": 1""#));
        assert_eq!(of(Format::Raw, "x\"y"), format!(r#"{{"event":"web app=a b v=1 x\"y"{end}"#));
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let host = hostname();
        assert_eq!(
            event(Format::Inline, &Labels::default(), "x", None),
            format!(
                r#"{{"event":{{"line":"x","source":"stderr"}},"time":"1704164645.000043","host":"{host}"}}"#
            )
        );
    }

    #[test]
    fn pieces_of_a_long_line_say_so() {
        let partial = Some(Partial { id: "p".into(), ordinal: 1, last: false });
        let text = event(Format::Inline, &Labels::default(), "x", partial);
        let marks =
            r#","partial_message":"true","partial_id":"p","partial_ordinal":"1","partial_last":"false"}"#;
        assert!(text.contains(marks), "{text}");
    }

    #[test]
    fn raw_events_are_never_blank() {
        let line = |data: &'static str| LogLine {
            stream: Stream::Stdout,
            time_ns: 0,
            data: data.into(),
            partial: None,
        };
        let raw = Writer::new(Format::Raw, &Labels::default());
        let inline = Writer::new(Format::Inline, &Labels::default());
        assert!(!raw.is_sent(&line(" \t")) && raw.is_sent(&line(" x")) && inline.is_sent(&line("")));
    }
}
