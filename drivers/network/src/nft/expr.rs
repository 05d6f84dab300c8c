//! The expressions our rules are made of.

use crate::message::Message;
use contract::network::{Family, Subnet};
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Comparison.
#[derive(Debug, Clone, Copy)]
pub enum Is {
    /// Equal.
    Same = 0,
    /// Not equal.
    Other = 1,
    /// Less or equal.
    AtMost = 3,
    /// Greater or equal.
    AtLeast = 5,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy)]
pub enum Verdict<'a> {
    /// Discard.
    Drop,
    /// Let pass this hook's chain.
    Accept,
    /// Go on with the next rule.
    Continue,
    /// Back to where it came from, at last to the chain's policy.
    Return,
    /// Through another chain, and back.
    Jump(&'a str),
    /// Through another chain, and not back.
    Goto(&'a str),
}

impl Verdict<'_> {
    /// Adds it as an attribute's content.
    pub fn write(self, data: &mut Message) {
        let (code, chain) = match self {
            Self::Drop => (0, None),
            Self::Accept => (1, None),
            Self::Continue => (-1, None),
            Self::Jump(chain) => (-3, Some(chain)),
            Self::Goto(chain) => (-4, Some(chain)),
            Self::Return => (-5_i32, None),
        };
        data.nest(2, |v| {
            v.be32(1, code as u32);
            if let Some(chain) = chain {
                v.text(2, chain);
            }
        });
    }
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
/// Where a lookup puts a verdict.
const VERDICT: u32 = 0;
/// Register of the first sixteen bytes, which is also that of the first four; a concatenation goes on in 9, 10, …
const R: u32 = 1;
/// The second sixteen bytes.
const R2: u32 = 2;

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

    fn mask(self, mask: &[u8]) -> Self {
        self.expr("bitwise", |m| {
            m.be32(1, R).be32(2, R).be32(3, mask.len() as u32);
            m.nest(4, |d| {
                d.bytes(1, mask);
            });
            m.nest(5, |d| {
                d.bytes(1, &vec![0; mask.len()]);
            });
        })
    }

    fn payload(self, base: u32, offset: u32, length: u32, register: u32) -> Self {
        self.expr("payload", |m| {
            m.be32(1, register).be32(2, base).be32(3, offset).be32(4, length);
        })
    }

    /// Leaves by this interface, or by another.
    pub fn to(self, is: Is, name: &str) -> Self {
        self.meta(META_OIFNAME, R).cmp(is, &interface(name))
    }

    /// Enters from an interface of a set.
    pub fn entered_by_one_of(self, set: &str) -> Self {
        self.meta(META_IIFNAME, R).lookup(set)
    }

    /// Does what a map has for the interface it enters from.
    pub fn by_entrance(self, map: &str) -> Self {
        self.meta(META_IIFNAME, R).verdict_of(map)
    }

    /// Does what a map has for the interface it leaves by.
    pub fn by_exit(self, map: &str) -> Self {
        self.meta(META_OIFNAME, R).verdict_of(map)
    }

    /// Does what a map has for the interfaces it enters from and leaves by.
    pub fn by_both(self, map: &str) -> Self {
        self.meta(META_IIFNAME, R).meta(META_OIFNAME, R2).verdict_of(map)
    }

    /// Enters from this interface.
    pub fn from(self, name: &str) -> Self {
        self.meta(META_IIFNAME, R).cmp(Is::Same, &interface(name))
    }

    /// Protocol, destination address and port are in a set.
    pub fn reaching_one_of(self, family: Family, set: &str) -> Self {
        self.by_address(family).lookup(set)
    }

    /// Asks whether the destination is there.
    pub fn echo(self, family: Family) -> Self {
        let (protocol, request) = match family {
            Family::Four => (1, 8),
            Family::Six => (58, 128),
        };
        self.family(family)
            .meta(META_L4PROTO, R)
            .cmp(Is::Same, &[protocol])
            .payload(TRANSPORT_HEADER, 0, 1, R)
            .cmp(Is::Same, &[request])
    }

    fn lookup(self, set: &str) -> Self {
        self.expr("lookup", |m| {
            m.be32(2, R).text(1, set);
        })
    }

    fn verdict_of(self, map: &str) -> Self {
        self.expr("lookup", |m| {
            m.be32(2, R).be32(3, VERDICT).text(1, map);
        })
    }

    /// Of an IP version.
    pub fn family(self, family: Family) -> Self {
        let number = match family {
            Family::Four => 2,
            Family::Six => 10,
        };
        self.meta(META_NFPROTO, R).cmp(Is::Same, &[number])
    }

    /// ICMPv6 of these types.
    pub fn icmp6(self, types: RangeInclusive<u8>) -> Self {
        self.meta(META_L4PROTO, R)
            .cmp(Is::Same, &[58])
            .payload(TRANSPORT_HEADER, 0, 1, R)
            .cmp(Is::AtLeast, &[*types.start()])
            .cmp(Is::AtMost, &[*types.end()])
    }

    /// Source within a subnet.
    pub fn source(self, subnet: Subnet) -> Self {
        let (offset, length) = match subnet.family() {
            Family::Four => (12, 4),
            Family::Six => (8, 16),
        };
        self.family(subnet.family()).payload(NETWORK_HEADER, offset, length, R).within(subnet)
    }

    /// Destination within a subnet.
    pub fn destination(self, subnet: Subnet) -> Self {
        let (offset, length) = destination(subnet.family());
        self.family(subnet.family()).payload(NETWORK_HEADER, offset, length, R).within(subnet)
    }

    fn within(self, subnet: Subnet) -> Self {
        let bits = usize::from(subnet.prefix);
        let mask: Vec<u8> = (0..usize::from(subnet.family().bits()) / 8)
            .map(|place| match bits.saturating_sub(place * 8) {
                0 => 0,
                left => !0xff_u8.checked_shr(left as u32).unwrap_or(0),
            })
            .collect();
        self.mask(&mask).cmp(Is::Same, &octets(subnet.address))
    }

    /// Destination is one of this host's addresses.
    fn for_this_host(self) -> Self {
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
        .mask(&bits.to_ne_bytes())
        .cmp(Is::Other, &[0; 4])
    }

    /// For this host: looks protocol and port up in a map and rewrites the destination to what it holds.
    pub fn redirect_by_port(self, family: Family, map: &str) -> Self {
        self.family(family)
            .for_this_host()
            .meta(META_L4PROTO, R)
            .payload(TRANSPORT_HEADER, 2, 2, 9)
            .redirect(family, map)
    }

    /// As `redirect_by_port`, with the destination address in the key.
    pub fn redirect_by_address(self, family: Family, map: &str) -> Self {
        self.by_address(family).redirect(family, map)
    }

    fn by_address(self, family: Family) -> Self {
        let (offset, length) = destination(family);
        self.family(family).meta(META_L4PROTO, R).payload(NETWORK_HEADER, offset, length, 9).payload(
            TRANSPORT_HEADER,
            2,
            2,
            9 + length / 4,
        )
    }

    fn redirect(self, family: Family, map: &str) -> Self {
        let (number, port) = match family {
            Family::Four => (2, 9),
            Family::Six => (10, 12),
        };
        self.expr("lookup", |m| {
            m.be32(2, R).be32(3, R).text(1, map);
        })
        .expr("nat", |m| {
            m.be32(1, 1).be32(2, number).be32(3, R).be32(5, port);
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
    pub fn verdict(self, verdict: Verdict<'_>) -> Self {
        self.expr("immediate", |m| {
            m.be32(1, VERDICT).nest(2, |d| verdict.write(d));
        })
    }
}

/// Where the destination address stands in a header, and how long it is.
fn destination(family: Family) -> (u32, u32) {
    match family {
        Family::Four => (16, 4),
        Family::Six => (24, 16),
    }
}

/// An interface's name as rules compare it.
pub fn interface(name: &str) -> [u8; 16] {
    let mut padded = [0; 16];
    for (slot, byte) in padded.iter_mut().zip(name.bytes()) {
        *slot = byte;
    }
    padded
}

/// An address's bytes.
pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(four) => four.octets().to_vec(),
        IpAddr::V6(six) => six.octets().to_vec(),
    }
}
