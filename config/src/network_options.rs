//! What every new network is told, by its driver.

use crate::error::ValueError;
use crate::source::{Given, Source};
use serde_json::Value;
use std::collections::BTreeMap;

/// The option.
pub(crate) const KEY: &str = "default-network-opts";

/// Options by driver.
pub type NetworkOptions = BTreeMap<String, BTreeMap<String, String>>;

/// Reads `driver=key=value` of flags, and `{"driver": {"key": "value"}}` of the file.
pub(crate) fn read(source: &Source) -> Result<NetworkOptions, ValueError> {
    let mut out = NetworkOptions::new();
    match source.given(KEY) {
        None => {}
        Some(Given::Flag(values)) => {
            for text in values {
                let parts = text.split_once('=').and_then(|(d, rest)| Some((d, rest.split_once('=')?)));
                let Some((driver, (key, value))) = parts else {
                    return Err(source.wrong(KEY, format!("{text:?} is not driver=key=value")));
                };
                out.entry(driver.to_owned()).or_default().insert(key.to_owned(), value.to_owned());
            }
        }
        Some(Given::File(whole)) => {
            let wrong =
                || source.wrong(KEY, format!("{whole} is not {{\"DRIVER\": {{\"KEY\": \"VALUE\"}}}}"));
            for (driver, options) in whole.as_object().ok_or_else(wrong)? {
                for (key, value) in options.as_object().ok_or_else(wrong)? {
                    let Value::String(value) = value else { return Err(wrong()) };
                    out.entry(driver.clone()).or_default().insert(key.clone(), value.clone());
                }
            }
        }
    }
    Ok(out)
}
