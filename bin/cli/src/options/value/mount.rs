//! `--mount`.

use bollard::models::{
    Mount, MountBindOptions, MountImageOptions, MountTmpfsOptions, MountType, MountVolumeOptions,
    MountVolumeOptionsDriverConfig,
};

use super::{csv, volume};
use crate::units;

/// Go's idea of a truth value.
fn truth(key: &str, value: Option<&str>) -> Result<bool, String> {
    match value {
        None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some(other) => Err(format!("invalid value for {key}: {other}")),
    }
}

fn bind(mount: &mut Mount) -> &mut MountBindOptions {
    mount.bind_options.get_or_insert_default()
}

fn named(mount: &mut Mount) -> &mut MountVolumeOptions {
    mount.volume_options.get_or_insert_default()
}

fn driver(mount: &mut Mount) -> &mut MountVolumeOptionsDriverConfig {
    named(mount).driver_config.get_or_insert_default()
}

fn pair(value: &str) -> Option<(String, String)> {
    let (key, value) = value.split_once('=').unwrap_or((value, ""));
    (!key.is_empty()).then(|| (key.to_owned(), value.to_owned()))
}

fn set(mount: &mut Mount, key: &str, given: Option<&str>, field: &str) -> Result<(), String> {
    let value = given.unwrap_or_default();
    let bad = || format!("invalid value for {key}: {value}");
    match key {
        "readonly" | "ro" => mount.read_only = Some(truth(key, given)?),
        "volume-nocopy" => named(mount).no_copy = Some(truth(key, given)?),
        "bind-nonrecursive" => bind(mount).non_recursive = Some(truth(key, given)?),
        "bind-create-src" => bind(mount).create_mountpoint = Some(truth(key, given)?),
        _ if given.is_none() => return Err(format!("invalid field '{field}' must be a key=value pair")),
        "type" => {
            mount.typ = Some(match value.to_lowercase().as_str() {
                "bind" => MountType::BIND,
                "volume" => MountType::VOLUME,
                "tmpfs" => MountType::TMPFS,
                "image" => MountType::IMAGE,
                "cluster" => MountType::CLUSTER,
                "npipe" => MountType::NPIPE,
                "" => return Err("type is required".to_owned()),
                other => return Err(format!("mount type unknown: \"{other}\"")),
            });
        }
        "source" | "src" => {
            mount.source = Some(match value.starts_with('.') {
                true => volume::clean(&std::env::current_dir().unwrap_or_default().join(value)),
                false => value.to_owned(),
            });
        }
        "target" | "dst" | "destination" => mount.target = Some(value.to_owned()),
        "consistency" => mount.consistency = Some(value.to_lowercase()),
        "bind-propagation" => {
            bind(mount).propagation = Some(value.to_lowercase().parse().map_err(|_| bad())?)
        }
        "bind-recursive" => match value {
            "enabled" => {}
            "disabled" => bind(mount).non_recursive = Some(true),
            "writable" => bind(mount).read_only_non_recursive = Some(true),
            "readonly" => bind(mount).read_only_force_recursive = Some(true),
            _ => {
                return Err(format!(
                    "{} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")",
                    bad()
                ));
            }
        },
        "volume-subpath" => named(mount).subpath = Some(value.to_owned()),
        "volume-label" => named(mount).labels.get_or_insert_default().extend(pair(value)),
        "volume-driver" => driver(mount).name = Some(value.to_owned()),
        "volume-opt" => driver(mount).options.get_or_insert_default().extend(pair(value)),
        "image-subpath" => mount.image_options = Some(MountImageOptions { subpath: Some(value.to_owned()) }),
        "tmpfs-size" => {
            let size = units::ram_in_bytes(value).map_err(|_| bad())?;
            mount.tmpfs_options.get_or_insert_with(MountTmpfsOptions::default).size_bytes = Some(size);
        }
        "tmpfs-mode" => {
            let mode = u32::from_str_radix(value, 8).map_err(|_| bad())?;
            mount.tmpfs_options.get_or_insert_with(MountTmpfsOptions::default).mode = Some(i64::from(mode));
        }
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    }
    Ok(())
}

fn check(mount: &Mount) -> Result<(), String> {
    if mount.target.as_deref().unwrap_or_default().is_empty() {
        return Err("target is required".to_owned());
    }
    let kind = mount.typ.unwrap_or(MountType::VOLUME);
    let mixed = |of: &str| Err(format!("cannot mix '{of}-*' options with mount type '{kind}'"));
    match () {
        () if mount.volume_options.is_some() && kind != MountType::VOLUME => return mixed("volume"),
        () if mount.image_options.is_some() && kind != MountType::IMAGE => return mixed("image"),
        () if mount.bind_options.is_some() && kind != MountType::BIND => return mixed("bind"),
        () if mount.tmpfs_options.is_some() && kind != MountType::TMPFS => return mixed("tmpfs"),
        () => {}
    }
    let Some(bind) = &mount.bind_options else { return Ok(()) };
    let needs = |what: &str, also: &str| {
        Err(format!("option 'bind-recursive={what}' requires '{also}' to be specified in conjunction"))
    };
    let read_only = mount.read_only == Some(true);
    let private = bind.propagation.is_some_and(|propagation| propagation.to_string() == "rprivate");
    match () {
        () if bind.read_only_non_recursive == Some(true) && !read_only => needs("writable", "readonly"),
        () if bind.read_only_force_recursive == Some(true) && !read_only => needs("readonly", "readonly"),
        () if bind.read_only_force_recursive == Some(true) && !private => {
            needs("readonly", "bind-propagation=rprivate")
        }
        () => Ok(()),
    }
}

/// Reads `--mount`.
pub fn mount(spec: &str) -> Result<Mount, String> {
    let mut mount = Mount { typ: Some(MountType::VOLUME), ..Default::default() };
    for field in csv::fields(spec)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (field.as_str(), None),
        };
        set(&mut mount, &key.to_lowercase(), value, &field)?;
    }
    check(&mount).map(|()| mount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_names_its_type_and_place() {
        let found = mount("type=bind,src=/a,dst=/b,readonly,bind-propagation=rslave").unwrap();
        assert_eq!((found.typ, found.read_only), (Some(MountType::BIND), Some(true)));
        let found =
            mount("src=data,dst=/b,volume-opt=type=nfs,\"volume-opt=o=addr=1,rw\",volume-label=a=b").unwrap();
        let volume = found.volume_options.unwrap();
        assert_eq!(volume.driver_config.unwrap().options.unwrap()["o"], "addr=1,rw");
        assert_eq!(volume.labels.unwrap()["a"], "b");
        let found = mount("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770").unwrap().tmpfs_options.unwrap();
        assert_eq!((found.size_bytes, found.mode), (Some(1 << 20), Some(0o1770)));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (spec, why) in [
            ("type=bind,src=/a", "target is required"),
            ("type=tmpfs,dst=/b,volume-nocopy", "cannot mix 'volume-*' options with mount type 'tmpfs'"),
            ("dst=/b,color=red", "unexpected key 'color' in 'color=red'"),
            ("dst", "invalid field 'dst' must be a key=value pair"),
            ("dst=/b,ro=maybe", "invalid value for ro: maybe"),
            ("type=tmpfs,dst=/b,tmpfs-mode=9", "invalid value for tmpfs-mode: 9"),
            (
                "type=bind,src=/a,dst=/b,bind-recursive=readonly",
                "option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction",
            ),
        ] {
            assert_eq!(mount(spec).unwrap_err(), why);
        }
    }
}
