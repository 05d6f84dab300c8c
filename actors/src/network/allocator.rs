//! Addresses of a subnet: the lowest free one first, as Docker's local address management does.

use contract::network::Subnet;
use contract::record::NetworkSpec;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// A subnet's addresses and their holders.
#[derive(Debug, Clone)]
pub struct Allocator {
    subnet: Subnet,
    first: u32,
    last: u32,
    reserved: BTreeSet<u32>,
    held: BTreeMap<u32, String>,
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
    /// The addresses of a network, without network, broadcast, gateway and auxiliary ones.
    pub fn new(network: &NetworkSpec) -> Self {
        let subnet = network.bridge.subnet();
        let (lowest, highest) = subnet.bounds();
        let (first, last) = network.range.map_or((lowest, highest), Subnet::bounds);
        let mut reserved = BTreeSet::from([lowest, highest, network.bridge.gateway.into()]);
        reserved.extend(network.auxiliary.values().map(|a| u32::from(*a)));
        Self { subnet, first: first.max(lowest), last: last.min(highest), reserved, held: BTreeMap::new() }
    }

    /// Notes an address in use; false when another holds it.
    pub fn hold(&mut self, address: Ipv4Addr, holder: &str) -> bool {
        self.held.entry(address.into()).or_insert_with(|| holder.to_owned()) == holder
    }

    /// Gives the holder this very address.
    pub fn take(&mut self, address: Ipv4Addr, holder: &str) -> Result<Ipv4Addr, Refusal> {
        if !self.subnet.contains(address) {
            return Err(Refusal::Outside);
        }
        if self.reserved.contains(&address.into()) || !self.hold(address, holder) {
            return Err(Refusal::InUse);
        }
        Ok(address)
    }

    /// The holder's address, or the lowest free one.
    pub fn reserve(&mut self, holder: &str) -> Result<Ipv4Addr, Refusal> {
        if let Some((address, _)) = self.held.iter().find(|(_, h)| *h == holder) {
            return Ok((*address).into());
        }
        let mut candidate = self.first;
        // Held addresses come in order: the first gap is free.
        for taken in self.held.range(self.first..).map(|(a, _)| *a).chain([u32::MAX]) {
            while candidate < taken && candidate <= self.last {
                if !self.reserved.contains(&candidate) {
                    self.held.insert(candidate, holder.to_owned());
                    return Ok(candidate.into());
                }
                candidate += 1;
            }
            candidate = taken.saturating_add(1);
        }
        Err(Refusal::Exhausted)
    }

    /// Frees whatever the holder has.
    pub fn release(&mut self, holder: &str) {
        self.held.retain(|_, h| h != holder);
    }
}

/// Docker's MAC of an address: 02:42 and its four bytes.
pub fn mac(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::default_spec;
    use contract::network::BridgeSpec;

    fn of(gateway: [u8; 4], prefix: u8) -> NetworkSpec {
        let policy = contract::network::BridgePolicy::default();
        default_spec(&BridgeSpec { name: "b".into(), gateway: gateway.into(), prefix, mtu: 1500, policy })
    }

    fn last(pool: &mut Allocator, holder: &str) -> Result<u8, Refusal> {
        pool.reserve(holder).map(|a| a.octets()[3])
    }

    #[test]
    fn the_lowest_free_address_is_handed_out_and_a_full_subnet_says_so() {
        let mut pool = Allocator::new(&of([10, 0, 0, 1], 29));
        assert_eq!(["a", "b", "c"].map(|h| last(&mut pool, h)), [2, 3, 4].map(Ok));
        pool.release("a");
        assert_eq!(["d", "e", "f"].map(|h| last(&mut pool, h)), [2, 5, 6].map(Ok));
        assert_eq!(last(&mut pool, "g"), Err(Refusal::Exhausted));
        pool.release("c");
        assert_eq!(last(&mut pool, "g"), Ok(4));
    }

    #[test]
    fn an_address_held_by_another_is_not_taken_over() {
        let mut pool = Allocator::new(&of([10, 0, 0, 1], 29));
        let address = Ipv4Addr::new(10, 0, 0, 2);
        assert!(pool.hold(address, "a") && pool.hold(address, "a"));
        assert!(!pool.hold(address, "b"));
        assert_eq!(last(&mut pool, "b"), Ok(3));
    }

    #[test]
    fn a_range_bounds_what_is_chosen_and_not_what_is_asked_for() {
        let mut network = of([10, 0, 0, 1], 24);
        network.range = Some(Subnet::around([10, 0, 0, 8].into(), 30));
        network.auxiliary.insert("router".into(), [10, 0, 0, 9].into());
        let mut pool = Allocator::new(&network);
        assert_eq!(["a", "b", "c"].map(|h| last(&mut pool, h)), [8, 10, 11].map(Ok));
        assert_eq!(last(&mut pool, "d"), Err(Refusal::Exhausted));
        let asked = |pool: &mut Allocator, last| pool.take([10, 0, 0, last].into(), "e");
        assert_eq!(asked(&mut pool, 200).map(|a| a.octets()[3]), Ok(200));
        for refused in [1, 9, 10, 255] {
            assert_eq!(asked(&mut pool, refused), Err(Refusal::InUse), "{refused}");
        }
        assert_eq!(pool.take([10, 0, 1, 1].into(), "e"), Err(Refusal::Outside));
    }

    #[test]
    fn asking_twice_gives_the_same_address() {
        let mut pool = Allocator::new(&of([172, 17, 0, 1], 16));
        assert_eq!(pool.reserve("a"), pool.reserve("a"));
        assert_eq!(mac(pool.reserve("a").unwrap()), "02:42:ac:11:00:02");
    }
}
