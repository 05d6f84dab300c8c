//! daemon.json: reading it, and what may not stand in it.

use crate::error::{ConfigError, FileError};
use crate::key::Key;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the file lies when no flag names another.
pub const DEFAULT_FILE: &str = "/etc/gantry/daemon.json";

/// Objects that only group keys: what stands in them counts as standing beside them.
const GROUPS: [&str; 1] = ["proxies"];

/// Whether the file was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// By a flag: it must be there.
    ByName,
    /// It is the default one, and may be missing.
    IfThere,
}

/// Which file, and whether it must exist.
pub(crate) fn choose(flag: Option<&String>) -> (PathBuf, Wanted) {
    match flag {
        Some(path) => (PathBuf::from(path), Wanted::ByName),
        None => (PathBuf::from(DEFAULT_FILE), Wanted::IfThere),
    }
}

/// The file's keys; an empty file has none.
pub(crate) fn read(path: &Path, wanted: Wanted) -> Result<Map<String, Value>, ConfigError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && wanted == Wanted::IfThere => {
            return Ok(Map::new());
        }
        Err(e) => return Err(ConfigError::File { path: path.into(), source: FileError::Read(e) }),
    };
    parse(&bytes).map_err(|source| ConfigError::File { path: path.into(), source })
}

/// The keys of a file's text.
pub(crate) fn parse(bytes: &[u8]) -> Result<Map<String, Value>, FileError> {
    // A byte order mark is what some editors leave; Docker takes it too.
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|e| FileError::Encoding(e.valid_up_to()))?;
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str(text).map_err(FileError::Syntax)? {
        Value::Object(keys) => Ok(flat(keys)),
        _ => Err(FileError::NotAnObject),
    }
}

fn flat(keys: Map<String, Value>) -> Map<String, Value> {
    let mut out = Map::new();
    for (key, value) in keys {
        match value {
            Value::Object(inner) if GROUPS.contains(&key.as_str()) => out.extend(inner),
            other => {
                out.insert(key, other);
            }
        }
    }
    out
}

/// Names what no option is called, and what is given twice.
pub(crate) fn check<'a>(
    keys: impl Fn(&str) -> Option<&'a Key>,
    flags: &BTreeMap<&'static str, Vec<String>>,
    file: &Map<String, Value>,
) -> Result<(), FileError> {
    let unknown: Vec<&str> = file.keys().map(String::as_str).filter(|k| keys(k).is_none()).collect();
    if !unknown.is_empty() {
        return Err(FileError::UnknownKeys(unknown.join(", ")));
    }
    let twice = file.iter().filter_map(|(key, value)| {
        let flag = flags.get(key.as_str())?;
        // Docker adds the runtimes of both.
        let flag = (key != "runtimes").then(|| shown_flag(key, flag))?;
        Some(format!("{key}: (from flag: {flag}, from file: {})", shown(key, value)))
    });
    let twice: Vec<String> = twice.collect();
    if twice.is_empty() { Ok(()) } else { Err(FileError::Twice(twice.join(", "))) }
}

fn shown_flag(key: &str, values: &[String]) -> String {
    match values {
        [one] if !key.ends_with('s') => masked(key, one),
        many => format!("[{}]", many.join(" ")),
    }
}

fn shown(key: &str, value: &Value) -> String {
    match value {
        Value::String(text) => masked(key, text),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(|v| shown(key, v)).collect();
            format!("[{}]", items.join(" "))
        }
        other => other.to_string(),
    }
}

/// A proxy's password is not shown.
fn masked(key: &str, text: &str) -> String {
    if key.ends_with("-proxy") { crate::proxies::mask(text) } else { text.to_owned() }
}
