//! `gantry logs driver`

mod ls;
mod set;
mod test;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::options::value;
use crate::{client::Client, error::CommandError};

/// Which log driver, with which options.
#[derive(Debug, Args)]
pub struct Wanted {
    /// Logging driver (json-file, local, syslog, fanout, …)
    #[arg(long, value_name = "DRIVER")]
    log_driver: Option<String>,
    /// Log driver options, such as max-size=10m
    #[arg(long, value_name = "KEY=VALUE")]
    log_opt: Vec<String>,
}

impl Wanted {
    /// As the API has it.
    pub fn body(&self) -> Result<Value, CommandError> {
        let refused = |text: &str| Err(CommandError::Refused(text.to_owned()));
        match self.log_driver.as_deref().unwrap_or_default() {
            "" => refused("name the driver with --log-driver; 'gantry logs driver ls' lists them"),
            "none" if !self.log_opt.is_empty() => refused("invalid logging opts for driver none"),
            driver => Ok(json!({ "Type": driver, "Config": value::map(&self.log_opt) })),
        }
    }
}

/// Manage log drivers
#[derive(Debug, Args)]
pub struct Driver {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Ls(ls::Ls),
    Set(set::Set),
    Test(test::Test),
}

impl Driver {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        match self.command {
            Command::Ls(ls) => ls.execute(client).await,
            Command::Set(set) => set.execute(client).await,
            Command::Test(test) => test.execute(client).await,
        }
    }
}
