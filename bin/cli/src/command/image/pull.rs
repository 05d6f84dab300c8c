//! `gantry pull`

use clap::Args;

pub use super::progress::Show;
use super::progress::follow;
use crate::client::{Client, query};
use crate::{error::CommandError, output};

/// Downloads an image.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry pull busybox\n  gantry pull registry.local:5000/tools/busybox:1.36"
)]
pub struct Pull {
    /// Suppress verbose output
    #[arg(short, long)]
    quiet: bool,
    /// Download all tagged images in the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Set platform if server is multi-platform capable
    #[arg(long)]
    platform: Option<String>,
    /// NAME[:TAG|@DIGEST]
    image: String,
}

/// Repository and tag or digest of a reference.
pub fn split_reference(text: &str) -> (&str, Option<&str>) {
    if let Some((repository, digest)) = text.split_once('@') {
        return (repository, Some(digest));
    }
    match text.rsplit_once(':') {
        // A colon before the last slash belongs to a registry's port.
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (text, None),
    }
}

/// The reference with its registry spelled out, as shown when a pull is done.
pub fn full_name(repository: &str, tag: &str) -> String {
    let separator = if tag.contains(':') { '@' } else { ':' };
    let first = repository.split('/').next().unwrap_or_default();
    let has_registry =
        repository.contains('/') && (first.contains('.') || first.contains(':') || first == "localhost");
    let prefix = match () {
        () if has_registry => "",
        () if repository.contains('/') => "docker.io/",
        () => "docker.io/library/",
    };
    format!("{prefix}{repository}{separator}{tag}")
}

/// Downloads `image` and shows how it goes.
pub async fn pull(
    client: &Client,
    image: &str,
    platform: Option<&str>,
    show: Show,
) -> Result<(), CommandError> {
    let (repository, tag) = split_reference(image);
    download(client, repository, Some(tag.unwrap_or("latest")), platform, show).await
}

/// Without a tag all of them.
async fn download(
    client: &Client,
    repository: &str,
    tag: Option<&str>,
    platform: Option<&str>,
    show: Show,
) -> Result<(), CommandError> {
    let name = full_name(repository, "");
    let pairs = [
        ("fromImage", Some(name.trim_end_matches(':').to_owned())),
        ("platform", platform.map(str::to_owned)),
        ("tag", tag.map(str::to_owned)),
    ];
    follow(client, &format!("/images/create?{}", query(&pairs)), repository, show).await
}

impl Pull {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let (repository, tag) = split_reference(&self.image);
        let show = if self.quiet { Show::Nothing } else { Show::Stdout };
        if self.all_tags {
            if tag.is_some() {
                return Err(CommandError::Refused("tag can't be used with --all-tags/-a".to_owned()));
            }
            download(client, repository, None, self.platform.as_deref(), show).await?;
            let name = full_name(repository, "");
            output::line(name.trim_end_matches(':'));
            return Ok(0);
        }
        if tag.is_none() && !self.quiet {
            output::line("Using default tag: latest");
        }
        pull(client, &self.image, self.platform.as_deref(), show).await?;
        output::line(full_name(repository, tag.unwrap_or("latest")));
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_port_is_not_a_tag() {
        assert_eq!(split_reference("busybox"), ("busybox", None));
        assert_eq!(split_reference("busybox:1"), ("busybox", Some("1")));
        assert_eq!(split_reference("localhost:5000/a/b"), ("localhost:5000/a/b", None));
        assert_eq!(split_reference("localhost:5000/a/b:2"), ("localhost:5000/a/b", Some("2")));
        assert_eq!(split_reference("a@sha256:00"), ("a", Some("sha256:00")));
    }

    #[test]
    fn names_are_completed_the_way_docker_shows_them() {
        assert_eq!(full_name("busybox", "latest"), "docker.io/library/busybox:latest");
        assert_eq!(full_name("me/app", "1"), "docker.io/me/app:1");
        assert_eq!(full_name("localhost:5000/app", "1"), "localhost:5000/app:1");
        assert_eq!(full_name("busybox", "sha256:0"), "docker.io/library/busybox@sha256:0");
    }
}
