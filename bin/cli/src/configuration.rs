//! The client's own configuration: `config.json` in `~/.docker`, as Docker's client reads it.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use std::collections::BTreeMap;

use crate::credentials::Credentials;

/// What this client uses of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Configuration {
    /// Keys that detach from a container.
    pub detach_keys: Option<String>,
    /// `--format` of `ps`.
    pub ps_format: Option<String>,
    /// `--format` of `images`.
    pub images_format: Option<String>,
    /// `--format` of `network ls`.
    pub networks_format: Option<String>,
    /// `--format` of `volume ls`.
    pub volumes_format: Option<String>,
    /// `--format` of `stats`.
    pub stats_format: Option<String>,
    /// Credentials by registry.
    pub auths: BTreeMap<String, Credentials>,
    /// The program that keeps credentials in place of the file.
    pub creds_store: Option<String>,
    /// Such programs for single registries.
    pub cred_helpers: BTreeMap<String, String>,
    /// Where the file is.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// The folder: the flag's, `$DOCKER_CONFIG`, or `~/.docker`.
pub fn folder(flag: Option<&Path>, environment: impl Fn(&str) -> Option<String>) -> PathBuf {
    let given = flag.map(Path::to_owned).or_else(|| environment("DOCKER_CONFIG").map(PathBuf::from));
    given.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| {
        PathBuf::from(environment("HOME").unwrap_or_else(|| "/".to_owned())).join(".docker")
    })
}

impl Configuration {
    /// Reads `config.json` in `folder`. A missing file is an empty one; the text tells why a broken one was left aside.
    pub fn read(folder: &Path) -> (Self, Option<String>) {
        let path = folder.join("config.json");
        let empty = Self { folder: folder.to_owned(), ..Self::default() };
        let Ok(text) = std::fs::read_to_string(&path) else { return (empty, None) };
        match serde_json::from_str::<Self>(&text) {
            Ok(found) => (Self { folder: folder.to_owned(), ..found }, None),
            Err(error) => {
                (empty, Some(format!("WARNING: Error loading config file: {}: {error}", path.display())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_the_flags_the_variables_or_the_homes() {
        let environment = |name: &str| match name {
            "DOCKER_CONFIG" => Some("/variable".to_owned()),
            "HOME" => Some("/home/me".to_owned()),
            _ => None,
        };
        assert_eq!(folder(Some(Path::new("/flag")), environment), Path::new("/flag"));
        assert_eq!(folder(None, environment), Path::new("/variable"));
        let home = |name: &str| environment(name).filter(|_| name == "HOME");
        assert_eq!(folder(None, home), Path::new("/home/me/.docker"));
    }

    #[test]
    fn a_broken_file_is_told_and_left_aside() {
        let folder = std::env::temp_dir().join(format!("gantry-config-{}", std::process::id()));
        let empty = Configuration { folder: folder.clone(), ..Default::default() };
        assert_eq!(Configuration::read(&folder), (empty, None));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.json"), r#"{"psFormat": "{{.ID}}", "auths": {}}"#).unwrap();
        assert_eq!(Configuration::read(&folder).0.ps_format.as_deref(), Some("{{.ID}}"));
        std::fs::write(folder.join("config.json"), "{").unwrap();
        assert!(Configuration::read(&folder).1.unwrap().starts_with("WARNING: Error loading config file: "));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
