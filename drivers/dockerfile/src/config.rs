//! What instructions make of an image's configuration (Docker's `container.Config` in JSON).

mod text;

use crate::error::Fault;
use crate::expand::{Variables, expand, expand_words};
use crate::instruction::{Command, Expansion, Form, Health, Instruction, Pair};
use crate::ports::ports;
use crate::print::{duration, quoted_list, quoted_number};
use crate::signal::is_signal;
use serde_json::{Map, Value, json};
use text::joined;

/// Bytes that the texts of a configuration may have together. Linux starts nothing with more arguments and environment than
/// that (execve(2), a quarter of the stack's limit).
pub(crate) const LARGEST: usize = 2 << 20;

/// An image's `config` object.
pub type Config = Map<String, Value>;

/// A list of the configuration.
#[must_use]
pub fn strings(config: &Config, key: &str) -> Vec<String> {
    let list = config.get(key).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

/// The shell of shell forms: `SHELL`'s, or else `/bin/sh -c`.
#[must_use]
pub fn shell(config: &Config) -> Vec<String> {
    Some(strings(config, "Shell"))
        .filter(|s| !s.is_empty())
        .unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into()])
}

/// Changes a configuration by an instruction and answers the text it has in the history. `RUN`, `COPY`, `ADD`, `ARG` and
/// `MAINTAINER` change nothing in it and have no text here. That `ENTRYPOINT` takes a command of the base image away is
/// left to the caller, who knows whose it is.
///
/// # Errors
/// Variables that cannot be replaced; values that are none.
pub fn apply(
    config: &mut Config,
    instruction: &Instruction,
    escape: char,
    variables: &Variables,
) -> Result<Option<String>, Fault> {
    let word = |text: &String| expand(text, escape, variables);
    let pairs = |pairs: &[Pair]| -> Result<Vec<Pair>, Fault> {
        let pair = |p: &Pair| Ok(Pair { key: word(&p.key)?, value: word(&p.value)? });
        pairs.iter().map(pair).collect()
    };
    let text = match instruction {
        Instruction::Cmd(command) => {
            let line = resolved(config, command);
            config.insert("Cmd".into(), json!(line));
            format!("CMD {}", quoted_list(&line))
        }
        Instruction::Entrypoint(command) => {
            let line = if command.words.is_empty() { Vec::new() } else { resolved(config, command) };
            let text = format!("ENTRYPOINT {}", quoted_list(&line));
            let value = if line.is_empty() { Value::Null } else { json!(line) };
            config.insert("Entrypoint".into(), value);
            text
        }
        Instruction::Env(list) => {
            let list = pairs(list)?;
            list.iter().for_each(|pair| set_variable(config, pair));
            joined("ENV", &list)
        }
        Instruction::Label(list, expansion) => {
            let list = if *expansion == Expansion::Verbatim { list.clone() } else { pairs(list)? };
            for Pair { key, value } in &list {
                put(config, "Labels", key.clone(), value.as_str().into());
            }
            joined("LABEL", &list)
        }
        Instruction::Expose(list) => {
            let mut words = Vec::new();
            for text in list {
                words.extend(expand_words(text, escape, variables)?);
            }
            let mut all = Vec::new();
            for text in &words {
                all.extend(ports(text)?);
            }
            all.into_iter().for_each(|port| put(config, "ExposedPorts", port, json!({})));
            sort(config, "ExposedPorts");
            format!("EXPOSE {}", words.join(" "))
        }
        Instruction::Healthcheck(health) => {
            config.insert("Healthcheck".into(), check(health));
            history_of(health)
        }
        Instruction::Onbuild(text) => {
            push(config, "OnBuild", text.clone());
            format!("ONBUILD {text}")
        }
        Instruction::Shell(words) => {
            config.insert("Shell".into(), json!(words));
            format!("SHELL [{}]", words.join(" "))
        }
        Instruction::Stopsignal(text) => {
            let signal = word(text)?;
            if !is_signal(&signal) {
                return Err(Fault::Signal(signal));
            }
            config.insert("StopSignal".into(), signal.as_str().into());
            format!("STOPSIGNAL {signal}")
        }
        Instruction::User(text) => {
            let user = word(text)?;
            config.insert("User".into(), user.as_str().into());
            format!("USER {user}")
        }
        Instruction::Volume(list) => {
            let list = list.iter().map(word).collect::<Result<Vec<_>, _>>()?;
            if list.iter().any(String::is_empty) {
                return Err(Fault::EmptyVolume);
            }
            list.iter().for_each(|path| put(config, "Volumes", path.clone(), json!({})));
            format!("VOLUME [{}]", list.join(" "))
        }
        Instruction::Workdir(text) => {
            let path = word(text)?;
            if path.is_empty() {
                return Err(Fault::EmptyFolder);
            }
            let below = config.get("WorkingDir").and_then(Value::as_str).unwrap_or_default();
            let path = absolute(below, &path);
            config.insert("WorkingDir".into(), path.as_str().into());
            format!("WORKDIR {path}")
        }
        Instruction::Add(_)
        | Instruction::Arg(_)
        | Instruction::Copy(_)
        | Instruction::Maintainer(_)
        | Instruction::Run(_) => return Ok(None),
    };
    if config.values().map(weight).sum::<usize>() > LARGEST {
        return Err(Fault::Large(LARGEST));
    }
    Ok(Some(text))
}

/// Bytes of a value's texts.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(weight).sum(),
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + weight(value)).sum(),
        _ => 0,
    }
}

/// A command as it is executed.
fn resolved(config: &Config, command: &Command) -> Vec<String> {
    match command.form {
        Form::Exec => command.words.clone(),
        Form::Shell => [shell(config), command.words.clone()].concat(),
    }
}

/// A variable keeps its place among the others.
fn set_variable(config: &mut Config, Pair { key, value }: &Pair) {
    let line = Value::from(format!("{key}={value}"));
    let Some(Value::Array(list)) = config.get_mut("Env") else {
        config.insert("Env".into(), json!([line]));
        return;
    };
    let named = |v: &&mut Value| v.as_str().and_then(|v| v.split('=').next()) == Some(key);
    match list.iter_mut().find(named) {
        Some(old) => *old = line,
        None => list.push(line),
    }
}

/// Adds to a list of the configuration.
fn push(config: &mut Config, key: &str, value: String) {
    match config.get_mut(key) {
        Some(Value::Array(list)) => list.push(value.into()),
        _ => drop(config.insert(key.into(), json!([value]))),
    }
}

/// Adds to a map of the configuration.
fn put(config: &mut Config, map: &str, key: String, value: Value) {
    match config.get_mut(map) {
        Some(Value::Object(map)) => drop(map.insert(key, value)),
        _ => drop(config.insert(map.into(), json!({ key: value }))),
    }
}

fn sort(config: &mut Config, map: &str) {
    if let Some(Value::Object(map)) = config.get_mut(map) {
        map.sort_keys();
    }
}

/// Docker's `HealthConfig`; zeros are left out.
fn check(health: &Health) -> Value {
    let mut out = Map::from_iter([("Test".to_owned(), json!(health.test))]);
    let numbers = [
        ("Interval", health.interval),
        ("Timeout", health.timeout),
        ("StartPeriod", health.start_period),
        ("StartInterval", health.start_interval),
        ("Retries", health.retries.into()),
    ];
    out.extend(numbers.into_iter().filter(|(_, n)| *n != 0).map(|(key, n)| (key.to_owned(), n.into())));
    Value::Object(out)
}

/// Docker prints the structure as Go shows it.
fn history_of(health: &Health) -> String {
    let times = [health.interval, health.timeout, health.start_period, health.start_interval];
    let times = times.map(|ns| format!("\"{}\"", duration(ns))).join(" ");
    format!("HEALTHCHECK &{{{} {times} {}}}", quoted_list(&health.test), quoted_number(health.retries))
}

/// A folder relative to another, cleaned.
#[must_use]
pub fn absolute(below: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{below}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/').filter(|p| !p.is_empty() && *p != ".") {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests;
