//! What is mounted into a container, put together from everything that speaks of it: `--volumes-from`, `-v`, `--mount`,
//! `--tmpfs`, and the volumes that the image or the request declares.

mod asked;
mod from;
mod object;
mod text;
mod tmpfs;

pub use asked::without_mounts;

use super::invalid;
use crate::gateway::version::ApiMinor;
use actors::Snapshot;
use asked::Asked;
use contract::PortError;
use contract::record::{Bind, ContainerSpec, VolumeUse};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Answers a container by its name.
pub type Find<'a> = &'a dyn Fn(&str) -> Result<Arc<Snapshot>, PortError>;

/// What mounts are put together from, beside the request.
pub struct Sources<'a> {
    /// The image's configuration.
    pub image: &'a Value,
    /// The other containers.
    pub find: Find<'a>,
    /// Where the daemon has its own data.
    pub data_root: &'a Path,
    /// Which version of the API asks.
    pub api: ApiMinor,
}

/// Docker's warning where two drivers could be meant.
const DRIVER_IGNORED: &str = "WARNING: the container-wide volume-driver configuration is ignored for volumes specified via 'mount'. \
     Use '--mount type=volume,volume-driver=...' instead";

/// Before, what is mounted below a read-only bind stayed writable.
const READ_ONLY_BELOW: u32 = 44;

/// One place inside and what comes there.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Point {
    Bind(Bind),
    Volume(VolumeUse),
    /// A file system in memory with these options.
    Memory(String),
}

/// Fills the specification's mounts in; answers what a user should know of them.
pub fn fill(spec: &mut ContainerSpec, sources: &Sources<'_>) -> Result<Vec<String>, PortError> {
    let asked = Asked::read(&spec.request)?;
    let mut points: BTreeMap<String, Point> = BTreeMap::new();
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for text in &asked.volumes_from {
        points.extend(from::parse(text, sources.find)?);
    }
    let tmpfs = asked.tmpfs.iter().map(|(target, options)| {
        tmpfs::check(target, options)?;
        Ok((clean(target), options.clone()))
    });
    let tmpfs: BTreeMap<String, String> = tmpfs.collect::<Result<_, PortError>>()?;
    for text in &asked.binds {
        let (target, point) = text::parse(text, &asked.volume_driver)?;
        if !taken.insert(target.clone()) || tmpfs.contains_key(&target) {
            return Err(duplicate(&target));
        }
        points.insert(target, point);
    }
    for mount in &asked.mounts {
        let (target, point) = object::parse(mount)?;
        if !taken.insert(target.clone()) {
            return Err(duplicate(&target));
        }
        points.insert(target, point);
    }
    for point in points.values_mut() {
        if let Point::Bind(bind) = point {
            protect_daemon(bind, sources.data_root)?;
            bind.writable_below |= bind.read_only && sources.api.0 < READ_ONLY_BELOW;
        }
    }
    points.extend(tmpfs.into_iter().map(|(target, options)| (target, Point::Memory(options))));
    spec.declared_volumes = declared(&asked, sources.image);
    for path in &spec.declared_volumes {
        let target = clean(path);
        object::check_target("volume", &target)?;
        points.entry(target.clone()).or_insert_with(|| {
            let driver = asked.volume_driver.clone();
            Point::Volume(VolumeUse { target, anonymous: true, driver, ..VolumeUse::default() })
        });
    }
    for (target, point) in points {
        match point {
            Point::Bind(bind) => spec.binds.push(bind),
            Point::Volume(volume) => spec.volumes.push(volume),
            Point::Memory(options) => {
                spec.tmpfs.insert(target, options);
            }
        }
    }
    let of_no_driver = asked.mounts.iter().any(|m| {
        let options = m.volume_options.as_ref().and_then(|v| v.driver_config.as_ref());
        m.r#type == "volume" && options.is_none_or(|d| d.name.is_empty())
    });
    Ok(if of_no_driver && !asked.volume_driver.is_empty() {
        vec![DRIVER_IGNORED.to_owned()]
    } else {
        Vec::new()
    })
}

fn duplicate(target: &str) -> PortError {
    invalid(format!("Duplicate mount point: {target}"))
}

/// Paths that are declared to be volumes.
fn declared(asked: &Asked, image: &Value) -> Vec<String> {
    let of_image = image.pointer("/config/Volumes").and_then(Value::as_object);
    let of_image = of_image.into_iter().flat_map(|m| m.keys().cloned());
    let all: BTreeSet<String> = asked.declared.iter().cloned().chain(of_image).collect();
    all.into_iter().collect()
}

/// What holds the daemon's own data must not keep its mounts alive (moby `validateBindDaemonRoot`).
fn protect_daemon(bind: &mut Bind, data_root: &Path) -> Result<(), PortError> {
    let root = data_root.to_string_lossy();
    bind.of_daemon = bind.source.starts_with(&*root) || root.starts_with(&bind.source);
    if bind.of_daemon && !matches!(bind.propagation.as_str(), "" | "rslave" | "rshared") {
        return Err(invalid(format!(
            "invalid mount config: must use either propagation mode \"rslave\" or \"rshared\" when mount source is \
             within the daemon root, daemon root: {root:?}, bind mount source: {:?}, propagation: {:?}",
            bind.source, bind.propagation
        )));
    }
    Ok(())
}

/// A path without repeated slashes, `.` and `..`, as Go's `path.Clean` leaves it.
fn clean(path: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    let absolute = path.starts_with('/');
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if out.last().is_some_and(|l| *l != "..") => {
                out.pop();
            }
            ".." if absolute => {}
            part => out.push(part),
        }
    }
    match (absolute, out.join("/")) {
        (true, rest) => format!("/{rest}"),
        (false, rest) if rest.is_empty() => ".".into(),
        (false, rest) => rest,
    }
}

#[cfg(test)]
mod tests;
