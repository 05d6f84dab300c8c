//! `gantry diff`

use clap::Args;

use crate::client::{Client, encode};
use crate::listing::{number, text};
use crate::{error::CommandError, output};

/// Shows what became of a container's files.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gantry diff web    A: added, C: changed, D: deleted")]
pub struct Diff {
    container: String,
}

impl Diff {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        if self.container.is_empty() {
            return Err(CommandError::Refused("Container name cannot be empty".to_owned()));
        }
        let changes = client.get(&format!("/containers/{}/changes", encode(&self.container))).await?;
        for change in changes.as_array().into_iter().flatten() {
            let kind = match number(change, "Kind") {
                0 => 'C',
                1 => 'A',
                _ => 'D',
            };
            output::line(format!("{kind} {}", text(change, "Path")));
        }
        Ok(0)
    }
}
