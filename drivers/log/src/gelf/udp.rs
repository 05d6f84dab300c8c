//! Datagrams: one for a message, or its chunks.

use super::options::Packing;
use crate::gzip;
use std::io;

/// Bytes of a datagram (Docker's GELF library: a frame of 1500 less room for headers).
const CHUNK: usize = 1420;
/// Magic, message id, place, count.
const HEADER: usize = 12;
/// Most chunks of a message, which receivers enforce.
const MOST: usize = 128;
const MAGIC: [u8; 2] = [0x1e, 0x0f];

/// The datagrams that carry `message`; `None` when it has too many.
pub(super) fn datagrams(message: Vec<u8>, id: [u8; 8]) -> Option<Vec<Vec<u8>>> {
    if message.len() <= CHUNK {
        return Some(vec![message]);
    }
    let pieces = message.chunks(CHUNK - HEADER);
    let count = u8::try_from(pieces.len()).ok().filter(|n| usize::from(*n) <= MOST)?;
    let numbered = pieces.zip(0u8..);
    let chunk = |(piece, place): (&[u8], u8)| {
        let mut out = Vec::with_capacity(CHUNK);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&id);
        out.extend_from_slice(&[place, count]);
        out.extend_from_slice(piece);
        out
    };
    Some(numbered.map(chunk).collect())
}

/// Compresses one message.
pub(super) fn pack(message: Vec<u8>, packing: Packing) -> io::Result<Vec<u8>> {
    match packing {
        Packing::Gzip(level) => gzip::gzip(&message, level),
        Packing::Zlib(level) => gzip::zlib(&message, level),
        Packing::Plain => Ok(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_go_in_numbered_chunks() {
        let short = vec![b'x'; 1420];
        assert_eq!(datagrams(short.clone(), [7; 8]), Some(vec![short]));
        let long: Vec<u8> = (0..1421u32).map(|n| n as u8).collect();
        let sent = datagrams(long.clone(), [7; 8]).unwrap();
        assert_eq!(sent.len(), 2);
        assert_eq!(sent[0].len(), 1420);
        assert_eq!(sent[0][..12], *b"\x1e\x0f\x07\x07\x07\x07\x07\x07\x07\x07\x00\x02");
        assert_eq!(sent[1][..12], *b"\x1e\x0f\x07\x07\x07\x07\x07\x07\x07\x07\x01\x02");
        assert_eq!([&sent[0][12..], &sent[1][12..]].concat(), long);
    }

    #[test]
    fn a_message_of_too_many_chunks_is_none() {
        assert_eq!(datagrams(vec![0; 128 * 1408], [0; 8]).unwrap().len(), 128);
        assert_eq!(datagrams(vec![0; 128 * 1408 + 1], [0; 8]), None);
        assert_eq!(datagrams(vec![0; 1 << 20], [0; 8]), None);
    }

    #[test]
    fn messages_are_packed_as_asked() {
        let packed = pack(b"{}".to_vec(), Packing::Gzip(gzip::level(1))).unwrap();
        assert_eq!(packed[..2], [0x1f, 0x8b]);
        assert_eq!(pack(b"{}".to_vec(), Packing::Zlib(gzip::level(1))).unwrap()[0], 0x78);
        assert_eq!(pack(b"{}".to_vec(), Packing::Plain).unwrap(), b"{}");
    }
}
