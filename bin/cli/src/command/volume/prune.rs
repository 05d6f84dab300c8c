//! `gantry volume prune`

use clap::Args;

use crate::command::prune::{PruneOptions, Pruned, volumes};
use crate::{client::Client, error::CommandError};

/// Removes volumes no container has.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry volume prune       anonymous ones\n  gantry volume prune -a    named ones too: their data is gone for good"
)]
pub struct Prune {
    /// Remove all unused volumes, not just anonymous ones
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    options: PruneOptions,
}

impl Prune {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let named = self.options.filter.iter().any(|(name, _)| name == "all");
        let warning = match self.all || named {
            true => "WARNING! This will remove all local volumes not used by at least one container.",
            false => "WARNING! This will remove anonymous local volumes not used by at least one container.",
        };
        self.options.confirm(warning, "volume")?;
        let pruned = volumes(client, &self.options.filter, self.all).await?;
        pruned.show("Volumes");
        Pruned::show_total(pruned.reclaimed);
        Ok(0)
    }
}
