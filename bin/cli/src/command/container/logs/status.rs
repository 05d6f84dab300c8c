//! `gantry logs status`

use clap::Args;
use serde_json::Value;

use crate::client::{Client, encode};
use crate::{error::CommandError, output, units};

const EXAMPLES: &str = "\
Examples:
  gantry logs status           every sink of every container
  gantry logs status web
  gantry logs status --json

LAG is what was written and has not arrived: lines, bytes, and the age of the oldest.";

/// Shows where containers' lines go and what has not arrived there.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Status {
    /// Print what the daemon says, as JSON
    #[arg(long)]
    json: bool,
    container: Option<String>,
}

impl Status {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let query = self.container.map(|c| format!("?container={}", encode(&c))).unwrap_or_default();
        let answer = client.get_unversioned(&format!("/gantry/logs{query}")).await?;
        if self.json {
            output::line(format!("{answer:#}"));
            return Ok(0);
        }
        let now = jiff::Timestamp::now();
        let mut lines = vec![
            "CONTAINER\tSINK\tDRIVER\tSTATE\tUP\tLINES\tBYTES\tRETRIES\tREFUSED\tLAG\tLAST ERROR".to_owned(),
        ];
        lines.extend(answer.as_array().into_iter().flatten().map(|sink| row(sink, now)));
        let text = output::align(&lines);
        output::raw(text.lines().map(|line| format!("{}\n", line.trim_end())).collect::<String>());
        Ok(0)
    }
}

fn size(bytes: u64) -> String {
    units::human_size(i64::try_from(bytes).unwrap_or(i64::MAX))
}

fn row(sink: &Value, now: jiff::Timestamp) -> String {
    let text = |path: &str| sink.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let number = |path: &str| sink.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    let age = |path: &str| {
        let then: Option<jiff::Timestamp> = text(path).parse().ok();
        then.map(|then| units::human_duration((now.as_second() - then.as_second()).max(0)).to_lowercase())
    };
    let name = match (sink.get("Copy").and_then(Value::as_bool), text("/Streams")) {
        (Some(true), _) => format!("{} (copy)", text("/Sink")),
        (_, "both" | "") => text("/Sink").to_owned(),
        (_, one) => format!("{} ({one})", text("/Sink")),
    };
    let lag = match (number("/Lag/Bytes"), age("/Lag/Oldest")) {
        _ if sink.get("Lag").is_none_or(Value::is_null) => "-".to_owned(),
        (0, _) => "0".to_owned(),
        (bytes, age) => {
            let age = age.map(|a| format!(", {a}")).unwrap_or_default();
            format!("{} lines, {}{age}", number("/Lag/Lines"), size(bytes))
        }
    };
    let error = text("/LastError").lines().next().unwrap_or_default().replace('\t', " ");
    let columns = [
        text("/Name").to_owned(),
        name,
        text("/Driver").to_owned(),
        text("/State").to_owned(),
        age("/UpSince").unwrap_or_else(|| "-".to_owned()),
        number("/Delivered/Lines").to_string(),
        size(number("/Delivered/Bytes")),
        number("/Retries").to_string(),
        number("/Refused").to_string(),
        lag,
        output::ellipsis(&error, 60),
    ];
    columns.join("\t")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_sink_s_lag_is_told_in_lines_bytes_and_age() {
        let now: jiff::Timestamp = "2026-01-02T15:00:30Z".parse().unwrap();
        let sink = json!({
            "Name": "web", "Sink": "errors", "Driver": "syslog", "Streams": "stderr", "Copy": false,
            "State": "waiting", "UpSince": null, "Delivered": {"Lines": 7, "Bytes": 2048}, "Retries": 3,
            "Refused": 0, "LastError": "connection refused",
            "Lag": {"Lines": 12, "Bytes": 1500, "Oldest": "2026-01-02T15:00:00Z"},
        });
        assert_eq!(
            row(&sink, now),
            "web\terrors (stderr)\tsyslog\twaiting\t-\t7\t2.05kB\t3\t0\t12 lines, 1.5kB, 30 seconds\tconnection refused"
        );
        let copy = json!({"Name": "web", "Sink": "json-file", "Copy": true, "Lag": {"Bytes": 0}});
        assert!(row(&copy, now).starts_with("web\tjson-file (copy)\t"));
    }
}
