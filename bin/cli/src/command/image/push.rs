//! `gantry push`

use clap::Args;
use serde_json::json;

use super::progress::{Show, follow};
use super::pull::{full_name, split_reference};
use crate::client::{Client, encode, query};
use crate::{error::CommandError, output};

/// Uploads an image.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry push registry.local:5000/tools/busybox:1.36\n  gantry push -a registry.local:5000/web"
)]
pub struct Push {
    /// Push all tags of an image to the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Suppress verbose output
    #[arg(short, long)]
    quiet: bool,
    /// Push a platform-specific manifest as a single-platform image to the registry
    #[arg(long, value_name = "OS[/ARCH[/VARIANT]]")]
    platform: Option<String>,
    /// NAME[:TAG]
    name: String,
}

/// A platform as the API has it.
fn platform(text: &str) -> Result<String, CommandError> {
    let parts: Vec<&str> = text.split('/').collect();
    let platform = match parts.as_slice() {
        [os, architecture] => json!({ "architecture": architecture, "os": os }),
        [os, architecture, variant] => json!({ "architecture": architecture, "os": os, "variant": variant }),
        _ => return Err(CommandError::Refused(format!("invalid platform: {text:?}: name os/architecture"))),
    };
    Ok(platform.to_string())
}

impl Push {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let (repository, tag) = split_reference(&self.name);
        if self.name.contains('@') {
            return Err(CommandError::Refused("cannot push a digest reference".to_owned()));
        }
        let tag = match (self.all_tags, tag) {
            (true, Some(_)) => {
                return Err(CommandError::Refused("tag can't be used with --all-tags/-a".to_owned()));
            }
            (true, None) => None,
            (false, Some(tag)) => Some(tag),
            (false, None) => {
                if !self.quiet {
                    output::line("Using default tag: latest");
                }
                Some("latest")
            }
        };
        let pairs = [
            ("platform", self.platform.as_deref().map(platform).transpose()?),
            ("tag", tag.map(str::to_owned)),
        ];
        let name = full_name(repository, "");
        let path = format!("/images/{}/push?{}", encode(name.trim_end_matches(':')), query(&pairs));
        let show = if self.quiet { Show::Nothing } else { Show::Stdout };
        follow(client, path.trim_end_matches('?'), repository, show).await?;
        if self.quiet {
            output::line(full_name(repository, tag.unwrap_or_default()).trim_end_matches(':'));
        }
        Ok(0)
    }
}
