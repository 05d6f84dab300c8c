//! `PortBindings`.

use super::{invalid, refuse};
use bollard_stubs::models::HostConfig;
use contract::PortError;
use contract::network::{PortBinding, Protocol};
use std::net::{IpAddr, Ipv4Addr};

/// Published ports in ascending container port order, so that ephemeral ones are handed out predictably.
pub fn parse(host: &HostConfig, default: Ipv4Addr) -> Result<Vec<PortBinding>, PortError> {
    let mut out = Vec::new();
    for (port, bindings) in host.port_bindings.iter().flatten() {
        let (container_port, protocol) = container_port(port)?;
        for binding in bindings.iter().flatten() {
            let ip = binding.host_ip.clone().unwrap_or_default();
            let host_ip = if ip.is_empty() {
                IpAddr::V4(default)
            } else {
                ip.parse().map_err(|_| invalid(format!("invalid IP address: {ip}")))?
            };
            if host_ip.is_ipv6() {
                return Err(refuse::option("publishing on an IPv6 address"));
            }
            let text = binding.host_port.clone().unwrap_or_default();
            let host_port = if text.is_empty() {
                0
            } else if text.contains('-') {
                return Err(refuse::option("a range of host ports for one container port"));
            } else {
                text.parse().map_err(|_| invalid(format!("invalid port specification: \"{text}\"")))?
            };
            out.push(PortBinding { protocol, host_ip, host_port, container_port });
        }
    }
    out.sort_by_key(|b| (b.container_port, b.protocol, b.host_port));
    Ok(out)
}

/// `80/tcp`, `53/udp`, `80`.
pub fn container_port(text: &str) -> Result<(u16, Protocol), PortError> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let number = number.parse().map_err(|_| invalid(format!("invalid port specification: \"{text}\"")))?;
    match protocol {
        "tcp" => Ok((number, Protocol::Tcp)),
        "udp" => Ok((number, Protocol::Udp)),
        other => Err(refuse::option(&format!("publishing {other} ports"))),
    }
}
