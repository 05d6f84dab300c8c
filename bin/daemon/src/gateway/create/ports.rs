//! `PortBindings`, and `-P`.

use super::{invalid, refuse};
use bollard_stubs::models::{HostConfig, PortBinding};
use contract::PortError;
use contract::network::{PortSpec, Protocol};
use std::net::{IpAddr, Ipv4Addr};

/// The ports to publish: those asked for, and with `-P` every exposed one that is not among them. Where no address is
/// named it is the daemon's.
pub fn parse(host: &HostConfig, exposed: &[String], default: Ipv4Addr) -> Result<Vec<PortSpec>, PortError> {
    let default = Some(IpAddr::V4(default)).filter(|ip| !ip.is_unspecified());
    let mut out = Vec::new();
    for (port, bindings) in host.port_bindings.iter().flatten() {
        let (container_port, protocol) = container_port(port)?;
        for binding in bindings.iter().flatten() {
            let host_ip = host_ip(binding)?.or(default);
            let (host_port, last_host_port) = host_ports(binding.host_port.as_deref().unwrap_or_default())?;
            out.push(PortSpec { protocol, host_ip, host_port, last_host_port, container_port });
        }
    }
    if host.publish_all_ports == Some(true) {
        for port in exposed {
            let (container_port, protocol) = container_port(port)?;
            if !out.iter().any(|p| p.container_port == container_port && p.protocol == protocol) {
                let (host_port, last_host_port) = (0, 0);
                out.push(PortSpec { protocol, host_ip: default, host_port, last_host_port, container_port });
            }
        }
    }
    // Ephemeral ones are handed out predictably.
    out.sort_by_key(|p| (p.container_port, p.protocol, p.host_port));
    Ok(out)
}

fn host_ip(binding: &PortBinding) -> Result<Option<IpAddr>, PortError> {
    match binding.host_ip.as_deref().unwrap_or_default() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| invalid(format!("invalid IP address: {text}"))),
    }
}

/// Nothing, `8080`, or `8000-8010`.
fn host_ports(text: &str) -> Result<(u16, u16), PortError> {
    let wrong = || invalid(format!("invalid port specification: \"{text}\""));
    if text.is_empty() {
        return Ok((0, 0));
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u16, u16) = (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
    if last < first || (first == 0 && last != 0) {
        return Err(wrong());
    }
    Ok((first, last))
}

/// `80/tcp`, `53/udp`, `80`.
pub fn container_port(text: &str) -> Result<(u16, Protocol), PortError> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let number = number.parse().ok().filter(|number| *number != 0);
    let number = number.ok_or_else(|| invalid(format!("invalid port specification: \"{text}\"")))?;
    let known = Protocol::named(protocol);
    Ok((number, known.ok_or_else(|| refuse::option(&format!("publishing {protocol} ports")))?))
}
