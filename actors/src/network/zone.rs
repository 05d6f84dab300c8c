//! The names of containers on the networks that users made.

use crate::container::snapshot::Board;
use contract::network::{Endpoint, Names};
use contract::record::{Attachment, Link};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

/// A container's place on one network.
#[derive(Debug, Clone)]
struct Place {
    network: String,
    network_name: String,
    /// Of both families.
    addresses: Vec<IpAddr>,
    aliases: Vec<String>,
    links: Vec<Link>,
}

/// Who is on which network under which names. Written before a container runs, so that it knows its neighbours from its
/// first moment on.
#[derive(Clone)]
pub struct Zone {
    board: Board,
    places: Arc<RwLock<HashMap<String, Vec<Place>>>>,
}

impl Zone {
    /// Names are those on the board.
    pub fn new(board: Board) -> Self {
        Self { board, places: Arc::default() }
    }

    /// Puts a container's places up in place of those it had. The default network has no names.
    pub fn enter(&self, container: &str, endpoints: &[Endpoint], networks: &BTreeMap<String, Attachment>) {
        let named = endpoints.iter().filter(|e| e.network_name != super::DEFAULT);
        let places: Vec<Place> = named
            .map(|e| {
                let attachment = networks.get(&e.network_name).cloned().unwrap_or_default();
                Place {
                    network: e.network.clone(),
                    network_name: e.network_name.clone(),
                    addresses: e.addresses().collect(),
                    aliases: attachment.aliases,
                    links: attachment.links,
                }
            })
            .collect();
        let mut map = self.places.write().unwrap_or_else(PoisonError::into_inner);
        if places.is_empty() {
            map.remove(container);
        } else {
            map.insert(container.to_owned(), places);
        }
    }

    /// Takes a container's places down.
    pub fn leave(&self, container: &str) {
        self.places.write().unwrap_or_else(PoisonError::into_inner).remove(container);
    }

    /// All names of a container on a network, its own first (moby `buildEndpointDNSNames`).
    pub fn names(&self, container: &str, aliases: &[String]) -> Vec<String> {
        let mut all = Vec::new();
        let Some(snapshot) = self.board.get(container) else { return all };
        let short = container.get(..12).unwrap_or(container).to_owned();
        let names = [snapshot.state.name.clone()].into_iter().chain(aliases.iter().cloned());
        for name in names.chain([short, snapshot.spec.hostname.clone()]) {
            if !name.is_empty() && !all.contains(&name) {
                all.push(name);
            }
        }
        all
    }

    /// The addresses of those on a network who have this name, in order.
    fn bearers(&self, map: &HashMap<String, Vec<Place>>, network: &str, name: &str) -> Vec<IpAddr> {
        let on_it = map.iter().flat_map(|(id, places)| places.iter().map(move |p| (id, p)));
        let mut found: Vec<IpAddr> = on_it
            .filter(|(_, p)| p.network == network)
            .filter(|(id, p)| self.names(id, &p.aliases).iter().any(|n| n.eq_ignore_ascii_case(name)))
            .flat_map(|(_, p)| p.addresses.clone())
            .collect();
        found.sort_unstable();
        found
    }
}

/// `db.front` is `db.front`, or `db` on the network `front`.
fn readings(name: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let dots = name.rmatch_indices('.').map(|(at, _)| (name.get(..at).unwrap_or(""), name.get(at + 1..)));
    std::iter::once((name, None)).chain(dots)
}

impl Names for Zone {
    fn addresses(&self, container: &str, name: &str) -> Option<Vec<IpAddr>> {
        let map = self.places.read().unwrap_or_else(PoisonError::into_inner);
        let own = map.get(container)?;
        let name = name.trim_end_matches('.');
        for (name, network) in readings(name) {
            let on = || own.iter().filter(|p| network.is_none_or(|n| n == p.network_name));
            // What the container itself calls others goes before what they are called.
            let linked = on().flat_map(|p| {
                let links = p.links.iter().filter(|l| l.alias.eq_ignore_ascii_case(name));
                links.flat_map(|l| self.bearers(&map, &p.network, &l.target))
            });
            let mut found: Vec<IpAddr> = linked.collect();
            if found.is_empty() {
                let first = on().map(|p| self.bearers(&map, &p.network, name)).find(|f| !f.is_empty());
                found = first.unwrap_or_default();
            }
            if !found.is_empty() {
                return Some(found);
            }
        }
        None
    }

    fn name(&self, container: &str, address: IpAddr) -> Option<String> {
        let map = self.places.read().unwrap_or_else(PoisonError::into_inner);
        let own = map.get(container)?;
        let bearer = |network: &str| {
            let mut on_it = map.iter().flat_map(|(id, places)| places.iter().map(move |p| (id, p)));
            on_it
                .find(|(_, p)| p.network == network && p.addresses.contains(&address))
                .map(|(id, _)| id.clone())
        };
        own.iter().find_map(|p| {
            let name = self.names(&bearer(&p.network)?, &[]).into_iter().next()?;
            Some(format!("{name}.{}", p.network_name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::snapshot::{Snapshot, Status};
    use contract::network::Segment;
    use contract::record::{ContainerSpec, ContainerState};

    fn endpoint(network: &str, last: u8) -> Endpoint {
        let gateway = Some([10, 0, 0, 1].into());
        Endpoint {
            segment: Segment { name: network.into(), gateway, prefix: 24, ..Segment::default() },
            address: Some([10, 0, 0, last].into()),
            network: format!("{network}-id"),
            network_name: network.into(),
            ..Endpoint::default()
        }
    }

    fn put(zone: &Zone, id: &str, name: &str, places: &[(&str, u8, Attachment)]) {
        let spec = ContainerSpec { id: id.into(), hostname: format!("{name}-host"), ..Default::default() };
        let state = ContainerState { name: name.into(), ..Default::default() };
        let (spec, status) = (Arc::new(spec), Status::Running);
        zone.board.publish(Snapshot { spec, state, status, pid: 1, execs: vec![], generation: 0 });
        let endpoints: Vec<Endpoint> = places.iter().map(|(n, last, _)| endpoint(n, *last)).collect();
        let networks = places.iter().map(|(n, _, a)| ((*n).to_owned(), a.clone())).collect();
        zone.enter(id, &endpoints, &networks);
    }

    #[test]
    fn names_aliases_and_links_are_known_on_shared_networks_alone() {
        let zone = Zone::new(Board::default());
        let alias = |name: &str| Attachment { aliases: vec![name.into()], ..Attachment::default() };
        let link = Link { target: "db1".into(), alias: "mysql".into() };
        let linking = Attachment { links: vec![link], ..Attachment::default() };
        put(&zone, "aaaaaaaaaaaaaaaa", "db1", &[("back", 2, alias("db"))]);
        put(&zone, "bbbbbbbbbbbbbbbb", "db2", &[("back", 3, alias("db")), ("front", 3, alias("both"))]);
        put(&zone, "cccccccccccccccc", "web", &[("back", 4, linking), ("bridge", 9, alias("none"))]);
        put(&zone, "dddddddddddddddd", "lone", &[("bridge", 9, alias("none"))]);
        let ask = |name: &str| {
            let found = zone.addresses("cccccccccccccccc", name);
            found.map(|f| f.iter().map(|a| contract::network::number(*a) & 0xff).collect::<Vec<_>>())
        };
        for (name, wanted) in [
            ("db1", vec![2]),
            ("DB.", vec![2, 3]),
            ("mysql", vec![2]),
            ("db2.back", vec![3]),
            ("aaaaaaaaaaaa", vec![2]),
            ("db1-host", vec![2]),
            ("web", vec![4]),
        ] {
            assert_eq!(ask(name), Some(wanted), "{name}");
        }
        for name in ["both", "db2.front", "none", "lone", "example.com"] {
            assert_eq!(ask(name), None, "{name}");
        }
        let named = |last| zone.name("cccccccccccccccc", IpAddr::from([10, 0, 0, last]));
        assert_eq!((named(3).as_deref(), named(9)), (Some("db2.back"), None));
        assert_eq!(zone.addresses("dddddddddddddddd", "web"), None);
        zone.leave("aaaaaaaaaaaaaaaa");
        assert_eq!(ask("db"), Some(vec![3]));
    }
}
