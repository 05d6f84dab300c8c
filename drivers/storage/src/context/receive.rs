//! A context's archive unpacked.

use super::folder::Fresh;
use crate::decompress::decompress;
use crate::file::{blocking, failed};
use crate::limits::{Bounded, Limits, count};
use crate::place::Place;
use crate::tar::Members;
use contract::archive::Stream;
use contract::build::Context;
use contract::{Kind, PortError};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use tokio_util::io::SyncIoBridge;

/// Unpacks it into the folder. What leads out of it or is too much is refused, and then nothing stays.
pub(super) async fn receive(into: Fresh, content: Stream, limits: Limits) -> Result<Context, PortError> {
    let content = SyncIoBridge::new(content);
    blocking(move || {
        let limits = limits.on_disk(into.path());
        unpack(content, into.path(), limits).map_err(|e| match e.kind() {
            io::ErrorKind::StorageFull => failed("receiving", Path::new("the build context"))(e),
            _ => PortError::new(Kind::Invalid, format!("Error processing tar file(exit status 1): {e}")),
        })?;
        Ok(into.whole())
    })
    .await
}

fn unpack(content: impl Read + Send, folder: &Path, limits: Limits) -> io::Result<()> {
    let bounded = Bounded { inner: decompress(content)?, left: limits.bytes };
    let mut members = Members::open_ended(io::BufReader::with_capacity(1 << 16, bounded));
    let mut place = Place::context(File::open(folder)?, limits.bytes);
    let mut seen = 0u64;
    while let Some(member) = members.next()? {
        count(&mut seen, limits.members)?;
        place.member(&member, &mut members.content()).map_err(|e| {
            let shown: String = String::from_utf8_lossy(&member.path).chars().take(200).collect();
            io::Error::new(e.kind(), format!("{shown}: {e}"))
        })?;
    }
    place.finish()?;
    members.finish().map(drop)
}
