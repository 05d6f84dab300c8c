//! `/networks`.

mod filter;
mod over;
mod pools;
mod request;
mod show;
mod template;

use super::containers::body_json;
use super::filter::label;
use super::query::Query;
use super::status::{Answer, Failure};
use super::version::ApiMinor;
use super::{Shared, empty, json, status_json};
use axum::Extension;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::StatusCode;
use bollard_stubs::models::{NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest};
use contract::{ContainerId, Kind, PortError};
use filter::{Filter, truth};
use serde::de::DeserializeOwned;
use serde_json::{Value, json as object};
use std::collections::BTreeMap;

fn invalid(text: impl Into<String>) -> PortError {
    PortError::new(Kind::Invalid, text)
}

async fn read<T: DeserializeOwned>(request: Request) -> Result<T, Failure> {
    let body = body_json(request).await?;
    serde_json::from_value(body).map_err(|e| invalid(format!("invalid JSON: {e}")).into())
}

pub async fn list(
    State(gateway): State<Shared>,
    Extension(ApiMinor(minor)): Extension<ApiMinor>,
    RawQuery(query): RawQuery,
) -> Answer {
    let filters = Filter::new(Query::parse(query.as_deref()).filters(&filter::KNOWN)?)?;
    let chosen = show::all(&gateway).into_iter().filter(|shown| filters.matches(shown));
    // Before API 1.28 a list told as much as an inspection.
    let told = |shown: show::Shown| if minor < 28 { shown.value } else { shown.without_containers() };
    Ok(json(&chosen.map(told).collect::<Vec<_>>()))
}

pub async fn inspect(
    State(gateway): State<Shared>,
    Path(term): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    // What a swarm would have to say besides; there is none.
    if let Some(wrong) = query.text("verbose").filter(|text| truth(text).is_none()) {
        let why = format!("strconv.ParseBool: parsing \"{wrong}\": invalid syntax");
        return Err(invalid(format!("invalid value for verbose: {wrong}: {why}")).into());
    }
    if query.text("scope").is_some_and(|s| s != "local") {
        return Err(PortError::new(Kind::NotFound, format!("network {term} not found")).into());
    }
    let all = show::all(&gateway);
    if let Some(exact) = all.iter().find(|n| n.id == term).or_else(|| all.iter().find(|n| n.name == term)) {
        return Ok(json(&exact.value));
    }
    let matching: Vec<_> = all.iter().filter(|n| n.id.starts_with(&term)).collect();
    match matching.as_slice() {
        [one] => Ok(json(&one.value)),
        [] => Err(PortError::new(Kind::NotFound, format!("network {term} not found")).into()),
        several => {
            let n = several.len();
            Err(invalid(format!("{n} matches found based on ID prefix: network {term} is ambiguous")).into())
        }
    }
}

/// What there is to say of all networks, or of that which `network` names: for `gantry network explain`.
pub async fn explain(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    Ok(json(&gateway.engine.explain_networks(query.text("network")).await?))
}

pub async fn create(
    State(gateway): State<Shared>,
    Extension(ApiMinor(minor)): Extension<ApiMinor>,
    request: Request,
) -> Answer {
    let mut wanted: NetworkCreateRequest = read(request).await?;
    // A word that had no meaning before API 1.48.
    wanted.enable_ipv4 = wanted.enable_ipv4.filter(|_| minor >= 48);
    let networks = gateway.engine.networks();
    let filled = template::fill(wanted, networks.iter().map(|n| &**n))?;
    let wanted = filled.request;
    let subnets = wanted.ipam.as_ref().and_then(|i| i.config.clone()).unwrap_or_default();
    let config = gateway.live.get();
    let none = BTreeMap::new();
    // What is configured for a driver is for networks with settings of their own.
    let own = filled.configuration.is_none() && filled.config_from.is_empty();
    let driver = wanted.driver.as_deref().filter(|d| !matches!(*d, "" | "default")).unwrap_or("bridge");
    let defaults = request::Defaults {
        mtu: gateway.segment.mtu,
        options: config.bridge.options.get(driver).filter(|_| own).unwrap_or(&none),
    };
    let mut wanted = request::wanted(wanted, &defaults)?;
    (wanted.configuration, wanted.config_from) = (filled.configuration, filled.config_from);
    let warning = pools::unused(&wanted, &subnets).unwrap_or_default();
    let id = gateway.engine.create_network(wanted).await?;
    Ok(status_json(StatusCode::CREATED, &object!({ "Id": id, "Warning": warning })))
}

pub async fn remove(State(gateway): State<Shared>, Path(term): Path<String>) -> Answer {
    let built_in = show::all(&gateway).into_iter().find(|n| n.built_in && n.id == term);
    let term = built_in.map_or(term, |n| n.name);
    gateway.engine.remove_network(&term).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub async fn prune(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let filters = Query::parse(query.as_deref()).filters(&["label", "label!", "until"])?;
    let of = |key: &str| filters.get(key).cloned().unwrap_or_default();
    let (with, without) = (of("label"), of("label!"));
    let until = request::until(&of("until"), super::now_ns())?;
    let gone = gateway.engine.prune_networks(|network| {
        with.iter().all(|l| label(l, &network.labels))
            && !without.iter().any(|l| label(l, &network.labels))
            && until.is_none_or(|ns| network.created_ns <= ns)
    });
    let gone = gone.await;
    Ok(json(&object!({ "NetworksDeleted": if gone.is_empty() { Value::Null } else { object!(gone) } })))
}

fn container(gateway: &Shared, name: &str) -> Result<ContainerId, PortError> {
    Ok(ContainerId::new(gateway.engine.find(name)?.spec.id.clone()))
}

pub async fn connect(State(gateway): State<Shared>, Path(term): Path<String>, request: Request) -> Answer {
    let wanted: NetworkConnectRequest = read(request).await?;
    let id = container(&gateway, &wanted.container)?;
    let attachment = super::create::attachment(&wanted.endpoint_config.unwrap_or_default())?;
    gateway.engine.connect(&id, &term, attachment).await?;
    Ok(empty(StatusCode::OK))
}

pub async fn disconnect(State(gateway): State<Shared>, Path(term): Path<String>, request: Request) -> Answer {
    let wanted: NetworkDisconnectRequest = read(request).await?;
    let id = container(&gateway, &wanted.container)?;
    gateway.engine.disconnect(&id, &term, wanted.force == Some(true)).await?;
    Ok(empty(StatusCode::OK))
}
