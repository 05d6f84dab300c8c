//! `gantry stop`

use bollard::query_parameters::StopContainerOptions;
use clap::Args;

use crate::{client::Client, error::CommandError};

/// Asks containers to end, then makes them.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  gantry stop -t 30 web db    give them half a minute before they are killed"
)]
pub struct Stop {
    /// Signal to send to the container
    #[arg(short, long)]
    signal: Option<String>,
    /// Seconds to wait before killing the container (-1: wait for ever)
    #[arg(short, long, alias = "time", allow_hyphen_values = true, value_name = "SECONDS")]
    timeout: Option<i32>,
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Stop {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let docker = &client.docker()?;
        let options = &StopContainerOptions { signal: self.signal, t: self.timeout };
        super::each(&self.containers, async |name| {
            docker
                .stop_container(&name, Some(options.clone()))
                .await
                .map_err(|error| client.because(error))?;
            Ok(name)
        })
        .await
    }
}
