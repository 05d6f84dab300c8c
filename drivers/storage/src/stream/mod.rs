//! The tar streams that layers were unpacked from, put together again byte for byte.
//!
//! While a layer is unpacked, whatever of its stream does not become the content of a file (headers, pax records, padding,
//! what follows the end) is recorded, and of content where it went. The stream is that record and the files together.
//!
//! A record is a file: [`MAGIC`], the stream's length (8 bytes, little-endian) and a zstd frame of steps. A step is a
//! byte and what belongs to it; numbers are LEB128:
//!
//! | byte | then | stands for |
//! |---|---|---|
//! | [`END`] | | the end: nothing may follow |
//! | [`LITERAL`] | length, bytes | these bytes |
//! | [`WHOLE`] | length and bytes of a path, size | so many bytes from the file's begin |
//! | [`PIECES`] | length and bytes of a path, count, (offset, length)… | these pieces of the file |
//!
//! Files that a later member of the same layer took the place of lie in a folder beside, see [`kept`].

pub(crate) mod kept;
mod record;
mod restored;

pub(crate) use record::Recorder;
pub(crate) use restored::Restored;

use std::io::{self, Read};

/// Name of the format and its version.
const MAGIC: &[u8; 16] = b"gantry stream 1\n";
/// Bytes before the zstd frame.
const HEAD: u64 = 24;
const END: u8 = 0;
const LITERAL: u8 = 1;
const WHOLE: u8 = 2;
const PIECES: u8 = 3;
/// Longest path: a folder's that the kernel opens, and a name in it.
const PATH: usize = 4096 + 256;

/// A layer's record, its folder of kept files and its files, in the layer's folder.
pub(crate) const STREAM: &str = "stream";
pub(crate) const KEPT: &str = "kept";
pub(crate) const DIFF: &str = "diff";

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn damaged() -> io::Error {
    crate::tar::bad("the record of the layer's stream is damaged")
}

fn byte(from: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    from.read_exact(&mut byte)?;
    Ok(u8::from_le_bytes(byte))
}

fn number(from: &mut impl Read) -> io::Result<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = byte(from)?;
        let part = u64::from(byte & 0x7f);
        if (part << shift) >> shift != part {
            break;
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(damaged())
}

fn path(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let length = usize::try_from(number(from)?).ok().filter(|l| *l <= PATH).ok_or_else(damaged)?;
    let mut path = vec![0; length];
    from.read_exact(&mut path)?;
    Ok(path)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod numbers {
    use super::*;

    #[test]
    fn numbers_come_back_and_those_too_long_are_refused() {
        for wanted in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put(&mut bytes, wanted);
            assert_eq!(number(&mut bytes.as_slice()).unwrap(), wanted);
        }
        for bad in [&[0xff; 11][..], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], &[0x80]] {
            assert!(number(&mut &*bad).is_err(), "{bad:?}");
        }
    }
}
