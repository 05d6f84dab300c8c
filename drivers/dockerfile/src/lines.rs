//! A file's lines put together: continuations, comments, here-documents.

use crate::directives::Directives;
use crate::error::Fault;
use crate::expand::heredocs;
use crate::syntax::Node;

/// Longest line in bytes (the reach of Go's `bufio.Scanner`, with which Docker reads).
pub(crate) const LONGEST: usize = 65_535;

/// A file's instructions.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) nodes: Vec<Node>,
    pub(crate) warnings: Vec<String>,
    pub(crate) directives: Directives,
}

/// Reads a file's lines; a fault has the number of the line it is found at.
pub(crate) fn read(content: &[u8]) -> Result<Lines, (usize, Fault)> {
    let text = String::from_utf8_lossy(content);
    let mut source = Source::new(text.strip_prefix('\u{feff}').unwrap_or(&text));
    let mut read = Lines { nodes: Vec::new(), warnings: Vec::new(), directives: Directives::new() };
    while let Some(raw) = source.line() {
        let line = ends_cut(raw).trim_start();
        read.directives.see(line).map_err(|fault| (source.number, fault))?;
        let escape = read.directives.escape;
        let start = source.number;
        let (text, mut goes_on) = if is_comment(line) { ("", false) } else { continued(line, escape) };
        if text.is_empty() && !goes_on {
            continue;
        }
        let (mut whole, mut gap) = (text.to_owned(), false);
        while goes_on {
            let Some(raw) = source.line() else { break };
            let line = ends_cut(raw);
            if is_comment(line) {
                continue;
            }
            if line.trim_start().is_empty() {
                gap = true;
                continue;
            }
            let (text, more) = continued(line, escape);
            whole.push_str(text);
            goes_on = more;
        }
        if gap {
            read.warnings.push(format!("[WARNING]: Empty continuation line found in: {whole}"));
        }
        let mut node = Node::read(&whole, escape).map_err(|fault| (start, fault))?;
        node.line = start;
        if node.takes_heredocs() && whole.contains("<<") {
            for mut heredoc in heredocs(&whole).map_err(|e| (start, e.into()))? {
                let mut ended = false;
                while let Some(raw) = source.line() {
                    let end = ends_cut(raw);
                    let end = if heredoc.chomp { end.trim_start_matches('\t') } else { end };
                    ended = end == heredoc.name;
                    if ended {
                        break;
                    }
                    heredoc.content.push_str(raw);
                }
                if !ended {
                    return Err((start, Fault::OpenHeredoc));
                }
                node.heredocs.push(heredoc);
            }
        }
        read.nodes.push(node);
    }
    if read.nodes.is_empty() {
        return Err((source.number, Fault::NoInstructions));
    }
    if source.overlong {
        return Err((source.number, Fault::LongLine));
    }
    if !read.warnings.is_empty() {
        let future = "[WARNING]: Empty continuation lines will become errors in a future release.";
        read.warnings.push(future.to_owned());
    }
    Ok(read)
}

/// Lines with their ends, until one is too long.
struct Source<'a> {
    rest: &'a str,
    /// Number of the line read last.
    number: usize,
    overlong: bool,
}

impl<'a> Source<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text, number: 0, overlong: false }
    }

    fn line(&mut self) -> Option<&'a str> {
        let end = self.rest.find('\n').map_or(self.rest.len(), |i| i + 1);
        let (line, rest) = self.rest.split_at_checked(end)?;
        self.overlong |= line.strip_suffix('\n').unwrap_or(line).len() > LONGEST;
        if line.is_empty() || self.overlong {
            return None;
        }
        self.rest = rest;
        self.number += 1;
        Some(line)
    }
}

fn ends_cut(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// A line without the escape character that ends it, and whether there was one. A doubled one continues nothing.
fn continued(line: &str, escape: char) -> (&str, bool) {
    match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(text) if !text.ends_with(escape) => (text, true),
        _ => (line, false),
    }
}

#[cfg(test)]
mod tests;
