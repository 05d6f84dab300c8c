//! The extra attributes of a line, chosen from labels and environment, and the tag.

use crate::options::{METADATA, invalid};
use crate::template::{check, render};
use contract::PortError;
use contract::log::{LogSource, Options};
use regex::Regex;
use std::collections::BTreeMap;

/// The attributes attached to each line of `source`, including an explicit tag.
pub fn attributes(source: &LogSource, options: &Options) -> Result<BTreeMap<String, String>, PortError> {
    let mut out = BTreeMap::new();
    let listed = |key: &str| -> Vec<&str> {
        options.get(key).map(|v| v.split(',').filter(|k| !k.is_empty()).collect()).unwrap_or_default()
    };
    for key in listed("labels") {
        if let Some(value) = source.labels.get(key) {
            out.insert(key.to_owned(), value.clone());
        }
    }
    if let Some(wanted) = pattern(options, "labels-regex")? {
        let matching = source.labels.iter().filter(|(key, _)| wanted.is_match(key));
        out.extend(matching.map(|(k, v)| (k.clone(), v.clone())));
    }
    let names = listed("env");
    let wanted = pattern(options, "env-regex")?;
    for (key, value) in source.env.iter().filter_map(|pair| pair.split_once('=')) {
        if names.contains(&key) || wanted.as_ref().is_some_and(|w| w.is_match(key)) {
            out.insert(key.to_owned(), value.to_owned());
        }
    }
    if let Some(template) = options.get("tag").filter(|t| !t.is_empty()) {
        out.insert("tag".to_owned(), render(template, source, options).map_err(invalid)?);
    }
    Ok(out)
}

/// The tag of drivers that always have one.
pub(crate) fn tag(source: &LogSource, options: &Options) -> Result<String, PortError> {
    let template = options.get("tag").filter(|t| !t.is_empty()).map_or("{{.ID}}", String::as_str);
    render(template, source, options).map_err(invalid)
}

/// Refuses what would fail at any container's start.
pub(crate) fn check_metadata(options: &Options) -> Result<(), PortError> {
    debug_assert!(METADATA.iter().any(|o| o.name == "tag"));
    pattern(options, "labels-regex")?;
    pattern(options, "env-regex")?;
    check(options.get("tag").map_or("", String::as_str), options).map_err(invalid)
}

fn pattern(options: &Options, key: &str) -> Result<Option<Regex>, PortError> {
    let Some(text) = options.get(key).filter(|t| !t.is_empty()) else { return Ok(None) };
    Regex::new(text).map(Some).map_err(|e| {
        PortError::caused(contract::Kind::Invalid, format!("error parsing option {key}: '{text}'"), e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_environment_are_chosen_by_name_and_by_pattern() {
        let source = LogSource {
            container_id: "0123456789abcdef".into(),
            labels: [("a".into(), "1".into()), ("app.x".into(), "2".into()), ("z".into(), "3".into())].into(),
            env: vec!["PATH=/bin".into(), "VERSION=7=8".into(), "OTHER=x".into()],
            ..Default::default()
        };
        let options = [("labels", "a,b"), ("labels-regex", "^app"), ("env", "VERSION"), ("tag", "{{.ID}}")];
        let options = options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let got: Vec<_> = attributes(&source, &options).unwrap().into_iter().collect();
        let want = [("VERSION", "7=8"), ("a", "1"), ("app.x", "2"), ("tag", "0123456789ab")];
        assert_eq!(got, want.map(|(k, v)| (k.to_string(), v.to_string())));
    }
}
