//! `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` of a container, kept in its folder and bound into it.

use crate::resolv::Ask;
use contract::record::ContainerSpec;
use contract::runtime::SandboxSpec;
use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::path::Path;

/// Names that every container knows (moby `etchosts`); the second list where there is IPv6.
const LOCAL: &str = "127.0.0.1\tlocalhost\n";
const LOCAL6: &str = "::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\n\
    ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";

/// Writes the three files in place, so that existing bind mounts see the change.
pub fn write(spec: &SandboxSpec) -> io::Result<()> {
    if spec.files_of.is_some() {
        return Ok(());
    }
    let c = &spec.container;
    std::fs::write(spec.directory.join("hostname"), format!("{}\n", c.hostname))?;
    let hosts = match c.network_mode == "host" && c.extra_hosts.is_empty() {
        true => std::fs::read_to_string("/etc/hosts").unwrap_or_default(),
        false => hosts(spec),
    };
    std::fs::write(spec.directory.join("hosts"), hosts)?;
    let six = spec.addresses.iter().any(IpAddr::is_ipv6);
    Ask { container: c, answers: spec.answers, six }.write(&spec.directory)
}

fn hosts(spec: &SandboxSpec) -> String {
    let c = &spec.container;
    let six = has_six(c);
    let mut text = LOCAL.to_owned();
    if six {
        text.push_str(LOCAL6);
    }
    let mut add = |address: IpAddr, names: &str| {
        if six || address.is_ipv4() {
            line(&mut text, address, names);
        }
    };
    for (name, address) in c.extra_hosts.iter().filter_map(|e| e.split_once([':', '='])) {
        let given = address.parse().ok().map(|a| vec![a]);
        given
            .iter()
            .flatten()
            .chain(spec.gateways.iter().filter(|_| given.is_none()))
            .for_each(|a| add(*a, name));
    }
    spec.hosts.iter().for_each(|(address, names)| add(*address, names));
    let own = own_names(c);
    spec.addresses.iter().for_each(|address| add(*address, &own));
    text
}

/// Whether a container has IPv6 at all, be it on its loopback alone.
fn has_six(c: &ContainerSpec) -> bool {
    let off = |kind: &str| {
        c.sysctls.get(&format!("net.ipv6.conf.{kind}.disable_ipv6")).is_some_and(|v| v.trim() != "0")
    };
    Path::new("/proc/sys/net/ipv6").exists() && !off("all") && !off("lo")
}

fn line(text: &mut String, address: IpAddr, names: &str) {
    // Writing to a String cannot fail.
    let _infallible = writeln!(text, "{address}\t{names}");
}

/// What a container calls itself. A dotted name is also known by its first part.
fn own_names(c: &ContainerSpec) -> String {
    let full = match c.domainname.as_str() {
        "" => c.hostname.clone(),
        domain => format!("{}.{domain}", c.hostname),
    };
    match full.split_once('.') {
        Some((short, _)) if !short.is_empty() => format!("{full} {short}"),
        _ => full,
    }
}

/// Gives the lines in which a name stands first new addresses, or takes them away; what else the file holds stays.
/// Answers `None` when nothing changes.
pub fn readdressed(hosts: &str, name: &str, addresses: &[IpAddr]) -> Option<String> {
    let mut out = String::with_capacity(hosts.len());
    let mut left = addresses;
    for whole in hosts.split_inclusive('\n') {
        match whole.split_once('\t').filter(|(_, names)| names.split_whitespace().next() == Some(name)) {
            None => out.push_str(whole),
            Some((_, names)) => {
                std::mem::take(&mut left).iter().for_each(|a| line(&mut out, *a, names.trim_end()));
            }
        }
    }
    (out != hosts).then_some(out)
}

/// A container's own lines, from the addresses it had to those it has now; lines that a user has changed stay.
pub fn moved(hosts: &str, c: &ContainerSpec, from: &[IpAddr], to: &[IpAddr]) -> Option<String> {
    let own = own_names(c);
    let gone = |whole: &&str| {
        let parts =
            whole.split_once('\t').and_then(|(a, names)| Some((a.parse::<IpAddr>().ok()?, names.trim_end())));
        parts.is_some_and(|(a, names)| names == own && from.contains(&a) && !to.contains(&a))
    };
    let mut out: String = hosts.split_inclusive('\n').filter(|whole| !gone(whole)).collect();
    if !out.ends_with('\n') && !out.is_empty() {
        out.push('\n');
    }
    let six = has_six(c);
    to.iter().filter(|a| !from.contains(a) && (six || a.is_ipv4())).for_each(|a| line(&mut out, *a, &own));
    (out != hosts).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::runtime::{Answers, RootSpec};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn spec(container: ContainerSpec) -> SandboxSpec {
        let root = RootSpec { lower: vec![], upper: "".into(), work: "".into(), target: "".into() };
        SandboxSpec {
            container,
            root,
            directory: "".into(),
            addresses: vec![ip("172.17.0.2"), ip("fd00::2")],
            gateways: vec![ip("172.17.0.1"), ip("fd00::1")],
            answers: Answers::Servers,
            files_of: None,
            netns: None,
            joined: Default::default(),
            hosts: Vec::new(),
            environment: Vec::new(),
        }
    }

    #[test]
    fn a_full_name_is_listed_with_its_short_form() {
        for (hostname, domainname) in [("web.lan", ""), ("web", "lan")] {
            let (hostname, domainname) = (hostname.into(), domainname.into());
            let text = hosts(&spec(ContainerSpec { hostname, domainname, ..ContainerSpec::default() }));
            assert!(text.contains("172.17.0.2\tweb.lan web\n"), "{text}");
        }
    }

    #[test]
    fn a_linked_names_addresses_change_and_all_else_stays() {
        let hosts = "127.0.0.1\tlocalhost\n172.17.0.2\tdb 0123 mysql\n10.0.0.9\tmine\tdb\n172.17.0.3\tself\n";
        let moved = readdressed(hosts, "db", &[ip("172.17.0.9")]).unwrap();
        assert_eq!(moved, hosts.replace("172.17.0.2", "172.17.0.9"));
        assert_eq!(readdressed(&moved, "db", &[ip("172.17.0.9")]), None);
        assert_eq!(readdressed(hosts, "db", &[]).unwrap(), hosts.replace("172.17.0.2\tdb 0123 mysql\n", ""));
        let both = readdressed(hosts, "db", &[ip("172.17.0.2"), ip("fd00::9")]).unwrap();
        assert!(both.contains("\n172.17.0.2\tdb 0123 mysql\nfd00::9\tdb 0123 mysql\n10.0.0.9"), "{both}");
        assert_eq!(readdressed(&both, "db", &[ip("172.17.0.2")]).unwrap(), hosts);
    }

    #[test]
    fn a_containers_own_lines_follow_its_networks_and_its_users_stay() {
        let c = ContainerSpec { hostname: "web".into(), ..ContainerSpec::default() };
        let hosts = "127.0.0.1\tlocalhost\n172.18.0.2\tweb\n172.18.0.2\tweb mine";
        let (old, new) = ([ip("172.18.0.2")], [ip("172.18.0.2"), ip("172.19.0.2")]);
        let both = moved(hosts, &c, &old, &new).unwrap();
        assert_eq!(both, format!("{hosts}\n172.19.0.2\tweb\n"));
        assert_eq!(moved(&both, &c, &new, &new), None);
        let left = moved(&both, &c, &new, &[ip("172.19.0.2")]).unwrap();
        assert_eq!(left, "127.0.0.1\tlocalhost\n172.18.0.2\tweb mine\n172.19.0.2\tweb\n");
    }

    #[test]
    fn host_gateway_becomes_the_bridges_addresses() {
        let extra_hosts = vec!["up:host-gateway".into(), "six:fd00::7".into(), "four=10.0.0.7".into()];
        let mut spec = spec(ContainerSpec { extra_hosts, hostname: "h".into(), ..ContainerSpec::default() });
        let text = hosts(&spec);
        let wanted = "172.17.0.1\tup\nfd00::1\tup\nfd00::7\tsix\n10.0.0.7\tfour\n172.17.0.2\th\nfd00::2\th\n";
        assert!(text.ends_with(wanted), "{text}");
        spec.container.sysctls.insert("net.ipv6.conf.all.disable_ipv6".into(), "1".into());
        assert_eq!(hosts(&spec), format!("{LOCAL}172.17.0.1\tup\n10.0.0.7\tfour\n172.17.0.2\th\n"));
    }
}
