//! Errors with what caused them.

use std::error::Error;

/// An error's text and those of its causes, the outermost first. What a cause says again is left out.
pub fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut out = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if out.last().is_none_or(|last| !last.contains(&text)) {
            out.push(text);
        }
        next = cause.source();
    }
    out
}
