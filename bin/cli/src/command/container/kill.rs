//! `gantry kill`

use clap::Args;

use crate::client::{Client, encode, query};
use crate::error::CommandError;

/// Sends a signal.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry kill web\n  gantry kill -s HUP web    make it read its configuration again"
)]
pub struct Kill {
    /// Signal to send to the container [default: KILL]
    #[arg(short, long)]
    signal: Option<String>,
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Kill {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let query = &query(&[("signal", self.signal)]);
        super::each(&self.containers, async |name| {
            client.post(&format!("/containers/{}/kill?{query}", encode(&name)), None).await?;
            Ok(name)
        })
        .await
    }
}
