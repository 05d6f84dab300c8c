//! `/networks`: the three networks that always exist.

use super::status::{Answer, Failure};
use super::{Shared, json};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Map, Value, json as object};

fn all(gateway: &Shared) -> Vec<Value> {
    let bridge = &gateway.bridge;
    let mut members = Map::new();
    for snapshot in gateway.engine.list() {
        if let Some(e) = snapshot.state.endpoint.as_ref().filter(|_| snapshot.pid != 0) {
            let one = object!({
                "Name": snapshot.state.name, "EndpointID": snapshot.spec.id, "MacAddress": e.mac,
                "IPv4Address": format!("{}/{}", e.address, e.bridge.prefix), "IPv6Address": "",
            });
            members.insert(snapshot.spec.id.clone(), one);
        }
    }
    let config = object!([{ "Subnet": subnet(bridge), "Gateway": bridge.gateway }]);
    let network = |name: &str, driver: &str, config: Value, members: Map<String, Value>, options: Value| {
        object!({
            "Name": name, "Id": super::render::network_id(name), "Created": "0001-01-01T00:00:00Z", "Scope": "local",
            "Driver": driver, "EnableIPv4": true, "EnableIPv6": false,
            "IPAM": { "Driver": "default", "Options": null, "Config": config }, "Internal": false,
            "Attachable": false, "Ingress": false, "ConfigFrom": { "Network": "" }, "ConfigOnly": false,
            "Containers": members, "Options": options, "Labels": {},
        })
    };
    let options = object!({ "com.docker.network.bridge.name": bridge.name, "com.docker.network.driver.mtu": bridge.mtu.to_string() });
    vec![
        network("bridge", "bridge", config, members, options),
        network("host", "host", object!([]), Map::new(), object!({})),
        network("none", "null", object!([]), Map::new(), object!({})),
    ]
}

fn subnet(bridge: &contract::network::BridgeSpec) -> String {
    let mask = u32::MAX.checked_shl(u32::from(32 - bridge.prefix.min(32))).unwrap_or(0);
    format!("{}/{}", std::net::Ipv4Addr::from(u32::from(bridge.gateway) & mask), bridge.prefix)
}

pub async fn list(State(gateway): State<Shared>) -> Answer {
    Ok(json(&all(&gateway)))
}

pub async fn inspect(State(gateway): State<Shared>, Path(name): Path<String>) -> Answer {
    let found = all(&gateway).into_iter().find(|n| {
        n.get("Name").and_then(Value::as_str) == Some(&name)
            || n.get("Id").and_then(Value::as_str).is_some_and(|id| id.starts_with(&name))
    });
    match found {
        Some(network) => Ok(json(&network)),
        None => Err(Failure::new(StatusCode::NOT_FOUND, format!("network {name} not found"))),
    }
}
