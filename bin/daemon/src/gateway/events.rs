//! `GET /events`.

use super::query::Query;
use super::status::Answer;
use super::{Shared, now_ns};
use actors::Event;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use contract::{Kind, PortError};
use futures::StreamExt;
use serde_json::json as object;
use std::collections::BTreeMap;

/// Filters that Docker knows.
const FILTERS: [&str; 14] = [
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];
/// Those that name an object.
const OBJECTS: [&str; 9] =
    ["config", "container", "daemon", "network", "node", "plugin", "secret", "service", "volume"];
/// Actions that are followed by what they are about.
const LONG: [&str; 3] = ["exec_create", "exec_start", "health_status"];

type Filters = BTreeMap<String, Vec<String>>;

/// Whether an event is wanted (moby `daemon/events/filter.go`).
fn matches(event: &Event, filters: &Filters) -> bool {
    let any =
        |key: &str, test: &dyn Fn(&str) -> bool| filters.get(key).is_none_or(|v| v.iter().any(|v| test(v)));
    let name = event.attributes.get("name").map_or("", String::as_str);
    let long = filters.get("event").is_some_and(|v| v.iter().any(|e| LONG.contains(&e.as_str())));
    let of =
        if event.kind == "image" { name } else { event.attributes.get("image").map_or("", String::as_str) };
    let image = [event.id.as_str(), of];
    any("type", &|t| t == event.kind)
        && any("scope", &|s| s == "local")
        && any("event", &|e| event.action == e || (long && event.action.starts_with(e)))
        && OBJECTS.iter().all(|kind| any(kind, &|o| event.id.starts_with(o) || name.starts_with(o)))
        && any("image", &|wanted| image.iter().any(|i| *i == wanted || bare(i) == wanted))
        && filters
            .get("label")
            .is_none_or(|all| all.iter().all(|l| super::filter::label(l, &event.attributes)))
}

/// An image's name without tag and digest.
fn bare(name: &str) -> &str {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    }
}

fn line(event: &Event) -> String {
    let mut out = object!({
        "Type": event.kind, "Action": event.action, "Actor": { "ID": event.id, "Attributes": event.attributes },
        "scope": "local", "time": event.time_ns / 1_000_000_000, "timeNano": event.time_ns,
    });
    if let Some(map) = out.as_object_mut() {
        // What clients older than API 1.22 read; Docker tells it of containers and images.
        if event.kind == "container" {
            map.insert("from".into(), event.attributes.get("image").cloned().unwrap_or_default().into());
        }
        if matches!(event.kind, "container" | "image") {
            map.insert("status".into(), event.action.clone().into());
            map.insert("id".into(), event.id.clone().into());
        }
    }
    format!("{out}\n")
}

pub async fn events(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let (since, until) = (query.time_ns("since")?, query.time_ns("until")?);
    if let (Some(from), Some(to)) = (since, until)
        && to < from
    {
        let [from, to] = ["since", "until"].map(|key| query.text(key).unwrap_or_default().to_owned());
        let text = format!("`since` time ({from}) cannot be after `until` time ({to})");
        return Err(PortError::new(Kind::Invalid, text).into());
    }
    let filters = query.filters(&FILTERS)?;
    let (kept, live) = gateway.engine.subscribe().await?;
    // Without either time nothing of the past was asked for.
    let past = since.is_some() || until.is_some();
    let kept = kept.into_iter().filter(move |e| past && since.is_none_or(|s| e.time_ns >= s));
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
    let pause = until.map(|end| std::time::Duration::from_nanos(u64::try_from(end - now_ns()).unwrap_or(0)));
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
    let body = all.map(|e| Ok::<_, std::io::Error>(line(&e)));
    let mut response = Response::new(Body::from_stream(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &'static str, action: &str, id: &str, attributes: &[(&str, &str)]) -> Event {
        let attributes = attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Event { kind, action: action.into(), id: id.into(), attributes, time_ns: 0 }
    }

    fn by(key: &str, value: &str) -> Filters {
        BTreeMap::from([(key.to_owned(), vec![value.to_owned()])])
    }

    #[test]
    fn filters_choose_events_by_action_and_object() {
        let told = event("container", "exec_start: sh", "abcdef", &[("name", "web"), ("image", "a/b:5")]);
        for (key, value) in [
            ("event", "exec_start"),
            ("event", "exec_start: sh"),
            ("container", "web"),
            ("container", "abc"),
            ("image", "a/b"),
            ("image", "a/b:5"),
            ("type", "container"),
        ] {
            assert!(matches(&told, &by(key, value)), "{key}={value}");
        }
        for (key, value) in [
            ("event", "exec"),
            ("type", "image"),
            ("image", "a"),
            ("scope", "swarm"),
            ("volume", "v"),
            ("event", "exec_start: s"),
        ] {
            assert!(!matches(&told, &by(key, value)), "{key}={value}");
        }
    }

    #[test]
    fn a_health_status_is_found_by_its_beginning() {
        let told = event("container", "health_status: healthy", "a", &[]);
        assert!(matches(&told, &by("event", "health_status")));
        assert!(matches(&told, &by("event", "health_status: healthy")));
        assert!(!matches(&told, &by("event", "health")));
    }

    #[test]
    fn registries_with_ports_are_no_tags() {
        assert_eq!(["h:5/a", "h:5/a:1", "a@sha256:1", "a"].map(bare), ["h:5/a", "h:5/a", "a", "a"]);
    }
}
