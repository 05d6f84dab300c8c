//! Words of an instruction's line, and the flags before them.

use std::iter::Peekable;
use std::str::Chars;

/// Words at white space. Quotes and escapes hold words together and stay: they are dealt with when variables are replaced.
pub(crate) fn words(text: &str, escape: char) -> Vec<String> {
    let (mut out, mut word, mut quote) = (Vec::new(), String::new(), None);
    // An escape character at the very end is dropped, but a quote makes even an empty word one.
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match quote {
            None if c.is_whitespace() => take(&mut word, &mut out),
            None if matches!(c, '\'' | '"') => {
                quote = Some(c);
                word.push(c);
            }
            Some('\'') if c != '\'' => word.push(c),
            Some(open) if c == open => {
                quote = None;
                word.push(c);
            }
            _ if c == escape => {
                if let Some(next) = chars.next() {
                    word.extend([c, next]);
                }
            }
            _ => word.push(c),
        }
    }
    take(&mut word, &mut out);
    out
}

fn take(word: &mut String, out: &mut Vec<String>) {
    if !word.is_empty() {
        out.push(std::mem::take(word));
    }
}

/// The flags a line begins with, and the rest of it. `--` ends them.
pub(crate) fn flags(line: &str, escape: char) -> (Vec<String>, &str) {
    let (mut out, mut rest) = (Vec::new(), line.trim_start());
    while rest.starts_with("--") {
        let mut chars = rest.chars().peekable();
        let word = flag(&mut chars, escape);
        rest = chars_left(rest, chars);
        match word.as_str() {
            "--" => return (out, rest),
            "" => {}
            _ => out.push(word),
        }
        rest = rest.trim_start();
    }
    (out, rest)
}

/// One word, without its quotes and escapes, up to white space.
fn flag(chars: &mut Peekable<Chars<'_>>, escape: char) -> String {
    let (mut word, mut quote) = (String::new(), None);
    while let Some(c) = chars.next_if(|c| quote.is_some() || !c.is_whitespace()) {
        match quote {
            None if matches!(c, '\'' | '"') => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ if c == escape => word.extend(chars.next()),
            _ => word.push(c),
        }
    }
    word
}

fn chars_left<'a>(whole: &'a str, left: Peekable<Chars<'_>>) -> &'a str {
    let length: usize = left.map(char::len_utf8).sum();
    whole.get(whole.len() - length..).unwrap_or_default()
}
