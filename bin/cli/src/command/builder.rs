//! `gantry builder …`

use clap::Args;

use super::image::build;
use crate::client::{Client, query};
use crate::listing::{self, list, number};
use crate::{error::CommandError, output, units};
use serde_json::Value;

group! {
    /// Commands for builds.
    Builder of BuilderCommand
}

commands! {
    /// Every command for builds.
    BuilderCommand {
        /// Build an image from a Dockerfile
        Build(Box<build::Build>),
        /// Remove build cache
        Prune(Prune),
    }
}

/// Removes what builds keep to be quicker the next time.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gantry builder prune\n  gantry builder prune -a -f --filter until=24h")]
pub struct Prune {
    /// Remove all unused build cache, not just dangling ones
    #[arg(short, long)]
    all: bool,
    /// Provide filter values (e.g. "until=24h")
    #[arg(long, value_name = "NAME=VALUE", value_parser = listing::filter)]
    filter: Vec<(String, String)>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
    /// Amount of disk space to keep for cache
    #[arg(long, value_name = "BYTES", value_parser = crate::options::value::bytes)]
    keep_storage: Option<i64>,
}

impl Prune {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let warning = match self.all {
            true => "WARNING! This will remove all build cache. Are you sure you want to continue?",
            false => "WARNING! This will remove all dangling build cache. Are you sure you want to continue?",
        };
        if !self.force && !output::confirmed(warning) {
            return Err(CommandError::Refused("builder prune has been cancelled".to_owned()));
        }
        let pairs = [
            ("all", self.all.then(|| "1".to_owned())),
            ("filters", Some(listing::filter_query(&self.filter).unwrap_or_else(|| "{}".to_owned()))),
            ("keep-storage", self.keep_storage.map(|bytes| bytes.to_string())),
        ];
        let answer = client.post(&format!("/build/prune?{}", query(&pairs)), None).await?;
        let gone: Vec<&str> = list(&answer, "CachesDeleted").filter_map(Value::as_str).collect();
        if !gone.is_empty() {
            output::line("Deleted build cache objects:");
            gone.iter().for_each(output::line);
            output::line("");
        }
        let total = units::human_size(number(&answer, "SpaceReclaimed"));
        output::line(format!("Total reclaimed space: {total}"));
        Ok(0)
    }
}
