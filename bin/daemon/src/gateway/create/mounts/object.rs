//! `--mount`, an object of the API (moby `ParseMountSpec`).

use super::asked::{BindOptions, Mount, VolumeOptions};
use super::text::PROPAGATIONS;
use super::{Point, clean, invalid, tmpfs};
use crate::gateway::create::refuse;
use contract::PortError;
use contract::record::{Bind, VolumeUse};
use std::path::{Component, Path};

fn config(kind: &str, why: &str) -> PortError {
    invalid(format!("invalid mount config for type \"{kind}\": {why}"))
}

/// A place inside: there, not the root, absolute.
pub fn check_target(kind: &str, target: &str) -> Result<(), PortError> {
    if target.is_empty() {
        return Err(config(kind, "field Target must not be empty"));
    }
    check_place(target).map_err(|e| config(kind, &e.text))
}

/// The same, said of no kind of mount.
pub fn check_place(target: &str) -> Result<(), PortError> {
    if clean(target) == "/" {
        return Err(invalid("invalid specification: destination can't be '/'"));
    }
    absolute(target)
}

fn absolute(path: &str) -> Result<(), PortError> {
    if path.starts_with('/') {
        return Ok(());
    }
    Err(invalid(format!("invalid mount path: '{path}' mount path must be absolute")))
}

/// The place and what comes there.
pub fn parse(mount: &Mount) -> Result<(String, Point), PortError> {
    let kind = mount.r#type.as_str();
    check_target(kind, &mount.target)?;
    let unwanted = |fields: &[(&str, bool)]| match fields.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(config(kind, &format!("field {name} must not be specified"))),
        None => Ok(()),
    };
    let (of_bind, of_volume) =
        (("BindOptions", mount.bind_options.is_some()), ("VolumeOptions", mount.volume_options.is_some()));
    let of_image = ("ImageOptions", mount.image_options.is_some());
    let target = clean(&mount.target);
    let point = match kind {
        "bind" => {
            unwanted(&[of_volume, of_image])?;
            Point::Bind(bind(mount)?)
        }
        "volume" => {
            unwanted(&[of_bind, of_image])?;
            Point::Volume(volume(mount)?)
        }
        "tmpfs" => {
            unwanted(&[of_bind, of_image, ("Source", !mount.source.is_empty())])?;
            let options = tmpfs::options(mount.tmpfs_options.as_ref(), mount.read_only);
            Point::Memory(options.map_err(|e| config(kind, &e.text))?)
        }
        "image" => return Err(refuse::option("mounts of type image")),
        _ => return Err(config(kind, "mount type unknown")),
    };
    Ok((target, point))
}

fn bind(mount: &Mount) -> Result<Bind, PortError> {
    let none = BindOptions::default();
    let options = mount.bind_options.as_ref().unwrap_or(&none);
    if mount.source.is_empty() {
        return Err(config("bind", "field Source must not be empty"));
    }
    if !options.propagation.is_empty() && !PROPAGATIONS.contains(&options.propagation.as_str()) {
        return Err(config("bind", &format!("invalid propagation mode: {}", options.propagation)));
    }
    absolute(&mount.source).map_err(|e| config("bind", &e.text))?;
    if !options.create_mountpoint && !Path::new(&mount.source).exists() {
        return Err(config("bind", &format!("bind source path does not exist: {}", mount.source)));
    }
    for (name, given) in [
        ("ReadOnlyNonRecursive", options.read_only_non_recursive),
        ("ReadOnlyForceRecursive", options.read_only_force_recursive),
    ] {
        if given && !mount.read_only {
            return Err(invalid(format!("mount options conflict: !ReadOnly && BindOptions.{name}")));
        }
    }
    if options.read_only_non_recursive && options.read_only_force_recursive {
        let text = "mount options conflict: ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive";
        return Err(invalid(text));
    }
    Ok(Bind {
        source: clean(&mount.source),
        target: clean(&mount.target),
        read_only: mount.read_only,
        propagation: options.propagation.clone(),
        make_source: options.create_mountpoint,
        top_only: options.non_recursive,
        writable_below: options.read_only_non_recursive,
        ..Bind::default()
    })
}

fn volume(mount: &Mount) -> Result<VolumeUse, PortError> {
    let none = VolumeOptions::default();
    let options = mount.volume_options.as_ref().unwrap_or(&none);
    let anonymous = mount.source.is_empty();
    if !options.subpath.is_empty() {
        if anonymous {
            return Err(config("volume", "must not set Subpath when using anonymous volumes"));
        }
        if !is_inside(&options.subpath) {
            return Err(config("volume", "subpath must be a relative path within the volume"));
        }
    }
    if mount.read_only && anonymous {
        return Err(config("volume", "must not set ReadOnly mode when using anonymous volumes"));
    }
    let driver = options.driver_config.as_ref();
    Ok(VolumeUse {
        name: mount.source.clone(),
        anonymous,
        target: clean(&mount.target),
        read_only: mount.read_only,
        no_copy: options.no_copy,
        subpath: options.subpath.clone(),
        mode: "z".into(),
        driver: driver.map_or_else(String::new, |d| d.name.clone()),
        options: driver.and_then(|d| d.options.clone()),
        labels: options.labels.clone(),
        ..VolumeUse::default()
    })
}

/// Whether a path leads, by its text, nowhere out of the folder it starts from.
fn is_inside(path: &str) -> bool {
    let mut depth = 0i32;
    Path::new(path).components().all(|part| {
        match part {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth -= 1,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => depth = -1,
        }
        depth >= 0
    })
}
