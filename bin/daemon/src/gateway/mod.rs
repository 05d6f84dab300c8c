//! The HTTP face: Docker's routes on one side, the engine's operations on the other. Nothing is decided here.

mod build;
mod containers;
mod create;
mod detach;
mod distribution;
mod events;
mod exec;
mod filter;
mod hijack;
mod images;
mod info;
mod lines;
mod log_drivers;
mod log_replay;
mod log_status;
pub mod metrics;
mod moment;
mod networks;
mod query;
mod render;
pub mod serve;
pub mod specify;
mod status;
mod system;
mod top;
mod unbuilt;
mod usage;
mod version;
mod volumes;

use crate::host::Host;
use crate::live::Live;
use actors::Engine;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, head, post, put};
use contract::image::Registries;
use contract::log::Catalogue;
use contract::network::Segment;
pub use create::log_sinks;
use serde::Serialize;
use status::Failure;
use std::sync::Arc;
use wire::version::API;

/// What every handler shares.
pub struct Gateway {
    /// The actors.
    pub engine: Engine,
    /// Builds.
    pub builds: ::build::Builds,
    /// The machine.
    pub host: Arc<Host>,
    /// Registries, asked for other things than images.
    pub registries: Arc<dyn Registries>,
    /// Specifications of containers.
    pub specifier: specify::Specifier,
    /// The configuration of now.
    pub live: Arc<Live>,
    /// What is behind URLs.
    pub downloads: Arc<dyn contract::build::Downloads>,
    /// The daemon's id.
    pub id: String,
    /// The default bridge.
    pub segment: Segment,
    /// The log drivers.
    pub drivers: Arc<dyn Catalogue>,
}

type Shared = Arc<Gateway>;

/// All routes.
pub fn router(gateway: Arc<Gateway>) -> Router {
    let experimental = if gateway.live.get().daemon.experimental { "true" } else { "false" };
    Router::new()
        .route("/_ping", get(system::ping).merge(head(system::ping)))
        .route("/version", get(system::version))
        .route("/info", get(info::info))
        .route("/events", get(events::events))
        .route("/auth", post(system::auth))
        .route("/gantry/actors", get(system::actors))
        .route("/gantry/logs", get(log_status::status))
        .route("/gantry/logs/drivers", get(log_drivers::drivers))
        .route("/gantry/logs/probe", post(log_drivers::probe))
        .route("/gantry/logs/replay", post(log_replay::replay))
        .route("/gantry/top", get(top::top))
        .route("/gantry/networks/explain", get(networks::explain))
        .route("/gantry/fault", post(system::fault))
        .route("/system/df", get(usage::df))
        .route("/build", post(build::build))
        .route("/build/cancel", post(build::cancel))
        .route("/build/prune", post(build::prune))
        .route("/containers/json", get(containers::list))
        .route("/containers/create", post(containers::create))
        .route("/containers/prune", post(containers::prune))
        .route("/containers/{id}", delete(containers::remove))
        .route("/containers/{linker}/{alias}", delete(containers::unlink))
        .route("/containers/{linker}/{alias}/json", get(containers::inspect_linked))
        .route("/containers/{id}/json", get(containers::inspect))
        .route("/containers/{id}/start", post(containers::start))
        .route("/containers/{id}/stop", post(containers::stop))
        .route("/containers/{id}/restart", post(containers::restart))
        .route("/containers/{id}/kill", post(containers::kill))
        .route("/containers/{id}/wait", post(containers::wait))
        .route("/containers/{id}/rename", post(containers::rename))
        .route("/containers/{id}/pause", post(containers::pause))
        .route("/containers/{id}/unpause", post(containers::unpause))
        .route("/containers/{id}/resize", post(containers::resize))
        .route("/containers/{id}/top", get(containers::top))
        .route("/containers/{id}/stats", get(containers::stats))
        .route("/containers/{id}/update", post(containers::update))
        .route("/containers/{id}/logs", get(containers::logs))
        .route("/containers/{id}/attach", post(containers::attach))
        .route(
            "/containers/{id}/archive",
            get(containers::read_path).merge(head(containers::stat_path)).merge(put(containers::write_path)),
        )
        .route("/containers/{id}/changes", get(containers::changes))
        .route("/containers/{id}/export", get(containers::export))
        .route("/commit", post(containers::commit))
        .route("/containers/{id}/exec", post(exec::create))
        .route("/exec/{id}/start", post(exec::start))
        .route("/exec/{id}/json", get(exec::inspect))
        .route("/exec/{id}/resize", post(exec::resize))
        .route("/images/json", get(images::list))
        .route("/images/create", post(images::create))
        .route("/images/load", post(images::load))
        .route("/images/get", get(images::save))
        .route("/images/search", get(images::search))
        .route("/images/prune", post(images::prune))
        .route("/images/{*rest}", any(images::named))
        .route("/distribution/{*rest}", any(distribution::inspect))
        .route("/networks", get(networks::list))
        .route("/networks/create", post(networks::create))
        .route("/networks/prune", post(networks::prune))
        .route("/networks/{id}", get(networks::inspect).delete(networks::remove))
        .route("/networks/{id}/connect", post(networks::connect))
        .route("/networks/{id}/disconnect", post(networks::disconnect))
        .route("/volumes", get(volumes::list))
        .route("/volumes/create", post(volumes::create))
        .route("/volumes/prune", post(volumes::prune))
        .route("/volumes/{name}", get(volumes::inspect).delete(volumes::remove))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .with_state(gateway)
        .layer(axum::middleware::map_response(move |response| stamp(response, experimental)))
}

async fn unknown(request: Request) -> Response {
    const UNREAD: usize = 1 << 20;
    let (parts, body) = request.into_parts();
    // A client still writing when the connection closes would report that instead of the answer. More than this is cut off.
    let _unwanted = axum::body::to_bytes(body, UNREAD).await;
    let (status, text) = unbuilt::answer(&parts.method, parts.uri.path());
    Failure::new(status, text).into_response()
}

/// The headers Docker puts on every answer; clients negotiate by them.
async fn stamp(mut response: Response, experimental: &'static str) -> Response {
    const SERVER: &str = concat!("gantry/", env!("CARGO_PKG_VERSION"), " (linux)");
    let headers = response.headers_mut();
    for (name, value) in
        [("api-version", API), ("docker-experimental", experimental), ("ostype", "linux"), ("server", SERVER)]
    {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// Streams are sent in pieces of so many bytes.
const STREAMED: usize = 1 << 16;

/// 200 with a JSON body.
fn json(value: &impl Serialize) -> Response {
    status_json(StatusCode::OK, value)
}

/// Any status with a JSON body.
fn status_json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(mut body) => {
            body.push(b'\n');
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = status;
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// 200 with bytes as they come; a stream that breaks off breaks the connection off.
fn streamed_bytes(stream: contract::archive::Stream, kind: &'static str) -> Response {
    let pieces = tokio_util::io::ReaderStream::with_capacity(stream, STREAMED);
    let mut response = Response::new(Body::from_stream(pieces));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn empty(status: StatusCode) -> Response {
    status.into_response()
}

fn now_ns() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}
