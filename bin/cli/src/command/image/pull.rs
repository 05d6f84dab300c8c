//! `gantry pull`

use std::collections::HashMap;
use std::io::Write;

use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptions;
use clap::Args;
use futures::StreamExt;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::client::{Client, ClientError};
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
fn full_name(repository: &str, tag: &str) -> String {
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

/// Where progress goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Nowhere.
    Nothing,
    /// `pull`.
    Stdout,
    /// `run`, whose standard output belongs to the container.
    Stderr,
}

/// A layer's line, with or without a bar.
fn style(bar: bool) -> ProgressStyle {
    let template = match bar {
        true => "{prefix}: {msg} [{bar:40}] {bytes}/{total_bytes}",
        false => "{prefix}: {msg}",
    };
    ProgressStyle::with_template(template)
        .map_or_else(|_| ProgressStyle::default_bar(), |style| style.progress_chars("=> "))
}

/// Shows what the daemon tells of a download: bars on a terminal, lines elsewhere.
struct Progress {
    show: Show,
    bars: Option<MultiProgress>,
    by_layer: HashMap<String, ProgressBar>,
}

impl Progress {
    fn new(show: Show) -> Self {
        use std::io::IsTerminal;
        let bars = match show {
            Show::Stdout if std::io::stdout().is_terminal() => Some(ProgressDrawTarget::stdout()),
            Show::Stderr if std::io::stderr().is_terminal() => Some(ProgressDrawTarget::stderr()),
            _ => None,
        };
        Self { show, bars: bars.map(MultiProgress::with_draw_target), by_layer: HashMap::new() }
    }

    fn line(&self, text: &str) {
        match (&self.bars, self.show) {
            (_, Show::Nothing) => {}
            (Some(bars), _) => {
                let _ = bars.println(text);
            }
            (None, Show::Stdout) => output::line(text),
            (None, Show::Stderr) => {
                let _ = writeln!(std::io::stderr(), "{text}");
            }
        }
    }

    fn update(&mut self, info: CreateImageInfo) {
        let status = info.status.unwrap_or_default();
        let Some(layer) = info.id.filter(|id| !id.is_empty()) else { return self.line(&status) };
        let detail = info.progress_detail.unwrap_or_default();
        let total = detail.total.and_then(|total| u64::try_from(total).ok()).filter(|total| *total > 0);
        let current = detail.current.and_then(|current| u64::try_from(current).ok());
        let Some(bars) = &self.bars else {
            // Without a terminal only the steps are told, not how far each has come.
            return if current.unwrap_or(0) == 0 && total.is_none() {
                self.line(&format!("{layer}: {status}"))
            };
        };
        if status.starts_with("Pulling from") {
            return self.line(&format!("{layer}: {status}"));
        }
        let bar = self.by_layer.entry(layer.clone()).or_insert_with(|| {
            let bar = ProgressBar::no_length().with_prefix(layer).with_message(status.clone());
            bars.add(bar.with_style(style(false)))
        });
        if let Some(total) = total {
            bar.set_length(total);
            bar.set_position(current.unwrap_or(0));
        }
        bar.set_style(style(total.is_some()));
        bar.set_message(status.clone());
        if matches!(status.as_str(), "Pull complete" | "Already exists") {
            bar.abandon();
        } else {
            bar.tick();
        }
    }

    fn end(&self) {
        self.by_layer.values().filter(|bar| !bar.is_finished()).for_each(ProgressBar::abandon);
        // Bars leave the cursor behind the last of them.
        match self.show {
            _ if self.by_layer.is_empty() => {}
            Show::Stdout => output::line(""),
            _ => output::error_line(""),
        }
    }
}

/// Downloads `image` and shows how it goes.
pub async fn pull(
    client: &Client,
    image: &str,
    platform: Option<&str>,
    show: Show,
) -> Result<(), ClientError> {
    let (repository, tag) = split_reference(image);
    let options = CreateImageOptions {
        from_image: Some(repository.to_owned()),
        tag: Some(tag.unwrap_or("latest").to_owned()),
        platform: platform.unwrap_or_default().to_owned(),
        ..Default::default()
    };
    let docker = client.docker()?;
    let mut answers = docker.create_image(Some(options), None, None);
    let mut progress = Progress::new(show);
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(info) => progress.update(info),
            Err(error) => {
                progress.end();
                return Err(client.because(error));
            }
        }
    }
    progress.end();
    Ok(())
}

impl Pull {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        if self.all_tags {
            return Err(CommandError::Refused(
                "--all-tags is not supported: name the tags you want".to_owned(),
            ));
        }
        let (repository, tag) = split_reference(&self.image);
        if tag.is_none() && !self.quiet {
            output::line("Using default tag: latest");
        }
        let show = if self.quiet { Show::Nothing } else { Show::Stdout };
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
