//! What a command may end with.

use crate::{client::ClientError, options::OptionError, session::SessionError};
use crate::{terminal::TerminalError, units::UnitError};
use template::TemplateError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The daemon or the way to it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A flag's value.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// A size, time or duration.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// A `--format`.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The terminal.
    #[error(transparent)]
    Terminal(#[from] TerminalError),
    /// A foreground session.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A file named on the command line.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// Something the daemon told while a command waited.
    #[error("{0}")]
    Refused(String),
    /// `run` or `create` failed before the container did; the hint belongs to it.
    #[error("gantry: {source}\n\nRun 'gantry {command} --help' for more information")]
    Before {
        /// `run` or `create`.
        command: &'static str,
        /// What went wrong.
        source: Box<CommandError>,
        /// The exit status Docker gives this kind of failure.
        code: u8,
    },
}

impl CommandError {
    /// The exit status of this process.
    pub fn code(&self) -> u8 {
        match self {
            Self::Before { code, .. } => *code,
            _ => 1,
        }
    }

    /// Wraps a failure of `run` with the exit status a shell would give.
    pub fn in_run(self) -> Self {
        let text = self.to_string().to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let code = match () {
            // Only the daemon's words are about the container's command; a missing --env-file is not.
            () if !matches!(self, Self::Client(ClientError::Daemon { .. })) => 125,
            () if has(&["executable file not found", "no such file or directory"]) => 127,
            () if has(&["permission denied", "is a directory"]) => 126,
            () => 125,
        };
        Self::Before { command: "run", source: Box::new(self), code }
    }

    /// Wraps flags that make no sense to `command`.
    pub fn in_command(self, command: &'static str) -> Self {
        Self::Before { command, source: Box::new(self), code: 125 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_maps_failures_to_the_statuses_of_a_shell() {
        let code = |text: &str| {
            CommandError::Client(ClientError::Daemon { status: 400, message: text.to_owned() })
                .in_run()
                .code()
        };
        assert_eq!(code("exec: \"nope\": executable file not found in $PATH: unknown"), 127);
        assert_eq!(code("exec: \"/etc\": permission denied"), 126);
        assert_eq!(code("exec: \"/etc\": is a directory"), 126);
        assert_eq!(code("Conflict. The container name is in use"), 125);
    }

    #[test]
    fn run_points_at_its_help() {
        let error =
            CommandError::Client(ClientError::Daemon { status: 409, message: "Conflict.".into() }).in_run();
        assert_eq!(
            error.to_string(),
            "gantry: Error response from daemon: Conflict.\n\nRun 'gantry run --help' for more information"
        );
    }
}
