//! `GET /gantry/logs`: the sinks of containers, how they are and what they have not delivered yet.

use super::query::Query;
use super::status::Answer;
use super::{Shared, json, render};
use actors::{Purpose, SinkReport};
use axum::extract::{RawQuery, State};
use contract::log::Streams;
use serde_json::{Value, json as object};

pub async fn status(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let only = query.text("container").filter(|c| !c.is_empty());
    let sinks = gateway.engine.log_status(only).await?;
    Ok(json(&sinks.iter().map(shown).collect::<Vec<_>>()))
}

fn shown(sink: &SinkReport) -> Value {
    let (status, reading) = (&sink.reading.status, &sink.reading);
    let time = |ns: Option<i64>| ns.map(render::time);
    object!({
        "Container": sink.container, "Name": sink.name, "Sink": sink.sink, "Driver": sink.driver,
        "Streams": match sink.streams {
            Streams::Both => "both",
            Streams::Stdout => "stdout",
            Streams::Stderr => "stderr",
        },
        "Copy": sink.purpose == Purpose::Copy, "State": status.state.name(),
        "UpSince": time(reading.up_since_ns), "LastDelivery": time(reading.delivered_ns),
        "LastFailure": time(reading.failed_ns), "LastError": status.last_error,
        "Delivered": { "Lines": status.lines, "Bytes": status.bytes, "Batches": status.batches },
        "Retries": status.retries, "Refused": status.refused, "Suppressed": status.suppressed,
        "Lag": sink.lag.map(|lag| object!({
            "Lines": lag.lines, "Bytes": lag.bytes, "Oldest": time(lag.oldest_ns),
        })),
    })
}
