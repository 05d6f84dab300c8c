//! Files of variables and labels.

use super::super::OptionError;
use crate::units;

type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The `key=value` lines of a file; a bare key takes the value `lookup` has, if there is a lookup.
fn read(path: &str, lookup: Option<Lookup<'_>>) -> Result<Vec<String>, OptionError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| OptionError::File { path: path.to_owned(), why: units::errno(&error) })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut found = Vec::new();
    for line in text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let bad = |why: String| OptionError::Line { path: path.to_owned(), why };
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (line, None),
        };
        if key.is_empty() {
            return Err(bad(format!("no variable name on line '{line}'")));
        }
        if key.contains([' ', '\t']) {
            return Err(bad(format!("variable '{key}' contains whitespaces")));
        }
        match (value, lookup) {
            (Some(value), _) => found.push(format!("{key}={value}")),
            (None, Some(lookup)) => found.extend(lookup(key).map(|value| format!("{key}={value}"))),
            (None, None) => found.push(key.to_owned()),
        }
    }
    Ok(found)
}

/// `--env-file`; a bare name takes the value `lookup` has, or vanishes.
pub fn variables(path: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<Vec<String>, OptionError> {
    read(path, Some(&lookup))
}

/// `--label-file`.
pub fn labels(path: &str) -> Result<Vec<String>, OptionError> {
    read(path, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_skipped_and_bare_names_looked_up() {
        let path = std::env::temp_dir().join(format!("gantry-env-{}", std::process::id()));
        std::fs::write(&path, "\u{feff}# a comment\n\n  A=1 # kept\nHOME\nNOPE\n").unwrap();
        let path = path.to_string_lossy().into_owned();
        let home = |name: &str| (name == "HOME").then(|| "/root".to_owned());
        assert_eq!(variables(&path, home).unwrap(), ["A=1 # kept", "HOME=/root"]);
        assert_eq!(labels(&path).unwrap(), ["A=1 # kept", "HOME", "NOPE"]);
        std::fs::write(&path, "A=1\nB B=2\n").unwrap();
        assert!(labels(&path).unwrap_err().to_string().contains("): variable 'B B' contains whitespaces"));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(
            variables(&path, |_| None).unwrap_err().to_string(),
            format!("open {path}: no such file or directory")
        );
    }
}
