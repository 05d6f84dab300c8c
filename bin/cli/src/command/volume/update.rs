//! `gantry volume update`

use clap::Args;

use crate::{client::Client, error::CommandError};

/// Refused: only volumes of a swarm can be changed.
#[derive(Debug, Args)]
pub struct Update {
    /// Cluster Volume availability ("active", "pause", "drain")
    #[arg(long, value_name = "AVAILABILITY")]
    availability: Option<String>,
    volume: String,
}

impl Update {
    /// Runs the command.
    pub async fn execute(self, _: &Client) -> Result<u8, CommandError> {
        let asked = self.availability.map(|to| format!(" --availability {to}")).unwrap_or_default();
        Err(CommandError::Refused(format!(
            "volume update{asked} {}: only cluster volumes can be updated, and this node is not a swarm manager",
            self.volume
        )))
    }
}
