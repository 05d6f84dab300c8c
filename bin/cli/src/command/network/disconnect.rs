//! `gantry network disconnect`

use bollard::models::NetworkDisconnectRequest;
use clap::Args;

use crate::{client::Client, error::CommandError};

/// Takes a network from a container, while it runs too.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gantry network disconnect web database")]
pub struct Disconnect {
    /// Force the container to disconnect from a network
    #[arg(short, long)]
    force: bool,
    network: String,
    container: String,
}

impl Disconnect {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let request = NetworkDisconnectRequest { container: self.container, force: Some(self.force) };
        let done = client.docker()?.disconnect_network(&self.network, request).await;
        done.map_err(|error| client.because(error))?;
        Ok(0)
    }
}
