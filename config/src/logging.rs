//! The daemon's own log.

use crate::error::ValueError;
use crate::key::{Key, Kind, Section};
use crate::source::Source;

pub(crate) const SECTION: Section = Section {
    heading: "Daemon's own log",
    keys: &[
        Key::new("debug", Kind::Switch, "", "Log at debug level").short('D').reloads(),
        Key::new("log-level", Kind::Text, "LEVEL", "trace, debug, info, warn, error, fatal [default: info]")
            .short('l')
            .reloads(),
        Key::new("log-format", Kind::Text, "FORMAT", "text or json, one line an entry [default: text]"),
        Key::new("raw-logs", Kind::Switch, "", "No colours, even on a terminal"),
    ],
};

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The daemon's own log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    /// Debugging was asked for.
    pub debug: bool,
    /// `trace`, `debug`, `info`, `warn`, `error`: what is logged.
    pub level: String,
    /// How.
    pub format: Format,
    /// Without colours.
    pub raw: bool,
}

impl Logging {
    pub(crate) fn read(source: &Source) -> Result<Self, ValueError> {
        let debug = source.switch("debug")?.unwrap_or(false);
        let named = source.some_text("log-level")?.unwrap_or_else(|| "info".into()).to_ascii_lowercase();
        let level = match named.as_str() {
            // What ends the daemon is an error here; there is nothing above.
            "panic" | "fatal" | "error" => "error",
            known @ ("warn" | "info" | "debug" | "trace") => known,
            _ => return Err(ValueError::Told(format!("invalid logging level: {named}"))),
        };
        let level = if debug && level != "trace" { "debug" } else { level }.to_owned();
        let format = match source.some_text("log-format")?.as_deref() {
            None | Some("text") => Format::Text,
            Some("json") => Format::Json,
            Some(other) => return Err(ValueError::Told(format!("invalid log format: {other}"))),
        };
        Ok(Self { debug, level, format, raw: source.switch("raw-logs")?.unwrap_or(false) })
    }
}
