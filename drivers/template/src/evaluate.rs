//! Nodes and data into text.

use serde_json::Value;

use super::functions::call;
use super::{Methods, Node, Pipeline, TemplateError, Term};

/// Renders `nodes` against `data`, which has `methods`.
pub fn run(nodes: &[Node], data: &Value, methods: Methods<'_>) -> Result<String, TemplateError> {
    let mut scope = Scope { variables: vec![("$".to_owned(), data.clone())], out: String::new(), methods };
    scope.nodes(nodes, data)?;
    Ok(scope.out)
}

struct Scope<'a> {
    variables: Vec<(String, Value)>,
    out: String,
    methods: Methods<'a>,
}

/// How Go's `%v` shows a value.
pub(super) fn show(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let mut entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{key}:{}", show(value))).collect();
            entries.sort();
            format!("map[{}]", entries.join(" "))
        }
        other => other.to_string(),
    }
}

/// Go's idea of what counts as true.
pub(super) fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// Where the API has keys that users choose.
const MAPS: [&str; 9] =
    ["Labels", "Annotations", "Options", "DriverOpts", "Sysctls", "StorageOpt", "Tmpfs", "Networks", "Data"];

impl Scope<'_> {
    fn walk(&self, start: &Value, path: &[String]) -> Result<Value, TemplateError> {
        let (mut at, mut holder) = (start, "");
        for key in path {
            match at.get(key.as_str()) {
                Some(next) => (at, holder) = (next, key.as_str()),
                None if at.is_object() && self.may_lack(at, holder, key) => return Ok(Value::Null),
                None => return Err(TemplateError::NoField { path: path.join("."), key: key.clone() }),
            }
        }
        Ok(at.clone())
    }

    /// User-chosen keys (labels, drivers' options) may be absent from an object that `holder` names; the API's own may not.
    fn may_lack(&self, object: &Value, holder: &str, key: &str) -> bool {
        let within = || self.variables.first().is_some_and(|(_, whole)| whole != object);
        !key.starts_with(|c: char| c.is_ascii_uppercase())
            || MAPS.contains(&holder)
            || (matches!(self.methods, Methods::Tag) && within())
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<(), TemplateError> {
        let depth = self.variables.len();
        for node in nodes {
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Print(pipeline) => {
                    let text = show(&self.pipeline(pipeline, dot)?);
                    self.out.push_str(&text);
                }
                Node::Set(name, pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    self.variables.push((name.clone(), value));
                }
                Node::If(test, then, otherwise) => {
                    let yes = truthy(&self.pipeline(test, dot)?);
                    self.nodes(if yes { then } else { otherwise }, dot)?;
                }
                Node::With(test, then, otherwise) => {
                    let value = self.pipeline(test, dot)?;
                    match truthy(&value) {
                        true => self.nodes(then, &value)?,
                        false => self.nodes(otherwise, dot)?,
                    }
                }
                Node::Range { names, over, body, otherwise } => {
                    let entries: Vec<(Value, Value)> = match self.pipeline(over, dot)? {
                        Value::Array(items) => {
                            items.into_iter().enumerate().map(|(at, item)| (Value::from(at), item)).collect()
                        }
                        Value::Object(mut map) => {
                            map.sort_keys();
                            map.into_iter().map(|(key, value)| (Value::from(key), value)).collect()
                        }
                        _ => Vec::new(),
                    };
                    if entries.is_empty() {
                        self.nodes(otherwise, dot)?;
                    }
                    for (key, value) in entries {
                        match names.as_slice() {
                            [name] => self.variables.push((name.clone(), value.clone())),
                            [first, second, ..] => {
                                self.variables.push((first.clone(), key));
                                self.variables.push((second.clone(), value.clone()));
                            }
                            [] => {}
                        }
                        self.nodes(body, &value)?;
                    }
                }
            }
        }
        self.variables.truncate(depth);
        Ok(())
    }

    fn pipeline(&self, pipeline: &Pipeline, dot: &Value) -> Result<Value, TemplateError> {
        let mut piped = None;
        for command in pipeline {
            piped = Some(self.command(command, piped, dot)?);
        }
        Ok(piped.unwrap_or(Value::Null))
    }

    fn command(&self, terms: &[Term], piped: Option<Value>, dot: &Value) -> Result<Value, TemplateError> {
        match terms.split_first() {
            Some((Term::Function(name), rest)) => {
                let mut arguments =
                    rest.iter().map(|term| self.term(term, dot)).collect::<Result<Vec<_>, _>>()?;
                arguments.extend(piped);
                // A heading goes through the same template as its column, but is not changed by it.
                match (&self.methods, arguments.first()) {
                    (Methods::Heading, Some(first)) if super::functions::SHAPING.contains(&name.as_str()) => {
                        Ok(first.clone())
                    }
                    _ => call(name, &arguments),
                }
            }
            Some((term, [])) => self.term(term, dot),
            Some((Term::Field(path), [label])) if *path == ["Label"] => {
                let name = show(&self.term(label, dot)?);
                match self.methods {
                    Methods::Labels(labels) => {
                        Ok(labels.get(&name).cloned().unwrap_or_else(|| Value::from("")))
                    }
                    Methods::Heading => {
                        let last = name.rsplit('.').next().unwrap_or_default();
                        Ok(Value::from(last.replace(['-', '_'], " ")))
                    }
                    Methods::None | Methods::Tag => {
                        Err(TemplateError::NoField { path: "Label".to_owned(), key: "Label".to_owned() })
                    }
                }
            }
            _ => Err(TemplateError::Syntax("can't give argument to non-function".to_owned())),
        }
    }

    fn term(&self, term: &Term, dot: &Value) -> Result<Value, TemplateError> {
        match term {
            Term::Field(path) => self.walk(dot, path),
            Term::Literal(value) => Ok(value.clone()),
            Term::Group(pipeline, path) => self.walk(&self.pipeline(pipeline, dot)?, path),
            Term::Function(name) => call(name, &[]),
            Term::Variable(name, path) => {
                match self.variables.iter().rev().find(|(known, _)| known == name) {
                    Some((_, value)) => self.walk(value, path),
                    None => Err(TemplateError::Syntax(format!("undefined variable \"{name}\""))),
                }
            }
        }
    }
}
