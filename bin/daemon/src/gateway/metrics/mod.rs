//! Metrics for Prometheus at `metrics-addr`, and the page that shows them to people. Everything is read from what is published:
//! a scrape asks no actor.

mod engine;
mod families;
mod process;
mod sinks;

use super::status::Answer;
use super::{Shared, json, top, unknown};
use actors::supervise::State as ActorState;
use actors::{Counts, SinkReport};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use axum::routing::get;
use contract::{Kind, PortError};
use families::Families;
use process::Process;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text, text};
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;

const PAGE: &str = include_str!("page.html");
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is served to whoever reaches the address: nothing of it changes anything.
pub fn router(gateway: Shared) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/metrics", get(metrics))
        .route("/top", get(moment))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .with_state(gateway)
}

async fn page() -> Answer {
    Ok(answer(PAGE.to_owned(), "text/html; charset=utf-8"))
}

async fn moment(State(gateway): State<Shared>) -> Answer {
    Ok(json(&top::moment(&gateway, true).await?))
}

async fn metrics(State(gateway): State<Shared>, headers: HeaderMap) -> Answer {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Readings::read(&gateway).await?));
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|a| a.to_str().ok());
    let open = accepts.into_iter().any(|a| a.contains("application/openmetrics-text"));
    let mut out = String::new();
    let written = match open {
        true => text::encode(&mut out, &registry),
        // As Docker's, where nothing is asked for.
        false => prometheus_text::encode(&mut out, &registry),
    };
    written.map_err(|e| PortError::caused(Kind::Bug, "write metrics", e))?;
    Ok(answer(out, if open { OPEN_METRICS } else { prometheus_text::CONTENT_TYPE }))
}

fn answer(text: String, kind: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What this machine and this daemon are, in the labels of Docker's `engine_info`.
#[derive(Debug, Clone, Default)]
struct Identity {
    id: String,
    architecture: String,
    kernel: String,
    system: String,
    system_version: String,
    cpus: usize,
    memory: u64,
}

/// All that is told, at one moment.
#[derive(Debug, Clone, Default)]
struct Readings {
    identity: Identity,
    sinks: Vec<SinkReport>,
    spool_budget: u64,
    /// Containers by state.
    containers: BTreeMap<&'static str, u64>,
    /// Actors by kind and state, and messages waiting for them by kind.
    actors: BTreeMap<(&'static str, &'static str), u64>,
    waiting: BTreeMap<&'static str, u64>,
    respawns: BTreeMap<&'static str, u64>,
    counts: Counts,
    listeners: usize,
    images: usize,
    process: Process,
    now_ns: i64,
}

impl Readings {
    async fn read(gateway: &Shared) -> Result<Self, PortError> {
        let (engine, host) = (&gateway.engine, &gateway.host);
        let mut containers: BTreeMap<&'static str, u64> = STATES.map(|state| (state, 0)).into();
        for container in engine.list() {
            *containers.entry(container.status.as_str()).or_default() += 1;
        }
        let (mut actors, mut waiting) = (BTreeMap::new(), BTreeMap::new());
        for actor in engine.actors() {
            *actors.entry((actor.kind, word(actor.state))).or_default() += 1;
            *waiting.entry(actor.kind).or_default() += actor.mailbox as u64;
        }
        Ok(Self {
            identity: Identity {
                id: gateway.id.clone(),
                architecture: host.machine.clone(),
                kernel: host.kernel.clone(),
                system: host.system.clone(),
                system_version: host.system_version.clone(),
                cpus: host.cpus,
                memory: host.memory,
            },
            sinks: engine.log_status(None).await?,
            spool_budget: gateway.live.get().daemon.spool_budget,
            containers,
            actors,
            waiting,
            respawns: engine.respawns(),
            counts: engine.counts(),
            listeners: engine.listeners(),
            images: engine.images().await?.len(),
            process: Process::read(),
            now_ns: super::now_ns(),
        })
    }
}

impl Collector for Readings {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut families = Families(encoder);
        engine::write(self, &mut families)?;
        sinks::write(self, &mut families)?;
        process::write(&self.process, &mut families)
    }
}

/// Docker's states of containers.
const STATES: [&str; 7] = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];

fn word(state: ActorState) -> &'static str {
    match state {
        ActorState::Running => "running",
        ActorState::Restarting => "restarting",
        ActorState::Parked => "parked",
        ActorState::GaveUp => "gaveup",
        ActorState::Stopped => "stopped",
    }
}

#[cfg(test)]
mod tests;
