//! Points in time as Docker's filters give them.

use contract::{Kind, PortError};
use jiff::{SignedDuration, Timestamp, civil};

/// Nanoseconds since the epoch of `10m` ago, a date with or without time and zone, or seconds with a fraction.
pub fn parse(text: &str, now_ns: i64) -> Result<i64, PortError> {
    let wrong =
        || PortError::new(Kind::Invalid, format!("failed to parse value as time or duration: {text:?}"));
    let ns = |n: i128| i64::try_from(n).map_err(|_| wrong());
    let go_like = text.ends_with(|c: char| c.is_ascii_alphabetic()) && !text.contains('T');
    if let (true, Ok(ago)) = (go_like, text.parse::<SignedDuration>()) {
        return ns(i128::from(now_ns) - ago.as_nanos());
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return ns(time.as_nanosecond());
    }
    let zoneless = text.parse::<civil::DateTime>().ok().filter(|_| text.contains('-'));
    if let Some(time) = zoneless {
        let zoned = time.to_zoned(jiff::tz::TimeZone::system()).map_err(|_| wrong())?;
        return ns(zoned.timestamp().as_nanosecond());
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().map_err(|_| wrong())?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanos: i64 = digits.parse().map_err(|_| wrong())?;
    seconds.checked_mul(1_000_000_000).and_then(|s| s.checked_add(nanos)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn every_form_is_read() {
        const SECOND: i64 = 1_000_000_000;
        let now = 10_000 * SECOND;
        assert_eq!(parse("10m", now).unwrap(), now - 600 * SECOND);
        assert_eq!(parse("1h30m", now).unwrap(), now - 5400 * SECOND);
        assert_eq!(parse("1970-01-01T00:00:05Z", now).unwrap(), 5 * SECOND);
        assert_eq!(parse("5.5", now).unwrap(), 5 * SECOND + SECOND / 2);
        for date in ["1970-01-03", "1970-01-03T00:00:00", "1970-01-03T00:00"] {
            let day = parse(date, now).unwrap() / SECOND;
            assert!((86_400..=3 * 86_400).contains(&day), "{date} is {day}");
        }
        for wrong in ["", "soon", "10", "x5"].into_iter().filter(|t| *t != "10") {
            assert!(parse(wrong, now).is_err(), "{wrong}");
        }
    }
}
