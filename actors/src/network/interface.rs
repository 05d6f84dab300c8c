//! The host's interface that a new network stands on: a bridge of its own, or the parent of its containers' interfaces.

use super::plan::Wanted;
use contract::network::{MacvlanMode, Parent, SegmentKind, Taken, vlan};
use contract::record::NetworkSpec;
use contract::{Kind, PortError};

/// Its name, which fits in among the known networks and what the host has. Errors are in Docker's words.
pub(super) fn named(wanted: &Wanted, known: &[&NetworkSpec], taken: &Taken) -> Result<String, PortError> {
    let own = |prefix: &str| format!("{prefix}-{}", wanted.id.get(..12).unwrap_or_default());
    match (&wanted.bridge, wanted.kind) {
        (Some(bridge), SegmentKind::Bridge) => bridge_of_its_own(bridge.clone(), wanted, known, taken),
        (None, SegmentKind::Bridge) => bridge_of_its_own(own("br"), wanted, known, taken),
        (Some(parent), kind) if kind.parent() == Some(Parent::Host) => {
            shared(wanted, parent, known)?;
            there(parent, taken)?;
            Ok(parent.clone())
        }
        (_, SegmentKind::Macvlan { .. }) => Ok(own("dm")),
        (_, SegmentKind::Ipvlan { .. }) => Ok(own("di")),
    }
}

fn bridge_of_its_own(
    bridge: String,
    wanted: &Wanted,
    known: &[&NetworkSpec],
    taken: &Taken,
) -> Result<String, PortError> {
    if let Some(other) = known.iter().find(|n| n.segment.name == bridge && n.configuration.is_none()) {
        return Err(PortError::new(
            Kind::Denied,
            format!(
                "cannot create network {} ({bridge}): conflicts with network {} ({bridge}): networks have same bridge name",
                wanted.id, other.id
            ),
        ));
    }
    if taken.interfaces.contains(&bridge) {
        let text = format!("interface {bridge} exists already and belongs to no network");
        return Err(PortError::new(Kind::Conflict, text));
    }
    Ok(bridge)
}

/// Docker answers 500 to what its drivers refuse.
fn refused<T>(text: String) -> Result<T, PortError> {
    Err(PortError::new(Kind::Exhausted, text))
}

/// Which networks may have one parent (moby's macvlan and ipvlan drivers). One of each kind is the kernel's to refuse,
/// once both have a container.
fn shared(wanted: &Wanted, parent: &str, known: &[&NetworkSpec]) -> Result<(), PortError> {
    let passthru = |kind| matches!(kind, SegmentKind::Macvlan { mode: MacvlanMode::Passthru, .. });
    for other in known.iter().filter(|n| n.configuration.is_none() && n.segment.name == parent) {
        let id = &other.id;
        match (wanted.kind, other.segment.kind) {
            (SegmentKind::Macvlan { .. }, SegmentKind::Macvlan { .. }) if passthru(wanted.kind) => {
                return refused(format!(
                    "cannot use mode passthru, macvlan network {id} is already using parent interface {parent}"
                ));
            }
            (SegmentKind::Macvlan { .. }, theirs) if passthru(theirs) => {
                return refused(format!(
                    "macvlan network {id} is already using parent interface {parent} in mode passthru"
                ));
            }
            (SegmentKind::Ipvlan { .. }, SegmentKind::Ipvlan { .. }) => {
                let short = id.get(..12).unwrap_or(id);
                return refused(format!("network di-{short} is already using parent interface {parent}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The parent exists, or can be made as a VLAN of an interface that does.
fn there(parent: &str, taken: &Taken) -> Result<(), PortError> {
    let exists = |name: &str| taken.interfaces.iter().any(|i| i == name);
    if exists(parent) {
        return Ok(());
    }
    match vlan(parent) {
        Err(text) => refused(text),
        Ok((interface, _)) if !exists(interface) => {
            refused(format!("-o parent interface was not found on the host: {interface}"))
        }
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::plan::{default_pools, plan};
    use contract::network::{IpvlanFlag, IpvlanMode};

    fn wanted(kind: SegmentKind, parent: Option<&str>) -> Wanted {
        let name = format!("{kind:?}{parent:?}");
        let bridge = parent.map(str::to_owned);
        let four = Some(crate::network::plan::Asked::default());
        Wanted { id: "0123456789abcdef".into(), name, kind, bridge, four, ..Wanted::default() }
    }

    fn macvlan(mode: MacvlanMode) -> SegmentKind {
        SegmentKind::Macvlan { mode, parent: Parent::Host }
    }

    fn ipvlan() -> SegmentKind {
        SegmentKind::Ipvlan { mode: IpvlanMode::L2, flag: IpvlanFlag::Bridge, parent: Parent::Host }
    }

    fn taken() -> Taken {
        Taken { interfaces: vec!["eth0".into(), "own.vlan".into()], ..Taken::default() }
    }

    #[test]
    fn a_parent_exists_or_is_a_vlan_of_one_that_does() {
        let named = |parent: &str| {
            named(&wanted(macvlan(MacvlanMode::Bridge), Some(parent)), &[], &taken()).map_err(|e| e.text)
        };
        for fine in ["eth0", "eth0.10", "own.vlan"] {
            assert_eq!(named(fine), Ok(fine.to_owned()));
        }
        assert!(named("eth1").unwrap_err().starts_with("invalid subinterface vlan name eth1"));
        assert_eq!(named("eth1.10").unwrap_err(), "-o parent interface was not found on the host: eth1");
        let own = |kind| super::named(&wanted(kind, None), &[], &taken()).unwrap();
        let (mode, parent) = (MacvlanMode::Bridge, Parent::Own);
        assert_eq!(own(SegmentKind::Macvlan { mode, parent }), "dm-0123456789ab");
    }

    #[test]
    fn macvlan_networks_share_a_parent_unless_one_passes_it_through_and_ipvlan_networks_never_do() {
        let made = |kind| plan(wanted(kind, Some("eth0")), &[], &taken(), &default_pools()).unwrap();
        let told = |kind, known: &NetworkSpec| {
            named(&wanted(kind, Some("eth0")), &[known], &taken()).map_err(|e| e.text)
        };
        let (bridge, passthru) = (macvlan(MacvlanMode::Bridge), macvlan(MacvlanMode::Passthru));
        assert_eq!(told(bridge, &made(bridge)), Ok("eth0".to_owned()));
        assert!(
            told(passthru, &made(bridge))
                .unwrap_err()
                .starts_with("cannot use mode passthru, macvlan network")
        );
        assert!(
            told(bridge, &made(passthru)).unwrap_err().ends_with("parent interface eth0 in mode passthru")
        );
        let text = "network di-0123456789ab is already using parent interface eth0";
        assert_eq!(told(ipvlan(), &made(ipvlan())), Err(text.to_owned()));
        assert_eq!(told(ipvlan(), &made(bridge)), Ok("eth0".to_owned()));
    }
}
