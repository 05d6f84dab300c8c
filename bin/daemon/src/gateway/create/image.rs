//! What an image says about running it, and how the request goes over it.

use serde_json::Value;
use std::collections::BTreeMap;

/// The image's variables, then the user's; a repeated key takes the later value in the earlier place.
pub(super) fn merge_env(image: &[String], user: &[String]) -> Vec<String> {
    let mut out: Vec<String> = image.to_vec();
    for entry in user {
        let Some((key, _)) = entry.split_once('=') else {
            // `KEY` alone removes the variable.
            out.retain(|e| e.split_once('=').is_none_or(|(k, _)| k != entry));
            continue;
        };
        match out.iter_mut().find(|e| e.split_once('=').is_some_and(|(k, _)| k == key)) {
            Some(place) => place.clone_from(entry),
            None => out.push(entry.clone()),
        }
    }
    out
}

/// What an image's configuration says about running it.
pub(super) struct ImageDefaults<'a> {
    pub(super) config: &'a Value,
    pub(super) shell: Vec<String>,
    pub(super) entrypoint: Vec<String>,
    pub(super) command: Vec<String>,
    pub(super) env: Vec<String>,
    pub(super) working_dir: String,
    pub(super) user: String,
    pub(super) stop_signal: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) exposed: Vec<String>,
}

impl<'a> ImageDefaults<'a> {
    pub(super) fn read(config: &'a Value) -> Self {
        let config = config.get("config").unwrap_or(&Value::Null);
        let list = |key: &str| -> Vec<String> {
            config
                .get(key)
                .and_then(Value::as_array)
                .map(|a| a.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect())
                .unwrap_or_default()
        };
        let text = |key: &str| config.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let object = |key: &str| config.get(key).and_then(Value::as_object);
        Self {
            config,
            shell: list("Shell"),
            entrypoint: list("Entrypoint"),
            command: list("Cmd"),
            env: list("Env"),
            working_dir: text("WorkingDir"),
            user: text("User"),
            stop_signal: text("StopSignal"),
            labels: object("Labels")
                .map(|m| m.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect())
                .unwrap_or_default(),
            exposed: object("ExposedPorts").map(|m| m.keys().cloned().collect()).unwrap_or_default(),
        }
    }
}
