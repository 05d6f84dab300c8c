//! The expressions our rules are made of.

use crate::message::Message;
use std::net::Ipv4Addr;

/// Comparison.
#[derive(Debug, Clone, Copy)]
pub enum Is {
    /// Equal.
    Same = 0,
    /// Not equal.
    Other = 1,
}

/// Verdicts a rule may end with.
#[derive(Debug, Clone, Copy)]
pub enum Verdict {
    /// Discard.
    Drop = 0,
    /// Let pass this chain.
    Accept = 1,
    /// Back to the chain's policy.
    Return = -5,
}

const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_NFPROTO: u32 = 15;
const META_L4PROTO: u32 = 16;
const CT_STATE: u32 = 0;
const CT_STATUS: u32 = 2;
/// `IPS_DST_NAT`.
const DNATED: u32 = 0x20;
/// `established | related`.
const KNOWN: u32 = 0x6;
/// Register of the first four bytes; a concatenation continues in 9, 10.
const R: u32 = 1;

/// The expression list of one rule.
pub struct Rule<'a>(pub &'a mut Message);

impl Rule<'_> {
    fn expr(self, name: &str, fill: impl FnOnce(&mut Message)) -> Self {
        self.0.nest(1, |e| {
            e.text(1, name).nest(2, fill);
        });
        self
    }

    fn meta(self, key: u32, register: u32) -> Self {
        self.expr("meta", |m| {
            m.be32(2, key).be32(1, register);
        })
    }

    fn cmp(self, is: Is, data: &[u8]) -> Self {
        self.expr("cmp", |m| {
            m.be32(1, R).be32(2, is as u32).nest(3, |d| {
                d.bytes(1, data);
            });
        })
    }

    fn mask(self, mask: [u8; 4]) -> Self {
        self.expr("bitwise", |m| {
            m.be32(1, R).be32(2, R).be32(3, 4);
            m.nest(4, |d| {
                d.bytes(1, &mask);
            });
            m.nest(5, |d| {
                d.bytes(1, &[0; 4]);
            });
        })
    }

    fn payload(self, base: u32, offset: u32, length: u32, register: u32) -> Self {
        self.expr("payload", |m| {
            m.be32(1, register).be32(2, base).be32(3, offset).be32(4, length);
        })
    }

    fn interface(self, key: u32, is: Is, name: &str) -> Self {
        let mut padded = [0; 16];
        for (slot, byte) in padded.iter_mut().zip(name.bytes()) {
            *slot = byte;
        }
        self.meta(key, R).cmp(is, &padded)
    }

    /// Enters from this interface.
    pub fn from(self, name: &str) -> Self {
        self.interface(META_IIFNAME, Is::Same, name)
    }

    /// Leaves by this interface, or by another.
    pub fn to(self, is: Is, name: &str) -> Self {
        self.interface(META_OIFNAME, is, name)
    }

    /// IPv4.
    pub fn ipv4(self) -> Self {
        self.meta(META_NFPROTO, R).cmp(Is::Same, &[2])
    }

    /// Source within a subnet.
    pub fn source(self, address: Ipv4Addr, prefix: u8) -> Self {
        self.payload(NETWORK_HEADER, 12, 4, R).within(address, prefix)
    }

    /// Destination within a subnet.
    pub fn destination(self, address: Ipv4Addr, prefix: u8) -> Self {
        self.payload(NETWORK_HEADER, 16, 4, R).within(address, prefix)
    }

    fn within(self, address: Ipv4Addr, prefix: u8) -> Self {
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        self.mask(mask.to_be_bytes()).cmp(Is::Same, &(u32::from(address) & mask).to_be_bytes())
    }

    /// Destination is one of this host's addresses.
    pub fn for_this_host(self) -> Self {
        self.expr("fib", |m| {
            m.be32(3, 2).be32(2, 3).be32(1, R);
        })
        .cmp(Is::Same, &2_u32.to_ne_bytes())
    }

    /// Belongs to a connection whose destination was rewritten.
    pub fn redirected(self) -> Self {
        self.connection(CT_STATUS, DNATED)
    }

    /// Belongs to a known connection.
    pub fn known(self) -> Self {
        self.connection(CT_STATE, KNOWN)
    }

    fn connection(self, key: u32, bits: u32) -> Self {
        self.expr("ct", |m| {
            m.be32(2, key).be32(1, R);
        })
        .mask(bits.to_ne_bytes())
        .cmp(Is::Other, &[0; 4])
    }

    /// Looks protocol and port up in a map and rewrites the destination to what it holds.
    pub fn redirect_by_port(self, map: &str) -> Self {
        self.meta(META_L4PROTO, R).payload(TRANSPORT_HEADER, 2, 2, 9).redirect(map)
    }

    /// As `redirect_by_port`, with the destination address in the key.
    pub fn redirect_by_address(self, map: &str) -> Self {
        self.meta(META_L4PROTO, R)
            .payload(NETWORK_HEADER, 16, 4, 9)
            .payload(TRANSPORT_HEADER, 2, 2, 10)
            .redirect(map)
    }

    fn redirect(self, map: &str) -> Self {
        self.expr("lookup", |m| {
            m.be32(2, R).be32(3, R).text(1, map);
        })
        .expr("nat", |m| {
            m.be32(1, 1).be32(2, 2).be32(3, R).be32(5, 9);
        })
    }

    /// Rewrites the source to the outgoing interface's address.
    pub fn masquerade(self) -> Self {
        self.expr("masq", |_| {})
    }

    /// Counts packets and bytes.
    pub fn count(self) -> Self {
        self.expr("counter", |_| {})
    }

    /// Ends with a verdict.
    pub fn verdict(self, verdict: Verdict) -> Self {
        self.expr("immediate", |m| {
            m.be32(1, 0).nest(2, |d| {
                d.nest(2, |v| {
                    v.be32(1, verdict as i32 as u32);
                });
            });
        })
    }
}
