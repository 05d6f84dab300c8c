//! `-v` in its text form: `[source:]target[:mode]` (moby `ParseMountRaw`).

use super::object::check_target;
use super::{Point, clean, invalid};
use contract::PortError;
use contract::record::{Bind, VolumeUse};

/// Docker's propagation words.
pub const PROPAGATIONS: [&str; 6] = ["private", "rprivate", "slave", "rslave", "shared", "rshared"];

/// What a mode says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mode<'a> {
    pub read_only: bool,
    pub propagation: &'a str,
    pub no_copy: bool,
}

/// Reads a mode; each kind of word may come once.
pub fn mode(text: &str) -> Option<Mode<'_>> {
    let mut mode = Mode::default();
    let mut counts = [0; 5];
    for word in text.split(',') {
        let kind = match word {
            "" if text.is_empty() => continue,
            "rw" => 0,
            "ro" => {
                mode.read_only = true;
                0
            }
            // SELinux relabelling: there is nothing to relabel where SELinux is off, as Docker also does.
            "z" | "Z" => 1,
            "nocopy" => {
                mode.no_copy = true;
                2
            }
            // How files are kept in step is of no matter where there is one kernel.
            "consistent" | "cached" | "delegated" => 3,
            word if PROPAGATIONS.contains(&word) => {
                mode.propagation = word;
                4
            }
            _ => return None,
        };
        let count = counts.get_mut(kind)?;
        *count += 1;
        if *count > 1 {
            return None;
        }
    }
    Some(mode)
}

/// The place and what comes there.
pub fn parse(text: &str, driver: &str) -> Result<(String, Point), PortError> {
    let bad = || invalid(format!("invalid volume specification: '{text}'"));
    let parts: Vec<&str> = text.splitn(4, ':').collect();
    let (source, target, mode_text) = match parts.as_slice() {
        ["", ..] => return Err(bad()),
        [target] => ("", *target, ""),
        // A place and a mode: there is no such thing as a mode of no source.
        [_, second] if mode(second).is_some() => return Err(bad()),
        [source, target] => (*source, *target, ""),
        [source, target, mode] => (*source, *target, *mode),
        _ => return Err(bad()),
    };
    let Some(mode) = mode(mode_text) else { return Err(invalid(format!("invalid mode: {mode_text}"))) };
    let kind = if source.starts_with('/') { "bind" } else { "volume" };
    let field = |name: &str| {
        Err(invalid(format!("invalid mount config for type \"{kind}\": field {name} must not be specified")))
    };
    let checked = check_target(kind, target).and_then(|()| match kind {
        "bind" if mode.no_copy => field("VolumeOptions"),
        "volume" if !mode.propagation.is_empty() => field("BindOptions"),
        _ => Ok(()),
    });
    checked.map_err(|e| PortError::new(e.kind, format!("{}: {}", bad().text, e.text)))?;
    let target = clean(target);
    let point = if kind == "bind" {
        Point::Bind(Bind {
            source: clean(source),
            target: target.clone(),
            read_only: mode.read_only,
            propagation: mode.propagation.to_owned(),
            mode: mode_text.to_owned(),
            make_source: true,
            ..Bind::default()
        })
    } else {
        Point::Volume(VolumeUse {
            name: source.to_owned(),
            anonymous: source.is_empty(),
            target: target.clone(),
            read_only: mode.read_only,
            no_copy: mode.no_copy,
            mode: if mode_text.is_empty() { "z".into() } else { mode_text.to_owned() },
            driver: driver.to_owned(),
            ..VolumeUse::default()
        })
    };
    Ok((target, point))
}
