//! Patterns of `${x#…}`, `${x%…}` and `${x/…/…}`: `*`, `?` and escapes.

use regex::Regex;

/// How much `*` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Shortest,
    Longest,
}

/// Where a pattern may begin to match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Anchor {
    Start,
    Anywhere,
}

pub(super) fn without_prefix(pattern: &str, value: &str, reach: Reach) -> Result<String, String> {
    let found = compiled(pattern, pattern, reach, Anchor::Start)?.find(value);
    Ok(found.map_or(value, |m| value.get(m.end()..).unwrap_or_default()).to_owned())
}

/// Both turned round: the shortest match at an end cannot be looked for otherwise.
pub(super) fn without_suffix(pattern: &str, value: &str, reach: Reach) -> Result<String, String> {
    let turned: String = value.chars().rev().collect();
    let found = compiled(pattern, &turned_pattern(pattern), reach, Anchor::Start)?.find(&turned);
    let left = found.map_or(turned.as_str(), |m| turned.get(m.end()..).unwrap_or_default());
    Ok(left.chars().rev().collect())
}

/// Replaces at most so many matches; `limit` bounds the result in bytes.
pub(super) fn replaced(
    pattern: &str,
    value: &str,
    replacement: &str,
    most: usize,
    limit: usize,
) -> Result<String, String> {
    let regex = compiled(pattern, pattern, Reach::Longest, Anchor::Anywhere)?;
    let (mut out, mut at) = (String::new(), 0);
    for found in regex.find_iter(value).take(most) {
        out.push_str(value.get(at..found.start()).unwrap_or_default());
        out.push_str(replacement);
        at = found.end();
        if out.len() > limit {
            return Err(format!("the result is larger than {limit} bytes"));
        }
    }
    out.push_str(value.get(at..).unwrap_or_default());
    Ok(out)
}

/// Escaped characters stay behind their escape.
fn turned_pattern(pattern: &str) -> String {
    let (mut units, mut chars) = (Vec::new(), pattern.chars());
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' { chars.next() } else { None };
        units.push((c, escaped));
    }
    units.into_iter().rev().flat_map(|(c, escaped)| [Some(c), escaped]).flatten().collect()
}

fn compiled(written: &str, pattern: &str, reach: Reach, anchor: Anchor) -> Result<Regex, String> {
    let bad = |why: String| format!("invalid pattern ({written}) in substitution: {why}");
    let mut out = String::from(if anchor == Anchor::Start { "^" } else { "" });
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        let literal = match c {
            '*' => {
                out.push_str(if reach == Reach::Longest { ".*" } else { ".*?" });
                continue;
            }
            '?' => {
                out.push('.');
                continue;
            }
            // They had to be escaped within the braces.
            '\\' if matches!(chars.peek(), Some('}' | '/')) => continue,
            '\\' => match chars.next() {
                Some(c @ ('*' | '?' | '\\')) => c,
                Some(c) => return Err(bad(format!("invalid escape '\\{c}'"))),
                None => return Err(bad("invalid escape at its end".into())),
            },
            c => c,
        };
        out.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4])));
    }
    Regex::new(&out).map_err(|_| bad("it is too large".into()))
}
