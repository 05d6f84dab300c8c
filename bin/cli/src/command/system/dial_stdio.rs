//! `gantry system dial-stdio`

use clap::Args;

use crate::{client::Client, error::CommandError};

/// Ties standard input and output to the daemon, for programs that reach this machine by ssh.
#[derive(Debug, Args)]
pub struct DialStdio {}

impl DialStdio {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let mut stream = client.connect().await?;
        let mut own = tokio::io::join(tokio::io::stdin(), tokio::io::stdout());
        let copied = tokio::io::copy_bidirectional(&mut own, &mut stream).await;
        let broken = |source| CommandError::File { path: "dial-stdio".to_owned(), source };
        copied.map(|_| 0).map_err(broken)
    }
}
