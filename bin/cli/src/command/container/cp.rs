//! `gantry cp`

mod download;
mod path;
mod pipe;
mod upload;

use clap::Args;

use crate::client::Client;
use crate::error::CommandError;
use crate::{output, terminal, units};

const EXAMPLES: &str = "\
Examples:
  gantry cp web:/etc/nginx/nginx.conf .        a file out
  gantry cp site/. web:/srv/www                what is in site, not site itself
  gantry cp -a web:/var/log - | tar x          as a tar archive
  tar c . | gantry cp - web:/work

A path with a colon in it begins with / or ./ to be told from a container.";

/// Copies files and folders out of a container or into one, running or not.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Cp {
    /// Archive mode (copy all uid/gid information)
    #[arg(short, long)]
    archive: bool,
    /// Always follow symbol link in SRC_PATH
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached
    #[arg(short, long)]
    quiet: bool,
    /// CONTAINER:PATH, a path here, or - for a tar archive on STDIN
    #[arg(value_name = "[CONTAINER:]SRC_PATH|-")]
    source: String,
    /// The other side: a path here, CONTAINER:PATH, or - for a tar archive on STDOUT
    #[arg(value_name = "[CONTAINER:]DEST_PATH|-")]
    destination: String,
}

/// What a copy is told.
#[derive(Debug, Clone)]
pub struct Wish {
    container: String,
    source: String,
    destination: String,
    archive: bool,
    follow_link: bool,
}

/// The container and the path of `text`; no container for a path on this side.
fn split(text: &str) -> (Option<&str>, &str) {
    match text.split_once(':') {
        Some((container, path)) if !text.starts_with('/') && !container.starts_with('.') => {
            (Some(container), path)
        }
        _ => (None, text),
    }
}

impl Cp {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let refuse = |text: &str| Err(CommandError::Refused(text.to_owned()));
        if self.source.is_empty() {
            return refuse("source can not be empty");
        }
        if self.destination.is_empty() {
            return refuse("destination can not be empty");
        }
        let ((from, source), (to, destination)) = (split(&self.source), split(&self.destination));
        let wish = |container: &str| Wish {
            container: container.to_owned(),
            source: source.to_owned(),
            destination: destination.to_owned(),
            archive: self.archive,
            follow_link: self.follow_link,
        };
        let copied = match (from, to) {
            (Some(_), Some(_)) => return refuse("copying between containers is not supported"),
            (None, None) => return refuse("must specify at least one container source"),
            (Some(container), None) => download::download(client, &wish(container)).await?,
            (None, Some(container)) => upload::upload(client, &wish(container)).await?,
        };
        if destination != "-" && !self.quiet && terminal::stdout_is_terminal() {
            output::error_line(format!(
                "Successfully copied {} to {}",
                units::human_size(copied),
                self.destination
            ));
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn only_a_bare_name_before_the_colon_is_a_container() {
        assert_eq!(split("web:/etc"), (Some("web"), "/etc"));
        assert_eq!(split("/a:b"), (None, "/a:b"));
        assert_eq!(split("./a:b"), (None, "./a:b"));
        assert_eq!(split("-"), (None, "-"));
    }
}
