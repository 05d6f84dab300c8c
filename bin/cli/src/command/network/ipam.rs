//! The addresses of a network to be: which range, gateway and reserved address belongs to which subnet.

use std::net::IpAddr;

use bollard::models::IpamConfig;

/// A subnet: its address and the length of its prefix.
fn cidr(text: &str) -> Result<(IpAddr, u8), String> {
    let bad = || format!("invalid CIDR address: {text}");
    let (address, length) = text.split_once('/').ok_or_else(bad)?;
    let address: IpAddr = address.parse().map_err(|_| bad())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = length.parse().ok().filter(|length| *length <= most).ok_or_else(bad)?;
    Ok((address, length))
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Whether `data`, an address or a range, begins within `subnet`.
fn within(subnet: &str, data: &str) -> Result<bool, String> {
    let (network, length) = cidr(subnet).map_err(|error| format!("invalid subnet: {error}"))?;
    let address = match data.contains('/') {
        true => cidr(data)?.0,
        // What is no address lies nowhere.
        false => match data.parse() {
            Ok(address) => address,
            Err(_) => return Ok(false),
        },
    };
    let shift = 128 - u32::from(length);
    let prefix = |address: IpAddr| bits(address).checked_shr(shift).unwrap_or(0);
    Ok(network.is_ipv4() == address.is_ipv4() && prefix(network) == prefix(address))
}

/// Puts each range, gateway and reserved address to its subnet.
pub fn configuration(
    subnets: &[String],
    ranges: &[String],
    gateways: &[String],
    reserved: &[(String, String)],
) -> Result<Vec<IpamConfig>, String> {
    if subnets.len() < ranges.len() || subnets.len() < gateways.len() {
        return Err("every ip-range or gateway must have a corresponding subnet".to_owned());
    }
    let mut all: Vec<(&String, IpamConfig)> = Vec::new();
    for subnet in subnets {
        for (other, _) in &all {
            if within(subnet, other)? || within(other, subnet)? {
                return Err("multiple overlapping subnet configuration is not supported".to_owned());
            }
        }
        all.push((subnet, IpamConfig { subnet: Some(subnet.clone()), ..Default::default() }));
    }
    for range in ranges {
        cidr(range)?;
        let mut placed = false;
        for (subnet, config) in &mut all {
            if within(subnet, range)? {
                if let Some(other) = &config.ip_range {
                    return Err(format!(
                        "cannot configure multiple ranges ({range}, {other}) on the same subnet ({subnet})"
                    ));
                }
                config.ip_range = Some(range.clone());
                placed = true;
            }
        }
        if !placed {
            return Err(format!("no matching subnet for range {range}"));
        }
    }
    for gateway in gateways {
        let mut placed = false;
        for (subnet, config) in &mut all {
            if within(subnet, gateway)? {
                if let Some(other) = &config.gateway {
                    return Err(format!(
                        "cannot configure multiple gateways ({gateway}, {other}) for the same subnet ({subnet})"
                    ));
                }
                config.gateway = Some(gateway.clone());
                placed = true;
            }
        }
        if !placed {
            return Err(format!("no matching subnet for gateway {gateway}"));
        }
    }
    for (name, address) in reserved {
        let mut placed = false;
        for (subnet, config) in &mut all {
            if within(subnet, address)? {
                let known = config.auxiliary_addresses.get_or_insert_default();
                known.insert(name.clone(), address.clone());
                placed = true;
            }
        }
        if !placed {
            return Err(format!("no matching subnet for aux-address {address}"));
        }
    }
    Ok(all.into_iter().map(|(_, config)| config).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_thing_finds_its_subnet() {
        let subnets = list(&["10.1.0.0/16", "fd00::/64"]);
        let reserved = [("router".to_owned(), "10.1.0.9".to_owned())];
        let found =
            configuration(&subnets, &list(&["10.1.4.0/24"]), &list(&["fd00::1", "10.1.0.1"]), &reserved);
        let found = found.unwrap();
        assert_eq!(found[0].ip_range.as_deref(), Some("10.1.4.0/24"));
        assert_eq!(found[0].gateway.as_deref(), Some("10.1.0.1"));
        assert_eq!(found[0].auxiliary_addresses.as_ref().unwrap()["router"], "10.1.0.9");
        assert_eq!(found[1].gateway.as_deref(), Some("fd00::1"));
    }

    #[test]
    fn what_fits_nowhere_is_named() {
        let none: &[String] = &[];
        let one = list(&["10.1.0.0/16"]);
        assert_eq!(
            configuration(none, none, &one, &[]).unwrap_err(),
            "every ip-range or gateway must have a corresponding subnet"
        );
        assert_eq!(
            configuration(&list(&["10.1.0.0/16", "10.1.2.0/24"]), none, none, &[]).unwrap_err(),
            "multiple overlapping subnet configuration is not supported"
        );
        assert_eq!(
            configuration(&one, none, &list(&["10.2.0.1"]), &[]).unwrap_err(),
            "no matching subnet for gateway 10.2.0.1"
        );
        let nothing = [("router".to_owned(), String::new())];
        let refused = configuration(&one, none, none, &nothing).unwrap_err();
        assert_eq!(refused, "no matching subnet for aux-address ");
        assert_eq!(
            configuration(&list(&["10.1.0.0"]), none, &list(&["10.1.0.1"]), &[]).unwrap_err(),
            "invalid subnet: invalid CIDR address: 10.1.0.0"
        );
    }
}
