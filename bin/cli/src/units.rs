//! Sizes, durations and times, read and written the way Docker does.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// A value on the command line that cannot be read; in Go's words, as Docker prints them.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UnitError {
    /// Not a size such as `512m`.
    #[error("invalid size: '{0}'")]
    Size(String),
    /// Not a unit of size.
    #[error("invalid suffix: '{0}'")]
    Suffix(String),
    /// Digits that make no number.
    #[error("strconv.ParseFloat: parsing \"{0}\": invalid syntax")]
    Number(String),
    /// Neither a time nor a duration.
    #[error("failed to parse value as time or duration: {0:?}")]
    Time(String),
    /// Not a duration such as `1m30s`.
    #[error("time: invalid duration \"{0}\"")]
    Duration(String),
    /// A number alone is no duration.
    #[error("time: missing unit in duration \"{0}\"")]
    NoUnit(String),
    /// No unit of time.
    #[error("time: unknown unit \"{1}\" in duration \"{0}\"")]
    Unit(String, String),
}

/// What the kernel said, as Go spells it.
pub fn errno(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// Reads `512m`, `1.5GiB`, `64`; the units are powers of 1024.
pub fn ram_in_bytes(text: &str) -> Result<i64, UnitError> {
    let last = text.rfind(|c: char| c.is_ascii_digit() || matches!(c, '.' | ' '));
    let last = last.ok_or_else(|| UnitError::Size(text.to_owned()))?;
    let (number, suffix) = text.split_at(last + 1);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let size: f64 = number.parse().map_err(|_| UnitError::Number(number.to_owned()))?;
    if size < 0.0 {
        return Err(UnitError::Size(text.to_owned()));
    }
    let suffix = suffix.to_lowercase();
    let mut letters = suffix.chars();
    let power = match letters.next() {
        None => 0,
        Some('b') if suffix.len() == 1 => 0,
        Some(letter) => match "kmgtp".find(letter) {
            Some(at) if matches!(letters.as_str(), "" | "b" | "ib") => i32::try_from(at + 1).unwrap_or(0),
            _ => return Err(UnitError::Suffix(suffix)),
        },
    };
    Ok((size * 1024f64.powi(power)) as i64)
}

/// `%.{precision}g` of C and Go, for plain magnitudes.
fn significant(value: f64, precision: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let exponent = value.abs().log10().floor() as i32;
    let decimals = usize::try_from(precision as i32 - 1 - exponent).unwrap_or(0);
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

fn scaled(value: f64, base: f64, precision: usize, names: &[&str]) -> String {
    let mut value = value;
    let mut name = names.first().copied().unwrap_or_default();
    for next in names.iter().skip(1) {
        if value < base {
            break;
        }
        value /= base;
        name = next;
    }
    format!("{}{name}", significant(value, precision))
}

/// Decimal size with three significant digits: `7.83MB`.
pub fn human_size(bytes: i64) -> String {
    scaled(bytes as f64, 1000.0, 3, &["B", "kB", "MB", "GB", "TB", "PB"])
}

/// Decimal size with four significant digits: `1.234GB`.
pub fn four_digits(bytes: i64) -> String {
    scaled(bytes as f64, 1000.0, 4, &["B", "kB", "MB", "GB", "TB", "PB"])
}

/// Binary size with four significant digits: `1.953GiB`.
pub fn binary_size(bytes: i64) -> String {
    scaled(bytes as f64, 1024.0, 4, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"])
}

/// `About a minute`, `3 hours`, `2 weeks`.
pub fn human_duration(seconds: i64) -> String {
    let minutes = seconds / 60;
    let hours = (seconds as f64 / 3600.0).round() as i64;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    }
}

/// How long ago `created` (seconds since 1970) was, as tables show it.
pub fn ago(created: i64) -> String {
    format!("{} ago", human_duration(Timestamp::now().as_second() - created))
}

/// `2025-01-02 15:04:05 +0000 UTC`, the local form Go prints.
pub fn local_time(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string(),
        Err(_) => String::new(),
    }
}

/// Nanoseconds of a Go duration such as `1h30m`, `1.5s`, `-300ms`.
pub fn go_duration(text: &str) -> Result<i64, UnitError> {
    let bad = || UnitError::Duration(text.to_owned());
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(bad());
    }
    let digit = |c: char| c.is_ascii_digit() || c == '.';
    let mut total = 0f64;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c: char| !digit(c)).unwrap_or(rest.len()));
        let number: f64 = number.parse().map_err(|_| bad())?;
        let (unit, tail) = tail.split_at(tail.find(digit).unwrap_or(tail.len()));
        let scale = match unit {
            "" => return Err(UnitError::NoUnit(text.to_owned())),
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 6e10,
            "h" => 3.6e12,
            _ => return Err(UnitError::Unit(text.to_owned(), unit.to_owned())),
        };
        total += number * scale;
        rest = tail;
    }
    Ok((sign * total) as i64)
}

/// The `seconds[.nanoseconds]` the API wants for `--since` and `--until`.
pub fn api_time(text: &str, now: Timestamp) -> Result<String, UnitError> {
    let bad = || UnitError::Time(text.to_owned());
    let show = |time: Timestamp| format!("{}.{:09}", time.as_second(), time.subsec_nanosecond());
    if text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_digit() || c == '.')
    {
        return Ok(text.to_owned());
    }
    if let Ok(nanoseconds) = go_duration(text) {
        let at = now.checked_sub(jiff::SignedDuration::from_nanos(nanoseconds)).map_err(|_| bad())?;
        return Ok(show(at));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(show(at));
    }
    let local = text.parse::<DateTime>().map_err(|_| bad())?;
    Ok(show(local.to_zoned(TimeZone::system()).map_err(|_| bad())?.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_sizes_are_powers_of_1024_whatever_the_spelling() {
        for (text, bytes) in [
            ("64", 64),
            ("4k", 4096),
            ("512m", 536_870_912),
            ("1g", 1 << 30),
            ("1GiB", 1 << 30),
            ("1.5kb", 1536),
        ] {
            assert_eq!(ram_in_bytes(text), Ok(bytes), "{text}");
        }
        assert!(ram_in_bytes("much").is_err());
        assert!(ram_in_bytes("1z").is_err());
    }

    #[test]
    fn sizes_have_three_significant_digits_as_docker_images_shows_them() {
        for (bytes, text) in
            [(0, "0B"), (999, "999B"), (4_261_550, "4.26MB"), (77_900_000, "77.9MB"), (141_000_000, "141MB")]
        {
            assert_eq!(human_size(bytes), text);
        }
        assert_eq!(binary_size(8_345_010_176), "7.772GiB");
    }

    #[test]
    fn ages_use_dockers_words() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (59, "59 seconds"),
            (90, "About a minute"),
            (3600, "About an hour"),
            (86_400, "24 hours"),
            (86_400 * 3, "3 days"),
            (86_400 * 21, "3 weeks"),
            (86_400 * 90, "3 months"),
        ] {
            assert_eq!(human_duration(seconds), text);
        }
    }

    #[test]
    fn since_takes_seconds_durations_and_dates() {
        let now = Timestamp::from_second(1000).unwrap();
        assert_eq!(api_time("42", now).unwrap(), "42");
        assert_eq!(api_time("1m40s", now).unwrap(), "900.000000000");
        assert_eq!(api_time("1970-01-01T00:00:02.5Z", now).unwrap(), "2.500000000");
        assert!(api_time("yesterday", now).is_err());
    }
}
