//! Subnets of both families.

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subnet {
    /// Its first address.
    pub address: IpAddr,
    /// Prefix length, at most that of the whole address.
    pub prefix: u8,
}

/// An IP version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    Four,
    /// IPv6.
    Six,
}

impl Family {
    /// An address's family.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Four } else { Self::Six }
    }

    /// Bits of an address.
    pub fn bits(self) -> u8 {
        match self {
            Self::Four => 32,
            Self::Six => 128,
        }
    }

    /// The address of a number that [`number`] gave, and of what lies around it.
    pub fn address(self, number: u128) -> IpAddr {
        match self {
            Self::Four => Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)).into(),
            Self::Six => Ipv6Addr::from(number).into(),
        }
    }
}

/// An address as a number, in which its neighbours are its neighbours.
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(four) => u32::from(four).into(),
        IpAddr::V6(six) => six.into(),
    }
}

impl Subnet {
    /// The subnet of this size in which an address lies.
    pub fn around(address: impl Into<IpAddr>, prefix: u8) -> Self {
        let address = address.into();
        let family = Family::of(address);
        let prefix = prefix.min(family.bits());
        Self { address: family.address(number(address) & !hosts(family, prefix)), prefix }
    }

    /// Reads `10.0.0.0/8` and `fd00::/64`; the address need not be the first.
    pub fn parse(text: &str) -> Option<(IpAddr, Self)> {
        let (address, prefix) = text.split_once('/')?;
        let (address, prefix): (IpAddr, u8) = (address.parse().ok()?, prefix.parse().ok()?);
        (prefix <= Family::of(address).bits()).then(|| (address, Self::around(address, prefix)))
    }

    /// Its family.
    pub fn family(self) -> Family {
        Family::of(self.address)
    }

    /// Whether an address lies inside.
    pub fn contains(self, address: impl Into<IpAddr>) -> bool {
        Self::around(address, self.prefix) == self
    }

    /// Whether they have an address in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.family() == other.family() && (self.contains(other.address) || other.contains(self.address))
    }

    /// First and last address, as numbers.
    pub fn bounds(self) -> (u128, u128) {
        let first = number(self.address);
        (first, first | hosts(self.family(), self.prefix))
    }
}

/// The bits that differ within a subnet.
fn hosts(family: Family, prefix: u8) -> u128 {
    let free = u32::from(family.bits().saturating_sub(prefix));
    1_u128.checked_shl(free).map_or(u128::MAX, |n| n - 1)
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_of_both_families_know_their_bounds_and_neighbours() {
        let subnet = |text: &str| Subnet::parse(text).unwrap().1;
        assert_eq!(subnet("10.1.2.3/8").to_string(), "10.0.0.0/8");
        assert_eq!(subnet("fd00::7/64").to_string(), "fd00::/64");
        assert_eq!(subnet("::/0").bounds(), (0, u128::MAX));
        assert_eq!(subnet("0.0.0.0/0").bounds(), (0, u32::MAX.into()));
        assert!(subnet("10.0.0.0/8").overlaps(subnet("10.9.0.0/16")));
        assert!(!subnet("10.0.0.0/8").overlaps(subnet("11.0.0.0/8")));
        assert!(!subnet("::/0").overlaps(subnet("0.0.0.0/0")));
        assert!(subnet("fd00::/64").contains("fd00::1:2".parse::<IpAddr>().unwrap()));
        assert_eq!(Subnet::parse("10.0.0.0/33"), None);
    }
}
