//! Published ports under traffic, while what made them dies.

use gantry_tests::{Builder, Daemon, Kind, OtherHost, Place, Random, Traffic, eventually};
use std::net::SocketAddr;
use std::sync::Arc;

/// Deaths of the daemon.
const KILLS: u32 = 20;

fn with_echo() -> (Arc<Place>, OtherHost, Daemon) {
    let place = Place::new();
    let other = OtherHost::new(&place);
    let gantry = Builder::at(&place).start();
    let publish = ["-p", "7000:7", "-p", "7000:7/udp"];
    gantry
        .docker(
            ["run", "-d", "--name", "echo"].iter().chain(&publish).chain(&["busybox", "guest", "echo", "7"]),
        )
        .ok();
    eventually("it listens", || gantry.docker(["logs", "echo"]).ok().contains("listening").then_some(()));
    (place, other, gantry)
}

fn traffic(other: &OtherHost, kinds: &[Kind]) -> Vec<Traffic> {
    let address: SocketAddr = format!("{}:7000", OtherHost::HOST).parse().unwrap();
    kinds.iter().map(|kind| Traffic::start(*kind, other.netns(), address)).collect()
}

#[test]
fn no_connection_breaks_and_none_is_refused_when_the_daemon_is_killed_under_traffic() {
    let mut random = Random::seeded();
    let (_place, other, mut gantry) = with_echo();
    let all = traffic(&other, &[Kind::Stream, Kind::Datagrams, Kind::Newcomers]);
    for round in 0..KILLS {
        all.iter().for_each(Traffic::goes_on);
        random.pause(30);
        gantry.kill();
        all.iter().for_each(Traffic::goes_on);
        if round % 4 == 3 {
            // Again while it recovers.
            gantry.die_starting(std::time::Duration::from_millis(random.below(150)));
            all.iter().for_each(Traffic::goes_on);
        }
        gantry.start_again();
    }
    all.iter().for_each(Traffic::goes_on);
    // Others come and go on the same network meanwhile.
    for n in 0..3 {
        let port = format!("{}:80", 7100 + n);
        gantry.docker(["run", "--rm", "-p", &port, "busybox", "true"]).ok();
        all.iter().for_each(Traffic::goes_on);
    }
}
