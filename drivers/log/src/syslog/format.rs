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

/// Makes messages. What stands before a line's text is the same for all of one stream and second, but for microseconds.
pub(crate) struct Formatter {
    shape: Shape,
    framing: Framing,
    facility: u8,
    tag: String,
    host: String,
    pid: u32,
    zone: TimeZone,
    second: i64,
    stdout: Start,
    stderr: Start,
}

/// What comes before the text of a line.
#[derive(Default)]
struct Start {
    head: String,
    /// What follows the microseconds, where they are written.
    rest: String,
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
            stdout: Start::default(),
            stderr: Start::default(),
        }
    }

    fn at(&mut self, second: i64) {
        if second == self.second {
            return;
        }
        self.second = second;
        let time = Timestamp::from_second(second).unwrap_or_default().to_zoned(self.zone.clone());
        let layout = match self.shape {
            Shape::Unix | Shape::Rfc3164 => "%b %e %H:%M:%S",
            Shape::Rfc5424 { .. } => "%Y-%m-%dT%H:%M:%S",
        };
        let clock = time.strftime(layout).to_string();
        let offset = if time.offset() == Offset::UTC { "Z".into() } else { time.strftime("%:z").to_string() };
        self.stdout = self.start(6, &clock, &offset);
        self.stderr = self.start(3, &clock, &offset);
    }

    fn start(&self, severity: u8, clock: &str, offset: &str) -> Start {
        let Self { tag, pid, host, .. } = self;
        let priority = self.facility * 8 + severity;
        let head = match self.shape {
            Shape::Unix => format!("<{priority}>{clock} {tag}[{pid}]: "),
            Shape::Rfc3164 => format!("<{priority}>{clock} {host} {tag}[{pid}]: "),
            Shape::Rfc5424 { micro: false } => {
                format!("<{priority}>1 {clock}{offset} {host} {tag} {pid} {tag} - ")
            }
            Shape::Rfc5424 { micro: true } => format!("<{priority}>1 {clock}."),
        };
        let rest = match self.shape {
            Shape::Rfc5424 { micro: true } => format!("{offset} {host} {tag} {pid} {tag} - "),
            _ => String::new(),
        };
        Start { head, rest }
    }

    /// Appends the message for `line`, ended by LF as Docker ends it in either framing.
    pub(crate) fn append(&mut self, line: &LogLine, out: &mut Vec<u8>) {
        self.at(line.time_ns.div_euclid(1_000_000_000));
        let Start { head, rest } = if line.stream == Stream::Stderr { &self.stderr } else { &self.stdout };
        let micros = if rest.is_empty() { 0 } else { MICROS };
        let length = head.len() + micros + rest.len() + line.data.len() + 1;
        out.reserve(length + MOST_DIGITS + 1);
        if self.framing == Framing::Counted {
            number(length as u64, 1, out);
            out.push(b' ');
        }
        out.extend_from_slice(head.as_bytes());
        if micros > 0 {
            number(line.time_ns.rem_euclid(1_000_000_000) as u64 / 1000, MICROS, out);
            out.extend_from_slice(rest.as_bytes());
        }
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

/// Digits of a fraction of a second in microseconds.
const MICROS: usize = 6;
/// Digits of the largest number.
const MOST_DIGITS: usize = 20;

/// Appends a number with at least so many digits.
fn number(mut value: u64, least: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; MOST_DIGITS];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        if value == 0 && used >= least {
            break;
        }
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        used += 1;
    }
    out.extend_from_slice(digits.get(MOST_DIGITS - used..).unwrap_or_default());
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

    #[test]
    fn each_line_has_its_own_second_and_severity() {
        let mut formatter = Formatter::new(Shape::Unix, 3, "t".into(), Framing::Line);
        (formatter.pid, formatter.zone) = (7, TimeZone::UTC);
        let mut out = Vec::new();
        for (stream, second) in [(Stream::Stdout, 0), (Stream::Stderr, 0), (Stream::Stdout, 1)] {
            let time_ns = second * 1_000_000_000;
            formatter.append(&LogLine { stream, time_ns, data: "x".into(), partial: None }, &mut out);
        }
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "<30>Jan  1 00:00:00 t[7]: x\n<27>Jan  1 00:00:00 t[7]: x\n<30>Jan  1 00:00:01 t[7]: x\n"
        );
    }
}
