//! The Dockerfile instructions that `--change` of `import` and `commit` takes (Dockerfile reference, each instruction's section).

mod health;
mod words;

use contract::{Kind, PortError};
use serde_json::{Map, Value, json};
use words::{expand, pairs, words};

/// An image's `config` object from instructions.
pub(crate) fn apply(changes: &[String]) -> Result<Value, PortError> {
    amend(Map::new(), changes).map(Value::Object)
}

/// A `config` object changed by instructions.
pub(crate) fn amend(
    mut config: Map<String, Value>,
    changes: &[String],
) -> Result<Map<String, Value>, PortError> {
    for line in joined(changes) {
        instruction(&mut config, &line)?;
    }
    Ok(config)
}

/// Instructions one a line: continued lines put together, comments and empty lines left out.
fn joined(changes: &[String]) -> Vec<String> {
    let text = changes.join("\n").replace("\\\r\n", "\\\n").replace("\\\n", "");
    text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).map(str::to_owned).collect()
}

fn invalid(text: impl Into<String>) -> PortError {
    PortError::new(Kind::Invalid, text)
}

fn instruction(config: &mut Map<String, Value>, line: &str) -> Result<(), PortError> {
    let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let (name, raw) = (verb.to_uppercase(), rest.trim());
    let wants = |known: &str| known.split(' ').any(|k| k == name);
    if !wants("CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR") {
        return Err(invalid(format!("{verb} is not a valid change command")));
    }
    if raw.is_empty() {
        return Err(invalid(format!("{name} requires at least one argument")));
    }
    let environment = strings(config, "Env");
    let expanded = || expand(raw, &environment);
    match name.as_str() {
        "CMD" => drop(config.insert("Cmd".into(), command(raw))),
        "ENTRYPOINT" => drop(config.insert("Entrypoint".into(), command(raw))),
        "USER" => drop(config.insert("User".into(), expanded().into())),
        "STOPSIGNAL" => drop(config.insert("StopSignal".into(), expanded().into())),
        "WORKDIR" => {
            let below = config.get("WorkingDir").and_then(Value::as_str).unwrap_or("/");
            let folder = absolute(below, &expanded());
            drop(config.insert("WorkingDir".into(), folder.into()));
        }
        "ENV" => {
            for (key, value) in pairs(raw, &environment).map_err(|e| invalid(format!("ENV {e}")))? {
                if let Some(Value::Array(list)) = config.get_mut("Env") {
                    list.retain(|e| e.as_str().and_then(|e| e.split('=').next()) != Some(key.as_str()));
                }
                push(config, "Env", format!("{key}={value}"));
            }
        }
        "LABEL" => {
            for (key, value) in pairs(raw, &environment).map_err(|e| invalid(format!("LABEL {e}")))? {
                put(config, "Labels", key, value.into());
            }
        }
        "EXPOSE" => {
            for port in words(&expanded()) {
                for port in ports(&port)? {
                    put(config, "ExposedPorts", port, json!({}));
                }
            }
        }
        "VOLUME" => {
            let list = serde_json::from_str::<Vec<String>>(raw).unwrap_or_else(|_| words(&expanded()));
            for path in list {
                put(config, "Volumes", path, json!({}));
            }
        }
        "ONBUILD" => push(config, "OnBuild", raw.into()),
        _ => drop(config.insert("Healthcheck".into(), health::check(raw)?)),
    }
    Ok(())
}

fn strings(config: &Map<String, Value>, key: &str) -> Vec<String> {
    let list = config.get(key).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

/// Adds to a list of the configuration.
fn push(config: &mut Map<String, Value>, key: &str, value: String) {
    match config.get_mut(key) {
        Some(Value::Array(list)) => list.push(value.into()),
        _ => drop(config.insert(key.into(), json!([value]))),
    }
}

/// Adds to a map of the configuration.
fn put(config: &mut Map<String, Value>, map: &str, key: String, value: Value) {
    match config.get_mut(map) {
        Some(Value::Object(map)) => drop(map.insert(key, value)),
        _ => drop(config.insert(map.into(), json!({ key: value }))),
    }
}

/// Exec form as it is, shell form through the shell.
fn command(text: &str) -> Value {
    match serde_json::from_str::<Vec<String>>(text) {
        Ok(list) => json!(list),
        Err(_) => json!(["/bin/sh", "-c", text]),
    }
}

/// A folder relative to another, cleaned.
fn absolute(below: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{below}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/').filter(|p| !p.is_empty() && *p != ".") {
        match part {
            ".." => parts.truncate(parts.len().saturating_sub(1)),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// `80`, `80/udp`, `8000-8003/tcp`.
fn ports(text: &str) -> Result<Vec<String>, PortError> {
    let bad = || invalid(format!("invalid containerPort: {text}"));
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(invalid(format!("invalid proto: {protocol}")));
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last): (u16, u16) = (first.parse().map_err(|_| bad())?, last.parse().map_err(|_| bad())?);
    if last < first {
        return Err(bad());
    }
    Ok((first..=last).map(|p| format!("{p}/{protocol}")).collect())
}

#[cfg(test)]
mod tests {
    use super::apply;
    use serde_json::{Value, json};

    fn of(changes: &[&str]) -> Value {
        apply(&changes.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn every_instruction_lands_in_the_configuration() {
        let config = of(&[
            "CMD [\"sh\", \"-l\"]",
            "entrypoint run it",
            "ENV A=1 B=\"two words\" \\\n C=x\\ y",
            "ENV A 2 and 3",
            "ENV PATH=/bin:$A",
            "LABEL one=1 \"two\"='2 2'",
            "EXPOSE 80 53/udp 8000-8001",
            "VOLUME [\"/a b\"]",
            "VOLUME /c /d",
            "WORKDIR /srv",
            "WORKDIR ../x",
            "USER nobody",
            "STOPSIGNAL SIGINT",
            "ONBUILD RUN make",
            "HEALTHCHECK --interval=5s --retries=3 CMD curl -f localhost",
        ]);
        assert_eq!(
            config,
            json!({
                "Cmd": ["sh", "-l"], "Entrypoint": ["/bin/sh", "-c", "run it"],
                "Env": ["B=two words", "C=x y", "A=2 and 3", "PATH=/bin:2 and 3"],
                "Labels": {"one": "1", "two": "2 2"},
                "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}},
                "Volumes": {"/a b": {}, "/c": {}, "/d": {}},
                "WorkingDir": "/x", "User": "nobody", "StopSignal": "SIGINT", "OnBuild": ["RUN make"],
                "Healthcheck": {
                    "Test": ["CMD-SHELL", "curl -f localhost"], "Interval": 5_000_000_000_i64, "Retries": 3
                },
            })
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for change in [
            "RUN x",
            "ENV",
            "ENV A",
            "EXPOSE x",
            "EXPOSE 9-8",
            "EXPOSE 1/icmp",
            "LABEL =x",
            "ENV A=\"x",
            "HEALTHCHECK --interval=x CMD y",
            "HEALTHCHECK RUN x",
            "HEALTHCHECK --nonsense=1 CMD x",
        ] {
            assert!(apply(&[change.to_owned()]).is_err(), "{change}");
        }
    }
}
