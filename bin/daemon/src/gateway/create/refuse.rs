//! The options this engine does not honour yet, each refused by its own name.

use bollard_stubs::models::{ContainerCreateBody, EndpointSettings, HostConfig};
use contract::{Kind, PortError};

/// The refusal of one option.
pub fn option(name: &str) -> PortError {
    PortError::new(Kind::Unsupported, format!("gantry does not support {name} yet"))
}

/// Refuses the first unsupported option in use.
pub fn unsupported(body: &ContainerCreateBody, host: &HostConfig) -> Result<(), PortError> {
    let mode = |mode: &Option<String>, fine: &[&str]| {
        mode.as_deref().is_some_and(|m| !m.is_empty() && !fine.contains(&m))
    };
    let positive = |n: Option<i64>| n.unwrap_or(0) > 0;
    let network = host.network_mode.as_deref().unwrap_or("default");
    let table = [("Cgroup", mode(&host.cgroup, &[])), ("CpuCount", positive(host.cpu_count))];
    if let Some((name, _)) = table.iter().find(|(_, used)| *used) {
        return Err(option(name));
    }
    let endpoints = body.networking_config.as_ref().and_then(|n| n.endpoints_config.as_ref());
    for endpoint in endpoints.into_iter().flat_map(|e| e.values()) {
        attachment(endpoint)?;
    }
    if network.starts_with("container:") {
        return Err(option("NetworkMode container:"));
    }
    Ok(())
}

/// What may be asked of a network attachment: nothing on the default bridge, in Docker's words where Docker has them.
fn attachment(endpoint: &EndpointSettings) -> Result<(), PortError> {
    let invalid = |text: &str| Err(PortError::new(Kind::Invalid, text));
    let given = |text: &Option<String>| text.as_deref().is_some_and(|t| !t.is_empty());
    let listed = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|l| !l.is_empty());
    if let Some(ipam) = &endpoint.ipam_config
        && (given(&ipam.ipv4_address) || given(&ipam.ipv6_address) || listed(&ipam.link_local_ips))
    {
        return invalid("user specified IP address is supported on user defined networks only");
    }
    if listed(&endpoint.aliases) {
        return invalid("network-scoped alias is supported only for containers in user defined networks");
    }
    let table = [
        ("Links", listed(&endpoint.links)),
        ("MacAddress", given(&endpoint.mac_address)),
        ("DriverOpts", endpoint.driver_opts.as_ref().is_some_and(|m| !m.is_empty())),
        ("GwPriority", endpoint.gw_priority.unwrap_or(0) != 0),
    ];
    match table.iter().find(|(_, used)| *used) {
        Some((name, _)) => Err(option(name)),
        None => Ok(()),
    }
}
