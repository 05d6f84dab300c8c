//! The subnets that a new network asks for, with all that is wrong with them at once, as Docker tells it.

use super::invalid;
use actors::{Asked, Wanted};
use bollard_stubs::models::IpamConfig;
use contract::network::{Family, Subnet};
use contract::{Kind, PortError};
use std::net::IpAddr;

fn version(family: Family) -> &'static str {
    match family {
        Family::Four => "IPv4",
        Family::Six => "IPv6",
    }
}

/// IPv6 subnets that are not used: the network has no IPv6. Docker takes them without a word.
pub fn unused(wanted: &Wanted, pools: &[IpamConfig]) -> Option<String> {
    let six = pools.iter().filter_map(|p| p.subnet.as_deref()).filter(|s| s.contains(':'));
    let names: Vec<&str> = six.filter(|_| wanted.six.is_none()).collect();
    let text = || format!("IPv6 is not enabled: {} is not used (set EnableIPv6, --ipv6)", names.join(", "));
    (!names.is_empty()).then(text)
}

/// Reads them.
pub fn read(out: &mut Wanted, pools: &[IpamConfig]) -> Result<(), PortError> {
    let (mut errors, mut seen) = (Vec::new(), Vec::new());
    for pool in pools {
        let text = pool.subnet.as_deref().unwrap_or_default();
        let Some((address, subnet)) = Subnet::parse(text) else {
            errors.push(format!("invalid subnet {text}: invalid CIDR block notation"));
            continue;
        };
        let family = subnet.family();
        if family == Family::Six && out.six.is_none() {
            continue;
        }
        seen.push(family);
        if address != subnet.address {
            errors.push(format!("invalid subnet {text}: it should be {subnet}"));
        }
        if !(1..=family.bits() - 2).contains(&subnet.prefix) {
            errors.push(format!("invalid subnet {text}: it has no room for a gateway and a container"));
        }
        let asked = one(out, pool, subnet, &mut errors);
        let slot = if family == Family::Four { &mut out.four } else { &mut out.six };
        if let Some(slot) = slot {
            *slot = asked;
        }
    }
    match errors.as_slice() {
        [] => {}
        [one] => return Err(invalid(format!("invalid network config:\n{one}"))),
        several => return Err(invalid(format!("invalid network config:\n* {}", several.join("\n* ")))),
    }
    if [Family::Four, Family::Six].iter().any(|f| seen.iter().filter(|s| *s == f).count() > 1) {
        return Err(PortError::new(Kind::Denied, "bridge driver doesn't support multiple subnets"));
    }
    Ok(())
}

fn one(out: &mut Wanted, pool: &IpamConfig, subnet: Subnet, errors: &mut Vec<String>) -> Asked {
    let range = range(pool.ip_range.as_deref().unwrap_or_default(), subnet, errors);
    let given = pool.gateway.as_deref().unwrap_or_default();
    let gateway = inside(given, subnet).unwrap_or_else(|why| {
        errors.push(format!("invalid gateway {given}: {why}"));
        None
    });
    for (name, given) in pool.auxiliary_addresses.iter().flatten() {
        match inside(given, subnet) {
            Ok(Some(address)) => {
                out.auxiliary.insert(name.clone(), address);
            }
            Ok(None) => {}
            Err(why) => errors.push(format!("invalid auxiliary address {name}: {why}")),
        }
    }
    Asked { subnet: Some(subnet), gateway, range }
}

fn range(text: &str, subnet: Subnet, errors: &mut Vec<String>) -> Option<Subnet> {
    if text.is_empty() {
        return None;
    }
    let Some((address, range)) = Subnet::parse(text) else {
        errors.push(format!("invalid ip-range {text}: invalid CIDR block notation"));
        return None;
    };
    if range.family() != subnet.family() {
        let version = version(subnet.family());
        errors.push(format!("invalid ip-range {text}: parent subnet is an {version} block"));
        return None;
    }
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
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<IpAddr>() {
        Err(_) => Err("invalid address".to_owned()),
        Ok(address) if Family::of(address) != subnet.family() => {
            Err(format!("parent subnet is an {} block", version(subnet.family())))
        }
        Ok(address) if !subnet.contains(address) => {
            Err(format!("parent subnet {subnet} doesn't contain this address"))
        }
        Ok(address) => Ok(Some(address)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(subnet: &str, range: &str, gateway: &str) -> IpamConfig {
        let text = |t: &str| Some(t.to_owned());
        IpamConfig {
            subnet: text(subnet),
            ip_range: text(range),
            gateway: text(gateway),
            ..IpamConfig::default()
        }
    }

    fn dual() -> Wanted {
        Wanted { four: Some(Asked::default()), six: Some(Asked::default()), ..Wanted::default() }
    }

    fn asked(pools: &[IpamConfig]) -> Result<Wanted, PortError> {
        let mut out = dual();
        read(&mut out, pools).map(|()| out)
    }

    #[test]
    fn what_is_wrong_with_subnets_is_told_all_at_once() {
        let error = asked(&[pool("10.1.0.9/16", "10.2.0.0/24", "10.3.0.1")]).unwrap_err();
        let wanted = "invalid network config:\n* invalid subnet 10.1.0.9/16: it should be 10.1.0.0/16\n* invalid \
            ip-range 10.2.0.0/24: parent subnet 10.1.0.0/16 doesn't contain ip-range\n* invalid gateway 10.3.0.1: \
            parent subnet 10.1.0.0/16 doesn't contain this address";
        assert_eq!(error.text, wanted);
        let error = asked(&[pool("10.1.0.0", "", "")]).unwrap_err();
        assert_eq!(
            error.text,
            "invalid network config:\ninvalid subnet 10.1.0.0: invalid CIDR block notation"
        );
        let error = asked(&[pool("fd00::/64", "10.0.0.0/24", "10.0.0.1")]).unwrap_err();
        let wanted = "invalid network config:\n* invalid ip-range 10.0.0.0/24: parent subnet is an IPv6 block\n* \
            invalid gateway 10.0.0.1: parent subnet is an IPv6 block";
        assert_eq!(error.text, wanted);
    }

    #[test]
    fn a_network_has_one_subnet_of_each_family() {
        let fine =
            asked(&[pool("10.1.0.0/16", "10.1.2.0/24", "10.1.0.254"), pool("fd00::/64", "", "")]).unwrap();
        assert_eq!(fine.four.unwrap().gateway, Some([10, 1, 0, 254].into()));
        assert_eq!(fine.six.unwrap().subnet.unwrap().to_string(), "fd00::/64");
        let two = [pool("10.1.0.0/16", "", ""), pool("10.2.0.0/16", "", "")];
        let error = asked(&two).unwrap_err();
        assert_eq!(
            (error.kind, error.text.as_str()),
            (Kind::Denied, "bridge driver doesn't support multiple subnets")
        );
    }

    #[test]
    fn an_ipv6_subnet_of_a_network_without_ipv6_is_not_used_and_that_is_said() {
        let mut four = Wanted { six: None, ..dual() };
        let pools = [pool("fd00::9/64", "", "")];
        read(&mut four, &pools).unwrap();
        assert_eq!(four.four, Some(Asked::default()));
        assert!(unused(&four, &pools).unwrap().contains("fd00::9/64 is not used"));
        assert_eq!(unused(&dual(), &pools), None);
    }
}
