//! Names, drivers and options of volumes, checked in Docker's words (moby `volume/local`).

use contract::volume::LOCAL;
use contract::{Kind, PortError};
use std::collections::BTreeMap;

fn invalid(text: String) -> PortError {
    PortError::new(Kind::Invalid, text)
}

/// `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
pub fn name(name: &str) -> Result<(), PortError> {
    if name.len() == 1 {
        let text = "volume name is too short, names should be at least two alphanumeric characters";
        return Err(invalid(text.into()));
    }
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(fine) {
        return Ok(());
    }
    Err(invalid(format!(
        "{name:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are \
         allowed. If you intended to pass a host directory, use absolute path"
    )))
}

/// Only `local` is there.
pub fn driver(name: &str) -> Result<(), PortError> {
    match name {
        "" | LOCAL => Ok(()),
        other => {
            let text = format!("error looking up volume plugin {other}: plugin \"{other}\" not found");
            Err(PortError::new(Kind::NotFound, text))
        }
    }
}

/// `type`, `o` and `device` go together.
pub fn options(options: &BTreeMap<String, String>) -> Result<(), PortError> {
    const NEEDS: [(&str, &[&str]); 3] =
        [("device", &["type"]), ("type", &["device"]), ("o", &["device", "type"])];
    for key in options.keys() {
        if !["type", "o", "device", "size"].contains(&key.as_str()) {
            return Err(invalid(format!("invalid option: {key:?}")));
        }
    }
    let text = |key: &str| options.get(key).map_or("", String::as_str);
    if text("type") == "cifs" && has_port(text("device")) {
        return Err(invalid("port not allowed in CIFS device URL, include 'port' in 'o='".into()));
    }
    if !matches!(text("size"), "" | "0") {
        return Err(invalid("quota size requested but no quota support".into()));
    }
    for (key, needed) in NEEDS.into_iter().filter(|(key, _)| options.contains_key(*key)) {
        if let Some(missing) = needed.iter().find(|n| !options.contains_key(**n)) {
            tracing::debug!("volume option {key} lacks {missing}");
            return Err(invalid(format!("missing required option: {missing:?}")));
        }
    }
    Ok(())
}

/// Whether `//host:port/share` has a port.
fn has_port(device: &str) -> bool {
    let host = device.trim_start_matches('/').split('/').next().unwrap_or_default();
    host.rsplit_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        assert!(name("data").is_ok() && name("a.b-c_1").is_ok());
        for bad in ["", "a", "../x", "a/b", ".hidden", "a b", "ä1"] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn options_that_need_each_other_are_asked_for() {
        let check = |list: &[(&str, &str)]| {
            let map = list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            options(&map).map_or_else(|e| e.text, |()| String::new())
        };
        assert_eq!(check(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m")]), "");
        assert_eq!(check(&[("type", "tmpfs")]), "missing required option: \"device\"");
        assert_eq!(check(&[("device", "/x")]), "missing required option: \"type\"");
        assert_eq!(check(&[("o", "bind")]), "missing required option: \"device\"");
        assert_eq!(check(&[("colour", "red")]), "invalid option: \"colour\"");
        assert_eq!(check(&[("size", "1g")]), "quota size requested but no quota support");
        assert_eq!(
            check(&[("type", "cifs"), ("device", "//host:44/share")]),
            "port not allowed in CIFS device URL, include 'port' in 'o='"
        );
    }
}
