//! `gantry image prune`

use clap::Args;

use crate::command::prune::{PruneOptions, Pruned, images};
use crate::{client::Client, error::CommandError};

/// Removes images nobody needs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gantry image prune\n  gantry image prune -a --filter until=240h")]
pub struct Prune {
    /// Remove all unused images, not just dangling ones
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    options: PruneOptions,
}

impl Prune {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let warning = match self.all {
            true => "WARNING! This will remove all images without at least one container associated to them.",
            false => "WARNING! This will remove all dangling images.",
        };
        self.options.confirm(warning, "image")?;
        let pruned = images(client, &self.options.filter, self.all).await?;
        pruned.show("Images");
        Pruned::show_total(pruned.reclaimed);
        Ok(0)
    }
}
