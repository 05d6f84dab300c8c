//! Published ports under traffic, while what made them dies.

use gantry_tests::{Builder, Daemon, Kind, OtherHost, Place, Random, Traffic, eventually, inside};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

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

fn published() -> SocketAddr {
    format!("{}:7000", OtherHost::HOST).parse().unwrap()
}

fn traffic(other: &OtherHost, kinds: &[Kind]) -> Vec<Traffic> {
    kinds.iter().map(|kind| Traffic::start(*kind, other.netns(), published())).collect()
}

fn connected(other: &OtherHost) -> std::io::Result<TcpStream> {
    let stream = inside(other.netns(), || TcpStream::connect_timeout(&published(), Duration::from_secs(2)))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(stream)
}

/// Whether what is sent comes back.
fn echoes(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut back = [0; 5];
    stream.write_all(b"again")?;
    stream.read_exact(&mut back)?;
    assert_eq!(&back, b"again");
    Ok(())
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
            gantry.die_starting(Duration::from_millis(random.below(150)));
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

#[test]
fn ports_answer_again_and_connections_resume_when_another_tool_flushes_all_rules() {
    let (place, other, _gantry) = with_echo();
    let datagrams = traffic(&other, &[Kind::Datagrams]);
    let mut resting = eventually("a connection comes about", || connected(&other).ok());
    echoes(&mut resting).unwrap();
    for _ in 0..5 {
        datagrams.iter().for_each(Traffic::goes_on);
        place.sh("nft flush ruleset").ok();
        eventually("a new connection is answered", || {
            let mut stream = connected(&other).ok()?;
            echoes(&mut stream).ok()
        });
        datagrams.iter().for_each(Traffic::goes_on);
        // Nothing came for it while the way to it was gone.
        echoes(&mut resting).unwrap();
    }
}
