//! `/networks`.

mod pools;
mod request;
mod show;

use super::containers::body_json;
use super::filter::label;
use super::query::Query;
use super::status::{Answer, Failure};
use super::{Shared, empty, json, status_json};
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::StatusCode;
use bollard_stubs::models::{NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest};
use contract::{ContainerId, Kind, PortError};
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

pub async fn list(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let known = ["dangling", "driver", "id", "label", "name", "scope", "type"];
    let filters = query.filters(&known)?;
    let mut out = Vec::new();
    for shown in show::all(&gateway) {
        if chosen(&shown, &filters)? {
            out.push(shown.without_containers());
        }
    }
    Ok(json(&out))
}

fn chosen(network: &show::Shown, filters: &BTreeMap<String, Vec<String>>) -> Result<bool, PortError> {
    for (key, values) in filters {
        let any = |test: &dyn Fn(&str) -> bool| values.iter().any(|v| test(v));
        let fits = match key.as_str() {
            "driver" => any(&|v| v == network.driver),
            "scope" => any(&|v| v == "local"),
            "name" => any(&|v| network.name.contains(v)),
            "id" => any(&|v| network.id.contains(v)),
            "label" => values.iter().all(|v| label(v, &network.labels)),
            "type" => {
                if let Some(wrong) = values.iter().find(|v| !matches!(v.as_str(), "builtin" | "custom")) {
                    return Err(invalid(format!("invalid filter: 'type'='{wrong}'")));
                }
                any(&|v| (v == "builtin") == network.built_in)
            }
            "dangling" => {
                let [value] = values.as_slice() else {
                    return Err(invalid("got more than one value for filter key \"dangling\""));
                };
                let wanted = match value.as_str() {
                    "1" | "true" => true,
                    "0" | "false" => false,
                    _ => {
                        return Err(invalid(
                            "invalid value for filter 'dangling', must be \"true\" (or \"1\"), or \"false\" (or \"0\")",
                        ));
                    }
                };
                wanted == (!network.built_in && network.is_empty())
            }
            _ => true,
        };
        if !fits {
            return Ok(false);
        }
    }
    Ok(true)
}

pub async fn inspect(
    State(gateway): State<Shared>,
    Path(term): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
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

pub async fn create(State(gateway): State<Shared>, request: Request) -> Answer {
    let wanted: NetworkCreateRequest = read(request).await?;
    let subnets = wanted.ipam.as_ref().and_then(|i| i.config.clone()).unwrap_or_default();
    let config = gateway.live.get();
    let none = BTreeMap::new();
    let defaults = request::Defaults {
        mtu: gateway.segment.mtu,
        options: config.bridge.options.get("bridge").unwrap_or(&none),
    };
    let wanted = request::wanted(wanted, &defaults)?;
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
