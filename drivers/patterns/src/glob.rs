//! One pattern, held against a path character by character.

use crate::BadPattern;

/// One step of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// This character.
    One(char),
    /// Any but a slash.
    Any,
    /// One of these ranges, or none of them.
    Class { ranges: Vec<(char, char)>, except: bool },
    /// Any number of characters but slashes.
    Name,
    /// Whole folders, or nothing.
    Folders,
    /// Whatever follows.
    Rest,
}

/// Whether a path is matched whole. Each character moves a set of places in the pattern, so no pattern takes longer than
/// its length times the path's.
pub(crate) fn matches(steps: &[Step], path: &str) -> bool {
    let mut places = vec![false; steps.len() + 1];
    let reach = |places: &mut Vec<bool>, from: usize| {
        for at in from..=steps.len() {
            if let Some(place) = places.get_mut(at) {
                *place = true;
            }
            // These may stand for nothing.
            if !matches!(steps.get(at), Some(Step::Name | Step::Folders | Step::Rest)) {
                break;
            }
        }
    };
    reach(&mut places, 0);
    // Inside of `Folders`, which is left only behind a slash.
    let mut within = vec![false; steps.len() + 1];
    for c in path.chars() {
        let mut next = vec![false; places.len()];
        let mut next_within = vec![false; places.len()];
        for (at, step) in steps.iter().enumerate() {
            let (here, inside) =
                (places.get(at).copied().unwrap_or(false), within.get(at).copied().unwrap_or(false));
            if !here && !inside {
                continue;
            }
            match step {
                Step::One(one) if here && *one == c => reach(&mut next, at + 1),
                Step::Any if here && c != '/' => reach(&mut next, at + 1),
                Step::Class { ranges, except }
                    if here && ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *except =>
                {
                    reach(&mut next, at + 1);
                }
                Step::Name if here && c != '/' => reach(&mut next, at),
                Step::Rest if here => reach(&mut next, at),
                Step::Folders => {
                    if let Some(place) = next_within.get_mut(at) {
                        *place = true;
                    }
                    if c == '/' {
                        reach(&mut next, at + 1);
                    }
                }
                _ => {}
            }
        }
        (places, within) = (next, next_within);
    }
    places.last().copied().unwrap_or(false)
}

/// Reads a class behind its bracket.
pub(crate) fn class(rest: &mut std::str::Chars<'_>) -> Result<Step, BadPattern> {
    let mut ranges = Vec::new();
    let except = rest.as_str().starts_with('^');
    if except {
        rest.next();
    }
    loop {
        if rest.as_str().starts_with(']') && !ranges.is_empty() {
            rest.next();
            return Ok(Step::Class { ranges, except });
        }
        let low = member(rest)?;
        let mut high = low;
        if rest.as_str().starts_with('-') {
            rest.next();
            high = member(rest)?;
        }
        ranges.push((low, high));
    }
}

/// A character of a class; something must follow it.
fn member(rest: &mut std::str::Chars<'_>) -> Result<char, BadPattern> {
    let c = match rest.next() {
        None | Some('-' | ']') => return Err(BadPattern::Syntax),
        Some('\\') => rest.next().ok_or(BadPattern::Syntax)?,
        Some(c) => c,
    };
    if rest.as_str().is_empty() { Err(BadPattern::Syntax) } else { Ok(c) }
}

/// A pattern as Go's `filepath.Match` understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    steps: Vec<Step>,
}

impl Glob {
    /// Reads a pattern.
    pub fn new(pattern: &str) -> Result<Self, BadPattern> {
        let mut steps = Vec::new();
        let mut rest = pattern.chars();
        while let Some(c) = rest.next() {
            steps.push(match c {
                '*' => Step::Name,
                '?' => Step::Any,
                '[' => class(&mut rest)?,
                '\\' => Step::One(rest.next().ok_or(BadPattern::Syntax)?),
                c => Step::One(c),
            });
        }
        Ok(Self { steps })
    }

    /// Whether it matches the whole path.
    pub fn matches(&self, path: &str) -> bool {
        matches(&self.steps, path)
    }
}

/// Whether a source is a pattern: it has a wildcard that no backslash stands before.
pub fn has_wildcards(source: &str) -> bool {
    let mut rest = source.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => drop(rest.next()),
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_in_gos_own_table() {
        for (pattern, path, found) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("a?b", "a/b", false),
            ("a*b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[\\-]", "-", true),
            ("[x\\-]", "z", false),
            ("*x", "xxx", true),
        ] {
            assert_eq!(Glob::new(pattern).unwrap().matches(path), found, "{pattern} on {path}");
        }
        for pattern in ["[]a]", "[-]", "[x-]", "[-x]", "\\", "[a-b-c]", "[", "[^", "[^bc", "a[", "[a"] {
            assert_eq!(Glob::new(pattern), Err(BadPattern::Syntax), "{pattern}");
        }
    }

    #[test]
    fn a_backslash_takes_a_wildcards_power() {
        assert!(has_wildcards("a*") && has_wildcards("[a]") && has_wildcards("\\\\?"));
        assert!(!has_wildcards("a\\*") && !has_wildcards("a\\") && !has_wildcards("a]"));
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_makes_matching_fail_or_linger(pattern in "[ab*?/\\\\\\[\\]^-]{0,40}", path in "[ab/]{0,60}") {
            if let Ok(glob) = Glob::new(&pattern) {
                let _either = glob.matches(&path);
            }
        }
    }
}
