//! What may be asked of a container's interface on a network, in Docker's words.

use super::{invalid, refuse};
use bollard_stubs::models::ContainerCreateBody;
use contract::PortError;
use contract::record::{IFNAME, SYSCTLS};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Options of Docker's own are known or refused; others are the user's and kept.
pub(super) fn options(given: &BTreeMap<String, String>) -> Result<(), PortError> {
    let known =
        |key: &String| !key.starts_with("com.docker.network.") || [IFNAME, SYSCTLS].contains(&key.as_str());
    if let Some(unknown) = given.keys().find(|key| !known(key)) {
        return Err(refuse::option(&format!("the attachment option {unknown}")));
    }
    if let Some(name) = given.get(IFNAME).filter(|n| !n.is_empty()) {
        interface_name(name)?;
    }
    let settings = given.get(SYSCTLS).into_iter().flat_map(|list| list.split(','));
    match settings.filter(|one| !is_setting(one)).map(unrecognised).collect::<Vec<_>>().as_slice() {
        [] => Ok(()),
        [one] => Err(invalid(format!("invalid endpoint settings:\n{one}"))),
        several => Err(invalid(format!("invalid endpoint settings:\n* {}", several.join("\n* ")))),
    }
}

/// A name that the kernel would take (`dev_valid_name`). Docker finds out at the start only.
fn interface_name(name: &str) -> Result<(), PortError> {
    let fine = name.len() <= 15 && name != "." && name != ".." && name != "lo";
    if !fine || name.contains(|c: char| c == '/' || c == ':' || c == '%' || c.is_whitespace()) {
        return Err(invalid(format!("invalid endpoint settings:\ninvalid interface name {name:?}")));
    }
    Ok(())
}

fn is_setting(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(5, '.').collect();
    // The command line writes keys in lower case.
    matches!(parts.as_slice(), ["net", "ipv4" | "ipv6" | "mpls", kind, "IFNAME" | "ifname", rest]
        if is_name(kind) && rest.split_once('=').is_some_and(|(name, _)| is_name(name)))
}

/// One component of a path below `/proc/sys`.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(['/', '.'])
}

/// `--sysctl` of an interface cannot be set before there is one: it is the endpoint's own. Newer clients are told so, and
/// what older ones (before API 1.48) ask of `eth0` becomes an option of the network that the container is made on, with a
/// warning (moby `handleSysctlBC`).
pub fn interface_settings(body: &mut ContainerCreateBody, minor: u32) -> Result<Option<String>, PortError> {
    let Some(host) = &mut body.host_config else { return Ok(None) };
    let mode = host.network_mode.clone().unwrap_or_default();
    let Some(all) = host.sysctls.as_mut().filter(|_| mode != "host" && !mode.starts_with("container:"))
    else {
        return Ok(None);
    };
    let of_interface = |key: &str| {
        let parts: Vec<&str> = key.splitn(5, '.').collect();
        matches!(parts.as_slice(), ["net", _, _, name, _] if name.starts_with("eth"))
    };
    let mut moved: Vec<(String, String)> = Vec::new();
    for (key, value) in all.iter().filter(|(key, _)| of_interface(key)) {
        if minor >= 48 {
            return Err(invalid(format!(
                "interface specific sysctl setting {key:?} must be supplied using driver option '{SYSCTLS}'"
            )));
        }
        if !key.contains(".eth0.") {
            return Err(invalid(format!(
                "unable to determine network endpoint for sysctl {key}, use driver option '{SYSCTLS}' to set per-interface sysctls"
            )));
        }
        moved.push((key.clone(), format!("{}={value}", key.replacen(".eth0.", ".IFNAME.", 1))));
    }
    if moved.is_empty() {
        return Ok(None);
    }
    moved.sort();
    all.retain(|key, _| !moved.iter().any(|(gone, _)| gone == key));
    let (keys, settings): (Vec<String>, Vec<String>) = moved.into_iter().unzip();
    let settings = settings.join(",");
    let warning = format!("Migrated sysctl {:?} to DriverOpts{{{SYSCTLS:?}:{settings:?}}}.", keys.join(","));
    let network = if mode.is_empty() { "default".to_owned() } else { mode };
    let endpoints = &mut body.networking_config.get_or_insert_default().endpoints_config;
    let options = &mut endpoints.get_or_insert_default().entry(network).or_default().driver_opts;
    let own = options.get_or_insert_default().entry(SYSCTLS.to_owned()).or_default();
    // What the endpoint itself was given comes last and holds.
    *own = if own.is_empty() { settings } else { format!("{settings},{own}") };
    Ok(Some(warning))
}

fn unrecognised(text: &str) -> String {
    format!(
        "unrecognised network interface sysctl '{text}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'"
    )
}

/// Addresses that are good on the link alone.
pub(super) fn link_local(given: Option<&[String]>) -> Result<Vec<IpAddr>, PortError> {
    let read = |text: &String| {
        let wrong = || invalid(format!("invalid endpoint settings:\ninvalid link-local IP address: {text}"));
        let address: IpAddr = text.parse().map_err(|_| wrong())?;
        let local = match address {
            IpAddr::V4(four) => four.is_link_local(),
            IpAddr::V6(six) => six.segments()[0] & 0xffc0 == 0xfe80,
        };
        match local {
            _ if address.is_unspecified() => Err(wrong()),
            true => Ok(address),
            false => Err(invalid(format!("invalid link local IP address: {address}"))),
        }
    };
    given.unwrap_or_default().iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(key: &str, value: &str) -> Result<(), String> {
        options(&BTreeMap::from([(key.to_owned(), value.to_owned())])).map_err(|e| e.text)
    }

    #[test]
    fn options_of_docker_s_own_are_known_or_refused() {
        assert_eq!(told("my.own", "x"), Ok(()));
        assert_eq!(told(IFNAME, "wan0"), Ok(()));
        assert!(told(IFNAME, "sixteen-letters-").unwrap_err().contains("invalid interface name"));
        let said = told("com.docker.network.endpoint.dnsservers", "x").unwrap_err();
        assert!(said.contains("the attachment option com.docker.network.endpoint.dnsservers"), "{said}");
        assert_eq!(
            told(SYSCTLS, "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.ifname.accept_ra=2"),
            Ok(())
        );
        for wrong in
            ["net.ipv4.conf.eth0.log_martians=1", "net.core.x.IFNAME.y=1", "a", "net.ipv4.conf.IFNAME.x/y=1"]
        {
            let said = told(SYSCTLS, wrong).unwrap_err();
            assert!(said.contains(&format!("unrecognised network interface sysctl '{wrong}'")), "{said}");
        }
    }

    #[test]
    fn link_local_addresses_are_of_their_own_range() {
        let read = |text: &str| link_local(Some(&[text.to_owned()])).map_err(|e| e.text);
        assert!(read("169.254.8.8").is_ok() && read("fe80::8").is_ok());
        assert_eq!(read("10.0.0.1").unwrap_err(), "invalid link local IP address: 10.0.0.1");
        assert!(read("x").unwrap_err().ends_with("invalid link-local IP address: x"));
    }

    #[test]
    fn settings_of_an_interface_are_the_endpoint_s() {
        let body = |sysctls: &str, mode: &str| -> ContainerCreateBody {
            let text = format!(
                r#"{{"HostConfig":{{"NetworkMode":"{mode}","Sysctls":{{"{sysctls}":"1","net.core.x":"2"}}}}}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        let key = "net.ipv4.conf.eth0.log_martians";
        let said = interface_settings(&mut body(key, "own"), 50).unwrap_err().text;
        assert!(
            said.contains("must be supplied using driver option 'com.docker.network.endpoint.sysctls'"),
            "{said}"
        );
        let mut old = body(key, "own");
        let warning = interface_settings(&mut old, 47).unwrap().unwrap();
        assert_eq!(
            warning,
            r#"Migrated sysctl "net.ipv4.conf.eth0.log_martians" to DriverOpts{"com.docker.network.endpoint.sysctls":"net.ipv4.conf.IFNAME.log_martians=1"}."#
        );
        assert_eq!(old.host_config.unwrap().sysctls.unwrap().len(), 1);
        let own = old.networking_config.unwrap().endpoints_config.unwrap().remove("own").unwrap();
        assert_eq!(own.driver_opts.unwrap()[SYSCTLS], "net.ipv4.conf.IFNAME.log_martians=1");
        assert!(interface_settings(&mut body("net.ipv4.conf.eth1.x", "own"), 47).is_err());
        for mode in ["host", "container:x"] {
            assert!(interface_settings(&mut body(key, mode), 50).unwrap().is_none(), "{mode}");
        }
    }
}
