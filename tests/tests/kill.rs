//! The daemon dies as in a crash, again and again, while containers write.

use gantry_tests::{Builder, Daemon, Load, OtherHost, Random, WRITERS, eventually, place_with_rsyslog};
use std::time::{Duration, Instant};

/// Deaths of the daemon.
const KILLS: u32 = 20;

/// A published port of a container, asked from its host and from another one.
struct Server<'a> {
    other: &'a OtherHost,
    address: String,
}

impl<'a> Server<'a> {
    fn start(gantry: &Daemon, other: &'a OtherHost) -> Self {
        let page = "mkdir /www && echo served > /www/index.html && httpd -f -p 80 -h /www";
        gantry.docker(["run", "-d", "--name", "web", "-p", "7777:80", "busybox", "sh", "-c", page]).ok();
        let server = Self { other, address: Self::address(gantry) };
        eventually("the server listens", || other.sh(Self::FETCH).stdout.ends_with("served\n").then_some(()));
        server
    }

    const FETCH: &'static str = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 20 10.77.0.1 7777";

    fn address(gantry: &Daemon) -> String {
        gantry.inspect("web", "{{.NetworkSettings.Networks.bridge.IPAddress}}")
    }

    /// Forwarding is the kernel's: it works while there is no daemon.
    #[track_caller]
    fn answers_from_elsewhere(&self) {
        let page = self.other.sh(Self::FETCH);
        assert!(page.ok().ends_with("served"), "{page}");
    }

    #[track_caller]
    fn answers(&self, gantry: &Daemon) {
        self.answers_from_elsewhere();
        let page = gantry.place().sh(&Self::FETCH.replace("10.77.0.1", "127.0.0.1"));
        assert!(page.ok().ends_with("served"), "{page}");
        assert_eq!(Self::address(gantry), self.address);
    }
}

/// Commands that must work at once after each restart; `round` names the round's own containers.
fn commands_work(gantry: &Daemon, round: u32) {
    let names = gantry.docker(["ps", "--format", "{{.Names}}"]);
    let names = names.lines();
    let victim = format!("victim{round}");
    for name in WRITERS.map(|w| w.name).into_iter().chain(["web", victim.as_str()]) {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    // At first it may not have written any yet.
    eventually("its last line is read", || {
        let last = gantry.docker(["logs", "--tail", "1", "slow"]);
        let lines = last.ok().lines().count() + last.stderr.lines().count();
        assert!(lines <= 1, "{last}");
        (lines == 1).then_some(())
    });
    assert_eq!(gantry.docker(["exec", "slow", "echo", "in"]).ok(), "in");
    gantry.docker(["stop", "-t", "0", &victim]).ok();
    gantry.docker(["rm", &victim]).ok();
}

#[test]
fn no_line_is_lost_or_doubled_when_the_daemon_is_killed_again_and_again() {
    let mut random = Random::seeded();
    let begin = Instant::now();
    let (place, rsyslog) = place_with_rsyslog();
    let other = OtherHost::new(&place);
    // A small budget, so that the fast ones are held back while no daemon reads.
    let mut gantry = Builder::at(&place).args(["--spool-budget=1048576"]).start();
    let server = Server::start(&gantry, &other);
    let load = Load::start(&gantry, &WRITERS);
    for round in 0..KILLS {
        let victim = format!("victim{round}");
        gantry.docker(["run", "-d", "--name", &victim, "busybox", "sleep", "1000"]).ok();
        random.pause(if round % 4 == 0 { 0 } else { 400 });
        gantry.kill();
        server.answers_from_elsewhere();
        random.pause(if round % 2 == 0 { 0 } else { 300 });
        gantry.start_again();
        commands_work(&gantry, round);
        load.goes_on(&gantry);
        server.answers(&gantry);
    }
    load.stop(&gantry);
    eprintln!("{KILLS} kills in {:?}", begin.elapsed());
    load.verify(&gantry, &rsyslog);
}

#[test]
fn a_daemon_killed_in_the_middle_of_anything_starts_again_and_tidies_up() {
    let mut random = Random::seeded();
    let mut gantry = Daemon::start();
    for round in 0..10 {
        let name = format!("half{round}");
        let command = ["run", "-d", "--name", &name, "-p", "7000:80", "busybox", "sleep", "1000"];
        let run = gantry.docker_running(command);
        random.pause(250);
        gantry.kill();
        // It may have come to its end or not: only that it ends matters.
        run.finish();
        gantry.start_again();
        if random.below(2) == 0 {
            // Killed again while it recovers.
            gantry.kill();
            gantry.die_starting(Duration::from_millis(random.below(60)));
            gantry.start_again();
        }
        let removed = gantry.docker(["rm", "-f", &name]);
        assert!(removed.code == 0 || removed.stderr.contains("No such container"), "{removed}");
        // Port, address and name are free again.
        gantry.docker(["run", "--rm", "--name", &name, "-p", "7000:80", "busybox", "true"]).ok();
    }
    assert_eq!(gantry.docker(["ps", "-aq"]).ok(), "");
}
