//! `gantry rm`

use bollard::query_parameters::RemoveContainerOptions;
use clap::Args;

use crate::client::{Client, ClientError};
use crate::error::CommandError;

/// Removes containers.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry rm web\n  gantry rm -f $(gantry ps -aq)    remove every container, running or not"
)]
pub struct Rm {
    /// Force the removal of a running container (uses SIGKILL)
    #[arg(short, long)]
    force: bool,
    /// Remove anonymous volumes associated with the container
    #[arg(short, long)]
    volumes: bool,
    /// Remove the specified link
    #[arg(short, long)]
    link: bool,
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Rm {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let docker = &client.docker()?;
        let options = &RemoveContainerOptions { v: self.volumes, force: self.force, link: self.link };
        super::each(&self.containers, async |name| {
            let bare = name.trim_start_matches('/');
            match docker
                .remove_container(bare, Some(options.clone()))
                .await
                .map_err(|error| client.because(error))
            {
                Ok(()) => Ok(name),
                // With -f the wish is already granted, as in Docker.
                Err(ClientError::Daemon { status: 404, message }) if options.force => {
                    crate::output::error_line(format!("Error response from daemon: {message}"));
                    Ok(String::new())
                }
                Err(error) => Err(error),
            }
        })
        .await
    }
}
