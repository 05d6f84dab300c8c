//! `gantry export`

use std::path::PathBuf;

use clap::Args;
use hyper::Method;

use crate::client::{Client, encode};
use crate::{download, error::CommandError};

/// Writes all of a container's files to a tar archive.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gantry export -o web.tar web\n  gantry export web | tar t")]
pub struct Export {
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    container: String,
}

impl Export {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        download::check(self.output.as_deref())?;
        let path = format!("/containers/{}/export", encode(&self.container));
        download::save(client.stream(Method::GET, &path).await?, self.output.as_deref()).await?;
        Ok(0)
    }
}
