//! `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` of a container, kept in its folder and bound into it.

use contract::record::ContainerSpec;
use contract::runtime::{Answers, SandboxSpec};
use std::fmt::Write as _;
use std::io;
use std::net::Ipv4Addr;

/// Servers used when the host names only loopback ones (Docker's fallback).
const FALLBACK_DNS: [&str; 2] = ["8.8.8.8", "8.8.4.4"];

/// Writes the three files in place, so that existing bind mounts see the change.
pub fn write(spec: &SandboxSpec, host_resolv: &str) -> io::Result<()> {
    if spec.files_of.is_some() {
        return Ok(());
    }
    let c = &spec.container;
    std::fs::write(spec.directory.join("hostname"), format!("{}\n", c.hostname))?;
    let hosts = if c.network_mode == "host" {
        let mut text = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        extra_hosts(&mut text, &c.extra_hosts, None);
        text
    } else {
        hosts(spec)
    };
    std::fs::write(spec.directory.join("hosts"), hosts)?;
    std::fs::write(spec.directory.join("resolv.conf"), resolv(c, spec.answers, host_resolv))
}

fn hosts(spec: &SandboxSpec) -> String {
    let c = &spec.container;
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
         ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    );
    extra_hosts(&mut text, &c.extra_hosts, spec.gateway);
    // Writing to a String cannot fail.
    for (address, names) in &spec.hosts {
        let _infallible = writeln!(text, "{address}\t{names}");
    }
    for address in &spec.addresses {
        let full = match c.domainname.as_str() {
            "" => c.hostname.clone(),
            domain => format!("{}.{domain}", c.hostname),
        };
        // A dotted name is also known by its first part.
        let name = match full.split_once('.') {
            Some((short, _)) if !short.is_empty() => format!("{full} {short}"),
            _ => full,
        };
        let _infallible = writeln!(text, "{address}\t{name}");
    }
    text
}

fn extra_hosts(text: &mut String, entries: &[String], gateway: Option<Ipv4Addr>) {
    for entry in entries {
        if let Some((name, address)) = entry.split_once([':', '=']) {
            let address = match (address, gateway) {
                ("host-gateway", Some(gateway)) => gateway.to_string(),
                _ => address.to_owned(),
            };
            let _infallible = writeln!(text, "{address}\t{name}");
        }
    }
}

/// Gives the lines in which a name stands first a new address, or takes them away; what else the file holds stays.
/// Answers `None` when nothing changes.
pub fn readdressed(hosts: &str, name: &str, address: Option<Ipv4Addr>) -> Option<String> {
    let mut out = String::with_capacity(hosts.len());
    for line in hosts.split_inclusive('\n') {
        match line.split_once('\t').filter(|(_, names)| names.split_whitespace().next() == Some(name)) {
            None => out.push_str(line),
            Some((_, names)) => {
                if let Some(address) = address {
                    let _infallible = write!(out, "{address}\t{names}");
                }
            }
        }
    }
    (out != hosts).then_some(out)
}

/// Where the daemon answers inside a container's namespace (Docker's).
const DAEMON: &str = "127.0.0.11";

/// A container's resolv.conf.
pub fn resolv(c: &ContainerSpec, answers: Answers, host: &str) -> String {
    if c.network_mode == "host" && c.dns.is_empty() && c.dns_search.is_empty() && c.dns_options.is_empty() {
        return host.to_owned();
    }
    let from_host = |key: &str| -> Vec<String> {
        let values = host.lines().filter_map(|l| l.trim().strip_prefix(key)?.strip_prefix([' ', '\t']));
        values.flat_map(str::split_whitespace).map(str::to_owned).collect()
    };
    let mut servers = match answers {
        Answers::Servers => c.dns.clone(),
        Answers::Daemon => vec![DAEMON.to_owned()],
    };
    if servers.is_empty() {
        // A loopback resolver of the host cannot be reached from inside.
        servers =
            from_host("nameserver").into_iter().filter(|s| !s.starts_with("127.") && s != "::1").collect();
    }
    if servers.is_empty() {
        servers = FALLBACK_DNS.map(str::to_owned).to_vec();
    }
    let search = if c.dns_search.is_empty() { from_host("search") } else { c.dns_search.clone() };
    let mut options = if c.dns_options.is_empty() { from_host("options") } else { c.dns_options.clone() };
    if answers == Answers::Daemon && !options.iter().any(|o| o.starts_with("ndots:")) {
        options.push("ndots:0".to_owned());
    }
    let mut text: String = servers.iter().map(|s| format!("nameserver {s}\n")).collect();
    if !search.is_empty() && search != ["."] {
        let _infallible = writeln!(text, "search {}", search.join(" "));
    }
    if !options.is_empty() {
        let _infallible = writeln!(text, "options {}", options.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::runtime::RootSpec;

    fn spec(container: ContainerSpec) -> SandboxSpec {
        let root = RootSpec { lower: vec![], upper: "".into(), work: "".into(), target: "".into() };
        let addresses = vec![Ipv4Addr::new(172, 17, 0, 2).into()];
        let gateway = Some(Ipv4Addr::new(172, 17, 0, 1));
        SandboxSpec {
            container,
            root,
            directory: "".into(),
            addresses,
            gateway,
            answers: Answers::Servers,
            files_of: None,
            netns: None,
            joined: Default::default(),
            hosts: Vec::new(),
            environment: Vec::new(),
        }
    }

    #[test]
    fn loopback_resolvers_of_the_host_are_left_out() {
        let text = resolv(&ContainerSpec::default(), Answers::Servers, "nameserver 127.0.0.53\nsearch lan\n");
        assert_eq!(text, "nameserver 8.8.8.8\nnameserver 8.8.4.4\nsearch lan\n");
    }

    #[test]
    fn where_the_daemon_answers_no_other_server_is_named() {
        let asked = ContainerSpec { dns: vec!["10.0.0.9".into()], ..ContainerSpec::default() };
        let text = resolv(&asked, Answers::Daemon, "nameserver 127.0.0.53\nsearch lan\noptions edns0\n");
        assert_eq!(text, "nameserver 127.0.0.11\nsearch lan\noptions edns0 ndots:0\n");
        let asked = ContainerSpec { dns_options: vec!["ndots:2".into()], ..ContainerSpec::default() };
        assert_eq!(resolv(&asked, Answers::Daemon, ""), "nameserver 127.0.0.11\noptions ndots:2\n");
    }

    #[test]
    fn a_full_name_is_listed_with_its_short_form() {
        for (hostname, domainname) in [("web.lan", ""), ("web", "lan")] {
            let (hostname, domainname) = (hostname.into(), domainname.into());
            let text = hosts(&spec(ContainerSpec { hostname, domainname, ..ContainerSpec::default() }));
            assert!(text.ends_with("172.17.0.2\tweb.lan web\n"), "{text}");
        }
    }

    #[test]
    fn a_linked_names_address_changes_and_all_else_stays() {
        let hosts = "127.0.0.1\tlocalhost\n172.17.0.2\tdb 0123 mysql\n10.0.0.9\tmine\tdb\n172.17.0.3\tself\n";
        let moved = readdressed(hosts, "db", Some(Ipv4Addr::new(172, 17, 0, 9))).unwrap();
        assert_eq!(moved, hosts.replace("172.17.0.2", "172.17.0.9"));
        assert_eq!(readdressed(&moved, "db", Some(Ipv4Addr::new(172, 17, 0, 9))), None);
        assert_eq!(readdressed(hosts, "db", None).unwrap(), hosts.replace("172.17.0.2\tdb 0123 mysql\n", ""));
    }

    #[test]
    fn host_gateway_becomes_the_bridges_address() {
        let extra_hosts = vec!["up:host-gateway".into()];
        let text =
            hosts(&spec(ContainerSpec { extra_hosts, hostname: "h".into(), ..ContainerSpec::default() }));
        assert!(text.ends_with("172.17.0.1\tup\n172.17.0.2\th\n"), "{text}");
    }
}
