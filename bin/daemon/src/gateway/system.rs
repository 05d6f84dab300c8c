//! Ping, version, info, events, and gantry's own view of its actors.

use super::query::Query;
use super::status::Answer;
#[cfg(not(feature = "fault"))]
use super::status::Failure;
use super::{Shared, json};
use actors::Event;
use axum::body::Body;
use axum::extract::{RawQuery, State};
#[cfg(not(feature = "fault"))]
use axum::http::StatusCode;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use contract::{Kind, PortError};
use futures::StreamExt;
use serde_json::{Value, json as object};
use std::collections::BTreeMap;
use wire::version::{API, MIN_API};

pub async fn ping() -> Answer {
    let mut response = Response::new(Body::from("OK"));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // Clients take "1" as: no BuildKit; and the swarm state spares them a question.
    headers.insert("builder-version", HeaderValue::from_static("1"));
    headers.insert("swarm", HeaderValue::from_static("inactive"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate"));
    Ok(response)
}

pub async fn version(State(gateway): State<Shared>) -> Answer {
    let host = &gateway.host;
    let own = env!("CARGO_PKG_VERSION");
    let experimental = gateway.live.get().daemon.experimental;
    let mut out = object!({
        "Platform": { "Name": "gantry" },
        "Components": [
            { "Name": "Engine", "Version": own, "Details": {
                "ApiVersion": API, "MinAPIVersion": MIN_API, "Arch": host.arch(), "Os": "linux",
                "KernelVersion": host.kernel, "Experimental": experimental.to_string(), "GitCommit": "", "GoVersion": "",
                "BuildTime": "",
            } },
            { "Name": "gantry-shim", "Version": own, "Details": { "GitCommit": "" } },
        ],
        "Version": own, "ApiVersion": API, "MinAPIVersion": MIN_API, "GitCommit": "", "GoVersion": "",
        "Os": "linux", "Arch": host.arch(), "KernelVersion": host.kernel, "BuildTime": "",
    });
    if let (true, Some(map)) = (experimental, out.as_object_mut()) {
        map.insert("Experimental".into(), true.into());
    }
    Ok(json(&out))
}

/// Registry credentials cannot be checked yet.
pub async fn auth() -> Answer {
    Err(super::create::unsupported("POST /auth").into())
}

pub async fn actors(State(gateway): State<Shared>) -> Answer {
    Ok(json(&gateway.engine.actors()))
}

/// Arms a panic in a named actor or in all of a kind; test builds only.
pub async fn fault(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let target = query.text("target").unwrap_or_default();
    #[cfg(feature = "fault")]
    {
        let armed = gateway.engine.inject(target, query.number("nth")?.unwrap_or(1));
        return Ok(json(&object!({ "Armed": armed })));
    }
    #[cfg(not(feature = "fault"))]
    {
        let _unused = (&gateway, target);
        Err(Failure::new(StatusCode::NOT_FOUND, "page not found"))
    }
}

/// Event filters that are applied.
const FILTERS: [&str; 7] = ["type", "event", "container", "image", "label", "network", "scope"];

fn matches(event: &Event, filters: &BTreeMap<String, Vec<String>>) -> bool {
    let any =
        |key: &str, test: &dyn Fn(&str) -> bool| filters.get(key).is_none_or(|v| v.iter().any(|v| test(v)));
    let named = |kind: &'static str| {
        move |wanted: &str| {
            event.kind == kind
                && (event.id.starts_with(wanted) || event.attributes.get("name").is_some_and(|n| n == wanted))
        }
    };
    let image = |wanted: &str| {
        named("image")(wanted)
            || event
                .attributes
                .get("image")
                .is_some_and(|i| i == wanted || i.split(':').next() == Some(wanted))
    };
    any("type", &|t| t == event.kind)
        && any("scope", &|s| s == "local")
        && any("event", &|e| event.action == e || event.action.split(':').next() == Some(e))
        && any("container", &named("container"))
        && any("network", &named("network"))
        && any("image", &image)
        && filters
            .get("label")
            .is_none_or(|all| all.iter().all(|l| super::filter::label(l, &event.attributes)))
}

fn event_line(event: &Event) -> String {
    let mut out = object!({
        "Type": event.kind, "Action": event.action, "Actor": { "ID": event.id, "Attributes": event.attributes },
        "scope": "local", "time": event.time_ns / 1_000_000_000, "timeNano": event.time_ns,
    });
    if let (true, Some(map)) = (event.kind == "container", out.as_object_mut()) {
        map.insert("status".into(), event.action.clone().into());
        map.insert("id".into(), event.id.clone().into());
        map.insert("from".into(), event.attributes.get("image").cloned().unwrap_or_default().into());
    }
    format!("{out}\n")
}

pub async fn events(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let (since, until) = (query.time_ns("since")?, query.time_ns("until")?);
    let filters = query.filters(&FILTERS)?;
    let (kept, live) = gateway.engine.subscribe().await?;
    let kept = kept.into_iter().filter(move |e| since.is_some_and(|s| e.time_ns >= s));
    let live = futures::stream::unfold(live, |mut live| async move {
        loop {
            match live.recv().await {
                Ok(event) => return Some((event, live)),
                // A client too slow for the window misses events, as with Docker.
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return None,
            }
        }
    });
    let pause =
        until.map(|end| std::time::Duration::from_nanos(u64::try_from(end - super::now_ns()).unwrap_or(0)));
    let over = async move {
        match pause {
            Some(pause) => tokio::time::sleep(pause).await,
            None => std::future::pending().await,
        }
    };
    // What is kept is told whole, however long its end is past.
    let all = futures::stream::iter(kept).chain(live.take_until(Box::pin(over))).filter(move |e| {
        futures::future::ready(until.is_none_or(|u| e.time_ns <= u) && matches(e, &filters))
    });
    let body = all.map(|e| Ok::<_, std::io::Error>(event_line(&e)));
    let mut response = Response::new(Body::from_stream(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// What `ps` says of the given processes.
pub async fn processes(arguments: &str, pids: &[i32]) -> Result<Value, PortError> {
    let failed = |text: String| PortError::new(Kind::Bug, text);
    let output = tokio::process::Command::new("ps")
        .args(arguments.split_whitespace())
        .output()
        .await
        .map_err(|e| failed(format!("error running ps: {e}")))?;
    if !output.status.success() {
        return Err(failed(format!("error running ps: {}", String::from_utf8_lossy(&output.stderr).trim())));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let titles: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let Some(column) = titles.iter().position(|t| *t == "PID") else {
        return Err(failed("Couldn't find PID field in ps output".into()));
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    for line in lines {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let pid = fields.get(column).and_then(|p| p.parse::<i32>().ok());
        if !pid.is_some_and(|p| pids.contains(&p)) {
            continue;
        }
        // The last column is the rest of the line.
        let fixed = titles.len().saturating_sub(1);
        let mut row: Vec<String> = fields.iter().take(fixed).map(|f| (*f).to_owned()).collect();
        row.push(fields.get(fixed..).unwrap_or_default().join(" "));
        rows.push(row);
    }
    Ok(object!({ "Titles": titles, "Processes": rows }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_choose_events_by_action_and_container() {
        let event = Event {
            kind: "container",
            action: "exec_start: sh".into(),
            id: "abcdef".into(),
            attributes: BTreeMap::from([("name".into(), "web".into())]),
            time_ns: 0,
        };
        let by = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), vec![value.to_owned()])]);
        assert!(matches(&event, &by("event", "exec_start")));
        assert!(matches(&event, &by("container", "web")));
        assert!(matches(&event, &by("container", "abc")));
        assert!(!matches(&event, &by("type", "image")));
    }
}
