//! `gantry save`

use std::path::PathBuf;

use clap::Args;
use hyper::Method;

use crate::client::{Client, query};
use crate::{download, error::CommandError};

/// Writes images to an archive.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry save -o busybox.tar busybox\n  gantry save app:1 app:2 | gzip > app.tar.gz"
)]
pub struct Save {
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

impl Save {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        download::check(self.output.as_deref())?;
        let names: Vec<_> = self.images.into_iter().map(|name| ("names", Some(name))).collect();
        let body = client.stream(Method::GET, &format!("/images/get?{}", query(&names))).await?;
        download::save(body, self.output.as_deref()).await?;
        Ok(0)
    }
}
