//! `WWW-Authenticate`, read.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use std::collections::BTreeMap;

/// One challenge of a `WWW-Authenticate` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// `basic`, `bearer`, …
    pub scheme: String,
    fields: BTreeMap<String, String>,
}

impl Challenge {
    /// What it says of this, if it does.
    pub fn field(&self, key: &str) -> Option<&str> {
        self.fields.get(key).map(String::as_str)
    }
}

/// All challenges of an answer, in the server's order.
pub fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let lines = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(read).collect()
}

/// Reads `Bearer realm="…",service="…", Basic realm="…"`: a word followed by another word or by nothing begins a
/// challenge, a word followed by `=` is a field of the last one.
fn read(text: &str) -> Vec<Challenge> {
    let mut out: Vec<Challenge> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() && after.is_empty() {
            return out;
        }
        let spaced = after.trim_start_matches([' ', '\t']);
        let Some(value) = spaced.strip_prefix('=') else {
            out.push(Challenge { scheme: word.to_lowercase(), fields: BTreeMap::new() });
            rest = after;
            continue;
        };
        let (value, left) = read_value(value.trim_start_matches([' ', '\t']));
        if let Some(last) = out.last_mut() {
            last.fields.insert(word.to_lowercase(), value);
        }
        rest = left;
    }
}

/// A value, quoted or not, and what follows it.
fn read_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find([' ', '\t', ',']).unwrap_or(text.len()));
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_with_commas_inside_quotes() {
        let found =
            read(r#"Bearer realm="https://a/token",service="s, t",scope="repository:x:pull,push", error=no"#);
        let [read] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(read.scheme, "bearer");
        assert_eq!(read.field("service"), Some("s, t"));
        assert_eq!(read.field("scope"), Some("repository:x:pull,push"));
        assert_eq!(read.field("error"), Some("no"));
    }

    #[test]
    fn several_challenges_may_stand_in_one_line() {
        let found = read(r#"Negotiate, Basic realm="a \"b\" = c" , BEARER realm = "x",service=y"#);
        let schemes: Vec<_> = found.iter().map(|c| c.scheme.as_str()).collect();
        assert_eq!(schemes, ["negotiate", "basic", "bearer"]);
        assert_eq!(found[1].field("realm"), Some("a \"b\" = c"));
        assert_eq!((found[2].field("realm"), found[2].field("service")), (Some("x"), Some("y")));
        for text in ["", " , ", "=", "a==", "\"", "Basic realm=\"", "x=\"\\"] {
            // Nothing a server writes there may stop or crash the reader.
            assert!(read(text).len() < 3, "{text}");
        }
    }
}
