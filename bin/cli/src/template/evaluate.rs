//! Nodes and data into text.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Node, Pipeline, TemplateError, Term};

/// Renders `nodes` against `data`.
pub fn run(nodes: &[Node], data: &Value) -> Result<String, TemplateError> {
    let mut scope = Scope { variables: vec![("$".to_owned(), data.clone())], out: String::new() };
    scope.nodes(nodes, data)?;
    Ok(scope.out)
}

struct Scope {
    variables: Vec<(String, Value)>,
    out: String,
}

/// How Go's `%v` shows a value.
fn show(value: &Value) -> String {
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

fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

fn walk(start: &Value, path: &[String]) -> Result<Value, TemplateError> {
    let mut at = start;
    for key in path {
        match at.get(key.as_str()) {
            Some(next) => at = next,
            // User-chosen keys (labels, drivers' options) may be absent; the API's own may not.
            None if at.is_object() && !key.starts_with(|c: char| c.is_ascii_uppercase()) => {
                return Ok(Value::Null);
            }
            None => return Err(TemplateError::NoField(key.clone())),
        }
    }
    Ok(at.clone())
}

impl Scope {
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
                call(name, &arguments)
            }
            Some((term, [])) => self.term(term, dot),
            _ => Err(TemplateError::Syntax("can't give argument to non-function".to_owned())),
        }
    }

    fn term(&self, term: &Term, dot: &Value) -> Result<Value, TemplateError> {
        match term {
            Term::Field(path) => walk(dot, path),
            Term::Literal(value) => Ok(value.clone()),
            Term::Group(pipeline, path) => walk(&self.pipeline(pipeline, dot)?, path),
            Term::Function(name) => call(name, &[]),
            Term::Variable(name, path) => {
                match self.variables.iter().rev().find(|(known, _)| known == name) {
                    Some((_, value)) => walk(value, path),
                    None => Err(TemplateError::Syntax(format!("undefined variable \"{name}\""))),
                }
            }
        }
    }
}

fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

fn call(name: &str, arguments: &[Value]) -> Result<Value, TemplateError> {
    let wrong = |why: &str| TemplateError::Call { function: name.to_owned(), why: why.to_owned() };
    let text = |at: usize| arguments.get(at).map(show).ok_or_else(|| wrong("wrong number of arguments"));
    let first = arguments.first().ok_or_else(|| wrong("wrong number of arguments"))?;
    Ok(match name {
        "json" => Value::from(first.to_string()),
        "upper" => Value::from(text(0)?.to_uppercase()),
        "lower" => Value::from(text(0)?.to_lowercase()),
        "title" => {
            let text = text(0)?;
            let mut letters = text.chars();
            let head: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
            Value::from(head + letters.as_str())
        }
        "print" | "println" => {
            let joined = arguments.iter().map(show).collect::<Vec<_>>().join(" ");
            Value::from(if name == "println" { joined + "\n" } else { joined })
        }
        "len" => Value::from(match first {
            Value::Array(items) => items.len(),
            Value::Object(map) => map.len(),
            Value::String(text) => text.len(),
            Value::Null => 0,
            _ => return Err(wrong("len of type without length")),
        }),
        "join" => match first {
            Value::Array(items) => Value::from(items.iter().map(show).collect::<Vec<_>>().join(&text(1)?)),
            Value::Null => Value::from(""),
            _ => return Err(wrong("not a list")),
        },
        "split" => Value::from(text(0)?.split(&text(1)?).map(str::to_owned).collect::<Vec<_>>()),
        "truncate" => {
            let length = arguments.get(1).and_then(Value::as_u64).ok_or_else(|| wrong("not a number"))?;
            Value::from(
                text(0)?.chars().take(usize::try_from(length).unwrap_or(usize::MAX)).collect::<String>(),
            )
        }
        "pad" => {
            let spaces = |at: usize| {
                let count = arguments.get(at).and_then(Value::as_u64).unwrap_or_default();
                " ".repeat(usize::try_from(count.min(1000)).unwrap_or_default())
            };
            Value::from(format!("{}{}{}", spaces(1), text(0)?, spaces(2)))
        }
        "not" => Value::from(!truthy(first)),
        "and" => {
            arguments.iter().find(|value| !truthy(value)).or(arguments.last()).cloned().unwrap_or(Value::Null)
        }
        "or" => {
            arguments.iter().find(|value| truthy(value)).or(arguments.last()).cloned().unwrap_or(Value::Null)
        }
        "eq" => Value::from(arguments.iter().skip(1).any(|other| other == first)),
        "ne" => Value::from(arguments.get(1) != Some(first)),
        "lt" | "le" | "gt" | "ge" => {
            let order = arguments
                .get(1)
                .and_then(|other| compare(first, other))
                .ok_or_else(|| wrong("incompatible types for comparison"))?;
            Value::from(match name {
                "lt" => order.is_lt(),
                "le" => order.is_le(),
                "gt" => order.is_gt(),
                _ => order.is_ge(),
            })
        }
        "index" => {
            let mut at = first;
            for key in arguments.iter().skip(1) {
                at = match (at, key) {
                    (Value::Object(map), Value::String(key)) => map.get(key).unwrap_or(&Value::Null),
                    (Value::Array(items), Value::Number(number)) => number
                        .as_u64()
                        .and_then(|index| items.get(usize::try_from(index).ok()?))
                        .ok_or_else(|| wrong(&format!("index out of range: {number}")))?,
                    (Value::Null, _) => return Err(wrong("index of untyped nil")),
                    _ => return Err(wrong("can't index item")),
                };
            }
            at.clone()
        }
        "printf" => {
            let mut rest = arguments.iter().skip(1);
            let mut out = String::new();
            let format = text(0)?;
            let mut letters = format.chars();
            while let Some(letter) = letters.next() {
                match letter {
                    '%' => match letters.next() {
                        Some('%') => out.push('%'),
                        Some('q') => {
                            out.push_str(&format!("{:?}", show(rest.next().unwrap_or(&Value::Null))))
                        }
                        Some('s' | 'd' | 'v') => out.push_str(&show(rest.next().unwrap_or(&Value::Null))),
                        _ => return Err(wrong("only %s, %d, %v and %q are known")),
                    },
                    other => out.push(other),
                }
            }
            Value::from(out)
        }
        _ => return Err(wrong("not defined")),
    })
}
