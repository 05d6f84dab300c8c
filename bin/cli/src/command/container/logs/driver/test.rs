//! `gantry logs driver test`

use clap::Args;
use serde_json::Value;

use super::Wanted;
use crate::client::Client;
use crate::listing::{list, text};
use crate::{error::CommandError, output};

const EXAMPLES: &str = "\
Examples:
  gantry logs driver test --log-driver syslog --log-opt syslog-address=tcp+tls://siem:6514
  gantry logs driver test --timeout 3 --log-driver fluentd --log-opt fluentd-address=logs:24224

One line is sent, which says that it is a probe. Nothing stays on this machine.";

/// Sends a probe to a log driver and tells what became of it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Test {
    #[command(flatten)]
    wanted: Wanted,
    /// Seconds to wait for the far side
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    timeout: u64,
    /// Print what the daemon says, as JSON
    #[arg(long)]
    json: bool,
}

impl Test {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let path = format!("/gantry/logs/probe?timeout={}", self.timeout);
        let answer = client.post(&path, Some(&self.wanted.body()?)).await?;
        let all = answer.as_array().cloned().unwrap_or_default();
        let arrived = |one: &Value| one.get("Delivered").and_then(Value::as_bool).unwrap_or_default();
        if self.json {
            output::line(format!("{answer:#}"));
        } else {
            all.iter().for_each(|one| output::line(told(one)));
        }
        Ok(u8::from(all.is_empty() || !all.iter().all(arrived)))
    }
}

fn told(one: &Value) -> String {
    let (sink, driver) = (text(one, "Sink"), text(one, "Driver"));
    let name = if sink == driver { sink } else { format!("{sink} ({driver})") };
    match one.get("Milliseconds").and_then(Value::as_f64) {
        Some(milliseconds) => format!("{name}: delivered in {milliseconds:.1} ms"),
        None => {
            let causes: Vec<&str> = list(one, "Errors").filter_map(Value::as_str).collect();
            format!("{name}: not delivered: {}", causes.join(": "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_became_of_a_probe_is_told_with_its_causes() {
        let one = json!({ "Sink": "siem", "Driver": "syslog", "Delivered": false, "Milliseconds": null,
            "Errors": ["connect", "refused"] });
        assert_eq!(told(&one), "siem (syslog): not delivered: connect: refused");
        let one = json!({ "Sink": "loki", "Driver": "loki", "Delivered": true, "Milliseconds": 1.26 });
        assert_eq!(told(&one), "loki: delivered in 1.3 ms");
    }
}
