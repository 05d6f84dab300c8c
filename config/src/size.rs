//! Sizes as Docker writes them.

/// `1048576`, `64m`, `1.5 GB`, `2KiB`: powers of 1024, whatever the unit's letters (docker/go-units `RAMInBytes`).
pub fn bytes(text: &str) -> Option<i64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(split)?;
    let number: f64 = number.parse().ok()?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let power = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return None,
    };
    let out = number * 1024_f64.powi(power);
    (out < i64::MAX as f64).then_some(out as i64)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_have_units_of_1024() {
        for (text, wanted) in [("64m", 64 << 20), ("128", 128), ("1.5 KB", 1536), ("2GiB", 2 << 30)] {
            assert_eq!(bytes(text), Some(wanted), "{text}");
        }
        for text in ["", "m", "-1", "1x", "1  k", "9999999p"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
