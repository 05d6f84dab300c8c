//! Addresses of a subnet, handed out in order.

use std::collections::HashMap;
use std::net::Ipv4Addr;

/// A subnet's addresses and their holders.
#[derive(Debug, Clone)]
pub struct Allocator {
    first: u32,
    last: u32,
    gateway: u32,
    next: u32,
    held: HashMap<u32, String>,
}

impl Allocator {
    /// The addresses of `gateway/prefix`, without network, broadcast and gateway.
    pub fn new(gateway: Ipv4Addr, prefix: u8) -> Self {
        let mask = u32::MAX.checked_shl(u32::from(32 - prefix.min(32))).unwrap_or(0);
        let network = u32::from(gateway) & mask;
        let first = network.saturating_add(1);
        let last = (network | !mask).saturating_sub(1);
        Self { first, last, gateway: gateway.into(), next: first, held: HashMap::new() }
    }

    /// Notes an address in use.
    pub fn hold(&mut self, address: Ipv4Addr, holder: &str) {
        self.held.insert(address.into(), holder.to_owned());
    }

    /// The holder's address, or the next free one after the last handed out; `None` when none is free.
    pub fn reserve(&mut self, holder: &str) -> Option<Ipv4Addr> {
        if let Some((address, _)) = self.held.iter().find(|(_, h)| *h == holder) {
            return Some((*address).into());
        }
        let count = u64::from(self.last.saturating_sub(self.first)) + 1;
        for _ in 0..count {
            let candidate = self.next;
            self.next = if candidate >= self.last { self.first } else { candidate + 1 };
            if candidate != self.gateway && !self.held.contains_key(&candidate) {
                self.held.insert(candidate, holder.to_owned());
                return Some(candidate.into());
            }
        }
        None
    }

    /// Frees whatever the holder has.
    pub fn release(&mut self, holder: &str) {
        self.held.retain(|_, h| h != holder);
        if self.held.is_empty() {
            self.next = self.first;
        }
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

    #[test]
    fn addresses_come_in_order_and_wrap() {
        let mut pool = Allocator::new(Ipv4Addr::new(10, 0, 0, 1), 29);
        let four: Vec<_> = ["a", "b", "c"].map(|h| pool.reserve(h).unwrap().octets()[3]).into();
        assert_eq!(four, [2, 3, 4]);
        pool.release("a");
        assert_eq!(pool.reserve("d").unwrap().octets()[3], 5);
        assert_eq!(pool.reserve("e").unwrap().octets()[3], 6);
        assert_eq!(pool.reserve("f").unwrap().octets()[3], 2);
        assert_eq!(pool.reserve("g"), None);
    }

    #[test]
    fn asking_twice_gives_the_same_address() {
        let mut pool = Allocator::new(Ipv4Addr::new(172, 17, 0, 1), 16);
        assert_eq!(pool.reserve("a"), pool.reserve("a"));
        assert_eq!(mac(pool.reserve("a").unwrap()), "02:42:ac:11:00:02");
    }
}
