//! `gantry rename`

use bollard::query_parameters::RenameContainerOptions;
use clap::Args;

use crate::{client::Client, error::CommandError};

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
        renamed.map_err(|error| client.because(error))?;
        Ok(0)
    }
}
