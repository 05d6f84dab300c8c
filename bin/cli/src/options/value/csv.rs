//! Comma-separated fields, in which quotes protect commas.

/// The fields of one line, with Go's words for stray quotes.
pub fn fields(line: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut rest = line.chars().peekable();
    loop {
        let mut field = String::new();
        if rest.next_if_eq(&'"').is_some() {
            loop {
                match rest.next() {
                    Some('"') if rest.next_if_eq(&'"').is_some() => field.push('"'),
                    Some('"') => break,
                    Some(letter) => field.push(letter),
                    None => return Err("parse error: extraneous or missing \" in quoted-field".to_owned()),
                }
            }
            if rest.peek().is_some_and(|next| *next != ',') {
                return Err("parse error: extraneous or missing \" in quoted-field".to_owned());
            }
        }
        while let Some(letter) = rest.next_if(|letter| *letter != ',') {
            if letter == '"' {
                return Err("parse error: bare \" in non-quoted-field".to_owned());
            }
            field.push(letter);
        }
        found.push(field);
        if rest.next().is_none() {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fields;

    #[test]
    fn quotes_protect_commas() {
        assert_eq!(fields("a,\"b=c,d\",").unwrap(), ["a", "b=c,d", ""]);
        assert_eq!(fields("\"a\"\"b\"").unwrap(), ["a\"b"]);
        assert!(fields("a\"b").is_err() && fields("\"a").is_err() && fields("\"a\"b").is_err());
    }
}
