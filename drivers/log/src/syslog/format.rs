//! One syslog message per line, in Docker's four shapes, with the line's own time.

use crate::template::hostname;
use contract::log::{LogLine, Stream};
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// The layout of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// As written to a local syslogd: no host.
    Unix,
    /// With host.
    Rfc3164,
    /// Versioned, with host.
    Rfc5424 {
        /// Microseconds in the time.
        micro: bool,
    },
}

/// How a receiver tells messages apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Each ends with LF.
    Line,
    /// Each begins with its length (RFC 6587 §3.4.1, RFC 5425 §4.3).
    Counted,
}

/// Makes messages.
pub(crate) struct Formatter {
    shape: Shape,
    framing: Framing,
    facility: u8,
    tag: String,
    host: String,
    pid: u32,
    zone: TimeZone,
    second: i64,
    head: String,
    offset: String,
}

impl Formatter {
    pub(crate) fn new(shape: Shape, facility: u8, tag: String, framing: Framing) -> Self {
        Self {
            shape,
            framing,
            facility,
            tag,
            host: hostname(),
            pid: std::process::id(),
            zone: TimeZone::system(),
            second: i64::MIN,
            head: String::new(),
            offset: String::new(),
        }
    }

    fn at(&mut self, second: i64) {
        if second == self.second {
            return;
        }
        self.second = second;
        let time = Timestamp::from_second(second).unwrap_or_default().to_zoned(self.zone.clone());
        self.head = match self.shape {
            Shape::Unix | Shape::Rfc3164 => time.strftime("%b %e %H:%M:%S").to_string(),
            Shape::Rfc5424 { .. } => time.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
        };
        self.offset =
            if time.offset() == Offset::UTC { "Z".into() } else { time.strftime("%:z").to_string() };
    }

    /// Appends the message for `line`, ended by LF as Docker ends it in either framing.
    pub(crate) fn append(&mut self, line: &LogLine, out: &mut Vec<u8>) {
        let priority = self.facility * 8 + if line.stream == Stream::Stderr { 3 } else { 6 };
        self.at(line.time_ns.div_euclid(1_000_000_000));
        let Self { tag, pid, head, host, offset, .. } = &*self;
        let start = match self.shape {
            Shape::Unix => format!("<{priority}>{head} {tag}[{pid}]: "),
            Shape::Rfc3164 => format!("<{priority}>{head} {host} {tag}[{pid}]: "),
            Shape::Rfc5424 { micro: false } => {
                format!("<{priority}>1 {head}{offset} {host} {tag} {pid} {tag} - ")
            }
            Shape::Rfc5424 { micro: true } => {
                let micros = line.time_ns.rem_euclid(1_000_000_000) / 1000;
                format!("<{priority}>1 {head}.{micros:06}{offset} {host} {tag} {pid} {tag} - ")
            }
        };
        if self.framing == Framing::Counted {
            out.extend_from_slice(format!("{} ", start.len() + line.data.len() + 1).as_bytes());
        }
        out.extend_from_slice(start.as_bytes());
        match self.framing {
            Framing::Line if memchr::memchr(b'\n', &line.data).is_some() => escaped(&line.data, out),
            _ => out.extend_from_slice(&line.data),
        }
        out.push(b'\n');
    }
}

/// Where LF ends a message, one inside is written as receivers show it (rsyslog's `#012`).
fn escaped(text: &[u8], out: &mut Vec<u8>) {
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if index > 0 {
            out.extend_from_slice(b"#012");
        }
        out.extend_from_slice(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shape_has_dockers_layout() {
        let line = LogLine {
            stream: Stream::Stderr,
            time_ns: 1_704_164_645_000_042_000,
            data: "hello".into(),
            partial: None,
        };
        let message = |shape, framing| {
            let mut formatter = Formatter::new(shape, 3, "tag".into(), framing);
            (formatter.host, formatter.pid, formatter.zone) = ("host".into(), 7, TimeZone::UTC);
            let mut out = Vec::new();
            formatter.append(&line, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(message(Shape::Unix, Framing::Line), "<27>Jan  2 03:04:05 tag[7]: hello\n");
        assert_eq!(message(Shape::Rfc3164, Framing::Line), "<27>Jan  2 03:04:05 host tag[7]: hello\n");
        assert_eq!(
            message(Shape::Rfc5424 { micro: false }, Framing::Line),
            "<27>1 2024-01-02T03:04:05Z host tag 7 tag - hello\n"
        );
        assert_eq!(
            message(Shape::Rfc5424 { micro: true }, Framing::Line),
            "<27>1 2024-01-02T03:04:05.000042Z host tag 7 tag - hello\n"
        );
        assert_eq!(message(Shape::Rfc3164, Framing::Counted), "39 <27>Jan  2 03:04:05 host tag[7]: hello\n");
    }

    #[test]
    fn joined_lines_are_one_message_in_either_framing() {
        let line = LogLine { stream: Stream::Stdout, time_ns: 0, data: "a\n b\n".into(), partial: None };
        let message = |framing| {
            let mut out = Vec::new();
            Formatter::new(Shape::Unix, 3, "t".into(), framing).append(&line, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert!(message(Framing::Line).ends_with(": a#012 b#012\n"));
        assert!(message(Framing::Counted).ends_with(": a\n b\n\n"));
    }
}
