//! `gantry container inspect`

use clap::Args;

use crate::command::inspect::{Kind, show};
use crate::{client::Client, error::CommandError};

/// Shows all there is to know of containers.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gantry container inspect -f '{{json .}}' NAME")]
pub struct Inspect {
    /// Format output using a Go template, or 'json'
    #[arg(short, long, value_name = "TEMPLATE")]
    format: Option<String>,
    /// Display total file sizes
    #[arg(short, long)]
    size: bool,
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Inspect {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        show(client, &self.containers, &[Kind::Container { size: self.size }], self.format.as_deref()).await
    }
}
