//! `gantry restart`

use bollard::query_parameters::RestartContainerOptions;
use clap::Args;

use crate::{client::Client, error::CommandError};

/// Stops and starts containers.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gantry restart web")]
pub struct Restart {
    /// Signal to send to the container
    #[arg(short, long)]
    signal: Option<String>,
    /// Seconds to wait before killing the container
    #[arg(short, long, alias = "time", allow_hyphen_values = true, value_name = "SECONDS")]
    timeout: Option<i32>,
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Restart {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let docker = &client.docker()?;
        let options = &RestartContainerOptions { signal: self.signal, t: self.timeout };
        super::each(&self.containers, async |name| {
            docker
                .restart_container(&name, Some(options.clone()))
                .await
                .map_err(|error| client.because(error))?;
            Ok(name)
        })
        .await
    }
}
