//! How Go prints values: the texts of Docker's errors and histories are made with it.

/// `%q` of a string.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..' ' | '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            '\u{80}'..='\u{a0}' | '\u{ad}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `%q` of a list.
pub(crate) fn quoted_list(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|w| quoted(w)).collect::<Vec<_>>().join(" "))
}

/// `%q` of a small number, which is that character's.
pub(crate) fn quoted_number(number: i32) -> String {
    let c = u32::try_from(number).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
    match c {
        '\'' => "'\\''".to_owned(),
        '"' => "'\"'".to_owned(),
        c => {
            let text = quoted(c.encode_utf8(&mut [0; 4]));
            format!("'{}'", text.get(1..text.len() - 1).unwrap_or_default())
        }
    }
}

/// A duration in ns: `1h0m30s`, `1.5ms`.
pub(crate) fn duration(ns: i64) -> String {
    const SECOND: u64 = 1_000_000_000;
    let (sign, n) = (if ns < 0 { "-" } else { "" }, ns.unsigned_abs());
    let text = match n {
        0 => return "0s".to_owned(),
        1..1_000 => format!("{n}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(n, 1_000)),
        1_000_000..SECOND => format!("{}ms", fraction(n, 1_000_000)),
        _ => {
            let minutes = n / (60 * SECOND);
            let seconds = format!("{}s", fraction(n % (60 * SECOND), SECOND));
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, m) => format!("{m}m{seconds}"),
                (h, m) => format!("{h}h{m}m{seconds}"),
            }
        }
    };
    format!("{sign}{text}")
}

/// `n / unit` as a decimal fraction without zeros at its end; `unit` is a power of ten.
fn fraction(n: u64, unit: u64) -> String {
    let digits = unit.ilog10() as usize;
    let text = format!("{}.{:0digits$}", n / unit, n % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::{duration, quoted, quoted_number};

    #[test]
    fn values_are_printed_as_go_does() {
        assert_eq!(quoted("a\"b\\c\n\u{1}é\u{a0}"), r#""a\"b\\c\n\x01é\u00a0""#);
        assert_eq!([0, 3, 39, 65, 10].map(quoted_number), [r"'\x00'", r"'\x03'", r"'\''", "'A'", r"'\n'"]);
        let texts = [
            (0, "0s"),
            (5, "5ns"),
            (1_500, "1.5µs"),
            (2_000_000, "2ms"),
            (30_000_000_000, "30s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (-1_500_000_000, "-1.5s"),
        ];
        for (ns, text) in texts {
            assert_eq!(duration(ns), text);
        }
    }
}
