//! `--volumes-from`: all binds and volumes of another container, at the same places.

use super::text::mode;
use super::{Find, Point, invalid};
use contract::PortError;
use contract::record::{Bind, VolumeUse};

/// The other's places and what is there.
pub fn parse(text: &str, find: Find<'_>) -> Result<Vec<(String, Point)>, PortError> {
    if text.is_empty() {
        return Err(invalid("volumes-from specification cannot be an empty string"));
    }
    let (name, how) = text.split_once(':').unwrap_or((text, ""));
    let how = match mode(how) {
        Some(how) if how.propagation.is_empty() && !how.no_copy => how,
        _ => {
            let how = text.split_once(':').map_or("", |(_, how)| how);
            return Err(invalid(format!("invalid mode: {how}")));
        }
    };
    // Clients take a 404 of a create to mean the image, and begin to pull.
    let other = find(name).map_err(|e| invalid(e.text))?;
    let binds = other.spec.binds.iter().map(|b| {
        let read_only = b.read_only || how.read_only;
        (b.target.clone(), Point::Bind(Bind { read_only, mode: String::new(), ..b.clone() }))
    });
    let volumes = other.spec.volumes.iter().map(|v| {
        let own = VolumeUse { mode: String::new(), no_copy: true, borrowed: true, ..v.clone() };
        (v.target.clone(), Point::Volume(VolumeUse { read_only: v.read_only || how.read_only, ..own }))
    });
    Ok(binds.chain(volumes).collect())
}
