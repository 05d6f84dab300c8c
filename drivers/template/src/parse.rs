//! Template text into nodes.

use serde_json::Value;

use super::{Node, Pipeline, TemplateError, Term};

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(Value),
    Open,
    /// `)` and the field path behind it.
    Close(Vec<String>),
    Pipe,
    Define,
    Comma,
}

/// Deeper nesting is refused: reading and filling in recurse, and a stack that overflows ends the whole process.
const DEEPEST: usize = 100;

enum Piece {
    Text(String),
    Action(Vec<Token>),
}

fn syntax(why: impl Into<String>) -> TemplateError {
    TemplateError::Syntax(why.into())
}

fn within(depth: usize) -> Result<(), TemplateError> {
    if depth > DEEPEST { Err(syntax(format!("nested deeper than {DEEPEST}"))) } else { Ok(()) }
}

/// Reads a whole template.
pub fn template(text: &str) -> Result<Vec<Node>, TemplateError> {
    let mut pieces = pieces(text)?.into_iter();
    let (nodes, ending) = block(&mut pieces, 0)?;
    match ending {
        None => Ok(nodes),
        Some(_) => Err(syntax("unexpected {{end}} or {{else}}")),
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (trim_before, after) = match after.strip_prefix("- ") {
            Some(after) => (true, after),
            None => (false, after),
        };
        found.push(Piece::Text(if trim_before { before.trim_end() } else { before }.to_owned()));
        let (action, after) = after.split_once("}}").ok_or_else(|| syntax("unclosed action"))?;
        let (action, after) = match action.strip_suffix(" -") {
            Some(action) => (action, after.trim_start()),
            None => (action, after),
        };
        if !action.trim_start().starts_with("/*") {
            found.push(Piece::Action(tokens(action)?));
        }
        rest = after;
    }
    found.push(Piece::Text(rest.to_owned()));
    Ok(found)
}

fn path(text: &str) -> Vec<String> {
    text.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn tokens(text: &str) -> Result<Vec<Token>, TemplateError> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    let word_end = |text: &str| {
        text.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '|' | ',' | '"' | '`'))
            .unwrap_or(text.len())
    };
    while let Some(first) = rest.chars().next() {
        let used = match first {
            '(' => {
                found.push(Token::Open);
                1
            }
            ')' => {
                let tail = rest.get(1..).unwrap_or_default();
                let length = if tail.starts_with('.') { word_end(tail) } else { 0 };
                found.push(Token::Close(path(tail.get(..length).unwrap_or_default())));
                1 + length
            }
            '|' => {
                found.push(Token::Pipe);
                1
            }
            ',' => {
                found.push(Token::Comma);
                1
            }
            '"' => {
                let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
                match values.next() {
                    Some(Ok(value)) => found.push(Token::Text(value)),
                    _ => return Err(syntax("unterminated quoted string")),
                }
                values.byte_offset()
            }
            '`' => {
                let (quoted, _) = rest
                    .get(1..)
                    .and_then(|tail| tail.split_once('`'))
                    .ok_or_else(|| syntax("unterminated raw quoted string"))?;
                found.push(Token::Text(Value::from(quoted)));
                quoted.len() + 2
            }
            _ if rest.starts_with(":=") => {
                found.push(Token::Define);
                2
            }
            _ => {
                let end = word_end(rest);
                found.push(Token::Word(rest.get(..end).unwrap_or_default().to_owned()));
                end
            }
        };
        rest = rest.get(used..).unwrap_or_default().trim_start();
    }
    Ok(found)
}

/// How a block ended: `{{end}}`, or `{{else …}}` with what follows the word.
type Ending = Option<Option<Vec<Token>>>;

fn block(pieces: &mut std::vec::IntoIter<Piece>, depth: usize) -> Result<(Vec<Node>, Ending), TemplateError> {
    within(depth)?;
    let mut nodes = Vec::new();
    while let Some(piece) = pieces.next() {
        let action = match piece {
            Piece::Text(text) => {
                nodes.push(Node::Text(text));
                continue;
            }
            Piece::Action(action) => action,
        };
        let (keyword, rest) = match action.split_first() {
            Some((Token::Word(word), rest)) => (word.as_str(), rest),
            Some(_) => ("", action.as_slice()),
            None => return Err(syntax("missing value for command")),
        };
        match keyword {
            "end" => return Ok((nodes, Some(None))),
            "else" => return Ok((nodes, Some(Some(rest.to_vec())))),
            "if" | "with" | "range" => nodes.push(branch(keyword, rest, pieces, depth)?),
            variable if variable.starts_with('$') && rest.first() == Some(&Token::Define) => {
                nodes.push(Node::Set(variable.to_owned(), pipeline(rest.get(1..).unwrap_or_default())?));
            }
            _ => nodes.push(Node::Print(pipeline(&action)?)),
        }
    }
    Ok((nodes, None))
}

fn branch(
    keyword: &str,
    head: &[Token],
    pieces: &mut std::vec::IntoIter<Piece>,
    depth: usize,
) -> Result<Node, TemplateError> {
    let (body, ending) = block(pieces, depth + 1)?;
    let otherwise = match ending {
        None => return Err(syntax("unexpected EOF")),
        Some(None) => Vec::new(),
        Some(Some(tail)) => match tail.split_first() {
            Some((Token::Word(word), rest)) if word == "if" || word == "with" => {
                vec![branch(word, rest, pieces, depth + 1)?]
            }
            Some(_) => return Err(syntax("unexpected text after {{else}}")),
            None => match block(pieces, depth + 1)? {
                (nodes, Some(None)) => nodes,
                _ => return Err(syntax("unexpected EOF")),
            },
        },
    };
    Ok(match keyword {
        "if" => Node::If(pipeline(head)?, body, otherwise),
        "with" => Node::With(pipeline(head)?, body, otherwise),
        _ => {
            let (names, over) = match head.iter().position(|token| *token == Token::Define) {
                Some(at) => head.split_at(at),
                None => (&[][..], head),
            };
            let over = over.strip_prefix(&[Token::Define]).unwrap_or(over);
            let names = names
                .iter()
                .filter_map(|token| if let Token::Word(word) = token { Some(word.clone()) } else { None })
                .collect();
            Node::Range { names, over: pipeline(over)?, body, otherwise }
        }
    })
}

fn pipeline(tokens: &[Token]) -> Result<Pipeline, TemplateError> {
    let mut tokens = tokens.iter();
    let (found, closed) = commands(&mut tokens, 0)?;
    match closed {
        None => Ok(found),
        Some(_) => Err(syntax("unexpected right paren")),
    }
}

fn commands(
    tokens: &mut std::slice::Iter<'_, Token>,
    depth: usize,
) -> Result<(Pipeline, Option<Vec<String>>), TemplateError> {
    within(depth)?;
    let mut pipeline = Vec::new();
    let mut command = Vec::new();
    let mut closed = None;
    while let Some(token) = tokens.next() {
        match token {
            Token::Pipe => pipeline.push(std::mem::take(&mut command)),
            Token::Open => match commands(tokens, depth + 1)? {
                (inner, Some(fields)) => command.push(Term::Group(inner, fields)),
                (_, None) => return Err(syntax("unclosed left paren")),
            },
            Token::Close(fields) => {
                closed = Some(fields.clone());
                break;
            }
            Token::Text(value) => command.push(Term::Literal(value.clone())),
            Token::Word(word) => command.push(term(word)?),
            Token::Define | Token::Comma => return Err(syntax("unexpected \":=\" or \",\" in operand")),
        }
    }
    pipeline.push(command);
    match pipeline.iter().any(Vec::is_empty) {
        true => Err(syntax("missing value for command")),
        false => Ok((pipeline, closed)),
    }
}

fn term(word: &str) -> Result<Term, TemplateError> {
    if word.starts_with('.') {
        return Ok(Term::Field(path(word)));
    }
    if word.starts_with('$') {
        let mut parts = word.splitn(2, '.');
        let name = parts.next().unwrap_or_default().to_owned();
        return Ok(Term::Variable(name, path(parts.next().unwrap_or_default())));
    }
    if super::functions::NAMES.contains(&word) {
        return Ok(Term::Function(word.to_owned()));
    }
    match word {
        "nil" => Ok(Term::Literal(Value::Null)),
        _ => match serde_json::from_str(word) {
            Ok(value) => Ok(Term::Literal(value)),
            Err(_) => Err(syntax(format!("function \"{word}\" not defined"))),
        },
    }
}
