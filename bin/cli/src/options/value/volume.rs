//! `-v`.

use super::super::OptionError;

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
    let bad = |why: &str| OptionError::Value(format!("invalid spec: {spec}: {why}"));
    if spec.is_empty() {
        return Err(OptionError::Value("invalid empty volume spec".to_owned()));
    }
    let parts: Vec<&str> = spec.split(':').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(bad("empty section between colons"));
    }
    match *parts {
        [target] => Ok(Volume::Anonymous(target.to_owned())),
        [source, ..] if parts.len() <= 3 => {
            // The path goes over as it is written; only its first part says relative to what.
            let source = match source.starts_with('.') {
                true => clean(&here.join(source)),
                false => source.to_owned(),
            };
            let rest = parts.get(1..).unwrap_or_default().join(":");
            Ok(Volume::Bind(format!("{source}:{rest}")))
        }
        _ => Err(bad("too many colons")),
    }
}

/// `path` without `.` and `..`, as text alone tells.
pub fn clean(path: &std::path::Path) -> String {
    use std::path::Component;
    let mut out = std::path::PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::Normal(name) => out.push(name),
            _ => {}
        }
    }
    out.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn volumes_are_binds_named_or_anonymous() {
        let read = |spec| volume(spec, Path::new("/here/now"));
        assert_eq!(read("/a:/b"), Ok(Volume::Bind("/a:/b".into())));
        assert_eq!(read("/a:/b:ro"), Ok(Volume::Bind("/a:/b:ro".into())));
        assert_eq!(read("./a:/b"), Ok(Volume::Bind("/here/now/a:/b".into())));
        assert_eq!(read("..:/b:ro"), Ok(Volume::Bind("/here:/b:ro".into())));
        assert_eq!(read("data:/b"), Ok(Volume::Bind("data:/b".into())));
        assert_eq!(read("/cache"), Ok(Volume::Anonymous("/cache".into())));
        for spec in ["", ":/b", "/a::ro", "/a:/b:ro:z"] {
            assert!(read(spec).is_err(), "{spec}");
        }
    }
}
