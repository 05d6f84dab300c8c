//! Who waits for a destination that takes no lines, and what is dropped instead.

use super::{Options, binary_size};
use crate::error::{Kind, PortError};
use serde::{Deserialize, Serialize};

const MODE: &str = "mode";
const BUFFER: &str = "max-buffer-size";
const OVERFLOW: &str = "overflow";
const NON_BLOCKING: &str = "non-blocking";
/// Docker's, bytes.
const DEFAULT_BUFFER: u64 = 1_000_000;

/// What goes when a destination's buffer is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// What comes, until there is room again; as in Docker.
    #[default]
    DropNewest,
    /// What has waited longest.
    DropOldest,
}

/// How a destination meets lines that it cannot take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// The container waits once its spool is full.
    #[default]
    Blocking,
    /// It never waits for this destination.
    NonBlocking {
        /// Bytes of the spool that are kept for the destination.
        buffer: u64,
        /// What goes beyond them.
        overflow: Overflow,
    },
}

fn invalid(text: impl Into<String>) -> PortError {
    PortError::new(Kind::Invalid, text)
}

fn get<'a>(options: &'a Options, key: &str) -> Option<&'a str> {
    options.get(key).map(String::as_str)
}

impl Delivery {
    /// Options that say how lines are delivered, and that no driver sees.
    pub fn is_option(key: &str) -> bool {
        matches!(key, MODE | BUFFER | OVERFLOW)
    }

    /// What the options of one destination say, or why they say nothing, with Docker's texts.
    pub fn of(options: &Options) -> Result<Self, PortError> {
        Self::among(options, &Options::new())
    }

    /// What a destination's own options say, and those for all where it says nothing itself. One that blocks has no use for a
    /// size or a choice that is meant for the others.
    pub fn among(own: &Options, all: &Options) -> Result<Self, PortError> {
        if blocks(get(own, MODE).or(get(all, MODE)))? {
            only_with_non_blocking(own)?;
            return Ok(Self::Blocking);
        }
        let (size, overflow) =
            (get(own, BUFFER).or(get(all, BUFFER)), get(own, OVERFLOW).or(get(all, OVERFLOW)));
        let buffer = match size {
            Some(size) => {
                binary_size(size).map_err(|e| invalid(format!("error parsing option {BUFFER}: {e}")))?
            }
            None => DEFAULT_BUFFER,
        };
        let overflow = match overflow {
            None | Some("drop-newest") => Overflow::DropNewest,
            Some("drop-oldest") => Overflow::DropOldest,
            Some("block") => {
                return Err(invalid(format!(
                    "logger: overflow=block option is not supported with '{MODE}={NON_BLOCKING}'"
                )));
            }
            Some(other) => return Err(unknown(other)),
        };
        Ok(Self::NonBlocking { buffer, overflow })
    }

    /// Refuses options for all destinations that are of use to none of them.
    pub fn shared(all: &Options, mut of: impl Iterator<Item = Self>) -> Result<(), PortError> {
        blocks(get(all, MODE))?;
        if of.any(|delivery| delivery != Self::Blocking) { Ok(()) } else { only_with_non_blocking(all) }
    }
}

fn blocks(mode: Option<&str>) -> Result<bool, PortError> {
    match mode.unwrap_or_default() {
        "" | "blocking" => Ok(true),
        NON_BLOCKING => Ok(false),
        other => Err(invalid(format!("logger: logging mode not supported: {other}"))),
    }
}

fn unknown(overflow: &str) -> PortError {
    invalid(format!("logger: overflow not supported: {overflow} (block, drop-newest or drop-oldest)"))
}

/// Refuses what means nothing to a destination that blocks.
fn only_with_non_blocking(options: &Options) -> Result<(), PortError> {
    let told =
        |what: &str| invalid(format!("logger: {what} option is only supported with '{MODE}={NON_BLOCKING}'"));
    if options.contains_key(BUFFER) {
        return Err(told(BUFFER));
    }
    match get(options, OVERFLOW) {
        None | Some("block") => Ok(()),
        Some(drops @ ("drop-newest" | "drop-oldest")) => Err(told(&format!("{OVERFLOW}={drops}"))),
        Some(other) => Err(unknown(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Delivery, String> {
        let options = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Delivery::of(&options).map_err(|e| e.text)
    }

    #[test]
    fn without_options_the_container_waits_and_without_more_of_them_the_newest_goes() {
        assert_eq!(of(&[]), Ok(Delivery::Blocking));
        assert_eq!(of(&[("mode", "blocking"), ("overflow", "block")]), Ok(Delivery::Blocking));
        let newest = Delivery::NonBlocking { buffer: 1_000_000, overflow: Overflow::DropNewest };
        assert_eq!(of(&[("mode", "non-blocking")]), Ok(newest));
        let oldest = Delivery::NonBlocking { buffer: 2 << 20, overflow: Overflow::DropOldest };
        let given = [("mode", "non-blocking"), ("max-buffer-size", "2MB"), ("overflow", "drop-oldest")];
        assert_eq!(of(&given), Ok(oldest));
    }

    #[test]
    fn options_that_contradict_one_another_are_refused() {
        let refused = |pairs: &[(&str, &str)]| of(pairs).unwrap_err();
        assert_eq!(refused(&[("mode", "x")]), "logger: logging mode not supported: x");
        let size = "logger: max-buffer-size option is only supported with 'mode=non-blocking'";
        assert_eq!(refused(&[("max-buffer-size", "1m")]), size);
        let wrong = [("max-buffer-size", "q"), ("mode", "non-blocking")];
        assert_eq!(refused(&wrong), "error parsing option max-buffer-size: invalid size: 'q'");
        let drops = "logger: overflow=drop-oldest option is only supported with 'mode=non-blocking'";
        assert_eq!(refused(&[("overflow", "drop-oldest")]), drops);
        let block = "logger: overflow=block option is not supported with 'mode=non-blocking'";
        assert_eq!(refused(&[("overflow", "block"), ("mode", "non-blocking")]), block);
        for mode in ["blocking", "non-blocking"] {
            let text = "logger: overflow not supported: x (block, drop-newest or drop-oldest)";
            assert_eq!(refused(&[("overflow", "x"), ("mode", mode)]), text);
        }
    }

    #[test]
    fn it_is_stored_in_words() {
        let stored =
            serde_json::to_string(&Delivery::NonBlocking { buffer: 5, overflow: Overflow::DropOldest });
        assert_eq!(stored.unwrap(), r#"{"non-blocking":{"buffer":5,"overflow":"drop-oldest"}}"#);
        assert_eq!(serde_json::from_str::<Delivery>("\"blocking\"").unwrap(), Delivery::Blocking);
    }
}
