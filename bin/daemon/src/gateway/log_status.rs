//! `GET /gantry/logs`: the sinks of containers, how they are and what they have not delivered yet.

use super::query::Query;
use super::status::Answer;
use super::{Gateway, Shared, json, render};
use actors::{Purpose, SinkReport};
use axum::extract::{RawQuery, State};
use contract::log::{Delivery, Streams};
use serde_json::{Map, Value, json as object};

pub async fn status(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let only = query.text("container").filter(|c| !c.is_empty());
    let sinks = gateway.engine.log_status(only).await?;
    Ok(json(&shown(&gateway, &sinks)))
}

/// All of them as JSON.
pub fn shown(gateway: &Gateway, sinks: &[SinkReport]) -> Vec<Value> {
    let budget = gateway.live.get().daemon.spool_budget;
    sinks.iter().map(|sink| one(sink, budget)).collect()
}

fn one(sink: &SinkReport, budget: u64) -> Value {
    let (status, reading) = (&sink.reading.status, &sink.reading);
    let time = |ns: Option<i64>| ns.map(render::time);
    let dropped: Map<String, Value> =
        status.dropped().into_iter().map(|(reason, lines)| (reason.to_owned(), lines.into())).collect();
    let bytes: Map<String, Value> =
        status.dropped_bytes().into_iter().map(|(reason, bytes)| (reason.to_owned(), bytes.into())).collect();
    let places: Map<String, Value> =
        status.dropped_places().into_iter().map(|(reason, n)| (reason.to_owned(), n.into())).collect();
    object!({
        "Container": sink.container, "Name": sink.name, "Sink": sink.sink, "Driver": sink.driver,
        "Streams": match sink.streams {
            Streams::Both => "both",
            Streams::Stdout => "stdout",
            Streams::Stderr => "stderr",
        },
        "Mode": match sink.delivery {
            Delivery::Blocking => "blocking",
            Delivery::NonBlocking { .. } => "non-blocking",
        },
        "Buffer": buffer(sink), "Copy": sink.purpose == Purpose::Copy, "State": status.word(),
        "UpSince": time(reading.up_since_ns), "DownSince": time(reading.down_since_ns),
        "LastDelivery": time(reading.delivered_ns), "LastFailure": time(reading.failed_ns),
        "LastError": status.last_error,
        "CountingSince": time(Some(reading.since_ns)),
        "In": { "Lines": reading.offered.0, "Bytes": reading.offered.1 },
        "Delivered": { "Lines": status.lines, "Bytes": status.bytes, "Batches": status.batches },
        "Retries": status.retries, "Refused": status.refused, "Dropped": dropped, "DroppedBytes": bytes,
        "DroppedPlaces": places,
        "Lag": sink.lag.map(|lag| object!({
            "Lines": lag.lines, "Bytes": lag.bytes, "Oldest": time(lag.oldest_ns),
        })),
        "Spool": { "Used": sink.spool_bytes, "Budget": budget },
    })
}

/// Bytes of the spool that are kept for a sink which the container does not wait for.
pub fn buffer(sink: &SinkReport) -> Option<u64> {
    match sink.delivery {
        Delivery::Blocking => None,
        Delivery::NonBlocking { buffer, .. } => Some(buffer),
    }
}
