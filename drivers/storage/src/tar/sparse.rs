//! Members stored with holes, in the forms GNU tar writes (tar manual, "Storing Sparse Files").

use super::{BLOCK, bad};
use std::collections::BTreeMap;
use std::io::{self, Read};

/// Segments beyond this are refused: a map is held in memory.
const SEGMENTS: usize = 1 << 17;

/// Where a sparse member's stored bytes belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sparse {
    /// Offset and length of each stored piece, ascending.
    pub(crate) segments: Vec<(u64, u64)>,
    /// Size of the file with its holes.
    pub(crate) real: u64,
}

fn invalid() -> io::Error {
    bad("archive/tar: invalid sparse map")
}

impl Sparse {
    /// Pieces must ascend, stay inside the file and add up to what is stored.
    fn checked(segments: Vec<(u64, u64)>, real: u64, stored: u64) -> io::Result<Self> {
        let (mut end, mut sum) = (0u64, 0u64);
        for (offset, length) in &segments {
            if *offset < end {
                return Err(invalid());
            }
            end = offset.checked_add(*length).filter(|e| *e <= real).ok_or_else(invalid)?;
            sum = sum.checked_add(*length).ok_or_else(invalid)?;
        }
        if sum != stored || segments.len() > SEGMENTS || real > i64::MAX as u64 {
            return Err(invalid());
        }
        Ok(Self { segments, real })
    }

    /// The old GNU form: the map begins in the header and goes on in blocks after it.
    pub(crate) fn gnu(header: &::tar::Header, stored: u64, reader: &mut impl Read) -> io::Result<Self> {
        let gnu = header.as_gnu().ok_or_else(invalid)?;
        let mut segments = Vec::new();
        let mut take = |list: &[::tar::GnuSparseHeader]| {
            for piece in list.iter().filter(|p| !p.is_empty()) {
                segments.push((piece.offset()?, piece.length()?));
            }
            if segments.len() > SEGMENTS { Err(invalid()) } else { Ok(()) }
        };
        take(&gnu.sparse)?;
        let mut more = gnu.is_extended();
        while more {
            let mut block = ::tar::GnuExtSparseHeader::new();
            reader.read_exact(block.as_mut_bytes())?;
            take(&block.sparse)?;
            more = block.is_extended();
        }
        Self::checked(segments, gnu.real_size()?, stored)
    }

    /// The pax forms; `None` for a member that is not sparse. The bytes that the map takes of the payload come second.
    pub(crate) fn pax(
        pax: &BTreeMap<String, Vec<u8>>,
        stored: u64,
        reader: &mut impl Read,
    ) -> io::Result<Option<(Self, u64)>> {
        let text =
            |key: &str| pax.get(key).map(|v| std::str::from_utf8(v).map_err(|_| invalid())).transpose();
        let number = |t: &str| t.parse::<u64>().map_err(|_| invalid());
        let real = |key: &str| text(key)?.ok_or_else(invalid).and_then(number);
        if text("GNU.sparse.major")? == Some("1") {
            let (segments, used) = map_in_payload(stored, reader)?;
            let sparse = Self::checked(segments, real("GNU.sparse.realsize")?, stored - used)?;
            return Ok(Some((sparse, used)));
        }
        let Some(map) = text("GNU.sparse.map")? else {
            return if pax.keys().any(|k| k.starts_with("GNU.sparse.")) { Err(invalid()) } else { Ok(None) };
        };
        let numbers: Vec<u64> =
            map.split(',').take(2 * SEGMENTS + 1).map(number).collect::<Result<_, _>>()?;
        let (pairs, odd) = numbers.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(invalid());
        }
        let segments = pairs.iter().map(|[offset, length]| (*offset, *length)).collect();
        Ok(Some((Self::checked(segments, real("GNU.sparse.size")?, stored)?, 0)))
    }
}

/// Format 1.0: decimal lines at the payload's begin, filled up to a block.
fn map_in_payload(stored: u64, reader: &mut impl Read) -> io::Result<(Vec<(u64, u64)>, u64)> {
    let (mut used, mut block, mut at) = (0u64, [0u8; BLOCK], BLOCK);
    let mut number = |used: &mut u64| -> io::Result<u64> {
        let mut value = 0u64;
        for digits in 0.. {
            if at == BLOCK {
                *used += BLOCK as u64;
                if *used > stored {
                    return Err(invalid());
                }
                reader.read_exact(&mut block)?;
                at = 0;
            }
            let byte = block.get(at).copied().unwrap_or_default();
            at += 1;
            match byte {
                b'\n' if digits > 0 => return Ok(value),
                b'0'..=b'9' => {
                    value = value
                        .checked_mul(10)
                        .and_then(|v| v.checked_add(u64::from(byte - b'0')))
                        .ok_or_else(invalid)?;
                }
                _ => return Err(invalid()),
            }
        }
        Err(invalid())
    };
    let count = number(&mut used)?;
    if count > SEGMENTS as u64 {
        return Err(invalid());
    }
    let mut segments = Vec::new();
    for _ in 0..count {
        segments.push((number(&mut used)?, number(&mut used)?));
    }
    Ok((segments, used))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_that_overlap_leave_the_file_or_do_not_add_up_are_refused() {
        assert!(Sparse::checked(vec![(0, 4), (8, 2)], 10, 6).is_ok());
        for (segments, real, stored) in [
            (vec![(0, 4), (3, 2)], 10, 6),
            (vec![(8, 3)], 10, 3),
            (vec![(0, 4)], 10, 5),
            (vec![(u64::MAX, 2)], 10, 2),
        ] {
            assert!(Sparse::checked(segments, real, stored).is_err());
        }
    }

    #[test]
    fn a_map_in_the_payload_is_read_to_its_block_and_not_beyond() {
        let mut block = b"2\n0\n4\n8\n2\n".to_vec();
        block.resize(BLOCK, 0);
        assert_eq!(map_in_payload(600, &mut block.as_slice()).unwrap(), (vec![(0, 4), (8, 2)], 512));
        assert!(map_in_payload(100, &mut block.as_slice()).is_err());
        assert!(map_in_payload(600, &mut [b'9'; 4096].as_slice()).is_err());
    }
}
