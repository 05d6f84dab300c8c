//! `gantry network prune`

use clap::Args;

use crate::command::prune::{PruneOptions, networks};
use crate::{client::Client, error::CommandError};

/// Removes networks no container is on.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gantry network prune -f --filter until=24h")]
pub struct Prune {
    #[command(flatten)]
    options: PruneOptions,
}

impl Prune {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let warning = "WARNING! This will remove all custom networks not used by at least one container.";
        self.options.confirm(warning, "network")?;
        networks(client, &self.options.filter).await?.show("Networks");
        Ok(0)
    }
}
