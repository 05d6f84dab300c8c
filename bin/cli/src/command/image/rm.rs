//! `gantry rmi`

use bollard::query_parameters::RemoveImageOptions;
use clap::Args;

use crate::{client::Client, error::CommandError};

/// Removes images.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gantry rmi busybox:1.36")]
pub struct Rm {
    /// Force removal of the image
    #[arg(short, long)]
    force: bool,
    /// Do not delete untagged parents
    #[arg(long)]
    no_prune: bool,
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

impl Rm {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let docker = &client.docker()?;
        let options = &RemoveImageOptions { force: self.force, noprune: self.no_prune, platforms: None };
        let mut code = 0;
        // One after the other: images share layers, and the order is part of the answer.
        for image in &self.images {
            let one = [image.clone()];
            code |= super::each(&one, async |name| {
                let removed = docker.remove_image(&name, Some(options.clone()), None).await;
                let lines: Vec<String> = removed
                    .map_err(|error| client.because(error))?
                    .into_iter()
                    .flat_map(|item| {
                        let untagged = item.untagged.map(|name| format!("Untagged: {name}"));
                        untagged.into_iter().chain(item.deleted.map(|id| format!("Deleted: {id}")))
                    })
                    .collect();
                Ok(lines.join("\n"))
            })
            .await?;
        }
        Ok(code)
    }
}
