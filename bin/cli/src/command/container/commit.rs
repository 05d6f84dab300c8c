//! `gantry commit`

use clap::{ArgAction, Args};

use crate::client::{Client, query};
use crate::command::image::pull::split_reference;
use crate::listing::text;
use crate::{error::CommandError, output};

/// Makes an image of a container as it is now.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry commit web web:patched\n  gantry commit -c 'CMD [\"httpd\", \"-f\"]' -m 'as a server' shell httpd:1"
)]
pub struct Commit {
    /// Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")
    #[arg(short, long)]
    author: Option<String>,
    /// Apply Dockerfile instruction to the created image (CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, VOLUME, WORKDIR, …)
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// Commit message
    #[arg(short, long)]
    message: Option<String>,
    /// Pause container during commit
    #[arg(short, long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pause: bool,
    container: String,
    /// The image's name; without one it has only its identifier
    #[arg(value_name = "REPOSITORY[:TAG]")]
    name: Option<String>,
}

impl Commit {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let (repository, tag) = self.name.as_deref().map(split_reference).unwrap_or_default();
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let mut pairs = vec![
            ("container", Some(self.container)),
            ("repo", given(repository)),
            ("tag", tag.map(str::to_owned)),
            ("author", self.author),
            ("comment", self.message),
        ];
        if !self.pause {
            pairs.push(("pause", Some("0".to_owned())));
        }
        pairs.extend(self.change.into_iter().map(|change| ("changes", Some(change))));
        let made = client.post(&format!("/commit?{}", query(&pairs)), None).await?;
        output::line(text(&made, "Id"));
        Ok(0)
    }
}
