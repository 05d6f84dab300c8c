//! An image on its way: until it owns its layers, they are held for it; if it never comes to be, they go.

use crate::core::{Core, Taken};
use crate::layers::Half;
use crate::pieces::Pieces;
use crate::unpack::Unpacked;
use contract::PortError;
use contract::image::Passed;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Holds layers while it lives. Dropping it may remove trees: not on an async thread.
pub(crate) struct Making {
    core: Arc<Core>,
    held: Mutex<BTreeSet<String>>,
}

impl Making {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core, held: Mutex::default() }
    }

    /// The store.
    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// Whether the layer is there; from now on it is kept.
    pub(crate) fn hold(&self, diff_id: &str) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.insert(diff_id.to_owned()) { self.core.hold(diff_id) } else { self.core.layers.has(diff_id) }
    }

    /// Unpacks a layer; with `expected` the content must have that diff id.
    pub(crate) fn unpack(
        &self,
        source: impl Pieces,
        expected: Option<&str>,
        passed: Option<Passed>,
    ) -> Result<Unpacked, PortError> {
        self.publish(self.core.layers.make(source, passed)?, expected)
    }

    /// The same of a layer that is unpacked and has no name yet.
    pub(crate) fn publish(&self, half: Half, expected: Option<&str>) -> Result<Unpacked, PortError> {
        self.hold(half.diff_id());
        self.core.layers.publish(half, expected)
    }

    /// Makes the image of its layers.
    pub(crate) fn finish(&self, config: &[u8], names: &[String]) -> Result<(String, Vec<Taken>), PortError> {
        self.finish_over(None, config, names)
    }

    /// The same of one made from another.
    pub(crate) fn finish_over(
        &self,
        parent: Option<&str>,
        config: &[u8],
        names: &[String],
    ) -> Result<(String, Vec<Taken>), PortError> {
        for layer in crate::config::diff_ids(config)? {
            self.hold(&layer);
        }
        self.core.add_image(config, names, parent)
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let held = self.held.get_mut().unwrap_or_else(PoisonError::into_inner);
        let held: Vec<String> = std::mem::take(held).into_iter().collect();
        self.core.release(&held);
    }
}
