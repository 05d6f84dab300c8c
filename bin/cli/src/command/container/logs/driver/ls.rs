//! `gantry logs driver ls`

use clap::Args;
use serde_json::Value;

use crate::listing::{list, text};
use crate::{client::Client, error::CommandError, output};

const EXAMPLES: &str = "\
Examples:
  gantry logs driver ls            every log driver
  gantry logs driver ls syslog     its options";

/// Lists the log drivers the daemon has, and their options.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Ls {
    /// Print what the daemon says, as JSON
    #[arg(long)]
    json: bool,
    driver: Option<String>,
}

impl Ls {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let answer = client.get_unversioned("/gantry/logs/drivers").await?;
        let all = answer.as_array().cloned().unwrap_or_default();
        let wanted = |d: &&Value| self.driver.as_ref().is_none_or(|name| text(d, "Name") == *name);
        let found: Vec<&Value> = all.iter().filter(wanted).collect();
        if let (Some(name), true) = (&self.driver, found.is_empty()) {
            let text = format!("logger: no log driver named '{name}' is registered");
            return Err(CommandError::Refused(text));
        }
        if self.json {
            output::line(format!("{:#}", Value::from_iter(found.into_iter().cloned())));
            return Ok(0);
        }
        let lines = if self.driver.is_some() {
            found.first().map(|driver| options(driver)).unwrap_or_default()
        } else {
            drivers(&found)
        };
        let text = output::align(&lines);
        output::raw(text.lines().map(|line| format!("{}\n", line.trim_end())).collect::<String>());
        Ok(0)
    }
}

fn drivers(all: &[&Value]) -> Vec<String> {
    let row = |driver: &&Value| {
        let reads = driver.get("Reads").and_then(Value::as_bool).unwrap_or_default();
        let options: Vec<String> = list(driver, "Options").map(|o| text(o, "Name")).collect();
        format!("{}\t{}\t{}", text(driver, "Name"), if reads { "yes" } else { "-" }, options.join(" "))
    };
    std::iter::once("DRIVER\tREADS\tOPTIONS".to_owned()).chain(all.iter().map(row)).collect()
}

fn options(driver: &Value) -> Vec<String> {
    let row = |o: &Value| format!("{}\t{}", text(o, "Name"), text(o, "Description"));
    let part = |heading: &str, key: &'static str| {
        let rows: Vec<String> = list(driver, key).map(row).collect();
        std::iter::once(format!("{heading}\tDESCRIPTION")).chain(rows).collect::<Vec<_>>()
    };
    let (own, common) = (part("OPTION", "Options"), part("OPTION OF ANY DRIVER", "CommonOptions"));
    // One that takes none of them, or a daemon that does not say.
    if common.len() == 1 { own } else { [own, vec![String::new()], common].concat() }
}
