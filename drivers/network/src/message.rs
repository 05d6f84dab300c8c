//! Netlink messages: an encoder for requests and a reader for answers.

/// Request flag bits of `struct nlmsghdr`.
pub mod flag {
    /// This is a request.
    pub const REQUEST: u16 = 0x1;
    /// Answer with an acknowledgement.
    pub const ACK: u16 = 0x4;
    /// Replace what exists.
    pub const REPLACE: u16 = 0x100;
    /// Fail when it exists.
    pub const EXCL: u16 = 0x200;
    /// Dump everything.
    pub const DUMP: u16 = 0x300;
    /// Create when missing.
    pub const CREATE: u16 = 0x400;
    /// Add at the end.
    pub const APPEND: u16 = 0x800;
}

const NESTED: u16 = 0x8000;
const HEADER: usize = 16;

/// One request under construction.
#[derive(Debug, Clone)]
pub struct Message {
    bytes: Vec<u8>,
    what: String,
}

impl Message {
    /// A request of this type; `fixed` is the family's header, `what` names it in errors.
    pub fn new(kind: u16, flags: u16, fixed: &[u8], what: impl Into<String>) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(flags | flag::REQUEST).to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(fixed);
        let mut message = Self { bytes, what: what.into() };
        message.pad();
        message
    }

    /// What the request does, for errors.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The flags of the request.
    pub fn wants_ack(&self) -> bool {
        u16_at(&self.bytes, 6) & flag::ACK != 0
    }

    /// The type of the request.
    pub fn kind(&self) -> u16 {
        u16_at(&self.bytes, 4)
    }

    /// The first attribute of a type, after a fixed header of so many bytes.
    pub fn attribute(&self, fixed: usize, kind: u16) -> Option<&[u8]> {
        attribute(self.bytes.get(HEADER + fixed..)?, kind)
    }

    /// Adds an attribute with raw bytes.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(&((value.len() + 4) as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
        self
    }

    /// Adds a zero-terminated string.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    /// Adds a 32-bit number in host order, as routing messages use.
    pub fn host32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// Adds a 32-bit number in network order, as netfilter messages use.
    pub fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Adds bytes that are not an attribute, such as an inner fixed header.
    pub fn raw(&mut self, value: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(value);
        self.pad();
        self
    }

    /// Adds an attribute whose value is what `fill` adds.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        fill(self);
        let length = (self.bytes.len() - start) as u16;
        put(&mut self.bytes, start, &length.to_ne_bytes());
        self
    }

    /// The bytes to send under a sequence number.
    pub fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        put(&mut self.bytes, 0, &length.to_ne_bytes());
        put(&mut self.bytes, 8, &sequence.to_ne_bytes());
        self.bytes
    }

    fn pad(&mut self) {
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(slot) = bytes.get_mut(at..at + value.len()) {
        slot.copy_from_slice(value);
    }
}

/// Reads a host-order 16-bit number, 0 past the end.
pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_ne_bytes)
}

/// Reads a host-order 32-bit number, 0 past the end.
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

/// One received message.
#[derive(Debug, Clone)]
pub struct Reply {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_seq`.
    pub sequence: u32,
    /// `nlmsg_pid`: the address of the socket whose request it is about.
    pub port: u32,
    /// Everything after the header.
    pub body: Vec<u8>,
}

/// Splits a datagram into its messages.
pub fn split(datagram: &[u8]) -> Vec<Reply> {
    let mut out = Vec::new();
    let mut rest = datagram;
    while rest.len() >= HEADER {
        let length = u32_at(rest, 0) as usize;
        let Some(body) = rest.get(HEADER..length) else { break };
        out.push(Reply {
            kind: u16_at(rest, 4),
            sequence: u32_at(rest, 8),
            port: u32_at(rest, 12),
            body: body.to_vec(),
        });
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    out
}

/// Iterates the attributes in `bytes` as (type without flags, value).
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = u16_at(rest, 0) as usize;
        let value = rest.get(4..length)?;
        let kind = u16_at(rest, 2) & 0x3fff;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The first attribute of a type.
pub fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(k, _)| *k == kind).map(|(_, v)| v)
}

/// A zero-terminated string attribute.
pub fn string(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|b| *b == 0).next().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_message_reads_back_with_nested_attributes() {
        let mut message = Message::new(16, flag::ACK, &[0; 16], "test");
        message.text(3, "eth0").nest(18, |m| {
            m.text(1, "veth").be32(2, 7);
        });
        let replies = split(&message.finish(9));
        assert_eq!((replies.len(), replies[0].kind, replies[0].sequence), (1, 16, 9));
        let body = &replies[0].body[16..];
        assert_eq!(string(attribute(body, 3).unwrap()), "eth0");
        let inner = attribute(body, 18).unwrap();
        assert_eq!(string(attribute(inner, 1).unwrap()), "veth");
        assert_eq!(attribute(inner, 2).unwrap(), [0, 0, 0, 7]);
    }

    #[test]
    fn truncated_input_ends_the_reading_without_a_panic() {
        assert!(split(&[40, 0, 0, 0, 1]).is_empty());
        assert_eq!(attributes(&[9, 0, 1, 0, 1]).count(), 0);
        assert_eq!(attributes(&[0, 0, 0, 0]).count(), 0);
    }
}
