//! `-v` and `--mount`.

use bollard::models::{Mount, MountBindOptions, MountTmpfsOptions, MountType};

use super::OptionError;
use crate::units;

/// What one `-v` asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Volume {
    /// A host path or named volume at a place: goes to `Binds`.
    Bind(String),
    /// An anonymous volume at this path.
    Anonymous(String),
}

/// Reads `-v`; a relative source is relative to `here`.
pub fn volume(spec: &str, here: &std::path::Path) -> Result<Volume, OptionError> {
    let bad = || OptionError::Volume(spec.to_owned());
    let parts: Vec<&str> = spec.split(':').collect();
    let absolute = |target: &str| target.starts_with('/');
    match parts.as_slice() {
        [target] if absolute(target) => Ok(Volume::Anonymous((*target).to_owned())),
        [source, target, rest @ ..] if absolute(target) && !source.is_empty() && rest.len() < 2 => {
            let source = match *source {
                "." | ".." => here.join(source).to_string_lossy().into_owned(),
                relative if relative.starts_with("./") || relative.starts_with("../") => {
                    here.join(relative).to_string_lossy().into_owned()
                }
                other => other.to_owned(),
            };
            let mut bind = format!("{source}:{target}");
            for options in rest {
                bind.push(':');
                bind.push_str(options);
            }
            Ok(Volume::Bind(bind))
        }
        _ => Err(bad()),
    }
}

/// Reads `--mount`.
pub fn mount(spec: &str) -> Result<Mount, OptionError> {
    let bad = |why: String| OptionError::Mount { spec: spec.to_owned(), why };
    let mut mount = Mount { typ: Some(MountType::VOLUME), ..Default::default() };
    for field in spec.split(',') {
        let (key, value) = field.split_once('=').unwrap_or((field, "true"));
        match key.to_lowercase().as_str() {
            "type" => {
                mount.typ = Some(match value {
                    "bind" => MountType::BIND,
                    "volume" => MountType::VOLUME,
                    "tmpfs" => MountType::TMPFS,
                    other => return Err(bad(format!("invalid mount type '{other}'"))),
                });
            }
            "source" | "src" => mount.source = Some(value.to_owned()),
            "target" | "dst" | "destination" => mount.target = Some(value.to_owned()),
            "readonly" | "ro" => mount.read_only = Some(matches!(value, "true" | "1")),
            "bind-propagation" => {
                let propagation = value.parse().map_err(|_| bad(format!("invalid propagation '{value}'")))?;
                mount.bind_options =
                    Some(MountBindOptions { propagation: Some(propagation), ..Default::default() });
            }
            "tmpfs-size" => {
                let size = units::ram_in_bytes(value).map_err(|error| bad(error.to_string()))?;
                mount.tmpfs_options.get_or_insert_with(MountTmpfsOptions::default).size_bytes = Some(size);
            }
            "tmpfs-mode" => {
                let mode =
                    i64::from_str_radix(value, 8).map_err(|_| bad(format!("invalid mode '{value}'")))?;
                mount.tmpfs_options.get_or_insert_with(MountTmpfsOptions::default).mode = Some(mode);
            }
            other => return Err(bad(format!("unexpected key '{other}' in '{field}'"))),
        }
    }
    match mount.target.is_some() {
        true => Ok(mount),
        false => Err(bad("target is required".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn volumes_are_binds_named_or_anonymous() {
        let read = |spec| volume(spec, Path::new("/here"));
        assert_eq!(read("/a:/b"), Ok(Volume::Bind("/a:/b".into())));
        assert_eq!(read("/a:/b:ro"), Ok(Volume::Bind("/a:/b:ro".into())));
        assert_eq!(read("./a:/b"), Ok(Volume::Bind("/here/./a:/b".into())));
        assert_eq!(read("data:/b"), Ok(Volume::Bind("data:/b".into())));
        assert_eq!(read("/cache"), Ok(Volume::Anonymous("/cache".into())));
        for spec in ["", "cache", "/a:b", ":/b", "/a:/b:ro:z"] {
            assert!(read(spec).is_err(), "{spec}");
        }
    }

    #[test]
    fn a_mount_names_its_type_and_place() {
        let found = mount("type=bind,src=/a,dst=/b,readonly").unwrap();
        assert_eq!((found.typ, found.read_only), (Some(MountType::BIND), Some(true)));
        assert!(mount("type=bind,src=/a").is_err());
        assert!(mount("type=floppy,dst=/b").is_err());
    }
}
