//! Flags of instructions, and guesses at what was meant.

use crate::error::Fault;

/// Flags that were given.
#[derive(Debug)]
pub(crate) struct Flags(Vec<(String, String)>);

impl Flags {
    /// Reads flags. Known ones take a value, once; `name?` is true or false, `name*` may be repeated.
    pub(crate) fn read(given: &[String], known: &[&str]) -> Result<Self, Fault> {
        let names: Vec<&str> = known.iter().map(|k| k.trim_end_matches(['?', '*'])).collect();
        let mut out: Vec<(String, String)> = Vec::new();
        for flag in given {
            let flag = flag.strip_prefix("--").unwrap_or(flag);
            let (name, value) = flag.split_once('=').map_or((flag, None), |(n, v)| (n, Some(v)));
            let found = names.iter().zip(known).find(|(n, _)| **n == name).map(|(_, k)| *k);
            let Some(kind) = found else {
                let suggestion = closest(name, &names, false);
                return Err(Fault::UnknownFlag { name: name.to_owned(), suggestion });
            };
            if !kind.ends_with('*') && out.iter().any(|(n, _)| n == name) {
                return Err(Fault::DuplicateFlag(name.to_owned()));
            }
            let value = match value {
                None if kind.ends_with('?') => "true".to_owned(),
                None => return Err(Fault::FlagValue(name.to_owned())),
                Some("") if kind.ends_with('?') => return Err(Fault::FlagValue(name.to_owned())),
                Some(v) if kind.ends_with('?') => match v.to_lowercase().as_str() {
                    v @ ("true" | "false") => v.to_owned(),
                    _ => return Err(Fault::FlagBoolean(name.to_owned(), v.to_owned())),
                },
                Some(v) => v.to_owned(),
            };
            out.push((name.to_owned(), value));
        }
        Ok(Self(out))
    }

    /// A flag's value.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Names of the flags given, each once.
    pub(crate) fn used(self) -> Vec<String> {
        let mut names: Vec<String> = self.0.into_iter().map(|(n, _)| n).collect();
        names.dedup();
        names
    }
}

/// The option nearest to a word, if it is at most two edits away and not the word itself.
pub(crate) fn closest(word: &str, options: &[&str], any_case: bool) -> Option<String> {
    let wanted = if any_case { word.to_lowercase() } else { word.to_owned() };
    // Nothing longer is near anything, and the distance is quadratic.
    if wanted.len() > 40 || options.contains(&wanted.as_str()) {
        return None;
    }
    let near = options.iter().map(|o| (distance(&wanted, o), *o)).filter(|(d, _)| *d < 3);
    let (_, best) = near.min_by_key(|(d, _)| *d)?;
    let upper = any_case && word == word.to_uppercase() && word != word.to_lowercase();
    Some(if upper { best.to_uppercase() } else { best.to_owned() })
}

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let (mut diagonal, mut left) = (i, i + 1);
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let best = (diagonal + usize::from(x != y)).min(*cell + 1).min(left + 1);
            diagonal = std::mem::replace(cell, best);
            left = best;
        }
    }
    row.last().copied().unwrap_or_default()
}
