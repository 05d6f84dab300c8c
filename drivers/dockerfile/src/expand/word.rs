//! The lexer of words.

use super::Variables;
use super::pattern::{self, Reach};

/// How large a word may grow: `ENV a=$a$a` repeated doubles it each time.
const LARGEST: usize = 1 << 20;
/// How deeply `${a:-${b:-…}}` may nest.
const DEEPEST: usize = 100;

const NO_BRACE: &str = "syntax error: missing '}'";

/// What stays in the result.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Raw {
    pub(super) quotes: bool,
    pub(super) escapes: bool,
}

/// A word being read.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    rest: &'a str,
    escape: char,
    /// `None`: variables stay as they are.
    variables: Option<&'a Variables>,
    raw: Raw,
    depth: usize,
}

/// The result whole and in words.
#[derive(Debug, Default)]
struct Output {
    text: String,
    words: Vec<String>,
    word: Option<String>,
}

impl Output {
    /// White space parts words.
    fn plain(&mut self, c: char) {
        self.text.push(c);
        if c.is_whitespace() {
            self.words.extend(self.word.take().filter(|w| !w.is_empty()));
        } else {
            self.word.get_or_insert_default().push(c);
        }
    }

    /// It does not.
    fn held(&mut self, text: &str) {
        self.text.push_str(text);
        self.word.get_or_insert_default().push_str(text);
    }

    fn end(mut self) -> (String, Vec<String>) {
        self.words.extend(self.word.take().filter(|w| !w.is_empty()));
        (self.text, self.words)
    }
}

impl<'a> Lexer<'a> {
    pub(super) fn new(word: &'a str, escape: char, variables: Option<&'a Variables>, raw: Raw) -> Self {
        Self { rest: word, escape, variables, raw, depth: 0 }
    }

    /// The word to its end.
    pub(super) fn all(&mut self) -> Result<(String, Vec<String>), String> {
        self.until(None)
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
        Some(c)
    }

    /// Up to a character, which is taken too, or to the end.
    fn until(&mut self, stop: Option<char>) -> Result<(String, Vec<String>), String> {
        let mut out = Output::default();
        while let Some(c) = self.peek() {
            if out.text.len() > LARGEST {
                return Err(format!("the result is larger than {LARGEST} bytes"));
            }
            if stop == Some(c) {
                self.next();
                return Ok(out.end());
            }
            match c {
                '\'' => out.held(&self.single()?),
                '"' => out.held(&self.double()?),
                '$' => self.dollar()?.chars().for_each(|c| out.plain(c)),
                '<' => out.held(&self.less()),
                _ => {
                    self.next();
                    if c != self.escape {
                        out.plain(c);
                        continue;
                    }
                    if self.raw.escapes {
                        out.held(c.encode_utf8(&mut [0; 4]));
                    }
                    if let Some(c) = self.next() {
                        out.held(c.encode_utf8(&mut [0; 4]));
                    }
                }
            }
        }
        match stop {
            Some(c) => Err(format!("unexpected end of statement while looking for matching {c}")),
            None => Ok(out.end()),
        }
    }

    /// `'…'`: everything as it is.
    fn single(&mut self) -> Result<String, String> {
        self.next();
        let Some((inside, after)) = self.rest.split_once('\'') else {
            self.rest = "";
            return Err("unexpected end of statement while looking for matching single-quote".into());
        };
        self.rest = after;
        Ok(if self.raw.quotes { format!("'{inside}'") } else { inside.to_owned() })
    }

    /// `"…"`: variables are replaced, and `"`, `$` and the escape character can be escaped.
    fn double(&mut self) -> Result<String, String> {
        self.next();
        let mut out = String::new();
        if self.raw.quotes {
            out.push('"');
        }
        while let Some(c) = self.peek() {
            if out.len() > LARGEST {
                return Err(format!("the result is larger than {LARGEST} bytes"));
            }
            if c == '$' {
                out.push_str(&self.dollar()?);
                continue;
            }
            self.next();
            if c == '"' {
                if self.raw.quotes {
                    out.push(c);
                }
                return Ok(out);
            }
            if c != self.escape {
                out.push(c);
                continue;
            }
            if self.raw.escapes {
                out.push(c);
            }
            match self.peek() {
                None => {}
                Some(n) if n == '"' || n == '$' || n == self.escape => {
                    self.next();
                    out.push(n);
                }
                Some(_) => out.push(c),
            }
        }
        Err("unexpected end of statement while looking for matching double-quote".into())
    }

    /// `<`, or `<<` with the white space behind it: a here-document's word is not parted from it.
    fn less(&mut self) -> String {
        self.next();
        if self.peek() != Some('<') {
            return "<".into();
        }
        self.next();
        let mut out = String::from("<<");
        while let Some(c @ ('\t' | '\r' | ' ')) = self.peek() {
            self.next();
            out.push(c);
        }
        out
    }

    /// A variable's name; empty when there is none.
    fn name(&mut self) -> &'a str {
        let whole = self.rest;
        let length = match whole.chars().next() {
            Some(c) if c.is_numeric() => whole.find(|c: char| !c.is_numeric()),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => Some(1),
            _ => whole.find(|c: char| !c.is_alphanumeric() && c != '_'),
        };
        let (name, rest) = whole.split_at_checked(length.unwrap_or(whole.len())).unwrap_or((whole, ""));
        self.rest = rest;
        name
    }

    /// A variable's value; `Err` is the text that stays where variables are not replaced.
    fn value(&self, name: &str, written: impl FnOnce() -> String) -> Result<Option<&'a str>, String> {
        match self.variables {
            Some(variables) => Ok(variables.get(name)),
            None => Err(written()),
        }
    }

    fn dollar(&mut self) -> Result<String, String> {
        self.next();
        if self.peek() != Some('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".into());
            }
            let value = self.value(name, || format!("${name}"));
            return Ok(value.map_or_else(|kept| kept, |v| v.unwrap_or_default().to_owned()));
        }
        self.next();
        match self.peek() {
            None => return Err(NO_BRACE.into()),
            Some('{' | '}' | ':') => return Err("syntax error: bad substitution".into()),
            Some(_) => {}
        }
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("substitutions are nested more than {DEEPEST} deep"));
        }
        let out = self.braced();
        self.depth -= 1;
        out
    }

    /// What is between the braces of `${…}`, the opening one taken.
    fn braced(&mut self) -> Result<String, String> {
        let name = self.name();
        let unsupported = |m: String| Err(format!("unsupported modifier ({m}) in substitution"));
        match self.next() {
            Some('}') => {
                let value = self.value(name, || format!("${{{name}}}"));
                Ok(value.map_or_else(|kept| kept, |v| v.unwrap_or_default().to_owned()))
            }
            Some(':') => match self.next() {
                Some(c @ ('+' | '-' | '?')) => self.default(name, c, true),
                Some(c @ ('#' | '%')) => unsupported(format!(":{c}")),
                // Docker looks for the end first.
                Some(c) => self.word('}', NO_BRACE).and_then(|_| unsupported(format!(":{c}"))),
                None => Err(NO_BRACE.into()),
            },
            Some(c @ ('+' | '-' | '?')) => self.default(name, c, false),
            Some(c @ ('#' | '%')) => self.trimmed(name, c),
            Some('/') => self.replaced(name),
            Some(c) => unsupported(c.to_string()),
            None => unsupported(String::from(char::REPLACEMENT_CHARACTER)),
        }
    }

    /// A word inside of `${…}` up to a character.
    fn word(&mut self, stop: char, missing: &str) -> Result<String, String> {
        match self.until(Some(stop)) {
            Ok((text, _)) => Ok(text),
            Err(_) if self.rest.is_empty() => Err(missing.to_owned()),
            Err(other) => Err(other),
        }
    }

    /// The same with escapes kept, for patterns.
    fn raw_word(&mut self, stop: char, missing: &str) -> Result<String, String> {
        let before = std::mem::replace(&mut self.raw.escapes, true);
        let word = self.word(stop, missing);
        self.raw.escapes = before;
        word
    }

    /// `${x-word}`, `${x+word}`, `${x?word}`; after a colon an empty value counts as none.
    fn default(&mut self, name: &str, modifier: char, empty_is_none: bool) -> Result<String, String> {
        let word = self.word('}', NO_BRACE)?;
        let colon = if empty_is_none { ":" } else { "" };
        let value = match self.value(name, || format!("${{{name}{colon}{modifier}{word}}}")) {
            Ok(value) => value,
            Err(kept) => return Ok(kept),
        };
        let counts = value.filter(|v| !(empty_is_none && v.is_empty()));
        match (modifier, counts) {
            ('-', Some(value)) | ('?', Some(value)) => Ok(value.to_owned()),
            ('-', None) | ('+', Some(_)) => Ok(word),
            ('+', None) => Ok(String::new()),
            _ if !word.is_empty() => Err(format!("{name}: {word}")),
            _ if value.is_none() => Err(format!("{name}: is not allowed to be unset")),
            _ => Err(format!("{name}: is not allowed to be empty")),
        }
    }

    /// `${x#pattern}`, `${x%pattern}`; doubled they take as much as they can.
    fn trimmed(&mut self, name: &str, modifier: char) -> Result<String, String> {
        let word = self.raw_word('}', NO_BRACE)?;
        let value = match self.value(name, || format!("${{{name}{modifier}{word}}}")) {
            Ok(value) => value.unwrap_or_default(),
            Err(kept) => return Ok(kept),
        };
        let (pattern, reach) = match word.strip_prefix(modifier) {
            Some(rest) => (rest, Reach::Longest),
            None => (word.as_str(), Reach::Shortest),
        };
        match modifier {
            '#' => pattern::without_prefix(pattern, value, reach),
            _ => pattern::without_suffix(pattern, value, reach),
        }
    }

    /// `${x/pattern/replacement}`; `//` replaces all.
    fn replaced(&mut self, name: &str) -> Result<String, String> {
        let all = self.peek() == Some('/');
        if all {
            self.next();
        }
        let pattern = self.raw_word('/', "syntax error: missing '/' in ${}")?;
        let replacement = self.raw_word('}', NO_BRACE)?;
        let slashes = if all { "//" } else { "/" };
        match self.value(name, || format!("${{{name}{slashes}{pattern}/{replacement}}}")) {
            Ok(value) => {
                let most = if all { usize::MAX } else { 1 };
                pattern::replaced(&pattern, value.unwrap_or_default(), &replacement, most, LARGEST)
            }
            Err(kept) => Ok(kept),
        }
    }
}
