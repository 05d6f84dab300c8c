//! `gantry kill`

use bollard::query_parameters::KillContainerOptions;
use clap::Args;

use crate::{client::Client, error::CommandError};

/// Sends a signal.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry kill web\n  gantry kill -s HUP web    make it read its configuration again"
)]
pub struct Kill {
    /// Signal to send to the container
    #[arg(short, long, default_value = "KILL")]
    signal: String,
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Kill {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let docker = &client.docker()?;
        let options = &KillContainerOptions { signal: self.signal };
        super::each(&self.containers, async |name| {
            docker
                .kill_container(&name, Some(options.clone()))
                .await
                .map_err(|error| client.because(error))?;
            Ok(name)
        })
        .await
    }
}
