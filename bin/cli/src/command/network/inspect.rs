//! `gantry network inspect`

use clap::Args;

use crate::command::inspect::{Kind, show};
use crate::{client::Client, error::CommandError};

/// Shows all there is to know of networks.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gantry network inspect -f '{{json .}}' NAME")]
pub struct Inspect {
    /// Format output using a Go template, or 'json'
    #[arg(short, long, value_name = "TEMPLATE")]
    format: Option<String>,
    /// Verbose output for diagnostics
    #[arg(short, long)]
    verbose: bool,
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
}

impl Inspect {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        show(client, &self.networks, &[Kind::Network { verbose: self.verbose }], self.format.as_deref()).await
    }
}
