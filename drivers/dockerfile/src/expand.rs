//! Words: variables replaced, quotes and escapes taken away, as a shell would.

mod heredoc;
mod pattern;
mod word;

use crate::error::ExpandError;
use std::collections::BTreeMap;

pub(crate) use heredoc::{heredoc_word, heredocs};
use word::{Lexer, Raw};

/// What variables stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// From `key=value` lines; the last of a key counts.
    pub fn new<S: AsRef<str>>(lines: impl IntoIterator<Item = S>) -> Self {
        let pair = |line: S| {
            let (key, value) = line.as_ref().split_once('=').unwrap_or((line.as_ref(), ""));
            (key.to_owned(), value.to_owned())
        };
        Self(lines.into_iter().map(pair).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// Replaces a word's variables; what comes out is one word.
///
/// # Errors
/// Open quotes and braces, unknown modifiers, `${x?}`; words that grow beyond any use.
pub fn expand(word: &str, escape: char, variables: &Variables) -> Result<String, ExpandError> {
    process(word, escape, variables).map(|(text, _)| text)
}

/// Replaces a word's variables; what comes out is parted at white space that is not quoted.
///
/// # Errors
/// Those of [`expand`].
pub fn expand_words(word: &str, escape: char, variables: &Variables) -> Result<Vec<String>, ExpandError> {
    process(word, escape, variables).map(|(_, words)| words)
}

fn process(word: &str, escape: char, variables: &Variables) -> Result<(String, Vec<String>), ExpandError> {
    let mut lexer = Lexer::new(word, escape, Some(variables), Raw::default());
    lexer.all().map_err(|text| ExpandError { word: shortened(word), text })
}

/// A word as an error shows it.
fn shortened(word: &str) -> String {
    match word.char_indices().nth(1_000) {
        Some((end, _)) => format!("{}…", word.get(..end).unwrap_or_default()),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests;
