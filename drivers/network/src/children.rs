//! Who holds the interfaces that have no end on the host: to be deleted they are looked for inside, also after the
//! container's last process.

use crate::child;
use crate::error::NetworkError;
use crate::netns::Namespace;
use crate::pool::{Departure, Pool};
use crate::{Departed, Kernel};
use contract::network::{Endpoint, SegmentKind};
use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tokio::sync::oneshot;

/// One interface inside a namespace, which stays as long as this does.
#[derive(Debug)]
struct Child {
    namespace: Namespace,
    index: u32,
}

/// By container and network.
#[derive(Debug, Default)]
pub struct Children(HashMap<(String, String), Child>);

fn key(endpoint: &Endpoint) -> (String, String) {
    (endpoint.container.clone(), endpoint.network.clone())
}

impl Children {
    /// The namespace at `path` with what is known to be in it.
    fn take(&mut self, endpoint: &Endpoint, path: &Path) -> Result<(Namespace, Option<u32>), NetworkError> {
        let now = std::fs::metadata(path).map(|m| m.ino()).ok();
        let known = self.0.remove(&key(endpoint));
        // One of an earlier start would be another's.
        let same = |child: &Child| child.namespace.file.metadata().map(|m| m.ino()).ok() == now;
        match known.filter(same) {
            Some(child) => Ok((child.namespace, Some(child.index))),
            None => Ok((Namespace::open(path)?, None)),
        }
    }

    /// Begins to delete an endpoint's; the receiver hears of the end. `None` when there is none.
    pub fn depart(&mut self, endpoint: &Endpoint, pool: &Pool) -> Option<Departed> {
        let child = self.0.remove(&key(endpoint))?;
        let (done, gone) = oneshot::channel();
        pool.depart(Departure::Inside(child.namespace, child.index, done));
        Some(gone)
    }
}

impl Kernel {
    /// Makes an endpoint's interface over its parent. `netns` is looked at only where no sandbox was made.
    pub fn ensure_child(&mut self, endpoint: &Endpoint, netns: &Path) -> Result<(), NetworkError> {
        let own = self.sandboxes.get(&endpoint.container).map(|n| n.file.as_raw_fd());
        let path = own.map_or_else(|| netns.to_owned(), |fd| PathBuf::from(format!("/proc/self/fd/{fd}")));
        let (mut namespace, known) = self.children.take(endpoint, &path)?;
        let ensured = child::ensure(&mut self.route, endpoint, &mut namespace, known);
        let index = match (&ensured, known) {
            (Ok(index), _) => Some(*index),
            // It stays to be deleted.
            (Err(_), known) => known,
        };
        if let Some(index) = index {
            self.children.0.insert(key(endpoint), Child { namespace, index });
        }
        ensured.map(drop)
    }

    /// Finds what an earlier daemon made of an endpoint inside.
    pub fn recall_child(&mut self, endpoint: &Endpoint, netns: &Path) -> Result<(), NetworkError> {
        if endpoint.segment.kind == SegmentKind::Bridge {
            return Ok(());
        }
        let (mut namespace, known) = self.children.take(endpoint, netns)?;
        let left = match known {
            Some(index) => Some(index),
            None => child::leftover(&mut self.route, endpoint, &mut namespace)?,
        };
        if let Some(index) = left {
            self.children.0.insert(key(endpoint), Child { namespace, index });
        }
        Ok(())
    }
}
