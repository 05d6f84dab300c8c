//! `-p` and `--expose`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use bollard::models::{PortBinding, PortMap};

use super::super::OptionError;

fn refuse(text: impl Into<String>) -> OptionError {
    OptionError::Value(text.into())
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (low.parse::<u16>().ok()?, high.parse::<u16>().ok()?);
    (low <= high).then_some(low..=high)
}

/// The ports and the protocol behind the last slash.
fn protocol(text: &str) -> Result<(&str, &str), String> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = if protocol.is_empty() { "tcp" } else { protocol };
    ["tcp", "udp", "sctp"]
        .into_iter()
        .find(|known| protocol.eq_ignore_ascii_case(known))
        .map(|known| (ports, known))
        .ok_or_else(|| protocol.to_owned())
}

/// The long form in terms of the short one.
fn short(spec: &str) -> Result<String, OptionError> {
    if !spec.contains('=') {
        return Ok(spec.to_owned());
    }
    let mut fields = HashMap::from([("protocol", "tcp")]);
    for field in spec.split(',') {
        match field.split_once('=') {
            Some((key, value)) if !key.is_empty() => fields.insert(key, value),
            _ => {
                return Err(refuse(format!(
                    "invalid publish opts format (should be name=value but got '{field}')"
                )));
            }
        };
    }
    let field = |name: &str| fields.get(name).copied().unwrap_or_default();
    Ok(format!("{}:{}/{}", field("published"), field("target"), field("protocol")))
}

/// The container ports `spec` exposes and what each is bound to.
pub fn publish(spec: &str) -> Result<Vec<(String, PortBinding)>, OptionError> {
    let spec = short(spec)?;
    let (ip, host, container) = match spec.rsplitn(3, ':').collect::<Vec<_>>().as_slice() {
        [container] => ("", "", *container),
        [container, host] => ("", *host, *container),
        [container, host, ip] => (*ip, *host, *container),
        _ => ("", "", ""),
    };
    let (container, protocol) = match container.split_once('/') {
        Some(("", _)) | None if container.is_empty() => ("", Ok("tcp")),
        _ => match protocol(container) {
            Ok((ports, protocol)) => (ports, Ok(protocol)),
            Err(wrong) => (container.split('/').next().unwrap_or_default(), Err(wrong)),
        },
    };
    let ip = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
    if !ip.is_empty() && ip.parse::<IpAddr>().is_err() {
        return Err(refuse(format!("invalid IP address: {ip}")));
    }
    if container.is_empty() {
        return Err(refuse(format!("no port specified: {spec}<empty>")));
    }
    let ports = range(container).ok_or_else(|| refuse(format!("invalid containerPort: {container}")))?;
    let hosts = match host {
        "" => None,
        _ => Some(range(host).ok_or_else(|| refuse(format!("invalid hostPort: {host}")))?),
    };
    let protocol = protocol.map_err(|wrong| refuse(format!("invalid proto: {wrong}")))?;
    let binding = |port: u16, host: String| {
        let binding = PortBinding { host_ip: Some(ip.to_owned()), host_port: Some(host) };
        (format!("{port}/{protocol}"), binding)
    };
    if let Some(hosts) = &hosts
        && hosts.len() != ports.len()
    {
        // One container port may take any free port of a range; anything else must pair up.
        if ports.len() != 1 {
            return Err(refuse(format!(
                "invalid ranges specified for container and host Ports: {container} and {host}"
            )));
        }
        return Ok(vec![binding(*ports.start(), host.to_owned())]);
    }
    let first = hosts.map(|hosts| *hosts.start());
    Ok(ports
        .enumerate()
        .map(|(offset, port)| {
            let host = first.map(|first| (usize::from(first) + offset).to_string()).unwrap_or_default();
            binding(port, host)
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
    if spec.contains(':') {
        return Err(refuse(format!("invalid port format for --expose: {spec}")));
    }
    let (ports, protocol) = protocol(spec).map_err(|wrong| refuse(format!("invalid proto: {wrong}")))?;
    let ports = range(ports).ok_or_else(|| {
        let wrong = ports.split('-').find_map(|port| super::uint16(port).err());
        let why = wrong.unwrap_or_else(|| format!("invalid range specified for port: {ports}"));
        refuse(format!("invalid range format for --expose: {spec}, error: {why}"))
    })?;
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
    fn senseless_ports_are_refused_in_dockers_words() {
        for (spec, why) in [
            ("", "no port specified: <empty>"),
            ("8080:", "no port specified: 8080:<empty>"),
            ("x:80", "invalid hostPort: x"),
            ("80:x", "invalid containerPort: x"),
            ("1.2.3:80:80", "invalid IP address: 1.2.3"),
            ("80/icmp", "invalid proto: icmp"),
            ("8000-8001:80-85", "invalid ranges specified for container and host Ports: 80-85 and 8000-8001"),
            ("70000", "invalid containerPort: 70000"),
        ] {
            assert_eq!(publish(spec).unwrap_err().to_string(), why);
        }
    }
}
