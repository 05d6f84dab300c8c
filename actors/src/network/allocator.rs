//! Addresses of a subnet: the lowest free one first, as Docker's local address management does.

use super::addresses::is_special;
use contract::network::{Family, Subnet, number};
use contract::record::NetworkSpec;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A subnet's addresses and their holders.
#[derive(Debug, Clone)]
pub struct Allocator {
    subnet: Subnet,
    first: u128,
    last: u128,
    reserved: BTreeSet<u128>,
    held: BTreeMap<u128, String>,
}

/// How much a pool of addresses has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Addresses that can be handed out.
    pub all: u128,
    /// Those of them that nobody has.
    pub free: u128,
}

/// Why an address cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// None is left.
    Exhausted,
    /// It is another's, or set apart.
    InUse,
    /// It is not of this subnet.
    Outside,
}

impl Allocator {
    /// A network's addresses of one family, without network, broadcast, gateway and auxiliary ones; none where the network
    /// has none of that family.
    pub fn new(network: &NetworkSpec, family: Family) -> Option<Self> {
        let (subnet, range) = match family {
            Family::Four => (network.segment.subnet()?, network.range),
            Family::Six => (network.segment.subnet6()?, network.range6),
        };
        let (lowest, highest) = subnet.bounds();
        let (first, last) = range.map_or((lowest, highest), Subnet::bounds);
        let special = [lowest, highest].into_iter().filter(|a| is_special(subnet, *a));
        let mut reserved: BTreeSet<u128> = special.collect();
        let asked = if family == Family::Four { network.asked } else { network.asked6 };
        if network.segment.has_gateway() || asked[1] {
            reserved.extend(network.segment.gateway(family).map(number));
        }
        let auxiliary = network.auxiliary.values().filter(|a| Family::of(**a) == family);
        reserved.extend(auxiliary.map(|a| number(*a)));
        let (first, last) = (first.max(lowest), last.min(highest));
        Some(Self { subnet, first, last, reserved, held: BTreeMap::new() })
    }

    /// Notes an address in use; false when another holds it.
    pub fn hold(&mut self, address: IpAddr, holder: &str) -> bool {
        self.held.entry(number(address)).or_insert_with(|| holder.to_owned()) == holder
    }

    /// Gives the holder this very address.
    pub fn take(&mut self, address: IpAddr, holder: &str) -> Result<IpAddr, Refusal> {
        if !self.subnet.contains(address) {
            return Err(Refusal::Outside);
        }
        if self.reserved.contains(&number(address)) || !self.hold(address, holder) {
            return Err(Refusal::InUse);
        }
        Ok(address)
    }

    /// The holder's address, or the lowest free one.
    pub fn reserve(&mut self, holder: &str) -> Result<IpAddr, Refusal> {
        let family = self.subnet.family();
        if let Some((address, _)) = self.held.iter().find(|(_, h)| *h == holder) {
            return Ok(family.address(*address));
        }
        let mut candidate = self.first;
        // Held addresses come in order: the first gap is free.
        for taken in self.held.range(self.first..).map(|(a, _)| *a).chain([u128::MAX]) {
            while candidate < taken && candidate <= self.last {
                if !self.reserved.contains(&candidate) {
                    self.held.insert(candidate, holder.to_owned());
                    return Ok(family.address(candidate));
                }
                candidate += 1;
            }
            candidate = taken.saturating_add(1);
        }
        Err(Refusal::Exhausted)
    }

    /// How many addresses may be handed out unasked.
    pub fn room(&self) -> Room {
        let within = |address: &&u128| (self.first..=self.last).contains(*address);
        let reserved = self.reserved.iter().filter(within).count() as u128;
        let held = self.held.keys().filter(within).filter(|a| !self.reserved.contains(a)).count() as u128;
        // All of IPv6 at once has one more than there are numbers.
        let whole = (self.last - self.first.min(self.last)).saturating_add(1);
        let all = whole.saturating_sub(reserved);
        Room { all, free: all.saturating_sub(held) }
    }

    /// Frees whatever the holder has.
    pub fn release(&mut self, holder: &str) {
        self.held.retain(|_, h| h != holder);
    }
}

/// Docker's MAC of an address: 02:42 and its last four bytes.
pub fn mac(address: IpAddr) -> String {
    let [a, b, c, d] = (number(address) as u32).to_be_bytes();
    format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::default_spec;
    use contract::network::Segment;

    fn of(gateway: [u8; 4], prefix: u8) -> NetworkSpec {
        let name = "b".into();
        default_spec(&Segment { name, gateway: Some(gateway.into()), prefix, ..Segment::default() })
    }

    fn four(network: &NetworkSpec) -> Allocator {
        Allocator::new(network, Family::Four).unwrap()
    }

    fn last(pool: &mut Allocator, holder: &str) -> Result<u128, Refusal> {
        pool.reserve(holder).map(|a| number(a) & 0xff)
    }

    #[test]
    fn the_lowest_free_address_is_handed_out_and_a_full_subnet_says_so() {
        let mut pool = four(&of([10, 0, 0, 1], 29));
        assert_eq!(["a", "b", "c"].map(|h| last(&mut pool, h)), [2, 3, 4].map(Ok));
        pool.release("a");
        assert_eq!(["d", "e", "f"].map(|h| last(&mut pool, h)), [2, 5, 6].map(Ok));
        assert_eq!(last(&mut pool, "g"), Err(Refusal::Exhausted));
        pool.release("c");
        assert_eq!(last(&mut pool, "g"), Ok(4));
    }

    #[test]
    fn an_address_held_by_another_is_not_taken_over() {
        let mut pool = four(&of([10, 0, 0, 1], 29));
        let address = IpAddr::from([10, 0, 0, 2]);
        assert!(pool.hold(address, "a") && pool.hold(address, "a"));
        assert!(!pool.hold(address, "b"));
        assert_eq!(last(&mut pool, "b"), Ok(3));
    }

    #[test]
    fn a_range_bounds_what_is_chosen_and_not_what_is_asked_for() {
        let mut network = of([10, 0, 0, 1], 24);
        network.range = Some(Subnet::around([10, 0, 0, 8], 30));
        network.auxiliary.insert("router".into(), IpAddr::from([10, 0, 0, 9]));
        let mut pool = four(&network);
        assert_eq!(["a", "b", "c"].map(|h| last(&mut pool, h)), [8, 10, 11].map(Ok));
        assert_eq!(last(&mut pool, "d"), Err(Refusal::Exhausted));
        let asked = |pool: &mut Allocator, last| pool.take(IpAddr::from([10, 0, 0, last]), "e");
        assert_eq!(asked(&mut pool, 200).map(|a| number(a) & 0xff), Ok(200));
        for refused in [1, 9, 10, 255] {
            assert_eq!(asked(&mut pool, refused), Err(Refusal::InUse), "{refused}");
        }
        assert_eq!(pool.take(IpAddr::from([10, 0, 1, 1]), "e"), Err(Refusal::Outside));
    }

    #[test]
    fn asking_twice_gives_the_same_address() {
        let mut pool = four(&of([172, 17, 0, 1], 16));
        assert_eq!(pool.reserve("a"), pool.reserve("a"));
        assert_eq!(pool.reserve("a"), Ok(IpAddr::from([172, 17, 0, 2])));
        assert_eq!(mac(IpAddr::from([172, 17, 0, 2])), "02:42:ac:11:00:02");
    }

    #[test]
    fn ipv6_addresses_are_handed_out_in_order_where_a_network_has_them() {
        let mut network = of([10, 0, 0, 1], 24);
        assert!(Allocator::new(&network, Family::Six).is_none());
        let address = "fd00::1".parse().unwrap();
        network.segment.six = Some(contract::network::Gateway6 { address, prefix: 64 });
        let mut pool = Allocator::new(&network, Family::Six).unwrap();
        assert_eq!(pool.reserve("a").unwrap().to_string(), "fd00::2");
        assert_eq!(pool.take(address.into(), "b"), Err(Refusal::InUse));
        assert_eq!(pool.reserve("b").unwrap().to_string(), "fd00::3");
    }
}
