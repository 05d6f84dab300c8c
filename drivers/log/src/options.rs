//! Option parsing shared by the drivers: sizes, numbers, booleans, and the options every driver accepts.

use contract::log::{OptionSpec, Options};
use contract::{Kind, PortError};

/// The options that choose lines' attributes and tag.
pub(crate) const METADATA: [OptionSpec; 5] = [
    OptionSpec { name: "labels", doc: "comma-separated label keys to attach to each line" },
    OptionSpec { name: "labels-regex", doc: "attach the labels whose key matches" },
    OptionSpec { name: "env", doc: "comma-separated environment names to attach to each line" },
    OptionSpec { name: "env-regex", doc: "attach the environment whose name matches" },
    OptionSpec { name: "tag", doc: "template of the tag" },
];

pub(crate) fn invalid(text: impl Into<String>) -> PortError {
    PortError::new(Kind::Invalid, text)
}

/// Options handled outside the driver: delivery mode and the local copy of unreadable drivers.
pub(crate) fn is_common(key: &str) -> bool {
    matches!(
        key,
        "mode"
            | "max-buffer-size"
            | "cache-disabled"
            | "cache-max-size"
            | "cache-max-file"
            | "cache-compress"
    )
}

pub(crate) fn check_common(options: &Options) -> Result<(), PortError> {
    let get = |key: &str| options.get(key).map(String::as_str);
    let mode = get("mode").unwrap_or_default();
    if !matches!(mode, "" | "blocking" | "non-blocking") {
        return Err(invalid(format!("logger: logging mode not supported: {mode}")));
    }
    if let Some(size) = get("max-buffer-size") {
        if mode != "non-blocking" {
            return Err(invalid("logger: max-buffer-size option is only supported with 'mode=non-blocking'"));
        }
        binary_size(size).map_err(|e| invalid(format!("error parsing option max-buffer-size: {e}")))?;
    }
    if let Some(v) = get("cache-disabled") {
        boolean(v).map_err(|_| invalid(format!("invalid value for option cache-disabled: {v}")))?;
    }
    if let Some(v) = get("cache-max-size") {
        decimal_size(v).map_err(|_| invalid(format!("invalid value for option cache-max-size: {v}")))?;
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
        // Docker's local and gelf drivers word it in their own ways.
        Some(key) if driver == "local" => {
            Err(invalid(format!("unknown log opt '{key}' for log driver {driver}")))
        }
        Some(key) if driver == "gelf" => {
            Err(invalid(format!("unknown log opt {key:?} for {driver} log driver")))
        }
        Some(key) => Err(invalid(format!("unknown log opt '{key}' for {driver} log driver"))),
        None => Ok(()),
    }
}

/// `10k` = 10000.
pub(crate) fn decimal_size(text: &str) -> Result<u64, String> {
    size(text, 1000)
}

/// `10k` = 10240.
pub(crate) fn binary_size(text: &str) -> Result<u64, String> {
    size(text, 1024)
}

fn size(text: &str, step: u64) -> Result<u64, String> {
    let fail = || format!("invalid size: '{text}'");
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, suffix) = text.split_at_checked(split).ok_or_else(fail)?;
    let number: f64 = digits.parse().map_err(|_| fail())?;
    let suffix = suffix.strip_prefix(' ').unwrap_or(suffix).to_ascii_lowercase();
    let mut rest = suffix.chars();
    let power = match rest.next() {
        None | Some('b') => 0,
        Some('k') => 1,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        Some('p') => 5,
        Some(_) => return Err(fail()),
    };
    let tail = rest.as_str();
    if !(tail.is_empty() || (power > 0 && matches!(tail, "b" | "ib"))) {
        return Err(fail());
    }
    Ok((number * (step.pow(power) as f64)) as u64)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_go_units_reads_them() {
        assert_eq!(decimal_size("10k"), Ok(10_000));
        assert_eq!(binary_size("20m"), Ok(20 << 20));
        assert_eq!(decimal_size("1.5MiB"), Ok(1_500_000));
        assert_eq!(decimal_size("7"), Ok(7));
        assert!(decimal_size("-1").is_err() && decimal_size("").is_err() && decimal_size("3x").is_err());
    }
}
