//! The functions templates may call: Go's own and Docker's.

use std::cmp::Ordering;

use serde_json::Value;

use super::evaluate::{show, truthy};
use super::{TemplateError, printf};

/// Every name.
pub const NAMES: &[&str] = &[
    "json", "index", "len", "join", "split", "upper", "lower", "title", "printf", "print", "println", "eq",
    "ne", "lt", "gt", "le", "ge", "and", "or", "not", "truncate", "pad", "slice",
];

/// Those that shape a text and leave a column's heading alone.
pub const SHAPING: &[&str] = &["json", "join", "split", "upper", "lower", "title", "truncate", "pad"];

fn title(text: &str) -> String {
    let mut fresh = true;
    let upper = |letter: char, fresh: bool| match fresh {
        true => letter.to_uppercase().collect::<String>(),
        false => letter.to_string(),
    };
    text.chars()
        .map(|letter| {
            let shown = upper(letter, fresh);
            fresh = !(letter.is_alphanumeric() || letter == '_' || letter == '\'');
            shown
        })
        .collect()
}

fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

/// Calls the function `name`.
pub fn call(name: &str, arguments: &[Value]) -> Result<Value, TemplateError> {
    let wrong = |why: &str| TemplateError::Call { function: name.to_owned(), why: why.to_owned() };
    let text = |at: usize| arguments.get(at).map(show).ok_or_else(|| wrong("wrong number of arguments"));
    let first = arguments.first().ok_or_else(|| wrong("wrong number of arguments"))?;
    Ok(match name {
        "json" => Value::from(first.to_string()),
        "upper" => Value::from(text(0)?.to_uppercase()),
        "lower" => Value::from(text(0)?.to_lowercase()),
        "title" => Value::from(title(&text(0)?)),
        "println" => Value::from(arguments.iter().map(show).collect::<Vec<_>>().join(" ") + "\n"),
        "print" => {
            let mut printed = show(first);
            for (before, value) in arguments.iter().zip(arguments.iter().skip(1)) {
                // As Go's Sprint does.
                if !before.is_string() && !value.is_string() {
                    printed.push(' ');
                }
                printed.push_str(&show(value));
            }
            Value::from(printed)
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
            match text(0)? {
                empty if empty.is_empty() => Value::from(empty),
                text => Value::from(format!("{}{text}{}", spaces(1), spaces(2))),
            }
        }
        "slice" => {
            let text = text(0)?;
            let at = |position: usize| arguments.get(position).and_then(Value::as_u64);
            let from = usize::try_from(at(1).unwrap_or(0)).unwrap_or(usize::MAX);
            let to = at(2).map_or(text.len(), |to| usize::try_from(to).unwrap_or(usize::MAX));
            Value::from(text.get(from..to).ok_or_else(|| wrong("slice index out of range"))?)
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
        "printf" => Value::from(printf::printf(&text(0)?, arguments.get(1..).unwrap_or_default())),
        _ => return Err(wrong("not defined")),
    })
}
