//! Durations as Go reads them (`time.ParseDuration`).

use crate::print::quoted;

/// `1h30m`, `1.5s`, `-2ms`, in ns; an error has Go's words.
pub(super) fn duration_ns(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quoted(text));
    let (negative, mut rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut sum = 0_i64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if part.contains('.') || (whole.is_empty() && part.is_empty()) {
            return Err(invalid());
        }
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (name, left) = after.split_at(end);
        let unit: i64 = match name {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "" => return Err(format!("time: missing unit in duration {}", quoted(text))),
            _ => return Err(format!("time: unknown unit {} in duration {}", quoted(name), quoted(text))),
        };
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        let nanos = whole.checked_mul(unit).and_then(|n| n.checked_add(fraction(part, unit)));
        sum = nanos.and_then(|n| sum.checked_add(n)).ok_or_else(invalid)?;
        rest = left;
    }
    Ok(if negative { -sum } else { sum })
}

/// `unit` times the decimal fraction with these digits, rounded down.
fn fraction(digits: &str, unit: i64) -> i64 {
    let (mut sum, mut place) = (0, unit);
    for digit in digits.bytes() {
        place /= 10;
        sum += place * i64::from(digit - b'0');
        if place == 0 {
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::duration_ns;

    #[test]
    fn durations_are_read_as_go_does() {
        for (text, ns) in [
            ("0", 0),
            ("5s", 5_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5ms", 1_500_000),
            (".5s", 500_000_000),
            ("-2h", -7_200_000_000_000),
            ("1us", 1_000),
            ("1.s", 1_000_000_000),
        ] {
            assert_eq!(duration_ns(text), Ok(ns), "{text}");
        }
        for (text, error) in [
            ("", "time: invalid duration \"\""),
            ("x", "time: invalid duration \"x\""),
            ("5", "time: missing unit in duration \"5\""),
            ("5x", "time: unknown unit \"x\" in duration \"5x\""),
            ("99999999999h", "time: invalid duration \"99999999999h\""),
            ("1.2.3s", "time: invalid duration \"1.2.3s\""),
        ] {
            assert_eq!(duration_ns(text), Err(error.to_owned()));
        }
    }
}
