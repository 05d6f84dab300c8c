//! `gantry logs driver set`

use clap::Args;
use serde_json::{Value, json};

use super::Wanted;
use crate::client::{Client, encode};
use crate::{error::CommandError, output};

const EXAMPLES: &str = "\
Examples:
  gantry logs driver set web --log-driver local --log-opt max-size=50m
  gantry logs driver set web --log-driver syslog --log-opt syslog-address=tcp://siem:514
  gantry logs driver set web --log-driver fanout --log-opt drivers=json-file,loki --log-opt loki.loki-url=http://loki:3100/loki/api/v1/push

The options given are all that hold afterwards. No line is lost: the new driver begins where the old one ended.";

/// Changes a container's log driver, while it runs too.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Set {
    #[command(flatten)]
    wanted: Wanted,
    container: String,
}

impl Set {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let body = json!({ "LogConfig": self.wanted.body()? });
        let path = format!("/containers/{}/update", encode(&self.container));
        let answer = client.post(&path, Some(&body)).await?;
        let warnings = answer.get("Warnings").and_then(Value::as_array).into_iter().flatten();
        warnings.filter_map(Value::as_str).for_each(output::error_line);
        output::line(&self.container);
        Ok(0)
    }
}
