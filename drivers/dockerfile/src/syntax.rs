//! One instruction's line: its name, flags and arguments.

mod words;

use crate::error::Fault;
use crate::instruction::{Heredoc, Pair};
use serde_json::Value;
use words::{flags, words};

/// White space that parts a name from arguments, and arguments from each other.
const BLANKS: [char; 5] = ['\t', '\u{b}', '\u{c}', '\r', ' '];

/// An instruction by its form.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// As written, in any case of letters.
    pub(crate) name: String,
    /// `--key=value`, quotes and escapes gone.
    pub(crate) flags: Vec<String>,
    pub(crate) arguments: Arguments,
    pub(crate) heredocs: Vec<Heredoc>,
    /// The line whole.
    pub(crate) text: String,
    /// Its first line's number, from 1.
    pub(crate) line: usize,
}

/// Arguments by their form.
#[derive(Debug, Clone)]
pub(crate) enum Arguments {
    /// Words, or one text.
    Words(Vec<String>),
    /// A JSON array of strings; after `HEALTHCHECK CMD` too.
    Json(Vec<String>),
    Pairs(Vec<Pair>),
    /// `ONBUILD`'s instruction.
    Nested(Box<Node>),
}

impl Node {
    pub(crate) fn read(line: &str, escape: char) -> Result<Self, Fault> {
        Self::nested(line, escape, 0)
    }

    /// `depth` counts `ONBUILD ONBUILD …`, which would otherwise nest as deeply as a line is long.
    fn nested(line: &str, escape: char, depth: usize) -> Result<Self, Fault> {
        let trimmed = line.trim();
        let (name, rest) = trimmed.split_once(BLANKS).unwrap_or((trimmed, ""));
        let (flags, rest) = flags(rest.trim_start_matches(BLANKS), escape);
        let rest = rest.trim();
        let arguments = match name.to_ascii_lowercase().as_str() {
            "add" | "copy" | "volume" => json_or(rest, spaced)?,
            "cmd" | "entrypoint" | "run" | "shell" => json_or(rest, whole)?,
            "arg" => Arguments::Words(words(rest, escape)),
            "env" => pairs(rest, "ENV", escape)?,
            "label" => pairs(rest, "LABEL", escape)?,
            "expose" | "from" => Arguments::Words(spaced(rest)),
            "maintainer" | "stopsignal" | "user" | "workdir" => Arguments::Words(whole(rest)),
            "healthcheck" => check(rest)?,
            "onbuild" if rest.is_empty() => Arguments::Words(Vec::new()),
            "onbuild" if depth > 0 => Arguments::Words(spaced(rest)),
            "onbuild" => Arguments::Nested(Box::new(Self::nested(rest, escape, depth + 1)?)),
            _ => Arguments::Words(Vec::new()),
        };
        let (name, text) = (name.to_owned(), line.to_owned());
        Ok(Self { name, flags, arguments, heredocs: Vec::new(), text, line: 0 })
    }

    /// Whether here-documents can follow.
    pub(crate) fn takes_heredocs(&self) -> bool {
        let node = match &self.arguments {
            Arguments::Nested(node) => node,
            _ => self,
        };
        let takes = ["add", "copy", "run"].iter().any(|n| node.name.eq_ignore_ascii_case(n));
        takes && !matches!(node.arguments, Arguments::Json(_))
    }
}

/// Words at white space, quotes meaning nothing.
fn spaced(rest: &str) -> Vec<String> {
    rest.split(BLANKS).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

fn whole(rest: &str) -> Vec<String> {
    if rest.is_empty() { Vec::new() } else { vec![rest.to_owned()] }
}

/// A JSON array, or else what `other` makes of the text.
fn json_or(rest: &str, other: fn(&str) -> Vec<String>) -> Result<Arguments, Fault> {
    let array = rest.trim_start().starts_with('[').then(|| serde_json::from_str::<Vec<Value>>(rest));
    let Some(Ok(array)) = array else {
        return Ok(Arguments::Words(other(rest)));
    };
    let strings = array.into_iter().map(|value| match value {
        Value::String(text) => Ok(text),
        _ => Err(Fault::NotStrings),
    });
    strings.collect::<Result<_, _>>().map(Arguments::Json)
}

/// `HEALTHCHECK`'s kind and what follows it.
fn check(rest: &str) -> Result<Arguments, Fault> {
    let (kind, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let with_kind = |words: Vec<String>| [whole(kind), words].concat();
    Ok(match json_or(command.trim_start(), whole)? {
        Arguments::Json(words) => Arguments::Json(with_kind(words)),
        Arguments::Words(words) => Arguments::Words(with_kind(words)),
        other => other,
    })
}

/// `a=b c="d e"`, or the old `a the rest`; the first word decides.
fn pairs(rest: &str, instruction: &'static str, escape: char) -> Result<Arguments, Fault> {
    let words = words(rest, escape);
    let pair = |(key, value): (&str, &str)| Pair { key: key.to_owned(), value: value.to_owned() };
    if words.first().is_some_and(|w| !w.contains('=')) {
        let (key, value) = rest.split_once(BLANKS).ok_or(Fault::TwoArguments(instruction))?;
        return Ok(Arguments::Pairs(vec![pair((key, value.trim_start_matches(BLANKS)))]));
    }
    let split =
        words.iter().map(|word| word.split_once('=').map(pair).ok_or_else(|| Fault::NoEquals(word.clone())));
    split.collect::<Result<_, _>>().map(Arguments::Pairs)
}
