//! The Dockerfile instructions that `import --change` takes.

use contract::{Kind, PortError};
use serde_json::{Map, Value, json};

/// An image's `config` object from instructions.
pub(crate) fn apply(changes: &[String]) -> Result<Value, PortError> {
    let mut config = Map::new();
    for change in changes {
        let (verb, rest) = change.trim().split_once(char::is_whitespace).unwrap_or((change.trim(), ""));
        let rest = rest.trim();
        match verb.to_uppercase().as_str() {
            "CMD" => drop(config.insert("Cmd".into(), command(rest))),
            "ENTRYPOINT" => drop(config.insert("Entrypoint".into(), command(rest))),
            "WORKDIR" => drop(config.insert("WorkingDir".into(), rest.into())),
            "USER" => drop(config.insert("User".into(), rest.into())),
            "STOPSIGNAL" => drop(config.insert("StopSignal".into(), rest.into())),
            "ENV" => {
                let (key, value) = rest.split_once(['=', ' ']).unwrap_or((rest, ""));
                let entry = Value::from(format!("{key}={}", value.trim_matches('"')));
                if let Value::Array(list) = config.entry("Env").or_insert_with(|| json!([])) {
                    list.push(entry);
                }
            }
            "LABEL" => {
                let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
                if let Value::Object(map) = config.entry("Labels").or_insert_with(|| json!({})) {
                    map.insert(key.to_owned(), value.trim_matches('"').into());
                }
            }
            "EXPOSE" => {
                for port in rest.split_whitespace() {
                    let port = if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") };
                    if let Value::Object(map) = config.entry("ExposedPorts").or_insert_with(|| json!({})) {
                        map.insert(port, json!({}));
                    }
                }
            }
            other => {
                return Err(PortError::new(Kind::Invalid, format!("{other} is not a valid change command")));
            }
        }
    }
    Ok(Value::Object(config))
}

/// Exec form as it is, shell form through the shell.
fn command(text: &str) -> Value {
    match serde_json::from_str::<Vec<String>>(text) {
        Ok(list) => json!(list),
        Err(_) => json!(["/bin/sh", "-c", text]),
    }
}

#[cfg(test)]
mod tests {
    use super::apply;
    use serde_json::json;

    #[test]
    fn both_forms_of_commands_are_taken_and_nonsense_is_refused() {
        let changes = ["CMD [\"sh\"]", "ENV A=1", "EXPOSE 80", "ENTRYPOINT run it"].map(str::to_owned);
        let expected = json!({"Cmd": ["sh"], "Env": ["A=1"], "ExposedPorts": {"80/tcp": {}}, "Entrypoint": ["/bin/sh", "-c", "run it"]});
        assert_eq!(apply(&changes).unwrap(), expected);
        assert!(apply(&["RUN x".to_owned()]).is_err());
    }
}
