//! `POST /gantry/logs/replay`: stored lines sent to another driver; how it goes is told a JSON object a line.

use super::containers::body_json;
use super::hijack::tokio_stream;
use super::log_drivers::{asked, seconds};
use super::query::Query;
use super::status::{Answer, Failure};
use super::{Shared, render};
use actors::{LogsRequest, ReplayNews, ReplayProgress};
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use contract::ContainerId;
use contract::log::{Options, Records, is_common, is_record_option};
use futures::StreamExt;
use serde_json::{Value, json as object};

/// Seconds without any arrival after which a replay is given up, unless told otherwise.
const PATIENCE: u64 = 60;

pub async fn replay(State(gateway): State<Shared>, RawQuery(query): RawQuery, request: Request) -> Answer {
    let query = Query::parse(query.as_deref());
    let Some(container) = query.text("container") else {
        return Err(Failure::new(StatusCode::BAD_REQUEST, "the parameter container is missing"));
    };
    let of = LogsRequest {
        stdout: query.flag_or("stdout", true),
        stderr: query.flag_or("stderr", true),
        since_ns: query.time_ns("since")?,
        until_ns: query.time_ns("until")?,
        ..LogsRequest::default()
    };
    let patience = seconds(&query, PATIENCE)?;
    let id = ContainerId::new(gateway.engine.find(container)?.spec.id.clone());
    let body = body_json(request).await?;
    let (driver, options) = asked(&gateway, body.clone())?;
    // What the daemon gives by default is no wish of whoever asks: the replay leaves it out.
    if let Some(key) = idle(&driver, &body) {
        let text = format!(
            "replay: log opt '{key}' is about lines that a container writes: stored ones are sent as they are, leave it out"
        );
        return Err(Failure::new(StatusCode::BAD_REQUEST, text));
    }
    let news = gateway.engine.replay(&id, of, (&driver, &options), patience).await?;
    let lines =
        tokio_stream(news).map(|news| Ok::<_, std::convert::Infallible>(format!("{}\n", told(&news))));
    let mut response = Response::new(Body::from_stream(lines));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// An option of a body as `HostConfig.LogConfig` that would do nothing in a replay to that driver.
fn idle<'a>(driver: &str, body: &'a Value) -> Option<&'a str> {
    let kind = ::log_drivers::find(driver);
    // Some drivers say how records are built by options of their own.
    let builds = |key: &str, value: &Value| {
        let alone = Options::from([(key.to_owned(), value.as_str().unwrap_or_default().to_owned())]);
        kind.is_some_and(|kind| kind.batching(&alone).records != Records::default())
    };
    let mut given = body.get("Config")?.as_object()?.iter();
    let found = given.find(|(key, value)| is_common(key) || is_record_option(key) || builds(key, value));
    found.map(|(key, _)| key.as_str())
}

fn told(news: &ReplayNews) -> Value {
    let (ReplayNews::Progress(progress) | ReplayNews::Over(progress)) = news;
    let ReplayProgress { lines, bytes, refused, retries, last_ns, error } = progress;
    object!({
        "Over": matches!(news, ReplayNews::Over(_)), "Lines": lines, "Bytes": bytes, "Refused": refused,
        "Retries": retries, "Last": last_ns.map(render::time), "Error": error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_would_do_nothing_in_a_replay_is_found_by_name() {
        for key in [
            "rate-limit",
            "rate-limit-burst",
            "multiline-pattern",
            "multiline-timeout",
            "max-line-size",
            "mode",
            "max-buffer-size",
            "overflow",
            "cache-disabled",
        ] {
            let body = object!({ "Type": "syslog", "Config": { "syslog-address": "udp://h:1", key: "1" } });
            assert_eq!(idle("syslog", &body), Some(key));
        }
        let body = object!({ "Type": "syslog", "Config": { "syslog-address": "udp://h:1", "tag": "t" } });
        assert_eq!(idle("syslog", &body), None);
        assert_eq!(idle("syslog", &object!({ "Type": "syslog" })), None);
        let body = object!({ "Config": { "awslogs-group": "g", "awslogs-multiline-pattern": "^x" } });
        assert_eq!(idle("awslogs", &body), Some("awslogs-multiline-pattern"));
    }
}
