//! `gantry import`

use bollard::body_try_stream;
use bollard::query_parameters::CreateImageOptions;
use clap::Args;
use futures::StreamExt;

use super::load::{open, pieces};
use super::pull::split_reference;
use crate::{client::Client, error::CommandError, output};

/// Makes an image of a file system.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry import rootfs.tar tools:1\n  tar c -C rootfs . | gantry import -c 'CMD [\"sh\"]' - tools:1"
)]
pub struct Import {
    /// Apply Dockerfile instruction to the created image
    #[arg(short, long)]
    change: Vec<String>,
    /// Set commit message for imported image
    #[arg(short, long)]
    message: Option<String>,
    /// Set platform if server is multi-platform capable
    #[arg(long)]
    platform: Option<String>,
    /// A tar archive, or - for STDIN
    file: String,
    /// REPOSITORY[:TAG]
    name: Option<String>,
}

impl Import {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let (repo, tag) = self.name.as_deref().map(split_reference).unwrap_or_default();
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: (!repo.is_empty()).then(|| repo.to_owned()),
            tag: tag.map(str::to_owned),
            message: self.message,
            changes: self.change,
            platform: self.platform.unwrap_or_default(),
            ..Default::default()
        };
        let body = body_try_stream(pieces(open(Some(&self.file)).await?));
        let docker = client.docker()?;
        let mut answers = docker.create_image(Some(options), Some(body), None);
        while let Some(answer) = answers.next().await {
            if let Some(status) = answer.map_err(|error| client.because(error))?.status {
                output::line(status);
            }
        }
        Ok(0)
    }
}
