//! Words, quotes and variables of Dockerfile instructions.

/// Words at white space; quotes hold them together and go.
pub(super) fn words(text: &str) -> Vec<String> {
    split(text).unwrap_or_else(|_| text.split_whitespace().map(str::to_owned).collect())
}

fn split(text: &str) -> Result<Vec<String>, String> {
    let (mut out, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (q, Some(open)) if q == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            // Only double quotes let a backslash take effect.
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(chars.next()),
            (space, None) if space.is_whitespace() => out.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("has an unterminated quote".into());
    }
    out.extend(word);
    Ok(out)
}

/// `k=v k2="v 2"`, or the old `k the rest`. Variables in values are replaced.
pub(super) fn pairs(text: &str, environment: &[String]) -> Result<Vec<(String, String)>, String> {
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let (key, rest) = text.split_once(char::is_whitespace).ok_or("must have two arguments")?;
        return Ok(vec![(key.to_owned(), expand(rest.trim(), environment))]);
    }
    split(&expand(text, environment))?
        .into_iter()
        .map(|word| {
            // A quoted label without a value stands for an empty one.
            let (key, value) = word.split_once('=').unwrap_or((&word, ""));
            if key.is_empty() {
                return Err("names can not be blank".into());
            }
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Replaces `$NAME` and `${NAME}`; unknown ones are empty, a backslash or single quotes protect.
pub(super) fn expand(text: &str, environment: &[String]) -> String {
    let lookup = |name: &str| {
        let found = environment.iter().rev().find_map(|e| e.split_once('=').filter(|(k, _)| *k == name));
        // A value must stay one word.
        found.map(|(_, v)| v.replace('\\', "\\\\").replace(' ', "\\ ")).unwrap_or_default()
    };
    let (mut out, mut rest, mut single) = (String::new(), text, false);
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        single ^= c == '\'';
        match c {
            '\\' => {
                let two = after.chars().next().map_or(1, |n| 1 + n.len_utf8());
                out.push_str(rest.get(..two).unwrap_or_default());
                rest = rest.get(two..).unwrap_or_default();
            }
            '$' if !single => {
                let braced = after.strip_prefix('{').and_then(|a| a.split_once('}'));
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                let (name, left) = braced.unwrap_or_else(|| after.split_at(end));
                if name.is_empty() {
                    out.push('$');
                } else {
                    out.push_str(&lookup(name));
                }
                rest = left;
            }
            c => {
                out.push(c);
                rest = after;
            }
        }
    }
    out
}
