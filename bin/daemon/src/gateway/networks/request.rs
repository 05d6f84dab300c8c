//! `POST /networks/create` and filters, read and checked in Docker's words.

use super::{invalid, over};
use crate::gateway::create::unsupported;
use actors::Wanted;
use bollard_stubs::models::{IpamConfig, NetworkCreateRequest};
use contract::network::{SegmentPolicy, Subnet};
use contract::{Kind, PortError};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// The network that is asked for; `mtu` is the daemon's.
pub fn wanted(request: NetworkCreateRequest, mtu: u32) -> Result<Wanted, PortError> {
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
    if request.enable_ipv6 == Some(true) {
        return Err(unsupported("EnableIPv6"));
    }
    if request.enable_ipv4 == Some(false) {
        return Err(unsupported("networks without IPv4"));
    }
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
        mtu,
        attachable: request.attachable.unwrap_or(false),
        labels: sorted(request.labels),
        options: sorted(request.options),
        ipam_options: ipam.options.map(|o| o.into_iter().collect()),
        policy: SegmentPolicy { internal: request.internal.unwrap_or(false), ..SegmentPolicy::default() },
        ..Wanted::default()
    };
    match ipam.config.unwrap_or_default().as_slice() {
        [] => {}
        [pool] => subnet(&mut out, pool)?,
        _ => return Err(unsupported("several subnets of one network")),
    }
    if let Some(read) = over::options(&mut out, &driver) {
        return read.map(|()| out);
    }
    for (key, value) in out.options.clone() {
        option(&mut out, &key, &value)?;
    }
    Ok(out)
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

/// One pool, with all that is wrong with it at once, as Docker tells it.
fn subnet(out: &mut Wanted, pool: &IpamConfig) -> Result<(), PortError> {
    let text = pool.subnet.as_deref().unwrap_or_default();
    if text.parse::<std::net::Ipv6Addr>().is_ok() || text.split('/').next().is_some_and(|a| a.contains(':')) {
        return Err(unsupported("IPv6 subnets"));
    }
    let wrong = |errors: &[String]| match errors {
        [one] => invalid(format!("invalid network config:\n{one}")),
        several => invalid(format!("invalid network config:\n* {}", several.join("\n* "))),
    };
    let Some((address, subnet)) = Subnet::parse(text) else {
        return Err(wrong(&[format!("invalid subnet {text}: invalid CIDR block notation")]));
    };
    let mut errors = Vec::new();
    if address != subnet.address {
        errors.push(format!("invalid subnet {text}: it should be {subnet}"));
    }
    if !(1..=30).contains(&subnet.prefix) {
        errors.push(format!("invalid subnet {text}: it has no room for a gateway and a container"));
    }
    out.subnet = Some(subnet);
    out.range = range(pool.ip_range.as_deref().unwrap_or_default(), subnet, &mut errors);
    let given = pool.gateway.as_deref().unwrap_or_default();
    out.gateway = match inside(given, subnet) {
        Ok(Some(IpAddr::V4(gateway))) => Some(gateway),
        Ok(_) => None,
        Err(why) => {
            errors.push(format!("invalid gateway {given}: {why}"));
            None
        }
    };
    for (name, given) in pool.auxiliary_addresses.iter().flatten() {
        match inside(given, subnet) {
            Ok(Some(address)) => {
                out.auxiliary.insert(name.clone(), address);
            }
            Ok(None) => {}
            Err(why) => errors.push(format!("invalid auxiliary address {name}: {why}")),
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(wrong(&errors)) }
}

fn range(text: &str, subnet: Subnet, errors: &mut Vec<String>) -> Option<Subnet> {
    if text.is_empty() {
        return None;
    }
    let Some((address, range)) = Subnet::parse(text) else {
        errors.push(format!("invalid ip-range {text}: invalid CIDR block notation"));
        return None;
    };
    if range.prefix < subnet.prefix {
        errors.push(format!("invalid ip-range {text}: CIDR block is bigger than its parent subnet {subnet}"));
    }
    if address != range.address {
        errors.push(format!("invalid ip-range {text}: it should be {range}"));
    }
    if !subnet.overlaps(range) {
        errors.push(format!("invalid ip-range {text}: parent subnet {subnet} doesn't contain ip-range"));
    }
    Some(range)
}

fn inside(text: &str, subnet: Subnet) -> Result<Option<IpAddr>, String> {
    match text.parse::<IpAddr>() {
        _ if text.is_empty() => Ok(None),
        Ok(address) if subnet.contains(address) => Ok(Some(address)),
        Ok(IpAddr::V4(_)) => Err(format!("parent subnet {subnet} doesn't contain this address")),
        Ok(IpAddr::V6(_)) => Err("parent subnet is an IPv4 block".to_owned()),
        Err(_) => Err("invalid address".to_owned()),
    }
}

/// A driver option: known ones are honoured, others refused.
fn option(out: &mut Wanted, key: &str, value: &str) -> Result<(), PortError> {
    let yes = || match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(invalid(format!("failed to parse {key} value: {value:?} (not a bool)"))),
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
        "com.docker.network.enable_ipv4" if yes()? => {}
        "com.docker.network.enable_ipv6" if !yes()? => {}
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

    fn pool(subnet: &str, range: &str, gateway: &str) -> Result<Wanted, PortError> {
        let mut out = Wanted::default();
        let text = |t: &str| Some(t.to_owned());
        let pool = IpamConfig {
            subnet: text(subnet),
            ip_range: text(range),
            gateway: text(gateway),
            ..IpamConfig::default()
        };
        super::subnet(&mut out, &pool).map(|()| out)
    }

    #[test]
    fn what_is_wrong_with_a_subnet_is_told_all_at_once() {
        let error = pool("10.1.0.9/16", "10.2.0.0/24", "10.3.0.1").unwrap_err();
        let wanted = "invalid network config:\n* invalid subnet 10.1.0.9/16: it should be 10.1.0.0/16\n* invalid \
            ip-range 10.2.0.0/24: parent subnet 10.1.0.0/16 doesn't contain ip-range\n* invalid gateway 10.3.0.1: \
            parent subnet 10.1.0.0/16 doesn't contain this address";
        assert_eq!(error.text, wanted);
        let error = pool("10.1.0.0", "", "").unwrap_err();
        assert_eq!(
            error.text,
            "invalid network config:\ninvalid subnet 10.1.0.0: invalid CIDR block notation"
        );
        assert_eq!(pool("fd00::/64", "", "").unwrap_err().kind, Kind::Unsupported);
        let fine = pool("10.1.0.0/16", "10.1.2.0/24", "10.1.0.254").unwrap();
        assert_eq!(fine.gateway, Some([10, 1, 0, 254].into()));
    }

    #[test]
    fn options_are_honoured_or_refused() {
        let mut out = Wanted::default();
        option(&mut out, "com.docker.network.bridge.enable_icc", "false").unwrap();
        assert!(!out.policy.icc);
        assert!(option(&mut out, "com.docker.network.bridge.enable_icc", "maybe").is_err());
        assert_eq!(option(&mut out, "parent", "eth0").unwrap_err().kind, Kind::Unsupported);
    }
}
