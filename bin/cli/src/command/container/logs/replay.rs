//! `gantry logs replay`

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::Value;
use std::io::IsTerminal;

use super::driver::Wanted;
use crate::client::{Client, query};
use crate::listing::text;
use crate::{error::CommandError, output, units};

const EXAMPLES: &str = "\
Examples:
  gantry logs replay web --log-driver loki --log-opt loki-url=http://loki:3100/loki/api/v1/push
  gantry logs replay --since 2h --until 1h --streams stderr web --log-driver syslog --log-opt syslog-address=tcp://siem:514

Lines keep their times. What the receiver does not take is sent again; Ctrl-C ends it, and the summary tells how far it came.";

/// Which of a container's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Streams {
    Both,
    Stdout,
    Stderr,
}

/// Sends what is stored of a container's output to another log driver.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Replay {
    #[command(flatten)]
    wanted: Wanted,
    /// From this time (e.g. "2013-01-02T13:23:37Z") or so long ago (e.g. "42m")
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Up to this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// What of the output
    #[arg(long, value_enum, default_value = "both")]
    streams: Streams,
    /// Seconds without any line arriving after which it is given up
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    timeout: u64,
    container: String,
}

impl Replay {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let now = Timestamp::now();
        let time = |name: &str, text: &Option<String>| {
            let time = text.as_deref().map(|text| units::api_time(text, now)).transpose();
            time.map_err(|error| CommandError::Refused(format!("invalid value for {name:?}: {error}")))
        };
        let flag = |other: Streams| Some(if self.streams == other { "0" } else { "1" }.to_owned());
        let query = query(&[
            ("container", Some(self.container)),
            ("since", time("since", &self.since)?),
            ("until", time("until", &self.until)?),
            ("stdout", flag(Streams::Stderr)),
            ("stderr", flag(Streams::Stdout)),
            ("timeout", Some(self.timeout.to_string())),
        ]);
        let path = format!("/gantry/logs/replay?{query}");
        let mut news = client.post_stream(&path, &self.wanted.body()?).await?;
        let (begun, shown) = (std::time::Instant::now(), std::io::stderr().is_terminal());
        let mut last = Value::Null;
        let interrupt = tokio::signal::ctrl_c();
        tokio::pin!(interrupt);
        let ended = loop {
            tokio::select! {
                told = news.json() => match told? {
                    Some(told) if told.get("Over") == Some(&Value::Bool(true)) => {
                        last = told;
                        break End::Over;
                    }
                    Some(told) => {
                        progress(&told, &last, shown);
                        last = told;
                    }
                    None => break End::Lost,
                },
                _ = &mut interrupt => break End::Interrupted,
            }
        };
        if shown {
            eprint!("\r\x1b[K");
        }
        let (code, how) = match (&ended, text(&last, "Error").as_str()) {
            (End::Over, "") => (0, String::new()),
            (End::Over, error) => (1, format!(": {error}")),
            (End::Lost, _) => (1, ": the daemon ended it".to_owned()),
            (End::Interrupted, _) => (130, ": interrupted".to_owned()),
        };
        output::line(format!("{}, {:.1} s{how}", counts(&last), begun.elapsed().as_secs_f64()));
        Ok(code)
    }
}

enum End {
    Over,
    Lost,
    Interrupted,
}

fn counts(told: &Value) -> String {
    let number = |key: &str| told.get(key).and_then(Value::as_u64).unwrap_or_default();
    let size = units::human_size(i64::try_from(number("Bytes")).unwrap_or(i64::MAX));
    let mut out = format!("{} lines, {size}", number("Lines"));
    for (key, what) in [("Refused", "refused"), ("Retries", "tried again")] {
        if number(key) > 0 {
            out.push_str(&format!(", {} {what}", number(key)));
        }
    }
    out
}

/// On a terminal one line that changes, elsewhere only trouble.
fn progress(told: &Value, before: &Value, shown: bool) {
    let error = text(told, "Error");
    if shown {
        let trouble =
            if error.is_empty() { String::new() } else { format!(" ({})", output::ellipsis(&error, 60)) };
        eprint!("\r\x1b[K{}{trouble}", counts(told));
    } else if !error.is_empty() && text(before, "Error") != error {
        output::error_line(format!("trying again: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn counts_tell_trouble_only_where_there_was_some() {
        let told = json!({ "Lines": 12, "Bytes": 1500, "Refused": 0, "Retries": 0 });
        assert_eq!(counts(&told), "12 lines, 1.5kB");
        let told = json!({ "Lines": 12, "Bytes": 1500, "Refused": 2, "Retries": 3 });
        assert_eq!(counts(&told), "12 lines, 1.5kB, 2 refused, 3 tried again");
    }
}
