//! `gantry volume rm`

use bollard::query_parameters::RemoveVolumeOptions;
use clap::Args;

use crate::{client::Client, error::CommandError};

/// Removes volumes and what is in them.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gantry volume rm data cache    only those no container has")]
pub struct Rm {
    /// Force the removal of one or more volumes: a volume that is not there is no mistake
    #[arg(short, long)]
    force: bool,
    #[arg(required = true, value_name = "VOLUME")]
    volumes: Vec<String>,
}

impl Rm {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let docker = &client.docker()?;
        let options = &RemoveVolumeOptions { force: self.force };
        super::each(&self.volumes, async |name| {
            let removed = docker.remove_volume(&name, Some(options.clone())).await;
            removed.map_err(|error| client.because(error))?;
            Ok(name)
        })
        .await
    }
}
