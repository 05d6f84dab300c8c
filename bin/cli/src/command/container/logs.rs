//! `gantry logs`

mod driver;
mod replay;
mod status;

use clap::{Args, Subcommand};
use hyper::Method;
use jiff::Timestamp;
use serde_json::Value;

use crate::client::{Client, encode, query};
use crate::{error::CommandError, session::Output, units};

const EXAMPLES: &str = "\
Examples:
  gantry logs --tail 100 -f web
  gantry logs --since 10m -t web
  gantry logs --since 2026-01-02T15:00:00Z --until 2026-01-02T16:00:00Z web
  gantry logs driver set web --log-driver local
  gantry logs replay web --log-driver syslog --log-opt syslog-address=tcp://siem:514
  gantry logs status       where lines go, and what has not arrived there
  gantry logs -- status    of a container with that name";

/// Shows what a container printed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Logs {
    #[command(subcommand)]
    command: Option<Command>,
    /// Follow log output
    #[arg(short, long)]
    follow: bool,
    /// Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Number of lines to show from the end of the logs
    #[arg(short = 'n', long, default_value = "all", value_name = "COUNT", allow_hyphen_values = true)]
    tail: String,
    /// Show timestamps
    #[arg(short, long)]
    timestamps: bool,
    /// Show extra details provided to logs
    #[arg(long)]
    details: bool,
    #[arg(required = true)]
    container: Option<String>,
}

/// What of containers' logs besides reading them.
#[derive(Debug, Subcommand)]
enum Command {
    Driver(driver::Driver),
    Replay(replay::Replay),
    Status(status::Status),
}

impl Logs {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        match self.command {
            Some(Command::Driver(driver)) => return driver.execute(client).await,
            Some(Command::Replay(replay)) => return replay.execute(client).await,
            Some(Command::Status(status)) => return status.execute(client).await,
            None => {}
        }
        let container = self.container.unwrap_or_default();
        let now = Timestamp::now();
        let time = |name: &str, text: &Option<String>| {
            let time = text.as_deref().map(|text| units::api_time(text, now)).transpose();
            time.map_err(|error| CommandError::Refused(format!("invalid value for {name:?}: {error}")))
        };
        let flag = |yes: bool| yes.then(|| "1".to_owned());
        let query = query(&[
            ("stdout", flag(true)),
            ("stderr", flag(true)),
            ("follow", flag(self.follow)),
            ("since", time("since", &self.since)?),
            ("until", time("until", &self.until)?),
            ("tail", Some(self.tail)),
            ("timestamps", flag(self.timestamps)),
            ("details", flag(self.details)),
        ]);
        let found = client.get(&format!("/containers/{}/json", encode(&container))).await?;
        let tty = found.pointer("/Config/Tty").and_then(Value::as_bool).unwrap_or_default();
        let id = found.get("Id").and_then(Value::as_str).unwrap_or(&container);
        let mut body =
            client.stream(Method::GET, &format!("/containers/{}/logs?{query}", encode(id))).await?;
        let mut output = Output::new(!tty);
        while let Some(chunk) = body.chunk().await? {
            if output.write(&chunk).await.is_err() {
                break;
            }
        }
        output.end()?;
        Ok(0)
    }
}
