//! Limits of a container's processes that it does not set itself.

use crate::error::ValueError;
use crate::source::{Given, Source};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Names Docker knows (docker/go-units `ParseUlimit`).
const NAMES: [&str; 16] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
    "as",
];

/// One limit; -1 = none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ulimit {
    /// `nofile`, …
    pub name: String,
    /// In effect.
    pub soft: i64,
    /// How far it may be raised.
    pub hard: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "Name")]
    name: Option<String>,
    #[serde(rename = "Soft")]
    soft: i64,
    #[serde(rename = "Hard")]
    hard: i64,
}

/// The default limits.
pub(crate) fn read(source: &Source) -> Result<Vec<Ulimit>, ValueError> {
    const KEY: &str = "default-ulimits";
    let limits: Vec<Ulimit> = match source.given(KEY) {
        Some(Given::Flag(values)) => values
            .iter()
            .map(|text| parse(text).map_err(|e| source.wrong(KEY, e)))
            .collect::<Result<_, ValueError>>()?,
        _ => source
            .object::<BTreeMap<String, Written>>(KEY)?
            .into_iter()
            .map(|(key, w)| Ulimit { name: w.name.unwrap_or(key), soft: w.soft, hard: w.hard })
            .collect(),
    };
    for limit in &limits {
        check(limit).map_err(|e| source.wrong(KEY, e))?;
    }
    // The last of a name counts.
    let by_name: BTreeMap<String, Ulimit> = limits.into_iter().map(|l| (l.name.clone(), l)).collect();
    Ok(by_name.into_values().collect())
}

/// `name=soft[:hard]`.
fn parse(text: &str) -> Result<Ulimit, String> {
    let invalid = || format!("invalid ulimit argument: {text}");
    let (name, values) = text.split_once('=').ok_or_else(invalid)?;
    let number = |n: &str| n.parse::<i64>().map_err(|_| invalid());
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    Ok(Ulimit { name: name.to_owned(), soft: number(soft)?, hard: number(hard)? })
}

fn check(limit: &Ulimit) -> Result<(), String> {
    let Ulimit { name, soft, hard } = limit;
    if !NAMES.contains(&name.as_str()) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    if *hard != -1 && (*soft == -1 || soft > hard) {
        return Err(format!("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"));
    }
    Ok(())
}
