//! What is wrong with a configuration, in which key.

use std::path::PathBuf;

/// A configuration that the daemon refuses.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line cannot be read.
    #[error(transparent)]
    Flags(clap::Error),
    /// The file cannot be read.
    #[error("unable to read the configuration file {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not JSON.
    #[error("the configuration file {} is not valid JSON", path.display())]
    Syntax {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Keys nobody knows.
    #[error("the following directives don't match any configuration option: {keys}")]
    UnknownKeys {
        /// The keys.
        keys: String,
    },
    /// Keys set by flag and file.
    #[error("the following directives are specified both as a flag and in the configuration file: {keys}")]
    Twice {
        /// The keys with both values.
        keys: String,
    },
    /// A key's value is wrong.
    #[error("invalid value for {key}: {text}")]
    Value {
        /// Which key.
        key: &'static str,
        /// What is wrong.
        text: String,
    },
    /// Known to Docker, not to gantry.
    #[error("gantry does not support {key}={value} yet")]
    Unsupported {
        /// Which key.
        key: &'static str,
        /// Its value.
        value: String,
    },
}
