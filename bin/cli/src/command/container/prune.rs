//! `gantry container prune`

use clap::Args;

use crate::command::prune::{PruneOptions, Pruned, containers};
use crate::{client::Client, error::CommandError};

/// Removes all stopped containers.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  gantry container prune -f --filter until=24h    those made over a day ago"
)]
pub struct Prune {
    #[command(flatten)]
    options: PruneOptions,
}

impl Prune {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        self.options.confirm("WARNING! This will remove all stopped containers.", "container")?;
        let pruned = containers(client, &self.options.filter).await?;
        pruned.show("Containers");
        Pruned::show_total(pruned.reclaimed);
        Ok(0)
    }
}
