//! `-p` and `--expose`.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use bollard::models::{PortBinding, PortMap};

use super::OptionError;

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (low.parse::<u16>().ok()?, high.parse::<u16>().ok()?);
    (low > 0 && low <= high).then_some(low..=high)
}

fn protocol(text: &str) -> Option<(&str, &str)> {
    let (ports, protocol) = text.rsplit_once('/').unwrap_or((text, "tcp"));
    ["tcp", "udp", "sctp"]
        .into_iter()
        .find(|known| protocol.eq_ignore_ascii_case(known))
        .map(|known| (ports, known))
}

/// The container ports `spec` exposes and what each is bound to.
pub fn publish(spec: &str) -> Result<Vec<(String, PortBinding)>, OptionError> {
    let bad = |why| OptionError::Port { spec: spec.to_owned(), why };
    if spec.contains("target=") || spec.contains("published=") {
        return long(spec);
    }
    let (text, protocol) = protocol(spec).ok_or_else(|| bad("invalid proto"))?;
    let (ip, host, container) = match text.rsplitn(3, ':').collect::<Vec<_>>().as_slice() {
        [container] => ("", "", *container),
        [container, host] => ("", *host, *container),
        [container, host, ip] => (ip.trim_start_matches('[').trim_end_matches(']'), *host, *container),
        _ => return Err(bad("no port specified")),
    };
    if container.is_empty() {
        return Err(bad("no port specified"));
    }
    if !ip.is_empty() && ip.parse::<std::net::IpAddr>().is_err() {
        return Err(bad("invalid IP address"));
    }
    bind(spec, ip, host, container, protocol)
}

fn long(spec: &str) -> Result<Vec<(String, PortBinding)>, OptionError> {
    let fields: HashMap<&str, &str> = spec.split(',').filter_map(|field| field.split_once('=')).collect();
    let field = |name: &str| fields.get(name).copied().unwrap_or_default();
    let protocol = fields.get("protocol").copied().unwrap_or("tcp");
    bind(spec, "", field("published"), field("target"), protocol)
}

fn bind(
    spec: &str,
    ip: &str,
    host: &str,
    container: &str,
    protocol: &str,
) -> Result<Vec<(String, PortBinding)>, OptionError> {
    let bad = |why| OptionError::Port { spec: spec.to_owned(), why };
    let ports = range(container).ok_or_else(|| bad("invalid containerPort"))?;
    let hosts = match host {
        "" => None,
        _ => Some(range(host).ok_or_else(|| bad("invalid hostPort"))?),
    };
    if let Some(hosts) = &hosts
        && hosts.len() != ports.len()
    {
        // One container port may take any free port of a range; anything else must pair up.
        if ports.len() != 1 {
            return Err(bad("invalid ranges specified for container and host Ports"));
        }
        let binding = PortBinding { host_ip: Some(ip.to_owned()), host_port: Some(host.to_owned()) };
        return Ok(vec![(format!("{}/{protocol}", ports.start()), binding)]);
    }
    let first = hosts.map(|hosts| *hosts.start());
    Ok(ports
        .enumerate()
        .map(|(offset, port)| {
            let host = first.map(|first| (usize::from(first) + offset).to_string()).unwrap_or_default();
            (
                format!("{port}/{protocol}"),
                PortBinding { host_ip: Some(ip.to_owned()), host_port: Some(host) },
            )
        })
        .collect())
}

/// All `-p` flags together.
pub fn bindings(specs: &[String]) -> Result<PortMap, OptionError> {
    let mut map = PortMap::new();
    for spec in specs {
        for (port, binding) in publish(spec)? {
            map.entry(port).or_default().get_or_insert_default().push(binding);
        }
    }
    Ok(map)
}

/// The ports of one `--expose`.
pub fn expose(spec: &str) -> Result<Vec<String>, OptionError> {
    let bad = |why| OptionError::Port { spec: spec.to_owned(), why };
    let (ports, protocol) = protocol(spec).ok_or_else(|| bad("invalid proto"))?;
    let ports = range(ports).ok_or_else(|| bad("invalid containerPort"))?;
    Ok(ports.map(|port| format!("{port}/{protocol}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(spec: &str) -> Vec<String> {
        publish(spec)
            .unwrap()
            .into_iter()
            .map(|(port, binding)| {
                format!(
                    "{}|{}|{port}",
                    binding.host_ip.unwrap_or_default(),
                    binding.host_port.unwrap_or_default()
                )
            })
            .collect()
    }

    #[test]
    fn every_form_of_publish_is_understood() {
        assert_eq!(shown("80"), ["||80/tcp"]);
        assert_eq!(shown("8080:80"), ["|8080|80/tcp"]);
        assert_eq!(shown("127.0.0.1:8080:80/udp"), ["127.0.0.1|8080|80/udp"]);
        assert_eq!(shown("127.0.0.1::80"), ["127.0.0.1||80/tcp"]);
        assert_eq!(shown("[::1]:8080:80"), ["::1|8080|80/tcp"]);
        assert_eq!(shown("8000-8001:80-81"), ["|8000|80/tcp", "|8001|81/tcp"]);
        assert_eq!(shown("8000-8010:80"), ["|8000-8010|80/tcp"]);
        assert_eq!(shown("published=8080,target=80,protocol=udp"), ["|8080|80/udp"]);
    }

    #[test]
    fn senseless_ports_are_refused() {
        for spec in ["", "x:80", "80:x", "1.2.3:80:80", "80/icmp", "8000-8001:80-85", "70000", "8080:"] {
            assert!(publish(spec).is_err(), "{spec}");
        }
    }
}
