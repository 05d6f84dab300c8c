//! `gantry completion`

use std::io::Write;

use clap::{Args, ValueEnum};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use crate::{client::Client, error::CommandError};

const EXAMPLES: &str = "\
Examples:
  source <(gantry completion bash)             in this shell
  gantry completion bash > /etc/bash_completion.d/gantry
  gantry completion zsh > \"${fpath[1]}/_gantry\"
  gantry completion fish > ~/.config/fish/completions/gantry.fish

Names of containers, images, volumes and networks are asked of the daemon.";

/// Prints the script that lets a shell complete commands, flags and names.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Completion {
    shell: Shell,
}

/// The shells known.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Completion {
    /// Runs the command.
    pub async fn execute(self, _: &Client) -> Result<u8, CommandError> {
        let shell: &dyn EnvCompleter = match self.shell {
            Shell::Bash => &Bash,
            Shell::Zsh => &Zsh,
            Shell::Fish => &Fish,
        };
        let mut script = Vec::new();
        let written = shell.write_registration("COMPLETE", "gantry", "gantry", "gantry", &mut script);
        let failed = |source| CommandError::File { path: "completion".to_owned(), source };
        written.and_then(|()| std::io::stdout().write_all(&script)).map_err(failed)?;
        Ok(0)
    }
}
