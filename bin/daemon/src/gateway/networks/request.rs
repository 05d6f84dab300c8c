//! `POST /networks/create` and filters, read and checked in Docker's words.

use super::{invalid, over};
use crate::gateway::create::unsupported;
use actors::{Asked, Wanted};
use bollard_stubs::models::NetworkCreateRequest;
use contract::network::{GatewayMode, SegmentPolicy};
use contract::{Kind, PortError};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// What the daemon says of networks that do not say it.
pub struct Defaults<'a> {
    /// MTU in bytes.
    pub mtu: u32,
    /// Driver options.
    pub options: &'a BTreeMap<String, String>,
}

/// The network that is asked for.
pub fn wanted(request: NetworkCreateRequest, defaults: &Defaults<'_>) -> Result<Wanted, PortError> {
    let name = request.name;
    if name.trim().is_empty() {
        return Err(invalid("invalid network name: name is empty"));
    }
    if matches!(name.as_str(), "bridge" | "host" | "none" | "default") {
        let text = format!("operation is not permitted on predefined {name} network ");
        return Err(PortError::new(Kind::Denied, text));
    }
    let driver = request.driver.unwrap_or_default();
    known(&driver)?;
    let mut options = sorted(request.options);
    for (key, value) in defaults.options {
        options.entry(key.clone()).or_insert_with(|| value.clone());
    }
    let four = enabled(&mut options, "com.docker.network.enable_ipv4", request.enable_ipv4)?.unwrap_or(true);
    let six = enabled(&mut options, "com.docker.network.enable_ipv6", request.enable_ipv6)?.unwrap_or(false);
    let ipam = request.ipam.unwrap_or_default();
    if ipam.driver.as_deref().is_some_and(|d| !matches!(d, "" | "default")) {
        let driver = ipam.driver.unwrap_or_default();
        return Err(PortError::new(
            Kind::NotFound,
            format!("error looking up ipam plugin {driver}: plugin \"{driver}\" not found"),
        ));
    }
    let mut out = Wanted {
        name,
        mtu: defaults.mtu,
        four: four.then(Asked::default),
        six: six.then(Asked::default),
        attachable: request.attachable.unwrap_or(false),
        labels: sorted(request.labels),
        options,
        ipam_options: ipam.options.map(|o| o.into_iter().collect()),
        policy: SegmentPolicy { internal: request.internal.unwrap_or(false), ..SegmentPolicy::default() },
        ..Wanted::default()
    };
    super::pools::read(&mut out, &ipam.config.unwrap_or_default())?;
    if let Some(read) = over::options(&mut out, &driver) {
        return read.map(|()| out);
    }
    for (key, value) in out.options.clone() {
        option(&mut out, &key, &value)?;
    }
    let modes = [out.policy.mode4, out.policy.mode6];
    let isolated = modes.contains(&GatewayMode::Isolated);
    if isolated && !out.policy.internal {
        let text = "gateway mode 'isolated' can only be used for an internal network";
        return Err(PortError::new(Kind::Exhausted, text));
    }
    Ok(out)
}

/// Whether a network has a family: as the request says, or an option, which then says so no more.
fn enabled(
    options: &mut BTreeMap<String, String>,
    key: &str,
    asked: Option<bool>,
) -> Result<Option<bool>, PortError> {
    if asked.is_some() {
        options.remove(key);
        return Ok(asked);
    }
    let Some(value) = options.get(key) else { return Ok(None) };
    truth(value).map(Some).ok_or_else(|| invalid(format!("driver-opt {key:?} is not a valid bool")))
}

/// What Go's `ParseBool` takes.
fn truth(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn sorted(map: Option<HashMap<String, String>>) -> BTreeMap<String, String> {
    map.unwrap_or_default().into_iter().collect()
}

/// A driver that there is.
fn known(name: &str) -> Result<(), PortError> {
    let denied = |text: &str| Err(PortError::new(Kind::Denied, text));
    match name {
        "" | "default" | "bridge" | "macvlan" | "ipvlan" => Ok(()),
        "host" => denied("only one instance of \"host\" network is allowed"),
        "null" => denied("only one instance of \"null\" network is allowed"),
        "overlay" => denied(
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.",
        ),
        other => {
            let text = format!("could not find plugin {other} in v1 plugin registry: plugin not found");
            Err(PortError::new(Kind::NotFound, text))
        }
    }
}

/// A driver option: known ones are honoured, others refused.
fn option(out: &mut Wanted, key: &str, value: &str) -> Result<(), PortError> {
    let yes = || {
        truth(value).ok_or_else(|| invalid(format!("failed to parse {key} value: {value:?} (not a bool)")))
    };
    let mode = || {
        let unknown =
            || invalid(format!("failed to parse {key} value: {value} (unknown gateway mode {value})"));
        GatewayMode::named(value).ok_or_else(unknown)
    };
    match key {
        "com.docker.network.bridge.name" => {
            let fine = (1..=15).contains(&value.len()) && !value.starts_with('.');
            if !fine || value.contains(|c: char| c == '/' || c == ':' || c.is_whitespace()) {
                return Err(invalid(format!("invalid bridge name {value:?}")));
            }
            out.bridge = Some(value.to_owned());
        }
        "com.docker.network.driver.mtu" | "com.docker.network.mtu" => {
            let mtu = value.parse().ok().filter(|n| (68..=65_535).contains(n));
            out.mtu = mtu.ok_or_else(|| invalid(format!("failed to parse {key} value: {value:?}")))?;
        }
        "com.docker.network.bridge.enable_icc" => out.policy.icc = yes()?,
        "com.docker.network.bridge.enable_ip_masquerade" => out.policy.masquerade = yes()?,
        "com.docker.network.bridge.host_binding_ipv4" => {
            let address: IpAddr = value
                .parse()
                .map_err(|_| invalid(format!("invalid default IPv4 binding address: {value:?}")))?;
            out.host_binding = Some(address).filter(|a| !a.is_unspecified());
        }
        "com.docker.network.bridge.gateway_mode_ipv4" => out.policy.mode4 = mode()?,
        "com.docker.network.bridge.gateway_mode_ipv6" => out.policy.mode6 = mode()?,
        "com.docker.network.bridge.inhibit_ipv4" => out.policy.inhibit4 = yes()?,
        "com.docker.network.bridge.trusted_host_interfaces" => {
            out.trusted = value.split(':').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        }
        "com.docker.network.container_iface_prefix" => {
            // A number follows.
            let fine = (1..=12).contains(&value.len()) && !value.starts_with('.');
            if !fine || value.contains(|c: char| c == '/' || c == ':' || c.is_whitespace()) {
                return Err(invalid(format!("invalid interface prefix {value:?}")));
            }
            out.interface_prefix = value.to_owned();
        }
        "com.docker.network.enable_ipv4" | "com.docker.network.enable_ipv6" => {}
        other => return Err(unsupported(&format!("the network option {other}"))),
    }
    Ok(())
}

/// `until` of a prune: a duration before now, or a time.
pub fn until(values: &[String], now_ns: i64) -> Result<Option<i64>, PortError> {
    let text = match values {
        [] => return Ok(None),
        [one] => one,
        _ => return Err(invalid("more than one until filter specified")),
    };
    let wrong = || invalid(format!("invalid value for \"until\": {text:?}"));
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return i64::try_from(time.as_nanosecond()).map(Some).map_err(|_| wrong());
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Ok(Some((seconds * 1e9) as i64));
    }
    if let Ok(ago) = text.parse::<jiff::SignedDuration>() {
        let ago = i64::try_from(ago.as_nanos()).map_err(|_| wrong())?;
        return Ok(Some(now_ns.saturating_sub(ago)));
    }
    Err(wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_honoured_or_refused() {
        let mut out = Wanted::default();
        option(&mut out, "com.docker.network.bridge.enable_icc", "false").unwrap();
        assert!(!out.policy.icc);
        assert!(option(&mut out, "com.docker.network.bridge.enable_icc", "maybe").is_err());
        assert_eq!(option(&mut out, "parent", "eth0").unwrap_err().kind, Kind::Unsupported);
        option(&mut out, "com.docker.network.bridge.gateway_mode_ipv6", "routed").unwrap();
        assert_eq!(out.policy.mode6, GatewayMode::Routed);
        let error = option(&mut out, "com.docker.network.bridge.gateway_mode_ipv4", "x").unwrap_err();
        assert!(error.text.ends_with("value: x (unknown gateway mode x)"), "{}", error.text);
        option(&mut out, "com.docker.network.bridge.trusted_host_interfaces", "eth0:eth1").unwrap();
        assert_eq!(out.trusted, ["eth0", "eth1"]);
    }

    #[test]
    fn a_network_has_the_families_that_the_request_or_an_option_says() {
        let told = |four: Option<bool>, six: Option<bool>, options: &[(&str, &str)]| {
            let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let request = NetworkCreateRequest {
                name: "n".into(),
                enable_ipv4: four,
                enable_ipv6: six,
                ..NetworkCreateRequest::default()
            };
            let wanted = wanted(request, &Defaults { mtu: 1500, options: &options });
            wanted.map(|w| (w.four.is_some(), w.six.is_some(), w.options.len())).map_err(|e| e.text)
        };
        let (four, six) = ("com.docker.network.enable_ipv4", "com.docker.network.enable_ipv6");
        assert_eq!(told(None, None, &[]), Ok((true, false, 0)));
        assert_eq!(told(Some(false), Some(true), &[(four, "true")]), Ok((false, true, 0)));
        assert_eq!(told(None, None, &[(four, "0"), (six, "t")]), Ok((false, true, 2)));
        let error = told(None, None, &[(six, "maybe")]);
        assert_eq!(error, Err(format!("driver-opt {six:?} is not a valid bool")));
    }
}
