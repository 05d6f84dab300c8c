//! What a killed daemon left of volumes half made, half filled or half removed.

use super::{LocalVolumes, MAKING, PENDING, drop_file, filling, remove};
use crate::file::{clean, failed, sweep_discarded};
use contract::PortError;
use std::collections::BTreeSet;

impl LocalVolumes {
    /// Finishes all of it. What cannot be is told and stays.
    pub(super) fn sweep_all(
        &self,
        known: &BTreeSet<String>,
        held: &BTreeSet<String>,
    ) -> Result<(), PortError> {
        if !self.base.is_dir() {
            return Ok(());
        }
        sweep_discarded(&self.base).map_err(failed("sweeping", &self.base))?;
        clean(&self.base, |name, _| name.starts_with(MAKING))?;
        for place in self.places()? {
            let unknown = !known.contains(&place.name);
            let swept = if unknown && place.file(PENDING).exists() {
                // Nobody ever learned its name.
                remove(&place)
            } else {
                let emptied = if held.contains(&place.name) { Ok(()) } else { filling::undo(&place) };
                emptied.and_then(|()| drop_file(&place.file(PENDING)))
            };
            if let Err(error) = swept {
                tracing::warn!(volume = place.name, "sweeping: {}", error.chain());
            }
        }
        Ok(())
    }
}
