//! Links on the default bridge: another container under a name of one's own, in `/etc/hosts` and in the environment.
//! Nothing of them is stored but who asked for which; the rest follows from what is published.

use crate::container::snapshot::{Board, Snapshot};
use crate::network::DEFAULT;
use contract::network::Endpoint;
use contract::record::{ContainerSpec, ContainerState, Link};
use contract::{Kind, PortError};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// What a linker is given of its links.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Linked {
    /// Lines of its `/etc/hosts`: alias, host name and name.
    pub hosts: Vec<(IpAddr, String)>,
    /// The environment of Docker's legacy links.
    pub environment: Vec<String>,
}

impl Snapshot {
    /// Its place on the default bridge, while it runs.
    fn on_bridge(&self) -> Option<&Endpoint> {
        let mut endpoints = self.state.endpoints.iter().filter(|_| self.pid != 0);
        endpoints.find(|e| e.network_name == DEFAULT)
    }
}

/// The links that still stand: neither taken away nor left behind by a removed target.
fn standing<'a>(
    board: &'a Board,
    spec: &'a ContainerSpec,
    state: &'a ContainerState,
) -> impl Iterator<Item = (&'a Link, Arc<Snapshot>)> {
    let kept = spec.links.iter().filter(|l| !state.unlinked.contains(&l.alias));
    kept.filter_map(|link| Some((link, board.get(&link.target)?)))
}

/// What a container that starts is given. Docker refuses a start while a target does not run.
pub fn of_starting(board: &Board, spec: &ContainerSpec, state: &ContainerState) -> Result<Linked, PortError> {
    let mut out = Linked::default();
    for (link, target) in standing(board, spec, state) {
        let (own, name) = (&state.name, &target.state.name);
        if target.pid == 0 {
            let text = format!("Cannot link to a non running container: /{name} AS /{own}/{}", link.alias);
            return Err(PortError::new(Kind::Bug, text));
        }
        let endpoint = target.on_bridge().ok_or_else(|| {
            let text = format!("container {} not attached to default bridge network", target.spec.id);
            PortError::new(Kind::Bug, text)
        })?;
        let mut names = format!("{} {}", link.alias, target.spec.hostname);
        if link.alias != *name {
            names = format!("{names} {name}");
        }
        out.hosts.extend(endpoint.addresses().map(|address| (address, names.clone())));
        let of = |address| variables(own, &link.alias, address, &target.spec);
        out.environment.extend(endpoint.address.map(of).unwrap_or_default());
    }
    Ok(out)
}

/// The environment alone, for those who enter a running container. Links whose targets do not run give none.
pub fn environment(board: &Board, linker: &Snapshot) -> Vec<String> {
    let links = standing(board, &linker.spec, &linker.state);
    let of_each = links.filter_map(|(link, target)| {
        Some(variables(&linker.state.name, &link.alias, target.on_bridge()?.address?, &target.spec))
    });
    of_each.flatten().collect()
}

/// Who has linked a container, and under which alias.
pub fn linkers(board: &Board, target: &str) -> Vec<(Arc<Snapshot>, String)> {
    let mut out = Vec::new();
    for linker in board.list() {
        let links = linker.spec.links.iter().filter(|l| l.target == target);
        let kept = links.filter(|l| !linker.state.unlinked.contains(&l.alias));
        out.extend(kept.map(|l| (Arc::clone(&linker), l.alias.clone())));
    }
    out.sort_by(|a, b| (a.0.spec.created_ns, &a.1).cmp(&(b.0.spec.created_ns, &b.1)));
    out
}

/// `HostConfig.Links` as Docker shows them: `/db:/web/mysql`.
pub fn shown(board: &Board, linker: &Snapshot) -> Vec<String> {
    let links = standing(board, &linker.spec, &linker.state);
    links.map(|(l, target)| format!("/{}:/{}/{}", target.state.name, linker.state.name, l.alias)).collect()
}

/// One link, found by its path.
#[derive(Debug)]
pub struct Found {
    /// Who has linked.
    pub linker: Arc<Snapshot>,
    /// Under which alias.
    pub alias: String,
    /// Whom.
    pub target: Arc<Snapshot>,
}

/// The link `web/mysql`.
pub fn find(board: &Board, path: &str) -> Option<Found> {
    let (linker, alias) = path.trim_start_matches('/').split_once('/')?;
    let linker = board.get(&board.holder(linker)?)?;
    let found = standing(board, &linker.spec, &linker.state).find(|(link, _)| link.alias == alias);
    let target = found.map(|(_, target)| target)?;
    Some(Found { alias: alias.to_owned(), target, linker })
}

/// The links of a new container with their targets' ids in place of their names.
pub fn resolved(board: &Board, links: Vec<Link>) -> Result<Vec<Link>, PortError> {
    let mut out: Vec<Link> = Vec::with_capacity(links.len());
    for link in links {
        // Docker answers 400: a 404 would make its CLI look for an image.
        let missing = |name: &str, error: PortError| {
            PortError::new(Kind::Invalid, format!("could not get container for {name}: {}", error.chain()))
        };
        let mut target = board.find(&link.target).map_err(|e| missing(&link.target, e))?;
        while let Some(owner) = target.spec.network_mode.strip_prefix("container:") {
            target = board.find(owner).map_err(|e| missing(owner, e))?;
        }
        if target.spec.network_mode == "host" {
            let text = "conflicting options: host type networking can't be used with links. This would result in undefined behavior";
            return Err(PortError::new(Kind::Invalid, text));
        }
        // Docker keeps the first of two with one alias.
        if out.iter().all(|l| l.alias != link.alias) {
            out.push(Link { target: target.spec.id.clone(), alias: link.alias });
        }
    }
    Ok(out)
}

/// Docker's variables of one link (moby `daemon/links`).
fn variables(linker: &str, alias: &str, address: Ipv4Addr, target: &ContainerSpec) -> Vec<String> {
    let name = alias.to_uppercase().replace('-', "_");
    let mut ports: Vec<(u16, &str)> = target
        .exposed
        .iter()
        .filter_map(|p| {
            let (number, protocol) = p.split_once('/').unwrap_or((p, "tcp"));
            Some((number.parse().ok()?, protocol))
        })
        .collect();
    ports.sort_by_key(|(number, protocol)| (*protocol != "tcp", *protocol, *number));
    let url = |(number, protocol): (u16, &str)| format!("{protocol}://{address}:{number}");
    let prefix =
        |(number, protocol): (u16, &str)| format!("{name}_PORT_{number}_{}", protocol.to_uppercase());
    let mut out = Vec::new();
    if let Some(first) = ports.first() {
        out.push(format!("{name}_PORT={}", url(*first)));
    }
    for port in &ports {
        let prefix = prefix(*port);
        out.push(format!("{prefix}={}", url(*port)));
        out.push(format!("{prefix}_ADDR={address}"));
        out.push(format!("{prefix}_PORT={}", port.0));
        out.push(format!("{prefix}_PROTO={}", port.1));
    }
    // Ports in a row are told as a range, too.
    for range in ports.chunk_by(|a, b| a.1 == b.1 && a.0.checked_add(1) == Some(b.0)) {
        if let [first, .., last] = range {
            let prefix = prefix(*first);
            out.push(format!("{prefix}_START={}", url(*first)));
            out.push(format!("{prefix}_PORT_START={}", first.0));
            out.push(format!("{prefix}_END={}", url(*last)));
            out.push(format!("{prefix}_PORT_END={}", last.0));
        }
    }
    out.push(format!("{name}_NAME=/{linker}/{alias}"));
    let env = target.env.iter().filter_map(|e| e.split_once('='));
    out.extend(
        env.filter(|(key, _)| !matches!(*key, "HOME" | "PATH"))
            .map(|(key, value)| format!("{name}_ENV_{key}={value}")),
    );
    out
}

/// Whether links mean anything in this mode.
pub fn apply(spec: &ContainerSpec) -> bool {
    spec.network_mode == DEFAULT && !spec.links.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_ports_ranges_and_the_targets_variables() {
        let target = ContainerSpec {
            exposed: ["3306/tcp", "53/udp", "3307/tcp"].map(str::to_owned).into(),
            env: ["PATH=/bin", "MYSQL_ROOT_PASSWORD=s=1"].map(str::to_owned).into(),
            ..ContainerSpec::default()
        };
        let told = variables("web", "my-sql", Ipv4Addr::new(172, 17, 0, 2), &target);
        let wanted = "MY_SQL_PORT=tcp://172.17.0.2:3306 MY_SQL_PORT_3306_TCP=tcp://172.17.0.2:3306 \
            MY_SQL_PORT_3306_TCP_ADDR=172.17.0.2 MY_SQL_PORT_3306_TCP_PORT=3306 MY_SQL_PORT_3306_TCP_PROTO=tcp \
            MY_SQL_PORT_3307_TCP=tcp://172.17.0.2:3307 MY_SQL_PORT_3307_TCP_ADDR=172.17.0.2 \
            MY_SQL_PORT_3307_TCP_PORT=3307 MY_SQL_PORT_3307_TCP_PROTO=tcp MY_SQL_PORT_53_UDP=udp://172.17.0.2:53 \
            MY_SQL_PORT_53_UDP_ADDR=172.17.0.2 MY_SQL_PORT_53_UDP_PORT=53 MY_SQL_PORT_53_UDP_PROTO=udp \
            MY_SQL_PORT_3306_TCP_START=tcp://172.17.0.2:3306 MY_SQL_PORT_3306_TCP_PORT_START=3306 \
            MY_SQL_PORT_3306_TCP_END=tcp://172.17.0.2:3307 MY_SQL_PORT_3306_TCP_PORT_END=3307 \
            MY_SQL_NAME=/web/my-sql MY_SQL_ENV_MYSQL_ROOT_PASSWORD=s=1";
        assert_eq!(told.join(" "), wanted);
    }
}
