//! What is wrong with a configuration: in which key, and who said so.

use std::path::PathBuf;

/// A configuration that the daemon refuses.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line cannot be read, or only asks for help.
    #[error(transparent)]
    Flags(clap::Error),
    /// The file is wrong, as Docker wraps it.
    #[error("unable to configure the gantry daemon with file {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: FileError,
    },
    /// A value is wrong.
    #[error(transparent)]
    Value(#[from] ValueError),
}

/// What is wrong with daemon.json as a whole.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("reading it")]
    Read(#[source] std::io::Error),
    /// It is not text.
    #[error("failed to decode configuration JSON at offset {0}")]
    Encoding(usize),
    /// It is not JSON.
    #[error("invalid JSON")]
    Syntax(#[source] serde_json::Error),
    /// It is JSON, but not an object of keys.
    #[error("invalid JSON: it must hold one object of keys and values")]
    NotAnObject,
    /// Keys nobody knows.
    #[error("the following directives don't match any configuration option: {0}")]
    UnknownKeys(String),
    /// Keys set by flag and file, with both values.
    #[error("the following directives are specified both as a flag and in the configuration file: {0}")]
    Twice(String),
    /// One of its values is wrong.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// Its values and the flags' together are wrong.
    #[error("merged configuration validation from file and command line flags failed")]
    Merged(#[source] ValueError),
}

/// Who gave a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// daemon.json.
    File,
}

/// What is wrong with one value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// It is no such value.
    #[error("invalid value for {}: {text}", named(*.origin, .key, .flag))]
    Wrong {
        /// Its key in the file.
        key: &'static str,
        /// Its flag.
        flag: &'static str,
        /// Who gave it.
        origin: Origin,
        /// What is wrong.
        text: String,
    },
    /// Docker honours it and gantry does not.
    #[error("gantry does not support {}: {text}", named(*.origin, .key, .flag))]
    Unsupported {
        /// Its key in the file.
        key: &'static str,
        /// Its flag.
        flag: &'static str,
        /// Who gave it.
        origin: Origin,
        /// Why, and what to do instead.
        text: String,
    },
    /// In words of its own, Docker's where it has them.
    #[error("{0}")]
    Told(String),
}

impl ValueError {
    /// Who gave the value, where that is known.
    pub(crate) fn origin(&self) -> Option<Origin> {
        match self {
            Self::Wrong { origin, .. } | Self::Unsupported { origin, .. } => Some(*origin),
            Self::Told(_) => None,
        }
    }
}

fn named(origin: Origin, key: &str, flag: &str) -> String {
    match origin {
        Origin::Flag => format!("the flag --{flag}"),
        Origin::File => format!("the key \"{key}\""),
    }
}
