//! Addresses of a subnet: the lowest free one first, as Docker's local address management does.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// A subnet's addresses and their holders.
#[derive(Debug, Clone)]
pub struct Allocator {
    first: u32,
    last: u32,
    gateway: u32,
    held: BTreeMap<u32, String>,
}

impl Allocator {
    /// The addresses of `gateway/prefix`, without network, broadcast and gateway.
    pub fn new(gateway: Ipv4Addr, prefix: u8) -> Self {
        let mask = u32::MAX.checked_shl(u32::from(32 - prefix.min(32))).unwrap_or(0);
        let network = u32::from(gateway) & mask;
        let first = network.saturating_add(1);
        let last = (network | !mask).saturating_sub(1);
        Self { first, last, gateway: gateway.into(), held: BTreeMap::new() }
    }

    /// Notes an address in use; false when another holds it.
    pub fn hold(&mut self, address: Ipv4Addr, holder: &str) -> bool {
        self.held.entry(address.into()).or_insert_with(|| holder.to_owned()) == holder
    }

    /// The holder's address, or the lowest free one; `None` when none is free.
    pub fn reserve(&mut self, holder: &str) -> Option<Ipv4Addr> {
        if let Some((address, _)) = self.held.iter().find(|(_, h)| *h == holder) {
            return Some((*address).into());
        }
        let mut candidate = self.first;
        // Held addresses come in order: the first gap is free.
        for taken in self.held.range(self.first..).map(|(a, _)| *a).chain([u32::MAX]) {
            while candidate < taken && candidate <= self.last {
                if candidate != self.gateway {
                    self.held.insert(candidate, holder.to_owned());
                    return Some(candidate.into());
                }
                candidate += 1;
            }
            candidate = taken.saturating_add(1);
        }
        None
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

    fn last(pool: &mut Allocator, holder: &str) -> Option<u8> {
        pool.reserve(holder).map(|a| a.octets()[3])
    }

    #[test]
    fn the_lowest_free_address_is_handed_out_and_a_full_subnet_says_so() {
        let mut pool = Allocator::new(Ipv4Addr::new(10, 0, 0, 1), 29);
        assert_eq!(["a", "b", "c"].map(|h| last(&mut pool, h)), [2, 3, 4].map(Some));
        pool.release("a");
        assert_eq!(["d", "e", "f"].map(|h| last(&mut pool, h)), [2, 5, 6].map(Some));
        assert_eq!(last(&mut pool, "g"), None);
        pool.release("c");
        assert_eq!(last(&mut pool, "g"), Some(4));
    }

    #[test]
    fn an_address_held_by_another_is_not_taken_over() {
        let mut pool = Allocator::new(Ipv4Addr::new(10, 0, 0, 1), 29);
        let address = Ipv4Addr::new(10, 0, 0, 2);
        assert!(pool.hold(address, "a") && pool.hold(address, "a"));
        assert!(!pool.hold(address, "b"));
        assert_eq!(last(&mut pool, "b"), Some(3));
    }

    #[test]
    fn asking_twice_gives_the_same_address() {
        let mut pool = Allocator::new(Ipv4Addr::new(172, 17, 0, 1), 16);
        assert_eq!(pool.reserve("a"), pool.reserve("a"));
        assert_eq!(mac(pool.reserve("a").unwrap()), "02:42:ac:11:00:02");
    }
}
