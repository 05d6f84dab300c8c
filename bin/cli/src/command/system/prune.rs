//! `gantry system prune`

use clap::Args;

use crate::command::prune::{PruneOptions, Pruned, containers, images, networks, volumes};
use crate::{client::Client, error::CommandError};

/// Removes everything nobody uses.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry system prune\n  gantry system prune -a --volumes -f    all but what runs, and named volumes"
)]
pub struct Prune {
    /// Remove all unused images not just dangling ones
    #[arg(short, long)]
    all: bool,
    /// Prune anonymous volumes
    #[arg(long)]
    volumes: bool,
    #[command(flatten)]
    options: PruneOptions,
}

impl Prune {
    fn warning(&self) -> String {
        let mut lines = vec!["all stopped containers", "all networks not used by at least one container"];
        if self.volumes {
            lines.push("all anonymous volumes not used by at least one container");
        }
        lines.push(match self.all {
            true => "all images without at least one container associated to them",
            false => "all dangling images",
        });
        let mut text = "WARNING! This will remove:".to_owned();
        lines.iter().for_each(|line| text.push_str(&format!("\n  - {line}")));
        text.push('\n');
        let named = |name: &str| matches!(name, "label" | "label!" | "until");
        let mut filters: Vec<String> = self
            .options
            .filter
            .iter()
            .filter(|(name, _)| named(name))
            .map(|(name, value)| format!("\n  - {name}={value}"))
            .collect();
        filters.sort();
        if !filters.is_empty() {
            text.push_str(&format!("\n  Items to be pruned will be filtered with:{}\n", filters.concat()));
        }
        text
    }

    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let filters = &self.options.filter;
        if self.volumes && filters.iter().any(|(name, _)| name == "until") {
            let text = "ERROR: The \"until\" filter is not supported with \"--volumes\"";
            return Err(CommandError::Refused(text.to_owned()));
        }
        self.options.confirm(&self.warning(), "system")?;
        let mut reclaimed = 0;
        // One after the other: an image is free once its containers are gone.
        for what in ["Containers", "Networks", "Volumes", "Images"] {
            let pruned = match what {
                "Containers" => containers(client, filters).await?,
                "Networks" => networks(client, filters).await?,
                "Volumes" if !self.volumes => continue,
                "Volumes" => volumes(client, filters, false).await?,
                _ => images(client, filters, self.all).await?,
            };
            pruned.show(what);
            reclaimed += pruned.reclaimed;
        }
        Pruned::show_total(reclaimed);
        Ok(0)
    }
}
