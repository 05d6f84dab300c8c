//! `gantry attach`

use clap::Args;
use serde_json::Value;

use super::run::{attach_query, status};
use super::wait;
use crate::client::{Client, encode};
use crate::error::CommandError;
use crate::session::{self, Ending, Sized, Streams};

/// Ties this terminal to a running container.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry attach shell                        ctrl-p ctrl-q leaves it running\n  gantry attach --no-stdin --sig-proxy=false web"
)]
pub struct Attach {
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Do not attach STDIN
    #[arg(long)]
    no_stdin: bool,
    /// Proxy all received signals to the process
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    sig_proxy: bool,
    container: String,
}

impl Attach {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let found = client.get(&format!("/containers/{}/json", encode(&self.container))).await?;
        let is = |path: &str| found.pointer(path).and_then(Value::as_bool).unwrap_or_default();
        let refusal = match () {
            () if !is("/State/Running") => Some("You cannot attach to a stopped container, start it first"),
            () if is("/State/Paused") => Some("You cannot attach to a paused container, unpause it first"),
            () if is("/State/Restarting") => {
                Some("You cannot attach to a restarting container, wait until it is running")
            }
            () => None,
        };
        if let Some(text) = refusal {
            return Err(CommandError::Refused(text.to_owned()));
        }
        let id = found.get("Id").and_then(Value::as_str).unwrap_or(&self.container).to_owned();
        let streams = Streams {
            tty: is("/Config/Tty"),
            stdin: !self.no_stdin && is("/Config/OpenStdin"),
            detach_keys: session::detach_keys(client, self.detach_keys),
        };
        crate::terminal::check(streams.stdin, streams.tty)?;
        let mut helpers = Vec::new();
        if self.sig_proxy && !streams.tty {
            helpers.push(tokio::spawn(session::forward_signals(client.clone(), id.clone())));
        }
        let waiting = wait::begin(client, &id, "not-running").await?;
        let query = attach_query(&streams, true, true, false);
        let connection = client.hijack(&format!("/containers/{id}/attach?{query}"), None).await?;
        if streams.tty {
            helpers.push(tokio::spawn(session::follow_size(client.clone(), Sized::Container(id))));
        }
        let whole = async {
            match session::run(connection, &streams).await? {
                Ending::Detached => Ok(0),
                Ending::Finished => Ok(status(wait::finish(waiting).await?)),
            }
        };
        session::beside(whole, helpers).await
    }
}
