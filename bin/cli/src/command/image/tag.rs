//! `gantry tag`

use bollard::query_parameters::TagImageOptions;
use clap::Args;

use crate::{client::Client, command::image::pull::split_reference, error::CommandError};

/// Gives an image another name.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gantry tag busybox:latest registry.local:5000/tools/busybox:1")]
pub struct Tag {
    source_image: String,
    target_image: String,
}

impl Tag {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let (repo, tag) = split_reference(&self.target_image);
        let options =
            TagImageOptions { repo: Some(repo.to_owned()), tag: Some(tag.unwrap_or("latest").to_owned()) };
        let tagged = client.docker()?.tag_image(&self.source_image, Some(options)).await;
        tagged.map_err(|error| client.because(error))?;
        Ok(0)
    }
}
