//! Go's `printf`, for what templates have to print.

use serde_json::Value;

use super::evaluate::show;

/// Between `%` and the verb.
#[derive(Default)]
struct Spec {
    left: bool,
    zero: bool,
    plus: bool,
    width: usize,
    precision: Option<usize>,
}

fn convert(verb: char, spec: &Spec, value: &Value) -> String {
    let wrong = || format!("%!{verb}({})", show(value));
    let text = match verb {
        'v' => show(value),
        's' => match value {
            Value::Number(_) | Value::Bool(_) => return wrong(),
            _ => show(value),
        },
        'q' => format!("{:?}", show(value)),
        't' => value.as_bool().map_or_else(wrong, |truth| truth.to_string()),
        'd' => value.as_i64().map_or_else(wrong, |number| number.to_string()),
        'x' => match value {
            Value::Number(number) => number.as_u64().map_or_else(wrong, |number| format!("{number:x}")),
            _ => show(value).bytes().map(|byte| format!("{byte:02x}")).collect(),
        },
        'f' => {
            value.as_f64().map_or_else(wrong, |number| format!("{number:.*}", spec.precision.unwrap_or(6)))
        }
        _ => return wrong(),
    };
    match (verb, spec.precision) {
        ('s', Some(limit)) => text.chars().take(limit).collect(),
        ('d', _) if spec.plus && !text.starts_with('-') => format!("+{text}"),
        _ => text,
    }
}

fn padded(text: String, spec: &Spec) -> String {
    let width = spec.width;
    match () {
        () if spec.left => format!("{text:<width$}"),
        () if spec.zero => match text.strip_prefix('-') {
            Some(digits) => format!("-{digits:0>width$}", width = width.saturating_sub(1)),
            None => format!("{text:0>width$}"),
        },
        () => format!("{text:>width$}"),
    }
}

fn number(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> usize {
    let mut value = 0usize;
    while let Some(digit) = letters.peek().and_then(|letter| letter.to_digit(10)) {
        value = value.saturating_mul(10).saturating_add(digit as usize).min(10_000);
        letters.next();
    }
    value
}

/// Fills `format` in.
pub fn printf(format: &str, arguments: &[Value]) -> String {
    let mut rest = arguments.iter();
    let mut out = String::new();
    let mut letters = format.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = letters.next_if(|letter| "-0+ #".contains(*letter)) {
            match flag {
                '-' => spec.left = true,
                '0' => spec.zero = true,
                '+' => spec.plus = true,
                _ => {}
            }
        }
        spec.width = number(&mut letters);
        if letters.next_if_eq(&'.').is_some() {
            spec.precision = Some(number(&mut letters));
        }
        match letters.next() {
            Some('%') => out.push('%'),
            Some(verb) => match rest.next() {
                Some(value) => out.push_str(&padded(convert(verb, &spec, value), &spec)),
                None => out.push_str(&format!("%!{verb}(MISSING)")),
            },
            None => out.push_str("%!(NOVERB)"),
        }
    }
    let extra: Vec<String> = rest.map(show).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::printf;
    use serde_json::json;

    #[test]
    fn verbs_widths_and_flags_are_gos() {
        let given = [json!("ab"), json!(42), json!(true), json!(1.5)];
        assert_eq!(printf("%s|%d|%t|%.2f", &given), "ab|42|true|1.50");
        assert_eq!(printf("%-5s|%05d", &given[..2]), "ab   |00042");
        assert_eq!(printf("%5s|%x|%%", &given[..2]), "   ab|2a|%");
        assert_eq!(printf("%q %s", &given[..1]), "\"ab\" %!s(MISSING)");
        assert_eq!(printf("x", &given[..1]), "x%!(EXTRA ab)");
    }
}
