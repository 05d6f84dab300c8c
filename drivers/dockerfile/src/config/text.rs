//! Texts of the history.

use crate::instruction::Pair;

/// `ENV a=b c=d`.
pub(super) fn joined(name: &str, pairs: &[Pair]) -> String {
    pairs.iter().fold(name.to_owned(), |text, Pair { key, value }| format!("{text} {key}={value}"))
}
