//! Sizes as docker/go-units writes them.

/// `10k` = 10000 (go-units `FromHumanSize`).
pub fn decimal_size(text: &str) -> Result<u64, String> {
    size(text, 1000)
}

/// `10k` = 10240 (go-units `RAMInBytes`).
pub fn binary_size(text: &str) -> Result<u64, String> {
    size(text, 1024)
}

fn size(text: &str, step: u64) -> Result<u64, String> {
    let fail = || format!("invalid size: '{text}'");
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, suffix) = text.split_at_checked(split).ok_or_else(fail)?;
    let number: f64 = digits.parse().map_err(|_| fail())?;
    let suffix = suffix.strip_prefix(' ').unwrap_or(suffix).to_ascii_lowercase();
    let mut rest = suffix.chars();
    let power = match rest.next() {
        None | Some('b') => 0,
        Some('k') => 1,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        Some('p') => 5,
        Some(_) => return Err(fail()),
    };
    let tail = rest.as_str();
    if !(tail.is_empty() || (power > 0 && matches!(tail, "b" | "ib"))) {
        return Err(fail());
    }
    Ok((number * (step.pow(power) as f64)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_go_units_reads_them() {
        assert_eq!(decimal_size("10k"), Ok(10_000));
        assert_eq!(binary_size("20m"), Ok(20 << 20));
        assert_eq!(decimal_size("1.5MiB"), Ok(1_500_000));
        assert_eq!(decimal_size("7"), Ok(7));
        assert!(decimal_size("-1").is_err() && decimal_size("").is_err() && decimal_size("3x").is_err());
    }
}
