//! Networks that are nothing but a configuration (`--config-only`), and those made from them (`--config-from`).

use bollard_stubs::models::{Ipam, NetworkCreateRequest};
use contract::record::{Configuration, NetworkSpec};
use contract::{Kind, PortError};
use serde_json::{Value, json};

fn denied<T>(text: &str) -> Result<T, PortError> {
    Err(PortError::new(Kind::Denied, text))
}

/// What a request is after its configuration has been filled in.
#[derive(Debug)]
pub struct Filled {
    /// The request, whole.
    pub request: NetworkCreateRequest,
    /// It is to be kept as a configuration for others.
    pub configuration: Option<Configuration>,
    /// The name of the configuration it has; empty = its own.
    pub config_from: String,
}

/// Fills in the configuration that a request refers to, which is among `networks`.
pub fn fill<'a>(
    mut request: NetworkCreateRequest,
    mut networks: impl Iterator<Item = &'a NetworkSpec>,
) -> Result<Filled, PortError> {
    let from = request.config_from.take().and_then(|c| c.network).unwrap_or_default();
    let only = request.config_only.take() == Some(true);
    scope(&request, only)?;
    if only {
        if !from.is_empty() {
            return denied("a configuration network cannot depend on another configuration network");
        }
        let kept = serde_json::to_value(&request)
            .map_err(|e| PortError::caused(Kind::Bug, "keep a network's configuration", e))?;
        // Its options are for a driver that is not known yet.
        request.driver = None;
        request.options = None;
        return Ok(Filled { request, configuration: Some(kept), config_from: from });
    }
    if from.is_empty() {
        return Ok(Filled { request, configuration: None, config_from: from });
    }
    own_settings(&request)?;
    let found = networks.find(|n| n.configuration.is_some() && n.name == from);
    let Some(kept) = found.and_then(|n| n.configuration.clone()) else {
        let text = format!("configuration network {from:?} does not exist");
        return Err(PortError::new(Kind::NotFound, text));
    };
    let kept: NetworkCreateRequest = serde_json::from_value(kept)
        .map_err(|e| PortError::caused(Kind::Bug, format!("read the configuration network {from:?}"), e))?;
    request.ipam = kept.ipam;
    request.options = kept.options;
    request.labels = kept.labels;
    request.enable_ipv4 = kept.enable_ipv4;
    request.enable_ipv6 = kept.enable_ipv6;
    Ok(Filled { request, configuration: None, config_from: from })
}

/// Who may use a network beyond this host is not the business of one host.
fn scope(request: &NetworkCreateRequest, only: bool) -> Result<(), PortError> {
    let scope = request.scope.as_deref().unwrap_or_default();
    let ingress = request.ingress == Some(true);
    if only {
        let operators =
            [ingress, request.internal == Some(true), request.attachable == Some(true), !scope.is_empty()];
        return match operators.contains(&true) {
            true => denied(
                "configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.",
            ),
            false => Ok(()),
        };
    }
    if request.driver.as_deref() == Some("overlay") {
        // What it says of swarms comes first.
        return Ok(());
    }
    match scope {
        _ if ingress => denied("Ingress network can only be global scope network"),
        "" | "local" => Ok(()),
        "swarm" => denied("cannot create a swarm scoped network when swarm is not active"),
        other => Err(PortError::new(Kind::Invalid, format!("invalid network scope: {other}"))),
    }
}

/// A network that has another's configuration has none of its own.
fn own_settings(request: &NetworkCreateRequest) -> Result<(), PortError> {
    let ipam = request.ipam.clone().unwrap_or_default();
    let of_ipam = !matches!(ipam.driver.as_deref(), None | Some("" | "default"))
        || ipam.config.is_some_and(|c| !c.is_empty())
        || ipam.options.is_some_and(|o| !o.is_empty());
    let labels = request.labels.as_ref().is_some_and(|l| !l.is_empty());
    if of_ipam || labels || request.enable_ipv4 == Some(false) || request.enable_ipv6 == Some(true) {
        return denied(
            "user specified configurations are not supported if the network depends on a configuration network",
        );
    }
    if request.options.as_ref().is_some_and(|o| !o.is_empty()) {
        return denied(
            "network driver options are not supported if the network depends on a configuration network",
        );
    }
    Ok(())
}

/// A configuration as inspection shows it; the caller adds what all networks have.
pub fn shown(network: &NetworkSpec, kept: &Configuration) -> Value {
    let kept: NetworkCreateRequest = serde_json::from_value(kept.clone()).unwrap_or_default();
    let Ipam { driver, config, options } = kept.ipam.unwrap_or_default();
    let config = config.filter(|c| !c.is_empty());
    json!({
        "Name": network.name, "Id": network.id, "Created": crate::gateway::render::time(network.created_ns),
        "Scope": "local", "Driver": "null",
        "EnableIPv4": kept.enable_ipv4.unwrap_or(true), "EnableIPv6": kept.enable_ipv6.unwrap_or(false),
        "IPAM": { "Driver": driver.unwrap_or_else(|| "default".into()), "Options": options, "Config": config },
        "Internal": false, "Attachable": false, "Ingress": false, "ConfigFrom": { "Network": "" },
        "ConfigOnly": true, "Containers": {}, "Options": kept.options.unwrap_or_default(),
        "Labels": kept.labels.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(value: Value) -> NetworkCreateRequest {
        serde_json::from_value(value).unwrap()
    }

    fn told(value: Value) -> String {
        fill(request(value), std::iter::empty()).unwrap_err().text
    }

    #[test]
    fn a_configuration_is_kept_whole_and_filled_in() {
        let asked = json!({
            "Name": "conf", "ConfigOnly": true, "Options": { "parent": "eth0" }, "Labels": { "a": "b" },
            "IPAM": { "Config": [{ "Subnet": "10.1.0.0/16" }] },
        });
        let filled = fill(request(asked), std::iter::empty()).unwrap();
        assert_eq!(filled.request.options, None);
        let network = NetworkSpec {
            name: "conf".into(),
            configuration: filled.configuration,
            ..actors::default_network(&contract::network::Segment::default())
        };
        let asked = json!({ "Name": "n", "Driver": "macvlan", "ConfigFrom": { "Network": "conf" } });
        let filled = fill(request(asked), std::iter::once(&network)).unwrap();
        assert_eq!((filled.config_from.as_str(), filled.configuration), ("conf", None));
        let request = filled.request;
        assert_eq!((request.name.as_str(), request.driver.as_deref()), ("n", Some("macvlan")));
        assert_eq!(request.options.unwrap()["parent"], "eth0");
        assert_eq!(request.ipam.unwrap().config.unwrap()[0].subnet.as_deref(), Some("10.1.0.0/16"));
    }

    #[test]
    fn what_does_not_go_together_is_told_in_docker_s_words() {
        let from = json!({ "Network": "x" });
        for (value, text) in [
            (
                json!({ "Name": "n", "ConfigOnly": true, "Attachable": true }),
                "configuration network can only contain",
            ),
            (
                json!({ "Name": "n", "ConfigOnly": true, "ConfigFrom": from }),
                "a configuration network cannot depend",
            ),
            (json!({ "Name": "n", "ConfigFrom": from }), "configuration network \"x\" does not exist"),
            (
                json!({ "Name": "n", "ConfigFrom": from, "Labels": { "a": "" } }),
                "user specified configurations are not",
            ),
            (
                json!({ "Name": "n", "ConfigFrom": from, "Options": { "a": "" } }),
                "network driver options are not",
            ),
            (
                json!({ "Name": "n", "Scope": "swarm" }),
                "cannot create a swarm scoped network when swarm is not active",
            ),
            (json!({ "Name": "n", "Ingress": true }), "Ingress network can only be global scope network"),
        ] {
            let said = told(value);
            assert!(said.starts_with(text), "{said}");
        }
    }
}
