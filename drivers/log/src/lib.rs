//! The log drivers: where a container's lines can go, and how file drivers give them back.
//!
//! Adding a driver is one module and one line in [`catalogue`].

mod attrs;
mod awslogs;
mod dial;
mod file;
mod fluentd;
mod gelf;
mod gzip;
mod http;
mod journald;
mod json_file;
mod local;
mod loki;
mod none;
mod options;
mod otlp;
mod span;
mod splunk;
mod syslog;
mod template;
mod tls;
mod tries;

pub use attrs::attributes;
use contract::log::{Destination, FANOUT, LogDriverKind, Options, destinations};
use contract::{Kind, PortError};

/// Every driver gantry has.
pub fn catalogue() -> &'static [&'static dyn LogDriverKind] {
    &[
        &awslogs::AwsLogs,
        &fluentd::Fluentd,
        &gelf::Gelf,
        &journald::Journald,
        &json_file::JsonFile,
        &local::Local,
        &loki::Loki,
        &none::Nothing,
        &otlp::Otlp,
        &splunk::Splunk,
        &syslog::Syslog,
    ]
}

/// What may be asked for as a log driver: the drivers, and several of them at once.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = catalogue().iter().map(|d| d.name()).chain([FANOUT]).collect();
    names.sort_unstable();
    names
}

/// The driver of that name.
pub fn find(name: &str) -> Option<&'static dyn LogDriverKind> {
    catalogue().iter().copied().find(|kind| kind.name() == name)
}

/// Checks a driver's name and all its options, in Docker's order and with its texts.
pub fn validate(driver: &str, options: &Options) -> Result<(), PortError> {
    if driver == "none" {
        return Ok(());
    }
    let all = destinations(driver, options);
    // Why delivery cannot be as it was asked for comes first, and what several drivers cannot be last.
    if driver != FANOUT {
        all?;
        options::check_common(options)?;
        return validate_one(driver, options);
    }
    options::check_common(options)?;
    validate_all(&all?)
}

/// Checks several drivers that one container has.
pub fn validate_all(all: &[Destination]) -> Result<(), PortError> {
    for (index, one) in all.iter().enumerate() {
        let told = |e: PortError| PortError::new(e.kind, format!("logger: {}: {}", one.name, e.chain()));
        validate_one(&one.driver, &one.options).map_err(told)?;
        let file = find(&one.driver).is_some_and(|kind| kind.reader().is_some());
        if file && all.iter().take(index).any(|other| other.driver == one.driver) {
            let text = format!("logger: {}: one container has one {} log", one.name, one.driver);
            return Err(PortError::new(Kind::Invalid, text));
        }
    }
    Ok(())
}

fn validate_one(driver: &str, options: &Options) -> Result<(), PortError> {
    let kind = find(driver).ok_or_else(|| {
        PortError::new(Kind::Invalid, format!("logger: no log driver named '{driver}' is registered"))
    })?;
    let own: Options =
        options.iter().filter(|(k, _)| !options::is_common(k)).map(|(k, v)| (k.clone(), v.clone())).collect();
    kind.validate(&own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(driver: &str, pairs: &[(&str, &str)]) -> String {
        let options = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        validate(driver, &options).map_or_else(|e| e.chain(), |()| String::new())
    }

    #[test]
    fn refusals_come_in_dockers_order_with_its_texts() {
        assert_eq!(text("none", &[("mode", "x"), ("nonsense", "1")]), "");
        assert_eq!(text("nope", &[("mode", "x")]), "logger: logging mode not supported: x");
        assert_eq!(
            text("nope", &[("max-buffer-size", "1m")]),
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'"
        );
        assert_eq!(
            text("nope", &[("max-buffer-size", "q"), ("mode", "non-blocking")]),
            "error parsing option max-buffer-size: invalid size: 'q'"
        );
        assert_eq!(
            text("fanout", &[("drivers", "syslog"), ("mode", "x")]),
            "logger: logging mode not supported: x"
        );
        assert_eq!(text("nope", &[("cache-disabled", "q")]), "invalid value for option cache-disabled: q");
        assert_eq!(text("nope", &[]), "logger: no log driver named 'nope' is registered");
        assert_eq!(text("json-file", &[("x", "1")]), "unknown log opt 'x' for json-file log driver");
        assert_eq!(text("syslog", &[("x", "1")]), "unknown log opt 'x' for syslog log driver");
        assert_eq!(
            text("json-file", &[("compress", "true"), ("max-file", "3")]),
            "compress cannot be true when max-file is less than 2 or max-size is not set"
        );
        assert_eq!(text("json-file", &[("max-size", "0")]), "max-size must be a positive number");
        assert_eq!(text("json-file", &[("max-file", "0")]), "max-file cannot be less than 1");
        assert_eq!(
            text("local", &[("max-file", "1")]),
            "compression cannot be enabled when max file count is 1"
        );
        assert_eq!(text("json-file", &[("max-size", "10k"), ("max-file", "3"), ("compress", "true")]), "");
        assert_eq!(text("syslog", &[("syslog-address", "ftp://x")]), "unsupported scheme: 'ftp'");
        assert_eq!(text("syslog", &[("syslog-facility", "24")]), "invalid syslog facility");
        assert_eq!(text("syslog", &[("syslog-format", "x")]), "Invalid syslog format");
    }
}
