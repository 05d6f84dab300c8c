//! `gantry start`

use bollard::query_parameters::StartContainerOptions;
use clap::Args;
use serde_json::Value;

use super::run::{attach_query, status};
use super::wait;
use crate::client::{Client, encode};
use crate::error::CommandError;
use crate::output;
use crate::session::{self, Ending, Sized, Streams};

/// Starts containers again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gantry start web db\n  gantry start -ai shell    take part in it")]
pub struct Start {
    /// Attach STDOUT/STDERR and forward signals
    #[arg(short, long)]
    attach: bool,
    /// Attach container's STDIN
    #[arg(short, long)]
    interactive: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Start {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        if self.attach || self.interactive {
            return match self.containers.as_slice() {
                [container] => self.attached(client, container).await,
                _ => Err(CommandError::Refused(
                    "you cannot start and attach multiple containers at once".to_owned(),
                )),
            };
        }
        let docker = &client.docker()?;
        let options =
            &StartContainerOptions { detach_keys: session::detach_keys(client, self.detach_keys.clone()) };
        let failed = &std::sync::Mutex::new(Vec::new());
        let code = super::each(&self.containers, async |name| {
            let started = docker.start_container(&name, Some(options.clone())).await;
            if started.is_err()
                && let Ok(mut failed) = failed.lock()
            {
                failed.push(name.clone());
            }
            started.map_err(|error| client.because(error)).map(|()| name)
        })
        .await?;
        if let Ok(failed) = failed.lock()
            && !failed.is_empty()
        {
            output::error_line(format!("Error: failed to start containers: {}", failed.join(", ")));
        }
        Ok(code)
    }

    async fn attached(&self, client: &Client, container: &str) -> Result<u8, CommandError> {
        let found = client.get(&format!("/containers/{}/json", encode(container))).await?;
        let is = |path: &str| found.pointer(path).and_then(Value::as_bool).unwrap_or_default();
        let id = found.get("Id").and_then(Value::as_str).unwrap_or(container).to_owned();
        let streams = Streams {
            tty: is("/Config/Tty"),
            stdin: self.interactive && is("/Config/OpenStdin"),
            detach_keys: session::detach_keys(client, self.detach_keys.clone()),
        };
        crate::terminal::check(streams.stdin, streams.tty)?;
        let mut helpers = vec![tokio::spawn(session::forward_signals(client.clone(), id.clone()))];
        let query = attach_query(&streams, true, true, false);
        let connection = client.hijack(&format!("/containers/{id}/attach?{query}"), None).await?;
        let condition = if is("/HostConfig/AutoRemove") { "removed" } else { "next-exit" };
        let waiting = wait::begin(client, &id, condition).await?;
        let options =
            StartContainerOptions { detach_keys: session::detach_keys(client, self.detach_keys.clone()) };
        let started = client.docker()?.start_container(&id, Some(options)).await;
        started.map_err(|error| client.because(error))?;
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
