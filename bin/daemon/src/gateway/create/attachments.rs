//! What a request asks of its networks: links, and what cannot go together.

use super::{endpoint, invalid};
use bollard_stubs::models::{ContainerCreateBody, EndpointSettings, HostConfig};
use contract::PortError;
use contract::record::{Attachment, Link};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// What is asked of each network by its name or id. `mode` is the network the container is made on.
pub(super) fn attachments(
    body: &ContainerCreateBody,
    request: &Value,
    mode: &str,
) -> Result<BTreeMap<String, Attachment>, PortError> {
    let mut out = BTreeMap::new();
    let endpoints = body.networking_config.as_ref().and_then(|n| n.endpoints_config.as_ref());
    for (name, settings) in endpoints.into_iter().flatten() {
        let name = if name == "default" { "bridge" } else { name };
        out.insert(name.to_owned(), attachment(settings)?);
    }
    // Where clients older than API 1.44 put it.
    let mac = request.get("MacAddress").and_then(Value::as_str).unwrap_or_default();
    if !mac.is_empty() {
        if mode == "host" || mode == "none" || mode.starts_with("container:") {
            return Err(invalid("conflicting options: mac-address and the network mode"));
        }
        let own = out.entry(mode.to_owned()).or_default();
        if !own.mac.is_empty() && own.mac != mac {
            return Err(invalid(
                "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
            ));
        }
        own.mac = checked_mac(mac)?;
    }
    // On networks that users made, links are the network's own.
    let links = body.host_config.as_ref().and_then(|h| h.links.as_deref()).unwrap_or_default();
    if is_user_made(mode) && !links.is_empty() {
        let own = out.entry(mode.to_owned()).or_default();
        for given in links {
            let link = link(given)?;
            if !own.links.contains(&link) {
                own.links.push(link);
            }
        }
    }
    Ok(out)
}

fn is_user_made(mode: &str) -> bool {
    !matches!(mode, "bridge" | "host" | "none") && !mode.starts_with("container:")
}

/// What is asked of one network.
pub fn attachment(settings: &EndpointSettings) -> Result<Attachment, PortError> {
    let options: BTreeMap<String, String> =
        settings.driver_opts.clone().unwrap_or_default().into_iter().collect();
    endpoint::options(&options)?;
    let ipam = settings.ipam_config.clone().unwrap_or_default();
    let link_local = endpoint::link_local(ipam.link_local_ips.as_deref())?;
    let mut wrong = Vec::new();
    let address: Option<Ipv4Addr> = fixed(ipam.ipv4_address.as_deref(), "IPv4", &mut wrong);
    let address6: Option<Ipv6Addr> = fixed(ipam.ipv6_address.as_deref(), "IPv6", &mut wrong);
    match wrong.as_slice() {
        [] => {}
        [one] => return Err(invalid(format!("invalid endpoint settings:\n{one}"))),
        several => {
            return Err(invalid(format!("invalid endpoint settings:\n* {}", several.join("\n* "))));
        }
    }
    let links: Result<_, _> = settings.links.iter().flatten().map(|text| link(text)).collect();
    Ok(Attachment {
        network: String::new(),
        address,
        address6,
        mac: checked_mac(settings.mac_address.as_deref().unwrap_or_default())?,
        aliases: settings.aliases.clone().unwrap_or_default(),
        links: links?,
        driver_options: options,
        link_local,
        gateway_priority: settings.gw_priority.unwrap_or(0),
    })
}

/// An address of one family, where one is asked for.
fn fixed<T: FromStr + Into<IpAddr> + Copy>(
    text: Option<&str>,
    version: &str,
    wrong: &mut Vec<String>,
) -> Option<T> {
    let text = text.filter(|t| !t.is_empty())?;
    let address: Option<T> = text.parse().ok();
    let usable = address.filter(|a| {
        let address: IpAddr = (*a).into();
        // One of IPv4 in the guise of IPv6 is neither.
        !address.is_unspecified() && address == address.to_canonical()
    });
    if usable.is_none() {
        wrong.push(format!("invalid {version} address: {text}"));
    }
    usable
}

/// Six pairs of hex digits, in lower case with colons; empty stays so.
fn checked_mac(text: &str) -> Result<String, PortError> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let parts: Vec<&str> = text.split([':', '-']).collect();
    let bytes: Vec<u8> = parts.iter().filter_map(|p| u8::from_str_radix(p, 16).ok()).collect();
    if parts.len() != 6 || bytes.len() != 6 || parts.iter().any(|p| p.len() != 2) {
        return Err(invalid(format!("invalid MAC address {text}")));
    }
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":"))
}

/// What cannot go together with another container's network, in Docker's words.
pub(super) fn in_anothers(
    body: &ContainerCreateBody,
    host: &HostConfig,
    mode: &str,
) -> Result<(), PortError> {
    let Some(owner) = mode.strip_prefix("container:").or_else(|| (mode == "container").then_some("")) else {
        return Ok(());
    };
    if owner.is_empty() {
        return Err(invalid("invalid network mode: invalid container format container:<name|id>"));
    }
    fn some<T>(list: &Option<Vec<T>>) -> bool {
        list.as_ref().is_some_and(|l| !l.is_empty())
    }
    let published = host.port_bindings.as_ref().is_some_and(|p| !p.is_empty());
    let conflicts = [
        (body.hostname.as_deref().is_some_and(|h| !h.is_empty()), "hostname and the network mode"),
        (
            some(&host.links),
            "container type network can't be used with links. This would result in undefined behavior",
        ),
        (some(&host.dns), "dns and the network mode"),
        (some(&host.extra_hosts), "custom host-to-IP mapping and the network mode"),
        (
            published || host.publish_all_ports == Some(true),
            "port publishing and the container type network mode",
        ),
        (some(&body.exposed_ports), "port exposing and the container type network mode"),
    ];
    match conflicts.iter().find(|(given, _)| *given) {
        Some((_, what)) => Err(invalid(format!("conflicting options: {what}"))),
        None => Ok(()),
    }
}

/// `target[:alias]`, on the default bridge alone.
pub(super) fn links(host: &HostConfig, mode: &str) -> Result<Vec<Link>, PortError> {
    let given = host.links.as_deref().unwrap_or_default();
    if mode == "host" && !given.is_empty() {
        return Err(invalid(
            "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
        ));
    }
    given.iter().map(|text| link(text)).collect()
}

fn link(text: &str) -> Result<Link, PortError> {
    if text.is_empty() {
        return Err(invalid("empty string specified for links"));
    }
    let (target, alias) = text.split_once(':').unwrap_or((text, text));
    if alias.contains(':') {
        return Err(invalid(format!("bad format for links: {text}")));
    }
    // As an inspected container shows its links: `/db:/web/mysql`.
    let (target, alias) = match target.strip_prefix('/') {
        Some(target) => (target, alias.rsplit('/').next().unwrap_or(alias)),
        None => (target, alias),
    };
    Ok(Link { target: target.to_owned(), alias: alias.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard_stubs::models::EndpointIpamConfig;

    #[test]
    fn addresses_of_both_families_are_asked_for_and_wrong_ones_told_together() {
        let asked = |four: &str, six: &str| {
            let (ipv4_address, ipv6_address) = (Some(four.to_owned()), Some(six.to_owned()));
            let ipam_config =
                Some(EndpointIpamConfig { ipv4_address, ipv6_address, ..EndpointIpamConfig::default() });
            let settings = EndpointSettings { ipam_config, ..EndpointSettings::default() };
            attachment(&settings).map(|a| (a.address, a.address6)).map_err(|e| e.text)
        };
        assert_eq!(
            asked("10.0.0.2", "fd00::2"),
            Ok((Some([10, 0, 0, 2].into()), Some("fd00::2".parse().unwrap())))
        );
        assert_eq!(asked("", ""), Ok((None, None)));
        let told =
            "invalid endpoint settings:\n* invalid IPv4 address: fd00::2\n* invalid IPv6 address: 10.0.0.2";
        assert_eq!(asked("fd00::2", "10.0.0.2"), Err(told.to_owned()));
        for wrong in ["::", "::ffff:10.0.0.1", "x"] {
            assert_eq!(
                asked("", wrong),
                Err(format!("invalid endpoint settings:\ninvalid IPv6 address: {wrong}"))
            );
        }
    }

    #[test]
    fn a_link_is_a_target_and_an_alias_also_as_inspect_shows_it() {
        let read = |text: &str| link(text).map(|l| (l.target, l.alias)).map_err(|e| e.text);
        let pair = |a: &str, b: &str| Ok((a.to_owned(), b.to_owned()));
        assert_eq!(read("db:mysql"), pair("db", "mysql"));
        assert_eq!(read("db"), pair("db", "db"));
        assert_eq!(read("/db:/web/mysql"), pair("db", "mysql"));
        assert_eq!(read("a:b:c"), Err("bad format for links: a:b:c".to_owned()));
        assert_eq!(read(""), Err("empty string specified for links".to_owned()));
    }
}
