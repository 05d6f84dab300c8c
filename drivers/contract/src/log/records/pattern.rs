//! Patterns of lines that begin a record.

use super::wrong;
use crate::error::PortError;
use regex::bytes::{Regex, RegexBuilder};

/// Longest text of a pattern, bytes.
const TEXT: usize = 4096;
/// Most memory that a pattern becomes, bytes.
const COMPILED: usize = 1 << 20;

/// A compiled regular expression; its matching takes time linear in the line, whatever it is. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles it.
    ///
    /// # Errors
    /// What is wrong: also what would take too much memory.
    pub fn compile(text: &str) -> Result<Self, String> {
        if text.len() > TEXT {
            return Err(format!("it is longer than {TEXT} bytes"));
        }
        let built = RegexBuilder::new(text).size_limit(COMPILED).dfa_size_limit(COMPILED).build();
        built.map(Self).map_err(|e| told(&e))
    }

    /// Compiles what the option `key` says, and names it where that is wrong.
    pub(super) fn new(key: &str, text: &str) -> Result<Self, PortError> {
        let start = || text.chars().take(200).collect::<String>();
        Self::compile(text).map_err(|why| wrong(key, &start(), &why))
    }

    /// Whether it is found in the line.
    pub fn is_in(&self, line: &[u8]) -> bool {
        self.0.is_match(line)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

/// The last line says what is wrong; those before draw where.
fn told(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// The pattern that stands for a format of dates in the verbs of strftime: those that awslogs-datetime-format has in Docker,
/// with what they match there. Others stand for nothing, as there; what is no verb is part of the pattern as it is.
pub fn datetime_pattern(format: &str) -> String {
    let mut out = String::with_capacity(format.len() * 4);
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some(verb) => out.push_str(matches(verb)),
            None => out.push('%'),
        }
    }
    out
}

/// The first verb of a format that stands for nothing.
pub(super) fn unknown_verb(format: &str) -> Option<char> {
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c == '%'
            && let Some(verb) = rest.next()
            && matches(verb).is_empty()
        {
            return Some(verb);
        }
    }
    None
}

fn matches(verb: char) -> &'static str {
    match verb {
        'a' => "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)",
        'A' => "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)",
        'b' => "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)",
        'B' => "(?:January|February|March|April|May|June|July|August|September|October|November|December)",
        'w' => "[0-6]",
        'd' => "(?:0[1-9]|[12][0-9]|3[01])",
        'm' => "(?:0[1-9]|1[0-2])",
        'Y' => "[0-9]{4}",
        'y' => "[0-9]{2}",
        'H' => "(?:[01][0-9]|2[0-3])",
        'I' => "(?:0[0-9]|1[0-2])",
        'p' => "[AP]M",
        'M' | 'S' => "[0-5][0-9]",
        'f' => "[0-9]{6}",
        'L' => r"\.[0-9]{3}",
        'z' => "[+-][0-9]{4}",
        'Z' => "[A-Z]{1,4}T",
        // With days such as 010, which Docker's table leaves out by oversight.
        'j' => "(?:0[0-9]{2}|[12][0-9]{2}|3[0-5][0-9]|36[0-6])",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(format: &str, line: &str) -> bool {
        Pattern::new("f", &datetime_pattern(format)).unwrap().is_in(line.as_bytes())
    }

    #[test]
    fn each_verb_finds_its_dates() {
        for (format, line) in [
            ("%a %d %b", "Mon 30 Nov"),
            ("%A, %B %d", "Sunday, November 01"),
            (r"\[%Y-%m-%d %H:%M:%S%L\]", "[2026-11-29 23:59:58.123]"),
            ("%y/%j %I:%M %p", "26/310 12:00 AM"),
            (r"\d %f%z", "9 123456+0100"),
            ("%w %Z", "6 CEST"),
            ("^%q100%", "100%"),
        ] {
            assert!(finds(format, line), "{format} in {line}");
        }
        for (format, line) in
            [("%d", "00"), ("%H:%M", "24:00"), ("%m", "13"), ("%j", "367"), ("%Y", "99"), ("^%b", " Jan")]
        {
            assert!(!finds(format, line), "{format} in {line}");
        }
    }

    #[test]
    fn any_bytes_are_matched() {
        assert!(Pattern::new("p", "^.x").unwrap().is_in("éx".as_bytes()));
        assert!(Pattern::new("p", "x$").unwrap().is_in(b"\xff\xfex"));
        assert!(Pattern::new("p", &"x".repeat(5000)).unwrap_err().text.contains("longer than 4096"));
    }
}
