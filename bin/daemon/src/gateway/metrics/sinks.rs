//! Where containers' lines go, one sample a sink: as many as there are sinks of containers that exist.

use super::Readings;
use super::families::{Families, Labels};
use crate::gateway::log_status::buffer;
use actors::SinkReport;
use std::collections::BTreeMap;
use std::fmt::Error;

/// What a sink's router may be doing, in the words of `gantry logs status`.
const STATES: [&str; 6] = ["opening", "idle", "delivering", "refused", "waiting", "reopening"];

fn labels(sink: &SinkReport) -> Labels<'_> {
    let id = sink.container.get(..12).unwrap_or(&sink.container);
    vec![("id", id), ("name", &sink.name), ("sink", &sink.sink), ("driver", sink.driver)]
}

fn and<'a>(sink: &'a SinkReport, name: &'static str, value: &'a str) -> Labels<'a> {
    let mut all = labels(sink);
    all.push((name, value));
    all
}

fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}

/// Writes them.
pub fn write(now: &Readings, to: &mut Families<'_>) -> Result<(), Error> {
    let sinks = &now.sinks;
    let count = |of: fn(&SinkReport) -> u64| sinks.iter().map(move |s| (labels(s), of(s)));
    to.counters(
        "gantry_log_sink_in_lines",
        "Lines written for a sink: acknowledged, dropped or waiting",
        count(|s| s.reading.offered.0),
    )?;
    to.counters(
        "gantry_log_sink_in_bytes",
        "Bytes of lines written for a sink, without their ends: acknowledged, dropped (also by rate-limit) or waiting",
        count(|s| s.reading.offered.1),
    )?;
    to.counters(
        "gantry_log_sink_acknowledged_lines",
        "Lines of the container that arrived, also joined or in pieces, as far as the driver's protocol tells",
        count(|s| s.reading.status.lines),
    )?;
    to.counters(
        "gantry_log_sink_acknowledged_bytes",
        "Bytes of the lines that arrived, without their ends",
        count(|s| s.reading.status.bytes),
    )?;
    to.counters(
        "gantry_log_sink_batches",
        "Batches that arrived or were refused",
        count(|s| s.reading.status.batches),
    )?;
    to.counters("gantry_log_sink_retries", "Deliveries that failed", count(|s| s.reading.status.retries))?;
    let dropped = sinks.iter().flat_map(|s| s.reading.status.dropped().into_iter().map(move |d| (s, d)));
    to.counters(
        "gantry_log_sink_dropped_lines",
        "Lines given up, by the reason",
        dropped.map(|(s, (reason, lines))| (and(s, "reason", reason), lines)),
    )?;
    let bytes = sinks.iter().flat_map(|s| s.reading.status.dropped_bytes().into_iter().map(move |d| (s, d)));
    to.counters(
        "gantry_log_sink_dropped_bytes",
        "Bytes given up, by the reason",
        bytes.map(|(s, (reason, bytes))| (and(s, "reason", reason), bytes)),
    )?;
    let places =
        sinks.iter().flat_map(|s| s.reading.status.dropped_places().into_iter().map(move |d| (s, d)));
    to.counters(
        "gantry_log_sink_dropped_places",
        "Places where an unknown number of lines was given up, by the reason",
        places.map(|(s, (reason, places))| (and(s, "reason", reason), places)),
    )?;
    let lags = || sinks.iter().filter_map(|s| s.lag.map(|lag| (s, lag)));
    to.gauges(
        "gantry_log_sink_lag_lines",
        "Lines that have not been delivered yet",
        lags().map(|(s, lag)| (labels(s), lag.lines as f64)),
    )?;
    to.gauges(
        "gantry_log_sink_lag_bytes",
        "Bytes of output that have not been delivered yet",
        lags().map(|(s, lag)| (labels(s), lag.bytes as f64)),
    )?;
    to.gauges(
        "gantry_log_sink_lag_seconds",
        "Age of the oldest line that has not been delivered yet; 0 without one",
        lags().map(|(s, lag)| {
            (labels(s), lag.oldest_ns.map_or(0.0, |oldest| seconds(now.now_ns - oldest).max(0.0)))
        }),
    )?;
    to.gauges(
        "gantry_log_sink_buffer_bytes",
        "Bytes that may wait for a sink with mode=non-blocking before lines are dropped",
        sinks.iter().filter_map(|s| Some((labels(s), buffer(s)? as f64))),
    )?;
    to.gauges(
        "gantry_log_sink_state",
        "1 for what a sink is doing",
        sinks.iter().flat_map(|s| {
            let state = s.reading.status.word();
            STATES.into_iter().map(move |one| (and(s, "state", one), f64::from(u8::from(one == state))))
        }),
    )?;
    to.gauges(
        "gantry_log_sink_up",
        "0 while the latest deliveries failed, or were refused as a whole",
        sinks.iter().map(|s| (labels(s), f64::from(u8::from(is_up(s))))),
    )?;
    to.gauges(
        "gantry_log_sink_up_since_timestamp_seconds",
        "Since when deliveries succeed without a failure between; none before the first one and while they fail",
        sinks.iter().filter_map(|s| Some((labels(s), seconds(s.reading.up_since_ns?)))),
    )?;
    to.gauges(
        "gantry_log_sink_down_since_timestamp_seconds",
        "Since when deliveries fail, or are refused as a whole; none while they succeed",
        sinks.iter().filter_map(|s| Some((labels(s), seconds(s.reading.down_since_ns?)))),
    )?;
    to.gauges(
        "gantry_log_sink_counting_since_timestamp_seconds",
        "Since when a sink's counters count",
        sinks.iter().map(|s| (labels(s), seconds(s.reading.since_ns))),
    )?;
    spools(now, to)
}

/// States in which nothing arrives.
const AWAY: [&str; 3] = ["refused", "waiting", "reopening"];

/// Nothing failed yet, or something arrived since.
fn is_up(sink: &SinkReport) -> bool {
    let reading = &sink.reading;
    let arrives = reading.up_since_ns.is_some() || reading.failed_ns.is_none();
    arrives && !AWAY.contains(&reading.status.word())
}

/// Output on disk, which is a container's and not a sink's.
fn spools(now: &Readings, to: &mut Families<'_>) -> Result<(), Error> {
    let used: BTreeMap<&str, (&str, u64)> = now
        .sinks
        .iter()
        .filter_map(|s| Some((s.container.as_str(), (s.name.as_str(), s.spool_bytes?))))
        .collect();
    to.gauges(
        "gantry_log_spool_used_bytes",
        "Bytes on disk of a container's output that some sink has not delivered, in whole segments",
        used.into_iter().map(|(id, (name, bytes))| {
            (vec![("id", id.get(..12).unwrap_or(id)), ("name", name)], bytes as f64)
        }),
    )?;
    let help = "Bytes of undelivered output that are kept for each container (spool-budget)";
    to.gauge("gantry_log_spool_budget_bytes", help, now.spool_budget as f64)
}
