//! Option parsing shared by the drivers: sizes, numbers, booleans, and the options every driver accepts.

use contract::log::{Delivery, OptionSpec, Options};
pub(crate) use contract::log::{binary_size, decimal_size};
use contract::{Kind, PortError};

/// The options that choose lines' attributes and tag.
pub(crate) const METADATA: [OptionSpec; 5] = [
    OptionSpec { name: "labels", doc: "comma-separated label keys to attach to each line" },
    OptionSpec { name: "labels-regex", doc: "attach the labels whose key matches" },
    OptionSpec { name: "env", doc: "comma-separated environment names to attach to each line" },
    OptionSpec { name: "env-regex", doc: "attach the environment whose name matches" },
    OptionSpec { name: "tag", doc: "template of the tag" },
];

/// Most bytes of a batch, whatever is asked for: it is in memory several times, for each container.
pub(crate) const BATCH: usize = 64 << 20;

pub(crate) fn invalid(text: impl Into<String>) -> PortError {
    PortError::new(Kind::Invalid, text)
}

/// Options of the local copy of drivers that cannot be read back.
const COPY: [&str; 4] = ["cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"];

/// Options handled outside the driver: how lines are delivered, and the local copy of unreadable drivers.
pub(crate) fn is_common(key: &str) -> bool {
    Delivery::is_option(key) || COPY.contains(&key)
}

/// Checks the options of the local copy that are given with `driver`.
pub(crate) fn check_common(options: &Options, driver: &str) -> Result<(), PortError> {
    if let Some(key) = options.keys().find(|key| key.starts_with("cache-") && !COPY.contains(&key.as_str())) {
        return Err(invalid(format!("unknown log opt '{key}' for {driver} log driver")));
    }
    let get = |key: &str| options.get(key).map(String::as_str);
    if let Some(v) = get("cache-disabled") {
        boolean(v).map_err(|_| invalid(format!("invalid value for option cache-disabled: {v}")))?;
    }
    if let Some(v) = get("cache-max-size") {
        match decimal_size(v) {
            // A copy with no room is a driver that never opens.
            Ok(size) if size > 0 => {}
            _ => return Err(invalid(format!("invalid value for option cache-max-size: {v}"))),
        }
    }
    if let Some(v) = get("cache-max-file") {
        match v.parse::<u32>() {
            Ok(n) if n > 0 => {}
            _ => return Err(invalid(format!("invalid value for option cache-max-file: {v}"))),
        }
    }
    if let Some(v) = get("cache-compress") {
        boolean(v).map_err(|_| invalid(format!("invalid value for option cache-compress: {v}")))?;
    }
    Ok(())
}

pub(crate) fn check_known(options: &Options, known: &[OptionSpec], driver: &str) -> Result<(), PortError> {
    match options.keys().find(|key| !is_common(key) && !known.iter().any(|k| k.name == *key)) {
        // Docker's local, gcplogs and gelf drivers word it in their own ways.
        Some(key) if driver == "local" => {
            Err(invalid(format!("unknown log opt '{key}' for log driver {driver}")))
        }
        Some(key) if driver == "gcplogs" => {
            Err(invalid(format!("{key:?} is not a valid option for the {driver} driver")))
        }
        Some(key) if driver == "gelf" => {
            Err(invalid(format!("unknown log opt {key:?} for {driver} log driver")))
        }
        Some(key) => Err(invalid(format!("unknown log opt '{key}' for {driver} log driver"))),
        None => Ok(()),
    }
}

/// Go's notion of a boolean.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing \"{text}\": invalid syntax")),
    }
}

pub(crate) fn integer(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("strconv.Atoi: parsing \"{text}\": invalid syntax"))
}
