//! An image made of what a container changed.

use crate::import::architecture;
use crate::making::Making;
use crate::pieces::Cut;
use contract::archive::BlockingStream;
use contract::image::CommitSpec;
use contract::{ImageId, Kind, PortError};
use serde_json::{Map, Value, json};

/// Diff id of a layer in which nothing is: the digest of the two blocks that end an archive.
pub(crate) const EMPTY: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

/// Makes an image of a layer over the image the container runs on.
pub(crate) fn commit(
    making: &Making,
    parent: &str,
    layer: BlockingStream,
    names: &[String],
    spec: &CommitSpec,
) -> Result<ImageId, PortError> {
    let own = object(&spec.container_config);
    let base = spec.config.as_ref().map_or_else(|| own.clone(), object);
    let config = merged(amended(base, &spec.changes)?, &own);
    let parent = making.core().summary(parent)?;
    for below in &parent.layers {
        if !making.hold(below) {
            return Err(PortError::new(Kind::NotFound, format!("layer {below} is gone")));
        }
    }
    let unpacked = making.unpack(Cut(layer), None, None)?;
    let empty = unpacked.diff_id == EMPTY;
    let image = configuration(&parent.config, spec, config, (!empty).then_some(unpacked.diff_id));
    let made = making.finish_over(Some(&parent.id), image.to_string().as_bytes(), names)?;
    Ok(ImageId::new(made.0))
}

/// A configuration changed by the instructions of `--change`.
pub(crate) fn amended(
    config: Map<String, Value>,
    changes: &[String],
) -> Result<Map<String, Value>, PortError> {
    dockerfile::amend(config, changes).map_err(|e| PortError::new(Kind::Invalid, e.to_string()))
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// The image's configuration; without a layer it has its parent's.
fn configuration(
    parent: &Value,
    spec: &CommitSpec,
    config: Map<String, Value>,
    layer: Option<String>,
) -> Value {
    let now = jiff::Timestamp::now().to_string();
    let list = |path: &str| parent.pointer(path).and_then(Value::as_array).cloned().unwrap_or_default();
    let command = spec.container_config.get("Cmd").and_then(Value::as_array).into_iter().flatten();
    let command: Vec<&str> = command.filter_map(Value::as_str).collect();
    let mut step = json!({ "created": now, "created_by": command.join(" ") });
    if let Some(map) = step.as_object_mut() {
        for (key, text) in [("author", &spec.author), ("comment", &spec.comment)] {
            if !text.is_empty() {
                map.insert(key.into(), text.as_str().into());
            }
        }
        if layer.is_none() {
            map.insert("empty_layer".into(), true.into());
        }
    }
    let (mut history, mut diff_ids) = (list("/history"), list("/rootfs/diff_ids"));
    history.push(step);
    diff_ids.extend(layer.map(Value::from));
    let mut image = json!({
        "architecture": parent.get("architecture").and_then(Value::as_str).unwrap_or(architecture()),
        "comment": spec.comment, "config": config, "container": spec.container,
        "container_config": spec.container_config, "created": now, "history": history, "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    if let Some(map) = image.as_object_mut() {
        for key in ["variant", "os.version"] {
            if let Some(value) = parent.get(key) {
                map.insert(key.into(), value.clone());
            }
        }
        if !spec.author.is_empty() {
            map.insert("author".into(), spec.author.clone().into());
        }
    }
    image
}

fn empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Number(number)) => number.as_i64() == Some(0),
        Some(Value::Bool(_)) => false,
    }
}

/// What the asked for configuration leaves open comes from the container's, by Docker's rules.
fn merged(mut asked: Map<String, Value>, own: &Map<String, Value>) -> Map<String, Value> {
    let take = |asked: &mut Map<String, Value>, key: &str| {
        if empty(asked.get(key))
            && let Some(value) = own.get(key)
        {
            asked.insert(key.to_owned(), value.clone());
        }
    };
    // An entrypoint of its own takes no other's command; an empty list of one is a wish.
    if empty(asked.get("Entrypoint")) {
        take(&mut asked, "Cmd");
        if asked.get("Entrypoint").is_none_or(Value::is_null) {
            take(&mut asked, "Entrypoint");
        }
    }
    for key in ["ExposedPorts", "Labels", "Volumes", "Healthcheck"] {
        match (asked.get_mut(key), own.get(key)) {
            (Some(Value::Object(map)), Some(Value::Object(theirs))) => {
                for (name, value) in theirs {
                    if empty(map.get(name)) && (key != "Labels" || !map.contains_key(name)) {
                        map.insert(name.clone(), value.clone());
                    }
                }
            }
            _ => take(&mut asked, key),
        }
    }
    let environment = |map: &Map<String, Value>| -> Vec<String> {
        let list = map.get("Env").and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|v| v.as_str().map(str::to_owned)).collect()
    };
    let mut all = environment(&asked);
    for variable in environment(own) {
        let key = |text: &str| text.split('=').next().map(str::to_owned);
        if !all.iter().any(|known| key(known) == key(&variable)) {
            all.push(variable);
        }
    }
    asked.insert("Env".into(), json!(all));
    for key in ["User", "WorkingDir", "StopSignal"] {
        take(&mut asked, key);
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_open_comes_from_the_container() {
        let own = json!({
            "Env": ["A=1", "B=2"], "Cmd": ["sh"], "Labels": {"a": "1", "b": "2"}, "User": "app",
            "ExposedPorts": {"80/tcp": {}}, "WorkingDir": "/w",
        });
        let asked =
            json!({ "Env": ["A=9"], "Labels": {"a": ""}, "ExposedPorts": {"53/udp": {}}, "Cmd": null });
        let whole = merged(object(&asked), &object(&own));
        assert_eq!(
            Value::Object(whole),
            json!({
                "Env": ["A=9", "B=2"], "Labels": {"a": "", "b": "2"}, "Cmd": ["sh"], "User": "app",
                "ExposedPorts": {"53/udp": {}, "80/tcp": {}}, "WorkingDir": "/w",
            })
        );
    }

    #[test]
    fn an_entrypoint_asked_for_leaves_the_containers_command_out() {
        let own = object(&json!({ "Cmd": ["sh"], "Entrypoint": ["init"] }));
        let whole = merged(object(&json!({ "Entrypoint": ["run"] })), &own);
        assert_eq!((whole.get("Cmd"), &whole["Entrypoint"]), (None, &json!(["run"])));
        let whole = merged(object(&json!({ "Entrypoint": [] })), &own);
        assert_eq!((&whole["Cmd"], &whole["Entrypoint"]), (&json!(["sh"]), &json!([])));
    }
}
