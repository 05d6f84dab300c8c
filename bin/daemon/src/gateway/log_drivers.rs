//! `GET /gantry/logs/drivers` and `POST /gantry/logs/probe`: the log drivers there are, and one tried out.

use super::containers::body_json;
use super::create::{Defaults, logging};
use super::query::Query;
use super::status::{Answer, Failure};
use super::{Shared, json};
use actors::{DriverInfo, Probed};
use axum::extract::{RawQuery, Request, State};
use bollard_stubs::models::{HostConfig, HostConfigLogConfig};
use contract::log::Options;
use contract::{Kind, PortError};
use serde_json::{Value, json as object};
use std::time::Duration;

/// Seconds that a probe may take unless told otherwise, and the most.
const SECONDS: u64 = 10;
const MOST: u64 = 600;

pub async fn drivers(State(gateway): State<Shared>) -> Answer {
    Ok(json(&gateway.engine.log_drivers().await.iter().map(shown).collect::<Vec<_>>()))
}

fn shown(driver: &DriverInfo) -> Value {
    let option = |o: &contract::log::OptionSpec| object!({ "Name": o.name, "Description": o.doc });
    object!({
        "Name": driver.name, "Reads": driver.readable,
        "Options": driver.options.iter().map(option).collect::<Vec<_>>(),
        "CommonOptions": driver.common.iter().map(option).collect::<Vec<_>>(),
    })
}

pub async fn probe(State(gateway): State<Shared>, RawQuery(query): RawQuery, request: Request) -> Answer {
    let seconds = seconds(&Query::parse(query.as_deref()), SECONDS)?;
    let (driver, options) = asked(&gateway, body_json(request).await?)?;
    let all = gateway.engine.probe_log(&driver, &options, seconds).await?;
    Ok(json(&all.iter().map(outcome).collect::<Vec<_>>()))
}

fn outcome(probed: &Probed) -> Value {
    let (milliseconds, errors) = match &probed.outcome {
        Ok(took) => (Some(took.as_secs_f64() * 1000.0), None),
        Err(chain) => (None, Some(chain)),
    };
    object!({
        "Sink": probed.sink, "Driver": probed.driver, "Delivered": errors.is_none(),
        "Milliseconds": milliseconds, "Errors": errors,
    })
}

/// How long something may take.
pub fn seconds(query: &Query, or: u64) -> Result<Duration, PortError> {
    Ok(Duration::from_secs(query.number("timeout")?.unwrap_or(or).clamp(1, MOST)))
}

/// The driver and options of a body as `HostConfig.LogConfig`, with the daemon's defaults, as in a create.
pub fn asked(gateway: &Shared, body: Value) -> Result<(String, Options), Failure> {
    let wrong = |e| PortError::new(Kind::Invalid, format!("invalid JSON: {e}"));
    let given: HostConfigLogConfig = serde_json::from_value(body).map_err(wrong)?;
    let host = HostConfig { log_config: Some(given), ..HostConfig::default() };
    Ok(logging(&host, &Defaults::of(&gateway.live.get(), &gateway.host)))
}
