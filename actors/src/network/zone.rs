//! The names of containers on the networks that users made.

use crate::container::snapshot::Board;
use contract::network::Names;
use contract::record::{Attachment, ContainerSpec, ContainerState, Link};
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

/// A container's place on one network.
#[derive(Debug, Clone)]
struct Place {
    container: String,
    network: String,
    network_name: String,
    /// Of both families.
    addresses: Vec<IpAddr>,
    /// The container's own name.
    name: String,
    /// Its further names.
    others: Vec<String>,
    links: Vec<Link>,
}

impl Place {
    /// All names, in lower case, each once.
    fn names(&self) -> BTreeSet<String> {
        let all = std::iter::once(&self.name).chain(&self.others).filter(|n| !n.is_empty());
        all.map(|n| n.to_ascii_lowercase()).collect()
    }
}

/// Those on one network. A place stands under each of its names and addresses.
#[derive(Debug, Default)]
struct Neighbours {
    named: HashMap<String, Vec<Arc<Place>>>,
    addressed: HashMap<IpAddr, Arc<Place>>,
}

#[derive(Debug, Default)]
struct Index {
    /// By container, in the order of its networks.
    places: HashMap<String, Vec<Arc<Place>>>,
    /// By id of the network.
    networks: HashMap<String, Neighbours>,
}

impl Index {
    fn put(&mut self, container: &str, places: Vec<Place>) {
        let places: Vec<Arc<Place>> = places.into_iter().map(Arc::new).collect();
        for place in &places {
            let neighbours = self.networks.entry(place.network.clone()).or_default();
            for name in place.names() {
                neighbours.named.entry(name).or_default().push(Arc::clone(place));
            }
            for address in &place.addresses {
                neighbours.addressed.insert(*address, Arc::clone(place));
            }
        }
        if !places.is_empty() {
            self.places.insert(container.to_owned(), places);
        }
    }

    fn take(&mut self, container: &str) -> Option<Vec<Arc<Place>>> {
        let places = self.places.remove(container)?;
        for place in &places {
            let Some(neighbours) = self.networks.get_mut(&place.network) else { continue };
            for name in place.names() {
                if let Some(bearers) = neighbours.named.get_mut(&name) {
                    bearers.retain(|b| b.container != container);
                    if bearers.is_empty() {
                        neighbours.named.remove(&name);
                    }
                }
            }
            for address in &place.addresses {
                // Another may have got the address already.
                if neighbours.addressed.get(address).is_some_and(|b| b.container == container) {
                    neighbours.addressed.remove(address);
                }
            }
            if neighbours.named.is_empty() {
                self.networks.remove(&place.network);
            }
        }
        Some(places)
    }

    /// The addresses of those on a network who have this name, in order.
    fn bearers(&self, network: &str, name: &str) -> Option<Vec<IpAddr>> {
        let named = self.networks.get(network)?.named.get(&name.to_ascii_lowercase())?;
        let mut found: Vec<IpAddr> = named.iter().flat_map(|p| p.addresses.iter().copied()).collect();
        found.sort_unstable();
        found.dedup();
        Some(found)
    }

    /// What a name means to whoever has these places.
    fn resolve(&self, own: &[Arc<Place>], name: &str) -> Option<Vec<IpAddr>> {
        readings(name).find_map(|(name, network)| {
            let on = || own.iter().filter(|p| network.is_none_or(|n| n == p.network_name));
            let link = |p: &Place| p.links.iter().find(|l| l.alias.eq_ignore_ascii_case(name)).cloned();
            // What the container itself calls others goes before what they are called, and hides it.
            let linked = on().find_map(|p| self.bearers(&p.network, &link(p)?.target));
            linked.or_else(|| on().filter(|p| link(p).is_none()).find_map(|p| self.bearers(&p.network, name)))
        })
    }
}

/// Who is on which network under which names. Written before a container runs, so that it knows its neighbours from its
/// first moment on.
#[derive(Clone)]
pub struct Zone {
    board: Board,
    index: Arc<RwLock<Index>>,
    fuse: fuse::Fuse,
}

impl Zone {
    /// A container's newest name is the one on the board.
    pub fn new(board: Board) -> Self {
        Self { board, index: Arc::default(), fuse: fuse::Fuse::default() }
    }

    /// Puts a container's places up in place of those it had. The default network has no names.
    pub fn enter(&self, spec: &ContainerSpec, state: &ContainerState) {
        // Looked up under the lock: a rename that comes later finds the places and changes them.
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let published = self.board.get(&spec.id).map(|snapshot| snapshot.state.name.clone());
        let name = published.unwrap_or_else(|| state.name.clone());
        let named = state.endpoints.iter().filter(|e| e.network_name != super::DEFAULT);
        let places = named.map(|e| {
            let Attachment { aliases, links, .. } =
                state.networks.get(&e.network_name).cloned().unwrap_or_default();
            // Besides what its user calls it (moby `buildEndpointDNSNames`).
            let given = [spec.id.get(..12).unwrap_or(&spec.id).to_owned(), spec.hostname.clone()];
            Place {
                container: spec.id.clone(),
                network: e.network.clone(),
                network_name: e.network_name.clone(),
                addresses: e.addresses().collect(),
                name: name.clone(),
                others: aliases.into_iter().chain(given).collect(),
                links,
            }
        });
        let places = places.collect();
        index.take(&spec.id);
        index.put(&spec.id, places);
    }

    /// Has a container found by the name it has now.
    pub fn rename(&self, container: &str, name: &str) {
        let is_old = |p: &Arc<Place>| p.name != name;
        let known = self.index.read().unwrap_or_else(PoisonError::into_inner);
        if !known.places.get(container).is_some_and(|places| places.iter().any(is_old)) {
            return;
        }
        drop(known);
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let places = index.take(container).unwrap_or_default();
        let renamed = places.iter().map(|p| Place { name: name.to_owned(), ..Place::clone(p) });
        index.put(container, renamed.collect());
    }

    /// Takes a container's places down.
    pub fn leave(&self, container: &str) {
        self.index.write().unwrap_or_else(PoisonError::into_inner).take(container);
    }
}

/// `db.front` is `db.front`, or `db` on the network `front`.
fn readings(name: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let dots = name.rmatch_indices('.').map(|(at, _)| (name.get(..at).unwrap_or(""), name.get(at + 1..)));
    std::iter::once((name, None)).chain(dots)
}

impl Names for Zone {
    fn addresses(&self, container: &str, name: &str) -> Option<Vec<IpAddr>> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        self.fuse.point();
        index.resolve(index.places.get(container)?, name.trim_end_matches('.'))
    }

    fn name(&self, container: &str, address: IpAddr) -> Option<String> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.places.get(container)?.iter().find_map(|own| {
            let bearer = index.networks.get(&own.network)?.addressed.get(&address)?;
            Some(format!("{}.{}", bearer.name, own.network_name))
        })
    }
}

/// Fault injection: questions that panic.
mod fuse {
    #[cfg(any(test, feature = "fault"))]
    use std::sync::atomic::{AtomicU32, Ordering};

    #[derive(Debug, Clone, Default)]
    pub(super) struct Fuse {
        /// Questions until the one that panics; 0 = none does.
        #[cfg(any(test, feature = "fault"))]
        left: std::sync::Arc<AtomicU32>,
    }

    impl Fuse {
        #[cfg(any(test, feature = "fault"))]
        pub(super) fn arm(&self, nth: u32) {
            self.left.store(nth, Ordering::SeqCst);
        }

        #[cfg(any(test, feature = "fault"))]
        #[expect(clippy::panic, reason = "the panic is the purpose")]
        pub(super) fn point(&self) {
            let counted = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
            if counted == Ok(1) {
                panic!("injected fault at a question");
            }
        }

        #[cfg(not(any(test, feature = "fault")))]
        #[inline]
        pub(super) fn point(&self) {
            let Self {} = self;
        }
    }

    #[cfg(any(test, feature = "fault"))]
    impl super::Zone {
        /// Has the `nth` question for a name from now on (1 = next) panic.
        pub fn arm(&self, nth: u32) {
            self.fuse.arm(nth);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::snapshot::{Snapshot, Status};
    use contract::network::{Endpoint, Segment};

    fn endpoint(network: &str, last: u8) -> Endpoint {
        let gateway = Some([10, 0, 0, 1].into());
        Endpoint {
            segment: Segment { name: network.into(), gateway, prefix: 24, ..Segment::default() },
            address: Some([10, 0, 0, last].into()),
            address6: Some([0xfd00, 0, 0, 0, 0, 0, 0, last.into()].into()),
            network: format!("{network}-id"),
            network_name: network.into(),
            ..Endpoint::default()
        }
    }

    fn container(id: &str, name: &str, places: &[(&str, u8, Attachment)]) -> (ContainerSpec, ContainerState) {
        let spec = ContainerSpec { id: id.into(), hostname: format!("{name}-host"), ..Default::default() };
        let endpoints = places.iter().map(|(n, last, _)| endpoint(n, *last)).collect();
        let networks = places.iter().map(|(n, _, a)| ((*n).to_owned(), a.clone())).collect();
        (spec, ContainerState { name: name.into(), endpoints, networks, ..Default::default() })
    }

    fn put(zone: &Zone, id: &str, name: &str, places: &[(&str, u8, Attachment)]) {
        let (spec, state) = container(id, name, places);
        zone.enter(&spec, &state);
    }

    fn lasts(found: Option<Vec<IpAddr>>) -> Option<Vec<u128>> {
        let fours = found?.into_iter().filter(IpAddr::is_ipv4);
        Some(fours.map(|a| contract::network::number(a) & 0xff).collect())
    }

    fn alias(name: &str) -> Attachment {
        Attachment { aliases: vec![name.into()], ..Attachment::default() }
    }

    #[test]
    fn names_aliases_and_links_are_known_on_shared_networks_alone() {
        let zone = Zone::new(Board::default());
        let link = |target: &str, alias: &str| Link { target: target.into(), alias: alias.into() };
        let links = vec![link("db1", "mysql"), link("gone", "db2")];
        let linking = Attachment { links, ..Attachment::default() };
        put(&zone, "aaaaaaaaaaaaaaaa", "db1", &[("back", 2, alias("db"))]);
        put(&zone, "bbbbbbbbbbbbbbbb", "db2", &[("back", 3, alias("DB")), ("front", 3, alias("both"))]);
        put(&zone, "cccccccccccccccc", "Web", &[("back", 4, linking), ("bridge", 9, alias("none"))]);
        put(&zone, "dddddddddddddddd", "lone", &[("bridge", 9, alias("none"))]);
        let ask = |name: &str| lasts(zone.addresses("cccccccccccccccc", name));
        for (name, wanted) in [
            ("db1", vec![2]),
            ("DB.", vec![2, 3]),
            ("mysql", vec![2]),
            ("MySQL.back", vec![2]),
            ("db2-host.back", vec![3]),
            ("aaaaaaaaaaaa", vec![2]),
            ("db1-host", vec![2]),
            ("web", vec![4]),
        ] {
            assert_eq!(ask(name), Some(wanted), "{name}");
        }
        // What its own link has taken for another is not told of the other.
        for name in ["both", "db2.front", "none", "lone", "example.com", "db2", ""] {
            assert_eq!(ask(name), None, "{name}");
        }
        let six = IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(zone.addresses("cccccccccccccccc", "db1").unwrap().last(), Some(&six));
        let named = |last| zone.name("cccccccccccccccc", IpAddr::from([10, 0, 0, last]));
        assert_eq!((named(3).as_deref(), named(9)), (Some("db2.back"), None));
        assert_eq!(zone.name("cccccccccccccccc", six).as_deref(), Some("db1.back"));
        assert_eq!(zone.addresses("dddddddddddddddd", "web"), None);
        zone.leave("aaaaaaaaaaaaaaaa");
        assert_eq!((ask("db"), ask("db1"), named(2)), (Some(vec![3]), None, None));
    }

    #[test]
    fn a_new_name_holds_at_once_and_nothing_is_left_of_those_who_leave() {
        let zone = Zone::new(Board::default());
        put(&zone, "aaaaaaaaaaaaaaaa", "one", &[("net", 2, alias("x"))]);
        put(&zone, "bbbbbbbbbbbbbbbb", "two", &[("net", 3, alias("x"))]);
        // A name that is an alias, too, does not take it along when it goes.
        zone.rename("aaaaaaaaaaaaaaaa", "x");
        zone.rename("aaaaaaaaaaaaaaaa", "first");
        let ask = |name: &str| lasts(zone.addresses("bbbbbbbbbbbbbbbb", name));
        assert_eq!((ask("one"), ask("first"), ask("x")), (None, Some(vec![2]), Some(vec![2, 3])));
        assert_eq!(zone.name("bbbbbbbbbbbbbbbb", [10, 0, 0, 2].into()).as_deref(), Some("first.net"));
        // An address that went over to another stays with that one.
        put(&zone, "bbbbbbbbbbbbbbbb", "two", &[("net", 2, alias("x"))]);
        zone.leave("aaaaaaaaaaaaaaaa");
        assert_eq!(zone.name("bbbbbbbbbbbbbbbb", [10, 0, 0, 2].into()).as_deref(), Some("two.net"));
        zone.leave("bbbbbbbbbbbbbbbb");
        zone.rename("bbbbbbbbbbbbbbbb", "none");
        let index = zone.index.read().unwrap();
        assert!(index.places.is_empty() && index.networks.is_empty(), "{index:?}");
    }

    #[test]
    fn a_record_older_than_the_board_does_not_bring_an_old_name_back() {
        let zone = Zone::new(Board::default());
        let (spec, state) = container("aaaaaaaaaaaaaaaa", "old", &[("net", 2, Attachment::default())]);
        let newer = ContainerState { name: "new".into(), ..state.clone() };
        let (shared, status) = (Arc::new(spec.clone()), Status::Running);
        zone.board.publish(Snapshot {
            spec: shared,
            state: newer,
            status,
            pid: 1,
            execs: vec![],
            generation: 0,
        });
        zone.enter(&spec, &state);
        assert_eq!(lasts(zone.addresses("aaaaaaaaaaaaaaaa", "new")), Some(vec![2]));
        assert_eq!(zone.addresses("aaaaaaaaaaaaaaaa", "old"), None);
    }

    #[test]
    fn a_panic_in_one_question_leaves_the_next_its_answer() {
        let zone = Zone::new(Board::default());
        put(&zone, "aaaaaaaaaaaaaaaa", "one", &[("net", 2, alias("x"))]);
        zone.arm(1);
        let asked = || zone.addresses("aaaaaaaaaaaaaaaa", "one");
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(asked)).is_err());
        assert_eq!(lasts(asked()), Some(vec![2]));
        zone.leave("aaaaaaaaaaaaaaaa");
        assert_eq!(asked(), None);
    }
}
