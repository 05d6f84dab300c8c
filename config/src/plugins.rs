//! Where plugins for logs are found.

use crate::error::ValueError;
use crate::key::{Key, Kind, Section};
use crate::source::Source;
use std::path::PathBuf;

pub(crate) const SECTION: Section = Section {
    heading: "Plugins",
    keys: &[
        Key::new(
            "log-plugin-dirs",
            Kind::List,
            "FOLDER",
            "Where log plugins' sockets, .spec and .json files lie [default: Docker's]",
        )
        .flag("log-plugin-dir"),
        Key::new(
            "log-plugin-fifos",
            Kind::Text,
            "FOLDER",
            "Where fifos are made that log plugins read [default: /run/docker/logging]",
        ),
    ],
};

/// Docker's folders.
const FOLDERS: [&str; 3] = ["/run/docker/plugins", "/etc/docker/plugins", "/usr/lib/docker/plugins"];

/// Plugins for logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugins {
    /// Where they are found.
    pub folders: Vec<PathBuf>,
    /// Where their fifos are made.
    pub fifos: PathBuf,
}

impl Plugins {
    pub(crate) fn read(source: &Source) -> Result<Self, ValueError> {
        let given: Vec<PathBuf> = source.list("log-plugin-dirs")?.into_iter().map(PathBuf::from).collect();
        let fifos = source.some_text("log-plugin-fifos")?.unwrap_or_else(|| "/run/docker/logging".into());
        let fifos = PathBuf::from(fifos);
        if let Some(path) = given.iter().find(|path| !path.is_absolute()) {
            return Err(source.wrong("log-plugin-dirs", format!("{:?} is not absolute", path.display())));
        }
        if !fifos.is_absolute() {
            return Err(source.wrong("log-plugin-fifos", format!("{:?} is not absolute", fifos.display())));
        }
        let folders = if given.is_empty() { FOLDERS.map(PathBuf::from).to_vec() } else { given };
        Ok(Self { folders, fifos })
    }
}
