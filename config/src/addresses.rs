//! The default bridge's addresses, of either family.

use crate::error::ValueError;
use crate::source::Source;
use std::net::IpAddr;

/// Those of one family.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The bridge's, with the prefix length of its subnet; chosen where nothing says which.
    pub bridge: Option<(IpAddr, u8)>,
    /// The part of the subnet from which addresses are handed out.
    pub fixed: Option<(IpAddr, u8)>,
    /// Where its containers' default route leads, if not to the bridge.
    pub gateway: Option<IpAddr>,
}

/// The keys of one family.
pub(crate) struct Keys {
    bip: &'static str,
    fixed: &'static str,
    gateway: &'static str,
    bits: u32,
}

pub(crate) const FOUR: Keys = Keys { bip: "bip", fixed: "fixed-cidr", gateway: "default-gateway", bits: 32 };
pub(crate) const SIX: Keys =
    Keys { bip: "bip6", fixed: "fixed-cidr-v6", gateway: "default-gateway-v6", bits: 128 };

impl Keys {
    /// The first of the keys that is given.
    pub fn given(&self, source: &Source) -> Result<Option<&'static str>, ValueError> {
        for key in [self.bip, self.fixed, self.gateway] {
            if source.some_text(key)?.is_some() {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// What they say; `default` is the bridge's address where none is said.
    pub fn read(&self, source: &Source, default: Option<(IpAddr, u8)>) -> Result<Addresses, ValueError> {
        let bip = self.block(source, self.bip)?;
        if let Some((address, prefix)) = bip.filter(|(a, p)| number(*a) & self.hosts(*p) == 0) {
            let text = format!("{address}/{prefix} is a network's address, not one of its hosts'");
            return Err(source.wrong(self.bip, text));
        }
        let fixed = self.block(source, self.fixed)?;
        let fixed = fixed.map(|(a, p)| (self.address(number(a) & !self.hosts(p)), p));
        let within = |inner: IpAddr, (outer, prefix): (IpAddr, u8)| {
            (number(inner) ^ number(outer)) & !self.hosts(prefix) == 0
        };
        let bridge = match (bip, fixed) {
            (Some(bip), Some((first, prefix))) if prefix < bip.1 || !within(first, bip) => {
                let text =
                    format!("{first}/{prefix} is not a part of the bridge's subnet: {}/{}", bip.0, bip.1);
                return Err(source.wrong(self.fixed, text));
            }
            (Some(bip), _) => Some(bip),
            // As Docker, the subnet is what addresses are handed out from, and the bridge has its first one.
            (None, Some((first, prefix))) => Some((self.address(number(first) + 1), prefix)),
            (None, None) => default,
        };
        let gateway: Option<IpAddr> = source.parsed(self.gateway, "an IP address")?;
        if let Some(gateway) = gateway
            && !bridge.is_some_and(|b| b.0.is_ipv4() == gateway.is_ipv4() && within(gateway, b))
        {
            let text = format!("{gateway} is not an address of the bridge's subnet: set {} too", self.bip);
            return Err(source.wrong(self.gateway, text));
        }
        Ok(Addresses { bridge, fixed, gateway })
    }

    /// An address and a prefix length that leaves room for a gateway and a container.
    fn block(&self, source: &Source, key: &'static str) -> Result<Option<(IpAddr, u8)>, ValueError> {
        let Some(text) = source.some_text(key)? else { return Ok(None) };
        let read = || {
            let (address, prefix) = text.split_once('/')?;
            let (address, prefix): (IpAddr, u8) = (address.parse().ok()?, prefix.parse().ok()?);
            let fits = (1..=self.bits - 2).contains(&u32::from(prefix));
            (fits && address.is_ipv4() == (self.bits == 32)).then_some((address, prefix))
        };
        read().map(Some).ok_or_else(|| source.wrong(key, format!("invalid CIDR address: {text}")))
    }

    fn hosts(&self, prefix: u8) -> u128 {
        let free = self.bits.saturating_sub(prefix.into());
        1_u128.checked_shl(free).map_or(u128::MAX, |n| n - 1)
    }

    fn address(&self, number: u128) -> IpAddr {
        match self.bits {
            32 => std::net::Ipv4Addr::from(u32::try_from(number & 0xffff_ffff).unwrap_or(u32::MAX)).into(),
            _ => std::net::Ipv6Addr::from(number).into(),
        }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(four) => u32::from(four).into(),
        IpAddr::V6(six) => six.into(),
    }
}
