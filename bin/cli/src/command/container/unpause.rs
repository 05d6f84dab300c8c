//! `gantry unpause`

use clap::Args;

use crate::{client::Client, error::CommandError};

/// Lets frozen containers go on.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gantry unpause $(gantry ps -q -f status=paused)")]
pub struct Unpause {
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Unpause {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let docker = &client.docker()?;
        super::each(&self.containers, async |name| {
            docker.unpause_container(&name).await.map_err(|error| client.because(error))?;
            Ok(name)
        })
        .await
    }
}
