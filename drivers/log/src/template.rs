//! The part of Go's templates that tags use: fields, pipelines, parentheses and Docker's string functions.

use contract::log::LogSource;
use std::iter::Peekable;
use std::vec::IntoIter;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Field(String),
    Name(String),
    Text(String),
    Number(i64),
    Pipe,
    Open,
    Close,
}

#[derive(Debug, Clone)]
enum Value {
    Text(String),
    Number(i64),
    List(Vec<String>),
}

impl Value {
    fn text(self) -> String {
        match self {
            Value::Text(t) => t,
            Value::Number(n) => n.to_string(),
            Value::List(l) => format!("[{}]", l.join(" ")),
        }
    }
}

/// Fills `template` from `source`.
pub(crate) fn render(template: &str, source: &LogSource) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (inside, tail) = after
            .split_once("}}")
            .ok_or_else(|| format!("template: log-tag: unclosed action in {template:?}"))?;
        let trim_before = inside.starts_with("- ");
        let trim_after = inside.ends_with(" -");
        out.push_str(if trim_before { before.trim_end() } else { before });
        let inside = inside.strip_prefix('-').unwrap_or(inside);
        let inside = inside.strip_suffix('-').unwrap_or(inside);
        let mut tokens = tokens(inside)?.into_iter().peekable();
        let value = pipeline(&mut tokens, source)?;
        if tokens.next().is_some() {
            return Err(format!("template: log-tag: unexpected token in {{{{{inside}}}}}"));
        }
        out.push_str(&value.text());
        rest = if trim_after { tail.trim_start() } else { tail };
    }
    out.push_str(rest);
    Ok(out)
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    let word = |chars: &mut Peekable<std::str::Chars<'_>>| {
        let mut word = String::new();
        while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || *c == '_' || *c == '-') {
            word.push(c);
        }
        word
    };
    while let Some(&c) = chars.peek() {
        match c {
            ' ' | '\t' => drop(chars.next()),
            '|' | '(' | ')' => {
                chars.next();
                out.push(match c {
                    '|' => Token::Pipe,
                    '(' => Token::Open,
                    _ => Token::Close,
                });
            }
            '.' => {
                chars.next();
                out.push(Token::Field(word(&mut chars)));
            }
            '"' | '`' => {
                chars.next();
                let mut literal = String::new();
                loop {
                    match chars.next() {
                        None => return Err("template: log-tag: unterminated quoted string".into()),
                        Some(end) if end == c => break,
                        Some('\\') if c == '"' => match chars.next() {
                            Some('n') => literal.push('\n'),
                            Some('t') => literal.push('\t'),
                            Some(other) => literal.push(other),
                            None => {}
                        },
                        Some(other) => literal.push(other),
                    }
                }
                out.push(Token::Text(literal));
            }
            _ => {
                let name = word(&mut chars);
                if name.is_empty() {
                    return Err(format!("template: log-tag: unexpected {c:?} in command"));
                }
                out.push(name.parse().map_or(Token::Name(name), Token::Number));
            }
        }
    }
    Ok(out)
}

type Tokens = Peekable<IntoIter<Token>>;

fn pipeline(tokens: &mut Tokens, source: &LogSource) -> Result<Value, String> {
    let mut value = command(tokens, source, None)?;
    while tokens.next_if_eq(&Token::Pipe).is_some() {
        value = command(tokens, source, Some(value))?;
    }
    Ok(value)
}

fn command(tokens: &mut Tokens, source: &LogSource, piped: Option<Value>) -> Result<Value, String> {
    let Some(Token::Name(name)) = tokens.next_if(|t| matches!(t, Token::Name(_))) else {
        return operand(tokens, source)?.ok_or_else(|| "template: log-tag: missing value for command".into());
    };
    let mut arguments = Vec::new();
    while let Some(value) = operand(tokens, source)? {
        arguments.push(value);
    }
    arguments.extend(piped);
    call(&name, arguments)
}

fn operand(tokens: &mut Tokens, source: &LogSource) -> Result<Option<Value>, String> {
    Ok(Some(match tokens.next_if(|t| !matches!(t, Token::Pipe | Token::Close | Token::Name(_))) {
        Some(Token::Field(name)) => field(&name, source)?,
        Some(Token::Text(text)) => Value::Text(text),
        Some(Token::Number(number)) => Value::Number(number),
        Some(Token::Open) => {
            let value = pipeline(tokens, source)?;
            if tokens.next() != Some(Token::Close) {
                return Err("template: log-tag: unclosed left paren".into());
            }
            value
        }
        _ => return Ok(None),
    }))
}

fn field(name: &str, source: &LogSource) -> Result<Value, String> {
    let short = |id: &str| id.strip_prefix("sha256:").unwrap_or(id).chars().take(12).collect::<String>();
    Ok(Value::Text(match name {
        "ID" => short(&source.container_id),
        "FullID" | "ContainerID" => source.container_id.clone(),
        "Name" => source.container_name.trim_start_matches('/').to_owned(),
        "ContainerName" => format!("/{}", source.container_name.trim_start_matches('/')),
        "ImageID" => short(&source.image_id),
        "ImageFullID" | "ContainerImageID" => source.image_id.clone(),
        "ImageName" | "ContainerImageName" => source.image_name.clone(),
        "Command" => source.command.clone(),
        "ContainerEntrypoint" => source.command.split(' ').next().unwrap_or_default().to_owned(),
        "Hostname" => hostname(),
        "DaemonName" => "docker".to_owned(),
        other => return Err(format!("template: log-tag: can't evaluate field {other} in type logger.Info")),
    }))
}

/// This machine's name.
pub(crate) fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|h| h.trim().to_owned()).unwrap_or_default()
}

fn call(name: &str, arguments: Vec<Value>) -> Result<Value, String> {
    let wrong = || format!("template: log-tag: wrong arguments for {name}");
    let mut rest = arguments.into_iter();
    let first = rest.next().ok_or_else(wrong)?;
    let value = match name {
        "json" => Value::Text(match first {
            Value::Text(t) => serde_json::to_string(&t).unwrap_or_default(),
            Value::Number(n) => n.to_string(),
            Value::List(l) => serde_json::to_string(&l).unwrap_or_default(),
        }),
        "lower" => Value::Text(first.text().to_lowercase()),
        "upper" => Value::Text(first.text().to_uppercase()),
        "title" => {
            let mut start = true;
            Value::Text(
                first
                    .text()
                    .chars()
                    .map(|c| {
                        let upper = start && c.is_alphabetic();
                        start = c.is_whitespace();
                        if upper { c.to_uppercase().next().unwrap_or(c) } else { c }
                    })
                    .collect(),
            )
        }
        "split" => {
            let separator = rest.next().ok_or_else(wrong)?.text();
            Value::List(first.text().split(separator.as_str()).map(str::to_owned).collect())
        }
        "join" => match (first, rest.next()) {
            (Value::List(list), Some(separator)) => Value::Text(list.join(&separator.text())),
            _ => return Err(wrong()),
        },
        "pad" => match (rest.next(), rest.next()) {
            (Some(Value::Number(before)), Some(Value::Number(after))) => {
                let text = first.text();
                let blank = |n: i64| " ".repeat(usize::try_from(n).unwrap_or(0));
                Value::Text(if text.is_empty() { text } else { blank(before) + &text + &blank(after) })
            }
            _ => return Err(wrong()),
        },
        "truncate" => match rest.next() {
            Some(Value::Number(length)) => {
                Value::Text(first.text().chars().take(usize::try_from(length).unwrap_or(0)).collect())
            }
            _ => return Err(wrong()),
        },
        _ => return Err(format!("template: log-tag: function {name:?} not defined")),
    };
    if rest.next().is_some() {
        return Err(wrong());
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_take_fields_functions_pipelines_and_parentheses() {
        let source = LogSource {
            container_id: "0123456789abcdef".into(),
            container_name: "my-web".into(),
            image_id: "sha256:fedcba98765432100".into(),
            ..Default::default()
        };
        let ok = |t: &str| render(t, &source).unwrap();
        assert_eq!(ok("x/{{.ID}}/{{ .Name }}"), "x/0123456789ab/my-web");
        assert_eq!(ok("{{.ImageID}}"), "fedcba987654");
        assert_eq!(ok("{{upper .Name}} {{.Name | upper | lower}}"), "MY-WEB my-web");
        assert_eq!(ok("{{join (split .Name \"-\") \"_\"}}"), "my_web");
        assert_eq!(ok("{{truncate .FullID 3}}|{{pad .Name 1 2}}|{{json .Name}}"), "012| my-web  |\"my-web\"");
        assert!(render("{{.Nope}}", &source).is_err());
        assert!(render("{{.ID", &source).is_err());
        assert!(render("{{nope .ID}}", &source).is_err());
    }
}
