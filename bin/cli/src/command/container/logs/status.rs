//! `gantry logs status`

use clap::Args;
use serde_json::{Value, json};

use crate::client::{Client, encode};
use crate::listing::{Headings, Listing, Row};
use crate::{error::CommandError, output, units};

const EXAMPLES: &str = "\
Examples:
  gantry logs status           every sink of every container
  gantry logs status web
  gantry logs status --format '{{.Name}} {{.Sink}} {{.LagLines}}'
  gantry logs status --json

STATE is refused where a receiver took nothing of what came last: that is not sent again. UP is since when deliveries succeed,
or since when it is down: they fail, or are refused. IN is what was written for a sink, also what was dropped by its rate-limit
or refused; ACKNOWLEDGED is what has arrived there, both since COUNTING (a field for --format): the daemon's start, or the
container's. LAG is what has not arrived yet: lines, bytes, and the age of the oldest. Lines are the container's, also where several
are joined to one record. SPOOL is what the container's undelivered output takes up on disk, of what it may.

Fields for --format: .ID .Name .Sink .Driver .Mode .Buffer .State .Up .In .Acknowledged .Retries .Dropped .Lag .LagLines
.LagBytes .LagSeconds .Spool .Counting .LastDelivery .LastError";

const TABLE: &str = "{{.Name}}\t{{.Sink}}\t{{.Driver}}\t{{.State}}\t{{.Up}}\t{{.In}}\t{{.Acknowledged}}\t{{.Retries}}\t{{.Dropped}}\t{{.Lag}}\t{{.Spool}}\t{{.LastError}}";

const HEADINGS: &Headings = &[
    ("ID", "CONTAINER ID"),
    ("Name", "CONTAINER"),
    ("Sink", "SINK"),
    ("Driver", "DRIVER"),
    ("Mode", "MODE"),
    ("Buffer", "BUFFER"),
    ("State", "STATE"),
    ("Up", "UP"),
    ("In", "IN"),
    ("Acknowledged", "ACKNOWLEDGED"),
    ("Retries", "RETRIES"),
    ("Dropped", "DROPPED"),
    ("Lag", "LAG"),
    ("LagLines", "LAG LINES"),
    ("LagBytes", "LAG BYTES"),
    ("LagSeconds", "LAG SECONDS"),
    ("Spool", "SPOOL"),
    ("Counting", "COUNTING"),
    ("LastDelivery", "LAST DELIVERY"),
    ("LastError", "LAST ERROR"),
];

/// Shows where containers' lines go and what has not arrived there.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Status {
    /// 'table', 'table TEMPLATE', 'json', or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Print what the daemon says, as JSON
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Do not truncate output
    #[arg(long)]
    no_trunc: bool,
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
        let rows =
            answer.as_array().into_iter().flatten().map(|sink| row(sink, now, self.no_trunc)).collect();
        let listing = Listing {
            format: self.format.as_deref(),
            configured: None,
            quiet: None,
            table: TABLE,
            headings: HEADINGS,
        };
        let text = listing.render(rows)?;
        output::raw(text.lines().map(|line| format!("{}\n", line.trim_end())).collect::<String>());
        Ok(0)
    }
}

fn size(bytes: u64) -> String {
    units::human_size(i64::try_from(bytes).unwrap_or(i64::MAX))
}

fn row(sink: &Value, now: jiff::Timestamp, no_trunc: bool) -> Row {
    let text = |path: &str| sink.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let number = |path: &str| sink.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    let seconds = |path: &str| {
        let then: Option<jiff::Timestamp> = text(path).parse().ok();
        then.map(|then| (now.as_second() - then.as_second()).max(0))
    };
    let age = |path: &str| seconds(path).map(|s| units::human_duration(s).to_lowercase());
    let both = |path: &str| {
        format!("{} ({})", number(&format!("{path}/Lines")), size(number(&format!("{path}/Bytes"))))
    };
    let name = match (sink.get("Copy").and_then(Value::as_bool), text("/Streams")) {
        (Some(true), _) => format!("{} (copy)", text("/Sink")),
        (_, "both" | "") => text("/Sink").to_owned(),
        (_, one) => format!("{} ({one})", text("/Sink")),
    };
    let unknown = sink.get("Lag").is_none_or(Value::is_null);
    let lag = match (number("/Lag/Bytes"), age("/Lag/Oldest")) {
        _ if unknown => "-".to_owned(),
        (0, _) => "0".to_owned(),
        (bytes, age) => {
            let age = age.map(|a| format!(", {a}")).unwrap_or_default();
            format!("{} lines, {}{age}", number("/Lag/Lines"), size(bytes))
        }
    };
    let reasons = sink.get("Dropped").and_then(Value::as_object).into_iter().flatten();
    let reasons = reasons.filter_map(|(why, lines)| Some((why, lines.as_u64().filter(|n| *n > 0)?)));
    let mut dropped: Vec<String> = reasons.map(|(why, lines)| format!("{lines} {why}")).collect();
    // Of what did not even come into the spool nobody knows how many lines it was.
    if let bytes @ 1.. = number("/DroppedBytes/spool-full") {
        dropped.push(format!("{} spool-full", size(bytes)));
    }
    match number("/DroppedPlaces/spool-gone") {
        0 => {}
        1 => dropped.push("1 place spool-gone".to_owned()),
        n => dropped.push(format!("{n} places spool-gone")),
    }
    let binary = |path: &str| units::binary_size(i64::try_from(number(path)).unwrap_or(i64::MAX));
    let first = text("/LastError").lines().next().unwrap_or_default();
    // A receiver's words may be in it: control characters would move the cursor of whoever looks.
    let error: String = first.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let id = text("/Container");
    let none = || "-".to_owned();
    let fields = json!({
        "ID": if no_trunc { id } else { output::short_id(id) },
        "Name": text("/Name"),
        "Sink": name,
        "Driver": text("/Driver"),
        "Mode": text("/Mode"),
        "Buffer": match sink.pointer("/Buffer").and_then(Value::as_u64) {
            Some(bytes) => size(bytes),
            None => "-".to_owned(),
        },
        "State": text("/State"),
        "Up": age("/DownSince").map(|age| format!("down {age}")).or_else(|| age("/UpSince")).unwrap_or_else(none),
        "In": both("/In"),
        "Acknowledged": both("/Delivered"),
        "Retries": number("/Retries").to_string(),
        "Dropped": if dropped.is_empty() { "0".to_owned() } else { dropped.join(", ") },
        "Lag": lag,
        "LagLines": if unknown { "-".to_owned() } else { number("/Lag/Lines").to_string() },
        "LagBytes": if unknown { "-".to_owned() } else { number("/Lag/Bytes").to_string() },
        "LagSeconds": if unknown { "-".to_owned() } else { seconds("/Lag/Oldest").unwrap_or_default().to_string() },
        "Spool": format!("{}/{}", binary("/Spool/Used"), binary("/Spool/Budget")),
        "Counting": text("/CountingSince"),
        "LastDelivery": text("/LastDelivery"),
        "LastError": if no_trunc { error } else { output::ellipsis(&error, 60) },
    });
    Row::new(fields, &Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_field_that_a_format_can_have_and_no_other() {
        // Most had to be guessed, and a wrong guess is an error.
        let (_, listed) = EXAMPLES.split_once("Fields for --format:").unwrap();
        let listed: Vec<&str> = listed.split_whitespace().collect();
        let fields: Vec<String> = HEADINGS.iter().map(|(field, _)| format!(".{field}")).collect();
        assert_eq!(listed, fields);
        let row = row(&json!({}), "2026-01-02T15:00:30Z".parse().unwrap(), false);
        assert!(HEADINGS.iter().all(|(field, _)| row.fields.contains_key(*field)));
    }

    #[test]
    fn a_sink_is_told_with_what_came_what_arrived_and_what_waits() {
        let now: jiff::Timestamp = "2026-01-02T15:00:30Z".parse().unwrap();
        let sink = json!({
            "Container": "0123456789abcdef", "Name": "web", "Sink": "errors", "Driver": "syslog", "Streams": "stderr",
            "Copy": false, "State": "waiting", "UpSince": null, "In": {"Lines": 24, "Bytes": 3500},
            "Delivered": {"Lines": 7, "Bytes": 2048}, "Retries": 3, "Dropped": {"refused": 5, "buffer-full": 0},
            "DroppedBytes": {"buffer-full": 0, "spool-full": 2000}, "DroppedPlaces": {"spool-gone": 2},
            "LastError": "connection refused", "Spool": {"Used": 8192, "Budget": 64 << 20},
            "Lag": {"Lines": 12, "Bytes": 1500, "Oldest": "2026-01-02T15:00:00Z"},
        });
        let listing =
            |format| Listing { format, configured: None, quiet: None, table: TABLE, headings: HEADINGS };
        let shown = listing(None).render(vec![row(&sink, now, false)]).unwrap();
        let cells: Vec<&str> = shown.lines().nth(1).unwrap().split("  ").filter(|c| !c.is_empty()).collect();
        let cells: Vec<&str> = cells.into_iter().map(str::trim).collect();
        assert_eq!(
            cells,
            [
                "web",
                "errors (stderr)",
                "syslog",
                "waiting",
                "-",
                "24 (3.5kB)",
                "7 (2.05kB)",
                "3",
                "5 refused, 2kB spool-full, 2 places spool-gone",
                "12 lines, 1.5kB, 30 seconds",
                "8KiB/64MiB",
                "connection refused"
            ]
        );
        let format = "{{.ID}} {{.LagLines}} {{.LagSeconds}}";
        let shown = listing(Some(format)).render(vec![row(&sink, now, false)]).unwrap();
        assert_eq!(shown, "0123456789ab 12 30\n");
        let spoken = json!({"LastError": "refused:\u{1b}[2J\tgo away\nat"});
        assert_eq!(row(&spoken, now, true).fields["LastError"], "refused: [2J go away");
        let refused = json!({"State": "refused", "UpSince": null, "DownSince": "2026-01-02T15:00:20Z"});
        assert_eq!(row(&refused, now, true).fields["Up"], "down 10 seconds");
        let copy = json!({"Name": "web", "Sink": "json-file", "Copy": true, "Lag": {"Bytes": 0}});
        assert_eq!(row(&copy, now, false).fields["Sink"], "json-file (copy)");
    }
}
