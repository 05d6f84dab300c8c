//! Nodes and data into text.

use std::cell::Cell;

use serde_json::Value;

use super::functions::call;
use super::{Methods, Node, Pipeline, TemplateError, Term};

/// Renders `nodes` against `data`, which has `methods`.
pub fn run(nodes: &[Node], data: &Value, methods: Methods<'_>) -> Result<String, TemplateError> {
    let variables = vec![("$".to_owned(), data.clone())];
    let mut scope = Scope { variables, out: String::new(), methods, spent: Cell::new(0) };
    scope.nodes(nodes, data)?;
    Ok(scope.out)
}

struct Scope<'a> {
    variables: Vec<(String, Value)>,
    out: String,
    methods: Methods<'a>,
    /// Bytes that were handled.
    spent: Cell<usize>,
}

/// Longest tag. Loops in loops and texts that double would take all of a daemon's memory and time.
const LONGEST: usize = 64 << 10;
/// Most bytes handled for one,
const WORK: usize = 16 << 20;
/// of which a step is so many,
const STEP: usize = 64;
/// and a function is given so many at most,
const GIVEN: usize = 1 << 20;
/// in so many arguments: `printf` makes up to 10 000 of each.
const ARGUMENTS: usize = 256;

fn weight(value: &Value) -> usize {
    STEP + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum::<usize>(),
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + weight(value)).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
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
    fn is_bounded(&self) -> bool {
        matches!(self.methods, Methods::Tag)
    }

    fn spend(&self, bytes: usize) -> Result<(), TemplateError> {
        let spent = self.spent.get().saturating_add(bytes);
        self.spent.set(spent);
        match self.is_bounded() && spent > WORK {
            true => Err(TemplateError::Limit("it does too much")),
            false => Ok(()),
        }
    }

    /// Before `value` is copied, or once it was made.
    fn handle(&self, value: &Value) -> Result<(), TemplateError> {
        if self.is_bounded() { self.spend(weight(value)) } else { Ok(()) }
    }

    /// Refuses what would only be known to be too much when it is made.
    fn check(&self, function: &str, arguments: &[Value]) -> Result<(), TemplateError> {
        if !self.is_bounded() {
            return Ok(());
        }
        let given: usize = arguments.iter().map(weight).sum();
        let made = match (function, arguments) {
            ("join", [Value::Array(items), between, ..]) => items.len().saturating_mul(weight(between)),
            _ => 0,
        };
        match arguments.len() > ARGUMENTS || given > GIVEN || made > WORK {
            true => Err(TemplateError::Limit("a function is given too much")),
            false => Ok(()),
        }
    }

    fn put(&mut self, text: &str) -> Result<(), TemplateError> {
        if self.is_bounded() && self.out.len() + text.len() > LONGEST {
            return Err(TemplateError::Limit("it becomes longer than 64 KiB"));
        }
        self.out.push_str(text);
        Ok(())
    }

    fn walk(&self, start: &Value, path: &[String]) -> Result<Value, TemplateError> {
        let (mut at, mut holder) = (start, "");
        for key in path {
            match at.get(key.as_str()) {
                Some(next) => (at, holder) = (next, key.as_str()),
                None if at.is_object() && self.may_lack(at, holder, key) => return Ok(Value::Null),
                None => return Err(TemplateError::NoField { path: path.join("."), key: key.clone() }),
            }
        }
        self.handle(at)?;
        Ok(at.clone())
    }

    /// User-chosen keys (labels, drivers' options) may be absent from an object that `holder` names; the API's own may not.
    fn may_lack(&self, object: &Value, holder: &str, key: &str) -> bool {
        let within = || self.variables.first().is_some_and(|(_, whole)| whole != object);
        !key.starts_with(|c: char| c.is_ascii_uppercase())
            || MAPS.contains(&holder)
            || (self.is_bounded() && within())
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<(), TemplateError> {
        let depth = self.variables.len();
        for node in nodes {
            self.spend(STEP)?;
            match node {
                Node::Text(text) => self.put(text)?,
                Node::Print(pipeline) => {
                    let text = show(&self.pipeline(pipeline, dot)?);
                    self.put(&text)?;
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
                    let outside = self.variables.len();
                    for (key, value) in entries {
                        self.handle(&value)?;
                        match names.as_slice() {
                            [name] => self.variables.push((name.clone(), value.clone())),
                            [first, second, ..] => {
                                self.variables.push((first.clone(), key));
                                self.variables.push((second.clone(), value.clone()));
                            }
                            [] => {}
                        }
                        self.nodes(body, &value)?;
                        // They are looked through for each name.
                        self.variables.truncate(outside);
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
                    _ => {
                        self.check(name, &arguments)?;
                        let result = call(name, &arguments)?;
                        self.handle(&result)?;
                        Ok(result)
                    }
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
            Some((Term::Field(path), _)) => {
                let (whole, last) = (path.join("."), path.last().map_or("", String::as_str));
                let why = "is not a method but has arguments: times and other values have no methods here";
                Err(TemplateError::Syntax(format!("at <.{whole}>: {last} {why}")))
            }
            _ => Err(TemplateError::Syntax("can't give argument to non-function".to_owned())),
        }
    }

    fn term(&self, term: &Term, dot: &Value) -> Result<Value, TemplateError> {
        match term {
            Term::Field(path) => self.walk(dot, path),
            Term::Literal(value) => {
                self.handle(value)?;
                Ok(value.clone())
            }
            Term::Group(pipeline, path) => self.walk(&self.pipeline(pipeline, dot)?, path),
            Term::Function(name) => call(name, &[]),
            Term::Variable(name, path) => {
                self.spend(self.variables.len())?;
                match self.variables.iter().rev().find(|(known, _)| known == name) {
                    Some((_, value)) => self.walk(value, path),
                    None => Err(TemplateError::Syntax(format!("undefined variable \"{name}\""))),
                }
            }
        }
    }
}
