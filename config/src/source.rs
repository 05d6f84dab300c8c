//! Typed values of keys, from the flag or the file that gave them.

use crate::error::{Origin, ValueError};
use crate::key::Key;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::str::FromStr;

/// Everything that was given.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) flags: BTreeMap<&'static str, Vec<String>>,
    pub(crate) file: Map<String, Value>,
    pub(crate) keys: fn(&str) -> Option<&'static Key>,
}

/// One key's values as they were given.
pub(crate) enum Given<'a> {
    Flag(&'a [String]),
    File(&'a Value),
}

type Read<T> = Result<T, ValueError>;

impl Source {
    /// Who gave a key, if anyone did.
    pub(crate) fn given(&self, key: &str) -> Option<Given<'_>> {
        if let Some(values) = self.flags.get(key) {
            return Some(Given::Flag(values));
        }
        self.file.get(key).filter(|v| !v.is_null()).map(Given::File)
    }

    /// An error about a key that was given.
    pub(crate) fn wrong(&self, key: &'static str, text: impl Into<String>) -> ValueError {
        let (origin, flag) = self.place(key);
        ValueError::Wrong { key, flag, origin, text: text.into() }
    }

    /// The refusal of what Docker honours.
    pub(crate) fn unsupported(&self, key: &'static str, text: impl Into<String>) -> ValueError {
        let (origin, flag) = self.place(key);
        ValueError::Unsupported { key, flag, origin, text: text.into() }
    }

    fn place(&self, key: &'static str) -> (Origin, &'static str) {
        let origin = if self.flags.contains_key(key) { Origin::Flag } else { Origin::File };
        (origin, (self.keys)(key).map_or(key, |k| k.flag))
    }

    /// A text.
    pub(crate) fn text(&self, key: &'static str) -> Read<Option<String>> {
        match self.given(key) {
            None => Ok(None),
            Some(Given::Flag(values)) => Ok(values.last().cloned()),
            Some(Given::File(Value::String(text))) => Ok(Some(text.clone())),
            Some(Given::File(other)) => Err(self.wrong(key, format!("must be a string, not {other}"))),
        }
    }

    /// A text that counts as not given when it is empty.
    pub(crate) fn some_text(&self, key: &'static str) -> Read<Option<String>> {
        Ok(self.text(key)?.filter(|t| !t.is_empty()))
    }

    /// A text of a form.
    pub(crate) fn parsed<T: FromStr>(&self, key: &'static str, what: &str) -> Read<Option<T>> {
        let Some(text) = self.some_text(key)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.wrong(key, format!("{text:?} is not {what}")))
    }

    /// True or false.
    pub(crate) fn switch(&self, key: &'static str) -> Read<Option<bool>> {
        match self.given(key) {
            None => Ok(None),
            Some(Given::Flag(values)) => {
                let text = values.last().map(String::as_str).unwrap_or_default();
                truth(text)
                    .map(Some)
                    .ok_or_else(|| self.wrong(key, format!("{text:?} is neither true nor false")))
            }
            Some(Given::File(Value::Bool(value))) => Ok(Some(*value)),
            Some(Given::File(other)) => Err(self.wrong(key, format!("must be true or false, not {other}"))),
        }
    }

    /// A whole number of at least `least`.
    pub(crate) fn number(&self, key: &'static str, least: i64) -> Read<Option<i64>> {
        let number = match self.given(key) {
            None => return Ok(None),
            Some(Given::Flag(values)) => {
                let text = values.last().map(String::as_str).unwrap_or_default();
                text.parse().map_err(|_| self.wrong(key, format!("{text:?} is not a whole number")))?
            }
            Some(Given::File(value)) => value
                .as_i64()
                .ok_or_else(|| self.wrong(key, format!("must be a whole number, not {value}")))?,
        };
        if number < least {
            return Err(self.wrong(key, format!("{number} is less than {least}")));
        }
        Ok(Some(number))
    }

    /// Bytes.
    pub(crate) fn size(&self, key: &'static str) -> Read<Option<i64>> {
        let text = match self.given(key) {
            None => return Ok(None),
            Some(Given::Flag(values)) => values.last().cloned().unwrap_or_default(),
            Some(Given::File(Value::String(text))) => text.clone(),
            Some(Given::File(value)) => match value.as_i64() {
                Some(bytes) => return Ok(Some(bytes)),
                None => return Err(self.wrong(key, format!("must be a size, not {value}"))),
            },
        };
        crate::size::bytes(&text).map(Some).ok_or_else(|| self.wrong(key, format!("invalid size: '{text}'")))
    }

    /// Texts.
    pub(crate) fn list(&self, key: &'static str) -> Read<Vec<String>> {
        let wrong = |value: &Value| self.wrong(key, format!("must be a list of strings, not {value}"));
        match self.given(key) {
            None => Ok(Vec::new()),
            Some(Given::Flag(values)) => Ok(values.to_vec()),
            Some(Given::File(whole @ Value::Array(list))) => {
                list.iter().map(|v| v.as_str().map(str::to_owned).ok_or_else(|| wrong(whole))).collect()
            }
            Some(Given::File(other)) => Err(wrong(other)),
        }
    }

    /// Texts of a form.
    pub(crate) fn parsed_list<T: FromStr>(&self, key: &'static str, what: &str) -> Read<Vec<T>> {
        let one = |text: String| text.parse().map_err(|_| self.wrong(key, format!("{text:?} is not {what}")));
        self.list(key)?.into_iter().map(one).collect()
    }

    /// Texts by name.
    pub(crate) fn map(&self, key: &'static str) -> Read<BTreeMap<String, String>> {
        match self.given(key) {
            None => Ok(BTreeMap::new()),
            Some(Given::Flag(values)) => {
                let pair = |entry: &String| {
                    let (k, v) = entry
                        .split_once('=')
                        .ok_or_else(|| self.wrong(key, format!("{entry:?} is not key=value")))?;
                    Ok((k.to_owned(), v.to_owned()))
                };
                values.iter().map(pair).collect()
            }
            Some(Given::File(Value::Object(map))) => {
                let pair = |(k, v): (&String, &Value)| match v.as_str() {
                    Some(text) => Ok((k.clone(), text.to_owned())),
                    None => Err(self.wrong(key, format!("{k} must be a string, not {v}"))),
                };
                map.iter().map(pair).collect()
            }
            Some(Given::File(other)) => {
                Err(self.wrong(key, format!("must be an object of strings, not {other}")))
            }
        }
    }

    /// An object that serde reads.
    pub(crate) fn object<T: serde::de::DeserializeOwned + Default>(&self, key: &'static str) -> Read<T> {
        match self.file.get(key) {
            None | Some(Value::Null) => Ok(T::default()),
            Some(value) => T::deserialize(value).map_err(|e| ValueError::Wrong {
                key,
                flag: key,
                origin: Origin::File,
                text: e.to_string(),
            }),
        }
    }
}

/// What Go's flags take for true and false.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}
