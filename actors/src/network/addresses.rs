//! A new network's addresses of one family: a subnet that is nobody else's, and a gateway.

use super::plan::Pool;
use contract::network::{Family, Subnet, Taken, number};
use contract::{Kind, PortError};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

/// What is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// The subnet; chosen where none is asked for.
    pub subnet: Option<Subnet>,
    /// The gateway; the first address where none is asked for.
    pub gateway: Option<IpAddr>,
    /// Part of the subnet from which addresses are handed out.
    pub range: Option<Subnet>,
}

/// What it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Given {
    /// Its subnet.
    pub subnet: Subnet,
    /// Its gateway.
    pub gateway: IpAddr,
    /// Subnet and gateway were asked for.
    pub asked: [bool; 2],
}

/// Where it has to fit in.
pub(super) struct Place<'a> {
    /// Which addresses.
    pub family: Family,
    /// Subnets of other networks, of all families.
    pub used: &'a [Subnet],
    /// What the host has.
    pub taken: &'a Taken,
    /// Where subnets come from, of all families.
    pub pools: &'a [Pool],
    /// Addresses set apart, of all families.
    pub auxiliary: &'a BTreeMap<String, IpAddr>,
    /// The network's name.
    pub name: &'a str,
}

impl Place<'_> {
    /// Fits a network in. Errors are in Docker's words.
    pub fn fit(&self, asked: Asked) -> Result<Given, PortError> {
        let subnet = match asked.subnet {
            Some(subnet) if self.used.iter().any(|u| u.overlaps(subnet)) => {
                let text = "invalid pool request: Pool overlaps with other one on this address space";
                return Err(PortError::new(Kind::Denied, text));
            }
            Some(subnet) => subnet,
            None => self.chosen().ok_or_else(|| {
                let text = "all predefined address pools have been fully subnetted";
                PortError::new(Kind::Invalid, text)
            })?,
        };
        allowed(subnet)?;
        let gateway = match asked.gateway {
            Some(gateway) => gateway,
            None => first_free(subnet, asked.range, self.auxiliary).ok_or_else(|| {
                let version = if self.family == Family::Four { "IPv4" } else { "IPv6" };
                let text = format!(
                    "no available {version} addresses on this network's address pools: {}",
                    self.name
                );
                PortError::new(Kind::Exhausted, text)
            })?,
        };
        self.apart(gateway)?;
        Ok(Given { subnet, gateway, asked: [asked.subnet.is_some(), asked.gateway.is_some()] })
    }

    /// A subnet that overlaps with nothing; behind the host's gateways, if there is no other: a VPN's routes may cover
    /// all pools.
    fn chosen(&self) -> Option<Subnet> {
        let pools: Vec<&Pool> = self.pools.iter().filter(|p| p.base.family() == self.family).collect();
        let near: Vec<Subnet> = self.used.iter().chain(&self.taken.subnets).copied().collect();
        let far: Vec<Subnet> = near.iter().chain(&self.taken.beyond).copied().collect();
        choose(&pools, &far).or_else(|| choose(&pools, &near))
    }

    /// No address is set apart twice.
    fn apart(&self, gateway: IpAddr) -> Result<(), PortError> {
        let mut seen = vec![gateway];
        for (name, address) in self.auxiliary.iter().filter(|(_, a)| Family::of(**a) == self.family) {
            if seen.contains(address) {
                let text = format!(
                    "failed to allocate secondary ip address ({name}:{address}): Address already in use"
                );
                return Err(PortError::new(Kind::Exhausted, text));
            }
            seen.push(*address);
        }
        Ok(())
    }
}

/// What moby's bridge takes for a subnet of IPv6: link-local ones only as the kernel has them.
fn allowed(subnet: Subnet) -> Result<(), PortError> {
    let IpAddr::V6(address) = subnet.address else { return Ok(()) };
    if address.is_multicast() {
        return Err(PortError::new(Kind::Invalid, format!("multicast subnet '{subnet}' is not allowed")));
    }
    let own = Subnet::around(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 64);
    if subnet != own && subnet.overlaps(own) {
        let text = format!("'{subnet}' clashes with the Link-Local prefix 'fe80::/64'");
        return Err(PortError::new(Kind::Invalid, text));
    }
    Ok(())
}

/// The first subnet of the pools that overlaps with nothing.
fn choose(pools: &[&Pool], used: &[Subnet]) -> Option<Subnet> {
    pools.iter().find_map(|pool| {
        let family = pool.base.family();
        let (mut next, last) = pool.base.bounds();
        loop {
            let candidate = Subnet::around(family.address(next), pool.size);
            match used.iter().find(|u| u.overlaps(candidate)) {
                None => return Some(candidate),
                // What lies in the way may be larger than the candidate.
                Some(in_the_way) => {
                    next = in_the_way.bounds().1.max(candidate.bounds().1).checked_add(1)?;
                    // Back to a multiple of the size, upwards.
                    let aligned = Subnet::around(family.address(next), pool.size);
                    if aligned.bounds().0 < next {
                        next = aligned.bounds().1.checked_add(1)?;
                    }
                }
            }
            if next > last {
                return None;
            }
        }
    })
}

/// Whether an address stands for its subnet, or for all of it: the first, and in IPv4 the last.
pub(super) fn is_special(subnet: Subnet, address: u128) -> bool {
    let (first, last) = subnet.bounds();
    address == first || (address == last && subnet.family() == Family::Four)
}

fn first_free(subnet: Subnet, range: Option<Subnet>, auxiliary: &BTreeMap<String, IpAddr>) -> Option<IpAddr> {
    let (first, last) = range.unwrap_or(subnet).bounds();
    (first..=last)
        .find(|a| !is_special(subnet, *a) && auxiliary.values().all(|x| number(*x) != *a))
        .map(|a| subnet.family().address(a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::plan::default_pools;

    fn subnet(text: &str) -> Subnet {
        Subnet::parse(text).unwrap().1
    }

    fn fit(pools: &[Pool], used: &[Subnet], taken: &Taken, family: Family) -> Result<Given, PortError> {
        let place = Place { family, used, taken, pools, auxiliary: &BTreeMap::new(), name: "n" };
        place.fit(Asked::default())
    }

    #[test]
    fn ipv6_subnets_come_in_order_from_pools_of_ipv6_alone() {
        let mut pools = default_pools();
        pools.push(Pool { base: subnet("fd00:1:2::/48"), size: 64 });
        let mut used = vec![subnet("172.17.0.0/16")];
        let taken = Taken { subnets: vec![subnet("fd00:1:2:1::/64")], ..Taken::default() };
        for wanted in ["fd00:1:2::/64", "fd00:1:2:2::/64", "fd00:1:2:3::/64"] {
            let given = fit(&pools, &used, &taken, Family::Six).unwrap();
            assert_eq!(given.subnet.to_string(), wanted);
            used.push(given.subnet);
        }
        let given = fit(&pools, &used, &taken, Family::Six).unwrap();
        assert_eq!(given.gateway.to_string(), "fd00:1:2:4::1");
        used.remove(1);
        assert_eq!(fit(&pools, &used, &taken, Family::Six).unwrap().subnet, subnet("fd00:1:2::/64"));
        assert_eq!(fit(&pools, &used, &taken, Family::Four).unwrap().subnet, subnet("172.18.0.0/16"));
    }

    #[test]
    fn routes_of_a_vpn_that_cover_all_pools_do_not_use_them_up() {
        let beyond = vec![subnet("0.0.0.0/1"), subnet("128.0.0.0/1")];
        let taken = Taken { subnets: vec![subnet("172.17.0.0/16")], beyond, ..Taken::default() };
        let given = fit(&default_pools(), &[], &taken, Family::Four).unwrap();
        assert_eq!(given.subnet, subnet("172.18.0.0/16"));
        let taken = Taken { beyond: vec![subnet("172.16.0.0/12")], ..Taken::default() };
        let given = fit(&default_pools(), &[], &taken, Family::Four).unwrap();
        assert_eq!(given.subnet, subnet("192.168.0.0/20"), "kept off where there is a choice");
    }

    #[test]
    fn what_no_network_can_have_is_refused_in_mobys_words() {
        let (taken, auxiliary) =
            (Taken::default(), BTreeMap::from([("a".to_owned(), "fd00::1".parse().unwrap())]));
        fn place<'a>(taken: &'a Taken, auxiliary: &'a BTreeMap<String, IpAddr>) -> Place<'a> {
            Place { family: Family::Six, used: &[], taken, pools: &[], auxiliary, name: "n" }
        }
        let told = |text: &str| {
            let asked = Asked { subnet: Some(subnet(text)), ..Asked::default() };
            let none = BTreeMap::new();
            place(&taken, &none).fit(asked).unwrap_err().text
        };
        assert_eq!(told("ff00::/8"), "multicast subnet 'ff00::/8' is not allowed");
        assert_eq!(told("fe80::/80"), "'fe80::/80' clashes with the Link-Local prefix 'fe80::/64'");
        let asked = |gateway: &str| Asked {
            subnet: Some(subnet("fd00::/64")),
            gateway: Some(gateway.parse().unwrap()),
            range: None,
        };
        assert_eq!(
            place(&taken, &auxiliary).fit(asked("fd00::1")).unwrap_err().text,
            "failed to allocate secondary ip address (a:fd00::1): Address already in use"
        );
        place(&taken, &auxiliary).fit(asked("fd00::2")).unwrap();
    }
}
