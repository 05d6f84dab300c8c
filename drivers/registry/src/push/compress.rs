//! A layer compressed while it is sent, the same way every time: a push that is tried again goes on anywhere in it.

use crate::fault::Fault;
use bytes::Bytes;
use contract::archive::BlockingStream;
use contract::{Kind, PortError};
use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};
use tokio::sync::{mpsc, oneshot};

/// What the compressor gets at once; always whole, whatever the source reads, so that its output depends on nothing else.
const BLOCK: usize = 1 << 17;
/// What is sent at once.
const PIECE: usize = 1 << 17;
/// Pieces that wait for the network.
const AHEAD: usize = 4;

/// What was made of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// `sha256:…` of the compressed bytes.
    pub digest: String,
    /// How many.
    pub size: u64,
}

/// A layer being compressed.
pub struct Packing {
    /// Its bytes; they end early when it fails.
    pub pieces: mpsc::Receiver<Bytes>,
    /// The outcome, once the bytes have ended.
    pub outcome: oneshot::Receiver<Result<Packed, Fault>>,
}

/// Compresses in a thread of its own, leaving out so many compressed bytes at the beginning. `passed` hears of the
/// uncompressed bytes. Dropping the pieces ends it.
pub fn compress(source: BlockingStream, skip: u64, passed: impl FnMut(u64) + Send + 'static) -> Packing {
    let (sender, pieces) = mpsc::channel(AHEAD);
    let (told, outcome) = oneshot::channel();
    tokio::task::spawn_blocking(move || {
        let made = pack(source, Out { sender, skip, size: 0, sha: Sha256::new(), piece: Vec::new() }, passed);
        // Whoever wanted it may have left.
        let _left = told.send(made.map_err(failed));
    });
    Packing { pieces, outcome }
}

fn failed(error: io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Fault::Content("the upload has ended".into()),
        _ => PortError::caused(Kind::Bug, "reading a layer to be pushed", error).into(),
    }
}

fn pack(mut source: BlockingStream, out: Out, mut passed: impl FnMut(u64)) -> io::Result<Packed> {
    // No name, no time: only the content decides.
    let mut gzip = GzBuilder::new().mtime(0).operating_system(255).write(out, Compression::default());
    let (mut block, mut read) = (vec![0; BLOCK], 0u64);
    loop {
        let count = fill(&mut source, &mut block)?;
        if count == 0 {
            break;
        }
        gzip.write_all(block.get(..count).unwrap_or_default())?;
        read += count as u64;
        passed(read);
    }
    let mut out = gzip.finish()?;
    out.send()?;
    Ok(Packed { digest: format!("sha256:{}", hex::encode(out.sha.finalize())), size: out.size })
}

fn fill(source: &mut BlockingStream, block: &mut [u8]) -> io::Result<usize> {
    let mut have = 0;
    while let Some(rest) = block.get_mut(have..).filter(|r| !r.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(count) => have += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(have)
}

/// Digests and counts everything, and hands on what is not to be left out.
struct Out {
    sender: mpsc::Sender<Bytes>,
    skip: u64,
    size: u64,
    sha: Sha256,
    piece: Vec<u8>,
}

impl Out {
    fn send(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE)));
        self.sender.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sha.update(bytes);
        let left = usize::try_from(self.skip.saturating_sub(self.size)).unwrap_or(usize::MAX);
        self.size += bytes.len() as u64;
        self.piece.extend_from_slice(bytes.get(left.min(bytes.len())..).unwrap_or_default());
        if self.piece.len() >= PIECE {
            self.send()?;
        } else if self.sender.is_closed() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads in pieces of this size at most.
    struct Slow(io::Cursor<Vec<u8>>, usize);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(self.1);
            self.0.read(&mut buffer[..most])
        }
    }

    async fn all(source: Slow, skip: u64) -> (Vec<u8>, Packed) {
        let mut packing = compress(Box::new(source), skip, |_| {});
        let mut out = Vec::new();
        while let Some(piece) = packing.pieces.recv().await {
            out.extend_from_slice(&piece);
        }
        (out, packing.outcome.await.unwrap().unwrap())
    }

    #[tokio::test]
    async fn a_layer_is_compressed_the_same_way_however_it_is_read_and_from_anywhere() {
        let content: Vec<u8> =
            (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 & 0x3f).collect();
        let slow = |size| Slow(io::Cursor::new(content.clone()), size);
        let (whole, packed) = all(slow(usize::MAX), 0).await;
        assert_eq!(packed.size, whole.len() as u64);
        assert_eq!(packed.digest, format!("sha256:{}", hex::encode(Sha256::digest(&whole))));
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(whole.as_slice()).read_to_end(&mut plain).unwrap();
        assert_eq!(plain, content);
        for (size, skip) in
            [(1, 0), (4093, 10), (100_000, packed.size / 2), (512, packed.size), (77, packed.size + 9)]
        {
            let (rest, same) = all(slow(size), skip).await;
            assert_eq!(same, packed);
            assert_eq!(rest, whole[usize::try_from(skip).unwrap().min(whole.len())..]);
        }
    }

    #[tokio::test]
    async fn a_layer_that_cannot_be_read_to_its_end_has_no_digest() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("not what it was"))
            }
        }
        let mut packing = compress(Box::new(Broken), 0, |_| {});
        while packing.pieces.recv().await.is_some() {}
        assert!(matches!(packing.outcome.await.unwrap(), Err(Fault::Port(_))));
    }
}
