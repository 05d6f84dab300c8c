//! `gantry pause`

use clap::Args;

use crate::{client::Client, error::CommandError};

/// Freezes every process of containers.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gantry pause web && cp -a data copy && gantry unpause web")]
pub struct Pause {
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Pause {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let docker = &client.docker()?;
        super::each(&self.containers, async |name| {
            docker.pause_container(&name).await.map_err(|error| client.because(error))?;
            Ok(name)
        })
        .await
    }
}
