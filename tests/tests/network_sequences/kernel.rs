//! What the kernel does for those who run: addresses, names, ports.

use crate::model::{Mode, World};
use crate::seen::Seen;
use gantry_tests::{Daemon, asked_for, eventually, greeted, inside};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a connection may take that is expected to come about, and one that is not.
const PATIENCE: [Duration; 2] = [Duration::from_secs(4), Duration::from_millis(150)];

/// Fails unless the running containers have, know and reach what they should.
#[track_caller]
pub fn answers(gantry: &Daemon, world: &World, seen: &Seen) {
    let own = || world.containers.iter().filter(|(_, c)| c.running && matches!(c.mode, Mode::On(_)));
    for (name, container) in own() {
        let shown = &seen.containers[name];
        let netns = PathBuf::from(format!("/proc/{}/ns/net", shown.pid));
        let fours = container.joined.values().filter_map(|j| j.address.map(IpAddr::V4));
        let should: BTreeSet<IpAddr> =
            fours.chain(shown.addresses6.values().map(|a| IpAddr::V6(*a))).collect();
        // What a dead daemon had begun goes behind the next one's back.
        eventually(&format!("{name} has the addresses {should:?} inside"), || {
            (addresses(&netns) == should).then_some(())
        });
        if container.joined.keys().any(|n| n != "bridge") {
            names(world, seen, name, &netns);
        }
        neighbours(world, seen, name, &netns);
    }
    for (name, container) in own().filter(|(name, _)| world.publishes(name)) {
        let greeting = format!("{name}-{}", container.born);
        for (port, on) in
            seen.containers[name].ports.iter().filter(|(p, on)| p.ends_with("/tcp") && !on.is_empty())
        {
            let address = SocketAddr::from(([127, 0, 0, 1], on[0]));
            eventually(&format!("{name} greets by its port {port} at {address}"), || {
                let said = inside(&gantry.place().path("net"), || greeted(address, PATIENCE[0]));
                (said.as_deref() == Some(&greeting)).then_some(())
            });
        }
    }
    let taken: BTreeSet<u16> = own()
        .flat_map(|(name, _)| seen.containers[name].ports.iter())
        .filter(|(port, _)| port.ends_with("/tcp"))
        .flat_map(|(_, on)| on.iter().copied())
        .collect();
    for port in (7001..7004).filter(|p| !taken.contains(p)) {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let said = inside(&gantry.place().path("net"), || greeted(address, PATIENCE[0]));
        assert_eq!(said, None, "nobody has port {port}");
    }
}

/// The addresses inside a namespace but those that every one has.
fn addresses(netns: &Path) -> BTreeSet<IpAddr> {
    let mut ip = Command::new("nsenter");
    ip.arg(format!("--net={}", netns.display())).args(["ip", "-o", "addr", "show", "up", "scope", "global"]);
    let listed = gantry_tests::run(ip);
    let words = listed.lines().into_iter().map(|l| l.split_whitespace().collect::<Vec<_>>());
    words.filter(|w| w[1] != "lo").filter_map(|w| w[3].split('/').next()?.parse().ok()).collect()
}

/// A container knows those on its networks, and nobody else.
#[track_caller]
fn names(world: &World, seen: &Seen, name: &str, netns: &Path) {
    let own = &world.containers[name];
    for (other, container) in &world.containers {
        let shared = own.joined.iter().filter(|(network, joined)| {
            *network != "bridge"
                && container.running
                && matches!(container.mode, Mode::On(_))
                && container.joined.get(*network).is_some_and(|theirs| theirs.born == joined.born)
        });
        let shared: Vec<&String> = shared.map(|(network, _)| network).collect();
        let four = |n: &&String| container.joined[*n].address.map(IpAddr::V4);
        let six = |n: &&String| seen.containers[other].addresses6.get(*n).copied().map(IpAddr::V6);
        let fours: BTreeSet<IpAddr> = shared.iter().filter_map(four).collect();
        let sixes: BTreeSet<IpAddr> = shared.iter().filter_map(six).collect();
        for (record, addresses) in [(1, fours), (28, sixes)] {
            let told = eventually(&format!("there is a name server for {name}"), || {
                inside(netns, || asked_for(other, record))
            });
            let all = told.iter().all(|a| addresses.contains(a));
            let right = all && told.is_empty() == addresses.is_empty();
            assert!(right, "{name} is told that {other} is {told:?}, not {addresses:?}");
        }
    }
}

/// A container reaches those on its networks, and nobody else's addresses.
#[track_caller]
fn neighbours(world: &World, seen: &Seen, name: &str, netns: &Path) {
    let own = &world.containers[name];
    let others =
        world.containers.iter().filter(|(o, c)| *o != name && c.running && matches!(c.mode, Mode::On(_)));
    for (other, container) in others {
        let greeting = format!("{other}-{}", container.born);
        for (network, theirs) in &container.joined {
            let Some(address) = theirs.address else { continue };
            let reachable = own.joined.get(network).is_some_and(|ours| ours.born == theirs.born);
            let six = seen.containers[other].addresses6.get(network).copied().map(IpAddr::V6);
            for address in [IpAddr::V4(address)].into_iter().chain(six) {
                let address = SocketAddr::from((address, 80));
                if reachable {
                    eventually(&format!("{name} reaches {other} at {address}"), || {
                        let said = inside(netns, || greeted(address, PATIENCE[0]));
                        (said.as_deref() == Some(&greeting)).then_some(())
                    });
                } else {
                    let said = inside(netns, || greeted(address, PATIENCE[1]));
                    assert_eq!(said, None, "{name} reaches {other} by {network} at {address}");
                }
            }
        }
    }
}
