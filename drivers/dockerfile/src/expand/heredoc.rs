//! Here-documents: which words of a line begin one.

use super::word::{Lexer, Raw};
use crate::error::ExpandError;
use crate::instruction::Heredoc;

/// The here-documents that a line begins, in order, without their contents.
pub(crate) fn heredocs(line: &str) -> Result<Vec<Heredoc>, ExpandError> {
    let raw = Raw { quotes: true, escapes: true };
    // A line that is no words is the shell's to refuse.
    let words = Lexer::new(line, '\\', None, raw).all().map(|(_, words)| words).unwrap_or_default();
    let each = words
        .iter()
        .map(|word| read(word).map_err(|text| ExpandError { word: super::shortened(word), text }));
    Ok(each.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// The here-document that a word stands for.
pub(crate) fn heredoc_word(word: &str) -> Option<Heredoc> {
    read(word).ok().flatten()
}

/// `[number]<<[-]word`, the word perhaps quoted.
fn read(word: &str) -> Result<Option<Heredoc>, String> {
    let marked = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<");
    let Some(rest) = marked else { return Ok(None) };
    let (chomp, rest) = rest.strip_prefix('-').map_or((false, rest), |r| (true, r));
    let rest = rest.trim_start_matches(['\t', '\n', '\u{c}', '\r', ' ']);
    if rest.is_empty() || rest.contains('<') {
        return Ok(None);
    }
    let (_, mut words) = Lexer::new(rest, '\\', None, Raw::default()).all()?;
    Ok(match (words.pop(), words.is_empty()) {
        (Some(name), true) => Some(Heredoc { name, content: String::new(), chomp }),
        _ => None,
    })
}
