//! Query parameters with Docker's reading of booleans, times and filters.

use contract::{Kind, PortError};
use serde_json::Value;
use std::collections::BTreeMap;

/// The decoded query of one request.
#[derive(Debug, Default)]
pub struct Query(BTreeMap<String, Vec<String>>);

impl Query {
    /// Decodes `a=1&b=2`.
    pub fn parse(text: Option<&str>) -> Self {
        let mut out: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in text.unwrap_or_default().split('&').filter(|p| !p.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            out.entry(decode(key)).or_default().push(decode(value));
        }
        Self(out)
    }

    /// The first value of a key; empty counts as absent.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.first().map(String::as_str).filter(|t| !t.is_empty())
    }

    /// The first value of a key as it was sent, for what need not be text.
    pub fn bytes(text: Option<&str>, key: &str) -> Vec<u8> {
        let pairs = text.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        let mut values = pairs.filter(|(k, _)| decode(k) == key).map(|(_, value)| decode_bytes(value));
        values.next().unwrap_or_default()
    }

    /// Every value of a key.
    pub fn all(&self, key: &str) -> Vec<String> {
        self.0.get(key).cloned().unwrap_or_default()
    }

    /// Docker's truth: anything but empty, `0`, `no`, `false`, `none`.
    pub fn flag(&self, key: &str) -> bool {
        self.flag_or(key, false)
    }

    /// The same with a default for an absent key.
    pub fn flag_or(&self, key: &str, default: bool) -> bool {
        match self.0.get(key).and_then(|v| v.first()) {
            None => default,
            Some(text) => {
                !matches!(text.trim().to_ascii_lowercase().as_str(), "" | "0" | "no" | "false" | "none")
            }
        }
    }

    /// A whole number.
    pub fn number<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, PortError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| PortError::new(Kind::Invalid, format!("invalid {key}: {text:?}")))
    }

    /// `seconds[.nanoseconds]` since the epoch, or RFC 3339; `0` counts as absent.
    pub fn time_ns(&self, key: &str) -> Result<Option<i64>, PortError> {
        let Some(text) = self.text(key).filter(|t| *t != "0") else { return Ok(None) };
        let bad = || PortError::new(Kind::Invalid, format!("invalid value for \"{key}\": {text:?}"));
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return i64::try_from(time.as_nanosecond()).map(Some).map_err(|_| bad());
        }
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
        let seconds: i64 = seconds.parse().map_err(|_| bad())?;
        let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
        let nanos: i64 = digits.parse().map_err(|_| bad())?;
        seconds.checked_mul(1_000_000_000).and_then(|s| s.checked_add(nanos)).map(Some).ok_or_else(bad)
    }

    /// `filters`: `{"k":["v"]}` or the older `{"k":{"v":true}}`; keys must be among `known`.
    pub fn filters(&self, known: &[&str]) -> Result<BTreeMap<String, Vec<String>>, PortError> {
        let Some(text) = self.text("filters") else { return Ok(BTreeMap::new()) };
        let invalid = |text: String| PortError::new(Kind::Invalid, text);
        let value: Value =
            serde_json::from_str(text).map_err(|_| invalid(format!("invalid filter: {text}")))?;
        let mut out = BTreeMap::new();
        for (key, values) in value.as_object().into_iter().flatten() {
            if !known.contains(&key.as_str()) {
                return Err(invalid(format!("invalid filter '{key}'")));
            }
            let list = match values {
                Value::Array(list) => list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
                Value::Object(map) => map.keys().cloned().collect(),
                _ => return Err(invalid(format!("invalid filter: {text}"))),
            };
            out.insert(key.clone(), list);
        }
        Ok(out)
    }
}

fn decode(text: &str) -> String {
    String::from_utf8_lossy(&decode_bytes(text)).into_owned()
}

fn decode_bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits: Vec<u8> = bytes.by_ref().take(2).collect();
                match hex::decode(&digits) {
                    Ok(value) => out.extend(value),
                    Err(_) => out.extend(digits),
                }
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_filters_are_read() {
        for text in [r#"{"name":["a"]}"#, r#"{"name":{"a":true}}"#] {
            let query = Query(BTreeMap::from([("filters".into(), vec![text.into()])]));
            assert_eq!(query.filters(&["name"]).unwrap()["name"], ["a"]);
            assert!(query.filters(&["id"]).is_err());
        }
    }

    #[test]
    fn times_are_seconds_with_a_fraction_or_rfc_3339() {
        let query = Query::parse(Some("since=1474765979.5&until=1970-01-01T00%3A00%3A01Z"));
        assert_eq!(query.time_ns("since").unwrap(), Some(1_474_765_979_500_000_000));
        assert_eq!(query.time_ns("until").unwrap(), Some(1_000_000_000));
    }
}
