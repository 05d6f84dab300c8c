//! `gantry events`

use clap::Args;
use hyper::Method;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;

use crate::client::{Client, query};
use crate::{error::CommandError, listing, output, units};
use template::Template;

/// Shows what happens, as it happens.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry events --since 10m --until 0s    the last ten minutes\n  gantry events -f container=web -f event=die --format '{{json .}}'"
)]
pub struct Events {
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = listing::filter)]
    filter: Vec<(String, String)>,
    /// 'json' or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show all events created since timestamp
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Stream events until this timestamp
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// `time type action id (attributes)`
fn plain(event: &Value) -> String {
    let text = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let nanoseconds = event.get("timeNano").and_then(Value::as_i64).map(i128::from).or_else(|| {
        event.get("time").and_then(Value::as_i64).map(|seconds| i128::from(seconds) * 1_000_000_000)
    });
    let time = nanoseconds
        .and_then(|nanoseconds| Timestamp::from_nanosecond(nanoseconds).ok())
        .map(|time| time.to_zoned(TimeZone::system()).strftime("%Y-%m-%dT%H:%M:%S.%9f%:z").to_string())
        .unwrap_or_default();
    let attributes = event.pointer("/Actor/Attributes").and_then(Value::as_object);
    let mut attributes: Vec<String> = attributes
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    attributes.sort();
    let mut line = format!("{time} {} {} {}", text("/Type"), text("/Action"), text("/Actor/ID"));
    if !attributes.is_empty() {
        line.push_str(&format!(" ({})", attributes.join(", ")));
    }
    line
}

impl Events {
    /// Runs the command.
    pub async fn execute(self, client: &Client) -> Result<u8, CommandError> {
        let format = self.format.as_deref().filter(|format| !format.is_empty());
        let template = format.map(Template::from_flag).transpose()?;
        let now = Timestamp::now();
        let time = |text: &Option<String>| text.as_deref().map(|text| units::api_time(text, now)).transpose();
        let query = query(&[
            ("since", time(&self.since)?),
            ("until", time(&self.until)?),
            ("filters", listing::filter_query(&self.filter)),
        ]);
        let mut events = client.stream(Method::GET, &format!("/events?{query}")).await?;
        while let Some(event) = events.json().await? {
            output::line(match &template {
                Some(template) => template.render(&event)?,
                None => plain(&event),
            });
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_one_line() {
        let event = json!({"Type": "container", "Action": "die", "timeNano": 1_500_000_000i64,
            "Actor": {"ID": "abc", "Attributes": {"name": "web", "exitCode": "1"}}});
        let line = plain(&event);
        assert!(line.ends_with(" container die abc (exitCode=1, name=web)"), "{line}");
    }
}
