//! `gantry update`

use bollard::models::ContainerUpdateBody;
use clap::Args;
use serde_json::Value;

use crate::client::{Client, ClientError, encode};
use crate::options::limits::Limits;
use crate::options::value::restart;
use crate::{error::CommandError, output};

/// Changes limits and restart policies, of running containers too.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry update -m 512m --memory-swap 1g web\n  gantry update --restart unless-stopped web db"
)]
pub struct Update {
    #[command(flatten)]
    limits: Limits,
    /// Restart policy to apply when a container exits (no, on-failure[:MAX-RETRIES], always, unless-stopped)
    #[arg(long, value_name = "POLICY")]
    restart: Option<String>,
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Update {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let policy = self.restart.as_deref().map(restart::policy).transpose();
        let restart_policy = policy.map_err(CommandError::Refused)?;
        let body = ContainerUpdateBody { restart_policy, ..self.limits.update() };
        if body == ContainerUpdateBody::default() && self.limits.kernel_memory.is_none() {
            let text = "you must provide one or more flags when using this command";
            return Err(CommandError::Refused(text.to_owned()));
        }
        let body = serde_json::to_value(&body).map_err(ClientError::Json)?;
        let mut warnings = Vec::new();
        let mut failures = Vec::new();
        for container in &self.containers {
            match client.post(&format!("/containers/{}/update", encode(container)), Some(&body)).await {
                Ok(answer) => {
                    output::line(container);
                    let told = answer.get("Warnings").and_then(Value::as_array).cloned();
                    warnings.extend(told.into_iter().flatten());
                }
                Err(error @ ClientError::Unreachable { .. }) => return Err(error.into()),
                Err(error) => failures.push(error.to_string()),
            }
        }
        warnings.iter().filter_map(Value::as_str).for_each(output::line);
        match failures.is_empty() {
            true => Ok(0),
            false => Err(CommandError::Refused(failures.join("\n"))),
        }
    }
}
