//! `gantry image inspect`

use clap::Args;

use crate::command::inspect::{Kind, show};
use crate::{client::Client, error::CommandError};

/// Shows all there is to know of images.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gantry image inspect -f '{{json .}}' NAME")]
pub struct Inspect {
    /// Format output using a Go template, or 'json'
    #[arg(short, long, value_name = "TEMPLATE")]
    format: Option<String>,
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

impl Inspect {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        show(client, &self.images, &[Kind::Image], self.format.as_deref()).await
    }
}
