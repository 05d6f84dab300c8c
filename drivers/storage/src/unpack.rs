//! A layer's stream unpacked into a folder, verified while it passes.

use crate::decompress::decompress;
use crate::limits::{Bounded, Limits, count};
use crate::place::Place;
use crate::stream::kept::Kept;
use crate::stream::{DIFF, KEPT, Recorder, STREAM};
use crate::tar::Members;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Digests what passes.
struct Digesting<R> {
    inner: R,
    sha: Sha256,
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.sha.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// What was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// `sha256:…` of the uncompressed stream.
    pub(crate) diff_id: String,
    /// Bytes of file content.
    pub(crate) size: u64,
}

/// Unpacks a (compressed) tar stream into a layer's folder, in overlay's form, and records the stream.
pub(crate) fn unpack(reader: impl Read + Send, layer: &Path, limits: Limits) -> io::Result<Unpacked> {
    let bounded = Bounded { inner: decompress(reader)?, left: limits.bytes };
    // One buffer for headers and small files alike: a read of a block must not be a read of the decoder.
    let buffered = io::BufReader::with_capacity(1 << 16, Digesting { inner: bounded, sha: Sha256::new() });
    let mut members = Members::new(Recorder::new(buffered, &layer.join(STREAM))?);
    let kept = Kept::new(layer.join(KEPT));
    let mut place = Place::layer(File::open(layer.join(DIFF))?, limits.bytes, kept);
    let mut seen = 0u64;
    while let Some(member) = members.next()? {
        count(&mut seen, limits.members)?;
        members.reader_mut().begin();
        let file = place.member(&member, &mut members.content()).map_err(|e| {
            let shown: String = String::from_utf8_lossy(&member.path).chars().take(200).collect();
            io::Error::new(e.kind(), format!("{shown}: {e}"))
        })?;
        let pieces = member.sparse.as_ref().map(|s| s.segments.as_slice());
        members.reader_mut().end(file.as_deref(), pieces)?;
    }
    let size = place.finish()?;
    let digest = members.finish()?.finish()?.into_inner().sha.finalize();
    Ok(Unpacked { diff_id: format!("sha256:{}", hex::encode(digest)), size })
}
