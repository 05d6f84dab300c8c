//! `gantry volume inspect`

use clap::Args;

use crate::command::inspect::{Kind, show};
use crate::{client::Client, error::CommandError};

/// Shows all there is to know of volumes.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gantry volume inspect -f '{{json .}}' NAME")]
pub struct Inspect {
    /// Format output using a Go template, or 'json'
    #[arg(short, long, value_name = "TEMPLATE")]
    format: Option<String>,
    #[arg(required = true, value_name = "VOLUME")]
    volumes: Vec<String>,
}

impl Inspect {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        show(client, &self.volumes, &[Kind::Volume], self.format.as_deref()).await
    }
}
