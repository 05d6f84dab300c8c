//! Sizes as people write them.

/// `10k` = 10240 bytes, as docker/go-units' `RAMInBytes` reads it; its text for what is none.
pub fn binary(text: &str) -> Result<u64, String> {
    let fail = || format!("invalid size: '{text}'");
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, suffix) = text.split_at_checked(split).ok_or_else(fail)?;
    let number: f64 = digits.parse().map_err(|_| fail())?;
    let suffix = suffix.strip_prefix(' ').unwrap_or(suffix).to_ascii_lowercase();
    let power = match suffix.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return Err(fail()),
    };
    Ok((number * (1024_u64.pow(power) as f64)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(binary("20m"), Ok(20 << 20));
        assert_eq!(binary("1.5 GiB"), Ok(3 << 29));
        assert_eq!(binary("x").unwrap_err(), "invalid size: 'x'");
        assert!(binary("-1").is_err() && binary("").is_err() && binary("3q").is_err());
    }
}
