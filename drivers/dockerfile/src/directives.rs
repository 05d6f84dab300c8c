//! Parser directives: `# escape=`, `# syntax=` and `# check=` at a file's head.

use crate::error::Fault;

/// The directives of a file, as far as it is read.
#[derive(Debug)]
pub(crate) struct Directives {
    /// `\` or `` ` ``.
    pub(crate) escape: char,
    pub(crate) syntax: Option<String>,
    pub(crate) check: Option<String>,
    escaped: bool,
    over: bool,
}

impl Directives {
    pub(crate) fn new() -> Self {
        Self { escape: '\\', syntax: None, check: None, escaped: false, over: false }
    }

    /// Looks at a line; the first that is no directive ends them.
    pub(crate) fn see(&mut self, line: &str) -> Result<(), Fault> {
        if self.over {
            return Ok(());
        }
        let Some((key, value)) = directive(line) else {
            self.over = true;
            return Ok(());
        };
        let key = key.to_ascii_lowercase();
        let seen = match key.as_str() {
            "syntax" => self.syntax.replace(value.to_owned()).is_some(),
            "check" => self.check.replace(value.to_owned()).is_some(),
            "escape" => std::mem::replace(&mut self.escaped, true),
            _ => {
                self.over = true;
                return Ok(());
            }
        };
        if seen {
            return Err(Fault::RepeatedDirective(key));
        }
        if key == "escape" {
            self.escape = match value {
                "\\" => '\\',
                "`" => '`',
                other => return Err(Fault::BadEscape(other.to_owned())),
            };
        }
        Ok(())
    }
}

/// `# key = value`.
fn directive(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.strip_prefix('#')?.split_once('=')?;
    let (key, value) = (key.trim(), value.trim());
    let named =
        key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.chars().all(|c| c.is_ascii_alphanumeric());
    (named && !value.is_empty()).then_some((key, value))
}
