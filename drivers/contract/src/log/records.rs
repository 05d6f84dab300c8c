//! How lines become records before any driver sees them: options that every driver has.

mod pattern;

pub use pattern::{Pattern, datetime_pattern};

use super::Options;
use crate::error::{Kind, PortError};
use std::sync::Arc;
use std::time::Duration;

/// Most bytes that a line or record may be asked to have: with its attributes it still fits what readers of the local
/// format take.
pub const LONGEST: usize = 512 * 1024;
const SHORTEST: usize = 1024;

const LINE: &str = "max-line-size";
const PATTERN: &str = "multiline-pattern";
const DATETIME: &str = "multiline-datetime-format";
const SIZE: &str = "multiline-max-size";
const LINES: &str = "multiline-max-lines";
const TIMEOUT: &str = "multiline-timeout";
const RATE: &str = "rate-limit";
const BURST: &str = "rate-limit-burst";
const ALL: [&str; 8] = [LINE, PATTERN, DATETIME, SIZE, LINES, TIMEOUT, RATE, BURST];

/// Whether an option says how records are built, and so concerns no driver.
pub fn is_record_option(key: &str) -> bool {
    ALL.contains(&key)
}

/// How records are built. Without anything said, as Docker does: pieces of 16 KiB, each line for itself, all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// Long lines come whole up to so many bytes, with the time that their first piece would have.
    pub reassemble: Option<usize>,
    /// Lines that belong together come as one, with the time of the first.
    pub join: Option<Arc<Join>>,
    /// Most lines in a time.
    pub rate: Option<Arc<Rate>>,
}

/// Which lines are one record. They are joined by LF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// A line in which this is found begins a record.
    pub begins: Pattern,
    /// Most bytes of a record; what does not fit begins the next.
    pub max_bytes: usize,
    /// Most lines of a record.
    pub max_lines: usize,
    /// A record ends when its stream says nothing for longer, by the times at which output was read.
    pub timeout: Duration,
}

/// How many lines come in a time: windows are counted from the first line that comes after the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    /// Lines that each window adds.
    pub lines: u64,
    /// How long a window is.
    pub window: Duration,
    /// Most lines that one window lets through, with what earlier ones left over.
    pub burst: u64,
    /// The limit as it was given.
    pub given: String,
}

fn invalid(text: impl Into<String>) -> PortError {
    PortError::new(Kind::Invalid, text)
}

fn wrong(key: &str, value: &str, why: &str) -> PortError {
    invalid(format!("invalid value for option {key}: {value}: {why}"))
}

impl Records {
    /// Reads the options that concern records; others are not looked at. An empty value is none.
    ///
    /// # Errors
    /// What is wrong, by the option's name; of a pattern and a format of dates together in Docker's words for awslogs.
    pub fn parse(options: &Options) -> Result<Self, PortError> {
        let given = |key: &'static str| {
            options.get(key).map(String::as_str).filter(|text| !text.is_empty()).map(|text| (key, text))
        };
        let reassemble = given(LINE).map(size).transpose()?;
        let begins = match (given(DATETIME), given(PATTERN)) {
            (Some(_), Some(_)) => return Err(both(DATETIME, PATTERN)),
            (Some((key, format)), None) => Some(Pattern::new(key, &datetime_pattern(format))?),
            (None, Some((key, text))) => Some(Pattern::new(key, text)?),
            (None, None) => None,
        };
        let (bytes, lines, timeout) = (given(SIZE), given(LINES), given(TIMEOUT));
        let join = match begins {
            Some(begins) => {
                let mut join = Join::new(begins);
                join.max_bytes = bytes.map_or(Ok(join.max_bytes), size)?;
                join.max_lines = lines.map_or(Ok(join.max_lines), count)?;
                join.timeout = timeout.map_or(Ok(join.timeout), pause)?;
                Some(Arc::new(join))
            }
            None => match bytes.or(lines).or(timeout) {
                Some((key, _)) => {
                    return Err(invalid(format!("log opt '{key}' needs '{PATTERN}' or '{DATETIME}'")));
                }
                None => None,
            },
        };
        let rate = match (given(RATE), given(BURST)) {
            (Some(limit), burst) => Some(Arc::new(rate(limit, burst)?)),
            (None, Some(_)) => return Err(invalid(format!("log opt '{BURST}' needs '{RATE}'"))),
            (None, None) => None,
        };
        Ok(Self { reassemble, join, rate })
    }

    /// Reads options that are newly given: Docker lets verbs of dates that it does not know match anything, which joins lines
    /// wrongly without a word. Containers that were made with some keep them.
    ///
    /// # Errors
    /// Those of [`Self::parse`], and such a verb.
    pub fn check(options: &Options) -> Result<Self, PortError> {
        let records = Self::parse(options)?;
        let format = options.get(DATETIME).map(String::as_str).unwrap_or_default();
        match pattern::unknown_verb(format) {
            Some(verb) => {
                let start: String = format.chars().take(200).collect();
                Err(wrong(DATETIME, &start, &format!("%{verb} stands for no part of a date")))
            }
            None => Ok(records),
        }
    }

    /// These, and of `others` what they leave open.
    pub fn or(&self, others: &Self) -> Self {
        Self {
            reassemble: self.reassemble.or(others.reassemble),
            join: self.join.clone().or_else(|| others.join.clone()),
            rate: self.rate.clone().or_else(|| others.rate.clone()),
        }
    }
}

impl Join {
    /// With the bounds that hold where none are given.
    pub fn new(begins: Pattern) -> Self {
        Self { begins, max_bytes: 256 * 1024, max_lines: 1000, timeout: Duration::from_secs(1) }
    }
}

/// Docker's refusal of two options that say the same thing.
pub fn both(one: &str, other: &str) -> PortError {
    invalid(format!("you cannot configure log opt '{one}' and '{other}' at the same time"))
}

/// A number, and what stands after it.
fn split(text: &str) -> Option<(u64, String)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, unit.trim_start().to_ascii_lowercase()))
}

fn size((key, text): (&str, &str)) -> Result<usize, PortError> {
    let bytes = split(text).and_then(|(number, unit)| {
        let factor: u64 = match unit.as_str() {
            "" | "b" => 1,
            "k" | "kb" | "kib" => 1024,
            "m" | "mb" | "mib" => 1024 * 1024,
            _ => return None,
        };
        usize::try_from(number.checked_mul(factor)?).ok()
    });
    bytes
        .filter(|bytes| (SHORTEST..=LONGEST).contains(bytes))
        .ok_or_else(|| wrong(key, text, "a size between 1k and 512k is wanted"))
}

fn count((key, text): (&str, &str)) -> Result<usize, PortError> {
    let number = text.parse::<usize>().ok();
    number
        .filter(|n| (1..=100_000).contains(n))
        .ok_or_else(|| wrong(key, text, "a number between 1 and 100000 is wanted"))
}

fn pause((key, text): (&str, &str)) -> Result<Duration, PortError> {
    let found = split(text).and_then(|(number, unit)| match unit.as_str() {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        _ => None,
    });
    found
        .filter(|d| (Duration::from_millis(10)..=Duration::from_secs(300)).contains(d))
        .ok_or_else(|| wrong(key, text, "a time between 10ms and 5m is wanted"))
}

fn rate((key, text): (&str, &str), burst: Option<(&str, &str)>) -> Result<Rate, PortError> {
    const MOST: u64 = 1_000_000_000;
    let found = text.split_once('/').and_then(|(number, unit)| {
        let window = match unit {
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            _ => return None,
        };
        let lines = number.parse().ok().filter(|n| (1..=MOST).contains(n))?;
        Some((lines, window))
    });
    let (lines, window) =
        found.ok_or_else(|| wrong(key, text, "lines per second or minute are wanted, as 1000/s or 600/m"))?;
    let burst = match burst {
        None => lines,
        Some((key, text)) => text
            .parse()
            .ok()
            .filter(|n| (lines..=MOST).contains(n))
            .ok_or_else(|| wrong(key, text, &format!("a number of lines is wanted, at least {lines}")))?,
    };
    Ok(Rate { lines, window, burst, given: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Records, String> {
        let options = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Records::parse(&options).map_err(|e| e.text)
    }

    #[test]
    fn nothing_said_is_what_docker_does() {
        assert_eq!(parse(&[("max-size", "1m"), ("rate-limit", "")]).unwrap(), Records::default());
    }

    #[test]
    fn what_is_said_is_read() {
        let read = parse(&[
            ("max-line-size", "256k"),
            ("multiline-pattern", r"^\d"),
            ("multiline-max-size", "64KiB"),
            ("multiline-max-lines", "20"),
            ("multiline-timeout", "250ms"),
            ("rate-limit", "600/m"),
            ("rate-limit-burst", "1000"),
        ]);
        let read = read.unwrap();
        let join = read.join.unwrap();
        assert!(join.begins.is_in(b"1st") && !join.begins.is_in(b" 2nd"));
        assert_eq!((read.reassemble, join.max_bytes, join.max_lines), (Some(262_144), 65_536, 20));
        assert_eq!(join.timeout, Duration::from_millis(250));
        let rate = read.rate.unwrap();
        assert_eq!((rate.lines, rate.window, rate.burst), (600, Duration::from_secs(60), 1000));
        let plain = parse(&[("multiline-datetime-format", "%Y-%m-%d"), ("rate-limit", "5/s")]).unwrap();
        assert!(plain.join.unwrap().begins.is_in(b"at 2026-11-29 it"));
        assert_eq!(plain.rate.unwrap().burst, 5);
    }

    #[test]
    fn a_verb_of_dates_that_matches_anything_is_refused_where_it_is_given_and_kept_where_it_stands() {
        let options: Options = [(DATETIME.to_owned(), "%Y-%Q".to_owned())].into();
        assert_eq!(
            Records::check(&options).unwrap_err().text,
            "invalid value for option multiline-datetime-format: %Y-%Q: %Q stands for no part of a date"
        );
        Records::parse(&options).unwrap();
        let fine: Options = [(DATETIME.to_owned(), r"\[%Y-%m-%d %H:%M:%S%L\]".to_owned())].into();
        Records::check(&fine).unwrap();
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (pairs, text) in [
            (
                &[("max-line-size", "1m")][..],
                "invalid value for option max-line-size: 1m: a size between 1k and 512k is wanted",
            ),
            (
                &[("multiline-pattern", "x"), ("multiline-datetime-format", "%Y")],
                "you cannot configure log opt 'multiline-datetime-format' and 'multiline-pattern' at the same time",
            ),
            (
                &[("multiline-timeout", "1s")],
                "log opt 'multiline-timeout' needs 'multiline-pattern' or 'multiline-datetime-format'",
            ),
            (
                &[("multiline-pattern", "x"), ("multiline-timeout", "1h")],
                "invalid value for option multiline-timeout: 1h: a time between 10ms and 5m is wanted",
            ),
            (
                &[("multiline-pattern", "x"), ("multiline-max-lines", "0")],
                "invalid value for option multiline-max-lines: 0: a number between 1 and 100000 is wanted",
            ),
            (
                &[("rate-limit", "1000")],
                "invalid value for option rate-limit: 1000: lines per second or minute are wanted, as 1000/s or 600/m",
            ),
            (&[("rate-limit-burst", "5")], "log opt 'rate-limit-burst' needs 'rate-limit'"),
            (
                &[("rate-limit", "10/s"), ("rate-limit-burst", "5")],
                "invalid value for option rate-limit-burst: 5: a number of lines is wanted, at least 10",
            ),
        ] {
            assert_eq!(parse(pairs).unwrap_err(), text);
        }
        let pattern = parse(&[("multiline-pattern", "(")]).unwrap_err();
        assert!(pattern.starts_with("invalid value for option multiline-pattern: (: "), "{pattern}");
        let large = parse(&[("multiline-pattern", r"\w{1000}{1000}")]).unwrap_err();
        assert!(large.contains("size limit"), "{large}");
    }

    #[test]
    fn what_is_left_open_is_filled() {
        let own = parse(&[("rate-limit", "1/s")]).unwrap();
        let others = parse(&[("rate-limit", "2/s"), ("max-line-size", "2k")]).unwrap();
        let both = own.or(&others);
        assert_eq!((both.rate, both.reassemble), (own.rate, Some(2048)));
    }
}
