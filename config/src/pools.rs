//! Where new networks get their subnets from.

use crate::error::ValueError;
use crate::source::{Given, Source};
use serde_json::Value;
use std::net::IpAddr;

/// The option.
pub(crate) const KEY: &str = "default-address-pools";

/// A pool of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// Its first address, and its prefix length.
    pub base: (IpAddr, u8),
    /// Prefix length of a network made from it.
    pub size: u8,
}

/// Those asked for; none = Docker's.
pub(crate) fn read(source: &Source) -> Result<Vec<Pool>, ValueError> {
    let wrong = |text: String| source.wrong(KEY, text);
    let pair = |base: &str, size: &str| {
        pool(base, size).ok_or_else(|| {
            wrong(format!("invalid default address pool: base {base:?}, size {size:?}: a base is ADDRESS/PREFIX, a size a prefix length between its and 30 (126 for IPv6)"))
        })
    };
    match source.given(KEY) {
        None => Ok(Vec::new()),
        Some(Given::Flag(values)) => {
            let one = |text: &String| {
                let of =
                    |key: &str| text.split(',').find_map(|p| p.trim().strip_prefix(key)?.strip_prefix('='));
                match (of("base"), of("size")) {
                    (Some(base), Some(size)) if text.split(',').count() == 2 => pair(base, size),
                    _ => Err(wrong(format!("{text:?} is not base=ADDRESS/PREFIX,size=PREFIX"))),
                }
            };
            values.iter().map(one).collect()
        }
        Some(Given::File(Value::Array(list))) => {
            let one = |value: &Value| {
                let base = value.get("base").and_then(Value::as_str);
                match (base, value.get("size").and_then(Value::as_u64)) {
                    (Some(base), Some(size)) => pair(base, &size.to_string()),
                    _ => Err(wrong(format!(
                        "{value} is not {{\"base\": \"ADDRESS/PREFIX\", \"size\": PREFIX}}"
                    ))),
                }
            };
            list.iter().map(one).collect()
        }
        Some(Given::File(other)) => Err(wrong(format!("must be a list, not {other}"))),
    }
}

fn pool(base: &str, size: &str) -> Option<Pool> {
    let (address, prefix) = base.split_once('/')?;
    let (address, prefix): (IpAddr, u8) = (address.parse().ok()?, prefix.parse().ok()?);
    let size: u8 = size.parse().ok()?;
    let (number, bits) = match address {
        IpAddr::V4(four) => (u32::from(four).into(), 32),
        IpAddr::V6(six) => (u128::from(six), 128),
    };
    let hosts = 1_u128.checked_shl(u32::from(bits).checked_sub(prefix.into())?).map_or(u128::MAX, |n| n - 1);
    let most = bits - 2;
    let fine = number & hosts == 0 && (1..=most).contains(&prefix) && (prefix..=most).contains(&size);
    fine.then_some(Pool { base: (address, prefix), size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_a_subnet_and_the_size_of_its_parts() {
        assert_eq!(pool("10.0.0.0/8", "24"), Some(Pool { base: ([10, 0, 0, 0].into(), 8), size: 24 }));
        let six = pool("fd00:1::/48", "64").unwrap();
        assert_eq!((six.base.0.to_string().as_str(), six.size), ("fd00:1::", 64));
        for (base, size) in [
            ("fd00::1/48", "64"),
            ("fd00::/48", "127"),
            ("10.0.0.1/8", "24"),
            ("10.0.0.0/8", "7"),
            ("10.0.0.0", "24"),
            ("10.0.0.0/8", "31"),
            ("x/8", "9"),
        ] {
            assert_eq!(pool(base, size), None, "{base} {size}");
        }
    }
}
