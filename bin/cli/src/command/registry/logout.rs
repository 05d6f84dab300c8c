//! `gantry logout`

use clap::Args;

use super::server;
use crate::{client::Client, error::CommandError, output};

/// Forgets the credentials for a registry.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gantry logout\n  gantry logout registry.local:5000")]
pub struct Logout {
    /// The registry; without one Docker Hub
    server: Option<String>,
}

impl Logout {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let server = server(self.server.as_deref());
        output::line(format!("Removing login credentials for {server}"));
        client.configuration().forget(&server)?;
        Ok(0)
    }
}
