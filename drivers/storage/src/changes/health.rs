//! `HEALTHCHECK`: the command that tells whether a container is well, and how often to ask.

use super::invalid;
use contract::PortError;
use serde_json::{Map, Value, json};

pub(super) fn check(text: &str) -> Result<Value, PortError> {
    let mut out = Map::new();
    let mut rest = text;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, after) = option.split_once(char::is_whitespace).unwrap_or((option, ""));
        let bad = || invalid(format!("HEALTHCHECK: invalid value of --{option}"));
        let (key, value) = option.split_once('=').ok_or_else(bad)?;
        let name = match key {
            "interval" => "Interval",
            "timeout" => "Timeout",
            "start-period" => "StartPeriod",
            "start-interval" => "StartInterval",
            "retries" => "Retries",
            other => return Err(invalid(format!("unknown flag: {other}"))),
        };
        let number = if key == "retries" { value.parse().ok() } else { duration_ns(value) };
        out.insert(name.into(), number.filter(|n| *n >= 0).ok_or_else(bad)?.into());
        rest = after.trim_start();
    }
    let (kind, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let test = match (kind.to_uppercase().as_str(), command.trim()) {
        ("NONE", "") => json!(["NONE"]),
        ("CMD", command) if !command.is_empty() => match serde_json::from_str::<Vec<String>>(command) {
            Ok(list) => json!([vec!["CMD".to_owned()], list].concat()),
            Err(_) => json!(["CMD-SHELL", command]),
        },
        _ => return Err(invalid(format!("unknown type in HEALTHCHECK (try CMD): {kind}"))),
    };
    out.insert("Test".into(), test);
    Ok(Value::Object(out))
}

/// Go's durations, `1m30s`; whole numbers are enough here.
fn duration_ns(text: &str) -> Option<i64> {
    let (mut sum, mut rest) = (0i64, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, left) = after.split_at(end);
        let unit = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        sum = sum.checked_add(number.parse::<i64>().ok()?.checked_mul(unit)?)?;
        rest = left;
    }
    Some(sum).filter(|_| !text.is_empty())
}
