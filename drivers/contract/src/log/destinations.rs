//! Several drivers on one container: which were asked for, and with which options each.

use super::{Delivery, Options, Stream, is_record_option};
use crate::error::{Kind, PortError};
use serde::{Deserialize, Serialize};

/// The name under which several drivers are asked for at once: `drivers=json-file,backup:syslog`, and each one's options
/// after its name, as `backup.syslog-address=…`.
pub const FANOUT: &str = "fanout";

/// With this the names of the daemon's own destinations begin, and those of containers do not: whoever had another's name
/// would have its cursor.
pub const DAEMONS: &str = "daemon-";

const DRIVERS: &str = "drivers";
const STREAMS: &str = "streams";
/// So many are enough for everybody; each has an actor and a cursor.
const MOST: usize = 16;

/// Which of a container's streams go somewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Streams {
    /// Both.
    #[default]
    Both,
    /// Standard output alone.
    Stdout,
    /// Standard error alone.
    Stderr,
}

impl Streams {
    /// Whether a line of this stream goes there.
    pub fn lets(self, stream: Stream) -> bool {
        match self {
            Self::Both => true,
            Self::Stdout => stream == Stream::Stdout,
            Self::Stderr => stream == Stream::Stderr,
        }
    }

    /// Reads `stdout`, `stderr`, `stdout,stderr` and `both`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "stdout" => Some(Self::Stdout),
            "stderr" => Some(Self::Stderr),
            "both" | "stdout,stderr" | "stderr,stdout" => Some(Self::Both),
            _ => None,
        }
    }
}

/// One of the places that a container's lines go to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Destination {
    /// Its name among the container's; the driver's where none was given.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// What goes there.
    pub streams: Streams,
    /// How it meets lines that it cannot take.
    pub delivery: Delivery,
    /// The driver's options, without those that every driver has.
    pub options: Options,
    /// How its records are built, as it was given.
    pub records: Options,
}

impl Destination {
    /// A destination with options that are its own alone.
    pub fn new(name: &str, driver: &str, streams: Streams, options: &Options) -> Self {
        let mut made = Self { streams, ..Self::named(name, driver) };
        for (key, value) in options {
            made.give(key, value);
        }
        made
    }

    fn named(name: &str, driver: &str) -> Self {
        Self { name: name.to_owned(), driver: driver.to_owned(), ..Self::default() }
    }

    fn give(&mut self, key: &str, value: &str) {
        self.place(key).insert(key.to_owned(), value.to_owned());
    }

    /// Where an option of this key stands.
    fn place(&mut self, key: &str) -> &mut Options {
        if is_record_option(key) { &mut self.records } else { &mut self.options }
    }
}

/// Options that concern the container's output as a whole, or its local copy, and no driver.
pub fn is_common(key: &str) -> bool {
    Delivery::is_option(key) || key.starts_with("cache-")
}

fn invalid(text: impl std::fmt::Display) -> PortError {
    PortError::new(Kind::Invalid, format!("logger: {FANOUT}: {text}"))
}

/// Where the lines go for a driver and the options given with it. Options without a driver's name before them, as `tag`,
/// are for all of them that have none of their own; so are those of delivery, among them `NAME.mode` and `mode`.
pub fn destinations(driver: &str, options: &Options) -> Result<Vec<Destination>, PortError> {
    if driver != FANOUT {
        let own = options.iter().filter(|(k, _)| !is_common(k)).map(|(k, v)| (k.clone(), v.clone()));
        // For `none` nothing is checked.
        let delivery = if driver == "none" { Delivery::default() } else { Delivery::of(options)? };
        let one = Destination::new(driver, driver, Streams::Both, &own.collect());
        return Ok(vec![Destination { delivery, ..one }]);
    }
    let listed = options.get(DRIVERS).map(String::as_str).unwrap_or_default();
    let mut out: Vec<Destination> = Vec::new();
    for entry in listed.split(',').map(str::trim).filter(|e| !e.is_empty()) {
        let (name, driver) = entry.split_once(':').unwrap_or((entry, entry));
        if !named(name) {
            return Err(invalid(format!("{name:?} is no name: letters, digits, - and _")));
        }
        if matches!(driver, FANOUT | "none") {
            return Err(invalid(format!("{driver} cannot be one of several drivers")));
        }
        if out.iter().any(|d| d.name == name) {
            return Err(invalid(format!(
                "two drivers are called {name}: name one of them, as {name}2:{driver}"
            )));
        }
        out.push(Destination::named(name, driver));
    }
    match out.len() {
        0 => return Err(invalid(format!("log opt '{DRIVERS}' must name at least one driver"))),
        n if n > MOST => return Err(invalid(format!("{n} drivers are more than {MOST}"))),
        _ => {}
    }
    for (key, value) in options.iter().filter(|(k, _)| *k != DRIVERS && !is_common(k)) {
        let Some((name, own)) = key.split_once('.') else { continue };
        let Some(destination) = out.iter_mut().find(|d| d.name == name) else {
            return Err(invalid(format!("log opt '{key}': no driver is called {name}")));
        };
        if own == STREAMS {
            destination.streams = Streams::parse(value).ok_or_else(|| {
                invalid(format!("log opt '{key}': {value:?} is not stdout, stderr or both"))
            })?;
        } else if is_common(own) && !Delivery::is_option(own) {
            return Err(invalid(format!(
                "log opt '{key}': {own} is for all drivers, without a name before it"
            )));
        } else {
            destination.give(own, value);
        }
    }
    for destination in &mut out {
        let own = std::mem::take(&mut destination.options);
        let (delivery, own): (Options, Options) =
            own.into_iter().partition(|(key, _)| Delivery::is_option(key));
        destination.options = own;
        destination.delivery = Delivery::among(&delivery, options).map_err(|e| {
            let text = e.text.trim_start_matches("logger: ");
            let named = || format!("logger: {}: {text}", destination.name);
            PortError::new(e.kind, if delivery.is_empty() { e.text.clone() } else { named() })
        })?;
    }
    Delivery::shared(options, out.iter().map(|d| d.delivery))?;
    let shared = options.iter().filter(|(k, _)| *k != DRIVERS && !is_common(k) && !k.contains('.'));
    for (key, value) in shared {
        for destination in &mut out {
            destination.place(key).entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    Ok(out)
}

/// Names stand before dots, and name cursors' files.
pub fn named(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(fine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Overflow;

    fn options(pairs: &[(&str, &str)]) -> Options {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn refused(pairs: &[(&str, &str)]) -> String {
        destinations(FANOUT, &options(pairs)).unwrap_err().text
    }

    #[test]
    fn one_driver_keeps_its_options_without_those_of_the_container() {
        let given = options(&[("max-size", "1m"), ("mode", "non-blocking"), ("cache-disabled", "true")]);
        let one = destinations("json-file", &given).unwrap();
        assert_eq!(one[0].options, options(&[("max-size", "1m")]));
        assert_eq!((one[0].name.as_str(), one.len()), ("json-file", 1));
    }

    #[test]
    fn how_records_are_built_stands_apart_from_drivers_options() {
        let given = options(&[("max-size", "1m"), ("rate-limit", "5/s")]);
        let one = destinations("json-file", &given).unwrap();
        assert_eq!(one[0].options, options(&[("max-size", "1m")]));
        assert_eq!(one[0].records, options(&[("rate-limit", "5/s")]));
        let given = options(&[("drivers", "local,syslog"), ("rate-limit", "5/s"), ("syslog.rate-limit", "")]);
        let two = destinations(FANOUT, &given).unwrap();
        assert_eq!(two[0].records, options(&[("rate-limit", "5/s")]));
        assert_eq!(two[1].records, options(&[("rate-limit", "")]));
    }

    #[test]
    fn each_of_several_drivers_has_its_own_options_streams_and_name() {
        let given = options(&[
            ("drivers", "json-file, audit:syslog,fluentd"),
            ("json-file.max-size", "10m"),
            ("audit.syslog-address", "tcp://a:1"),
            ("audit.streams", "stderr"),
            ("fluentd.tag", "own"),
            ("tag", "all"),
            ("mode", "blocking"),
        ]);
        let found = destinations(FANOUT, &given).unwrap();
        let told: Vec<_> = found.iter().map(|d| (d.name.as_str(), d.driver.as_str(), d.streams)).collect();
        assert_eq!(
            told,
            [
                ("json-file", "json-file", Streams::Both),
                ("audit", "syslog", Streams::Stderr),
                ("fluentd", "fluentd", Streams::Both)
            ]
        );
        assert_eq!(found[0].options, options(&[("max-size", "10m"), ("tag", "all")]));
        assert_eq!(found[1].options, options(&[("syslog-address", "tcp://a:1"), ("tag", "all")]));
        assert_eq!(found[2].options, options(&[("tag", "own")]));
    }

    #[test]
    fn each_of_several_drivers_may_block_or_drop_in_its_own_way() {
        let given = options(&[
            ("drivers", "json-file,syslog,fluentd"),
            ("json-file.mode", "blocking"),
            ("mode", "non-blocking"),
            ("max-buffer-size", "4m"),
            ("fluentd.overflow", "drop-oldest"),
            ("fluentd.max-buffer-size", "8k"),
        ]);
        let told: Vec<_> = destinations(FANOUT, &given).unwrap().iter().map(|d| d.delivery).collect();
        let dropping = |buffer, overflow| Delivery::NonBlocking { buffer, overflow };
        assert_eq!(
            told,
            [
                Delivery::Blocking,
                dropping(4 << 20, Overflow::DropNewest),
                dropping(8 << 10, Overflow::DropOldest)
            ]
        );
        let idle = [("drivers", "syslog"), ("syslog.mode", "blocking"), ("max-buffer-size", "1m")];
        assert!(refused(&idle).starts_with("logger: max-buffer-size option is only supported"));
        let own = [("drivers", "syslog"), ("mode", "non-blocking"), ("syslog.overflow", "x")];
        assert_eq!(
            refused(&own),
            "logger: syslog: overflow not supported: x (block, drop-newest or drop-oldest)"
        );
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        assert_eq!(refused(&[]), "logger: fanout: log opt 'drivers' must name at least one driver");
        assert_eq!(refused(&[("drivers", "none")]), "logger: fanout: none cannot be one of several drivers");
        let twice = refused(&[("drivers", "syslog,syslog")]);
        assert_eq!(
            twice,
            "logger: fanout: two drivers are called syslog: name one of them, as syslog2:syslog"
        );
        let nobody = refused(&[("drivers", "syslog"), ("fluentd.tag", "x")]);
        assert_eq!(nobody, "logger: fanout: log opt 'fluentd.tag': no driver is called fluentd");
        let streams = refused(&[("drivers", "syslog"), ("syslog.streams", "x")]);
        assert_eq!(streams, "logger: fanout: log opt 'syslog.streams': \"x\" is not stdout, stderr or both");
        let whole = refused(&[("drivers", "syslog"), ("syslog.cache-disabled", "true")]);
        assert!(whole.ends_with("cache-disabled is for all drivers, without a name before it"));
        assert!(refused(&[("drivers", "a/b:syslog")]).contains("is no name"));
    }
}
