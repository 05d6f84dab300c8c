//! `gantry network rm`

use clap::Args;

use crate::client::{Client, ClientError};
use crate::error::CommandError;

/// Removes networks.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gantry network rm web db    only those without containers")]
pub struct Rm {
    /// Do not error if the network does not exist
    #[arg(short, long)]
    force: bool,
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
}

impl Rm {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let docker = &client.docker()?;
        super::each(&self.networks, async |name| {
            match docker.remove_network(&name).await.map_err(|error| client.because(error)) {
                Ok(()) => Ok(name),
                Err(ClientError::Daemon { status: 404, .. }) if self.force => Ok(String::new()),
                Err(error) => Err(error),
            }
        })
        .await
    }
}
