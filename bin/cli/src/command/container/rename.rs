//! `gantry rename`

use bollard::query_parameters::RenameContainerOptions;
use clap::Args;

use crate::client::{Client, ClientError};
use crate::error::CommandError;

/// Gives a container another name.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gantry rename web web-old")]
pub struct Rename {
    container: String,
    new_name: String,
}

impl Rename {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let options = RenameContainerOptions { name: self.new_name };
        let renamed = client.docker()?.rename_container(&self.container, options).await;
        let Err(error) = renamed else { return Ok(0) };
        match client.because(error) {
            refusal @ ClientError::Daemon { .. } => Err(CommandError::Refused(format!(
                "{refusal}\nError: failed to rename container named {}",
                self.container
            ))),
            other => Err(other.into()),
        }
    }
}
