//! What systemd hears of the daemon, and the sockets it hands over.

use gantry_tests::{Builder, Place, workspace};
use nix::sys::signal::Signal;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

/// Plays systemd's part: hears what is notified.
struct Systemd(UnixDatagram);

impl Systemd {
    fn listen(place: &Place) -> Self {
        let socket = UnixDatagram::bind(place.path("notify")).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        Self(socket)
    }

    fn hear(&self) -> String {
        let mut buffer = [0; 4096];
        let count = self.0.recv(&mut buffer).expect("a notification");
        String::from_utf8_lossy(&buffer[..count]).trim_end().to_owned()
    }
}

#[test]
fn the_daemon_tells_when_it_is_ready_reloads_and_stops() {
    let place = Place::new();
    let systemd = Systemd::listen(&place);
    let socket = place.path("notify").display().to_string();
    let mut daemon = Builder::at(&place).without_image().env("NOTIFY_SOCKET", &socket).start();
    assert_eq!(systemd.hear(), "READY=1");
    daemon.signal(Signal::SIGHUP);
    let reloading = systemd.hear();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(systemd.hear(), "READY=1");
    daemon.stop();
    assert_eq!(systemd.hear(), "STOPPING=1");
    assert_eq!(systemd.hear(), "EXTEND_TIMEOUT_USEC=8000000");
}

#[test]
fn the_watchdog_is_fed() {
    let place = Place::new();
    let systemd = Systemd::listen(&place);
    let socket = place.path("notify").display().to_string();
    let _daemon = Builder::at(&place)
        .without_image()
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "100000")
        .start();
    assert_eq!(systemd.hear(), "READY=1");
    for _ in 0..3 {
        assert_eq!(systemd.hear(), "WATCHDOG=1");
    }
}

/// Opens a socket and hands it over as number 3, as systemd does.
const HAND_OVER: &str = "use IO::Socket::UNIX; use POSIX; $^F = 10;
    my $s = IO::Socket::UNIX->new(Local => shift @ARGV, Listen => 5) or die $!;
    POSIX::dup2(fileno($s), 3) if fileno($s) != 3;
    $ENV{LISTEN_FDS} = 1; $ENV{LISTEN_PID} = $$; exec @ARGV or die $!;";

#[test]
fn a_socket_that_systemd_hands_over_is_served_and_left_to_it() {
    let place = Place::new();
    let handed = place.path("handed");
    let through = ["perl", "-e", HAND_OVER, handed.to_str().expect("a plain path")];
    let mut daemon = Builder::at(&place).through(&through).args(["-H=fd://"]).start();
    let mut client = place.command("docker");
    client.env("DOCKER_CONFIG", place.path("docker"));
    client.args(["-H", &format!("unix://{}", handed.display()), "run", "-d", "busybox", "sleep", "1000"]);
    let id = gantry_tests::Running::spawn(client).finish().ok().to_owned();
    // What outlives the daemon must not hold its socket: systemd could never close it.
    // The one that listens: what the client's connection has at the daemon's end bears the same path.
    let listening = format!(
        "awk '$8 == \"{}\" && $4 == \"00010000\" {{ print $7; exit }}' /proc/net/unix",
        handed.display()
    );
    let inode = place.sh(&listening);
    let holders = format!(
        "for p in /proc/[0-9]*; do ls -l $p/fd 2>/dev/null | grep -q 'socket:.{}' && echo ${{p#/proc/}}; done; true",
        inode.ok()
    );
    assert_eq!(place.sh(&holders).ok(), daemon.pid().to_string());
    daemon.docker(["rm", "-f", &id]).ok();
    daemon.stop();
    assert!(handed.exists());
    std::fs::remove_file(handed).expect("remove the test's socket");
    let told = Builder::at(&place).args(["-H=fd://"]).refused();
    let none = "no sockets found via socket activation: make sure the service was started by systemd";
    assert!(told.fails(1).contains(none), "{told}");
}

#[test]
fn install_puts_programs_and_units_in_place() {
    let place = Place::new();
    let bin = gantry_tests::program("gantryd");
    let bin = bin.parent().expect("a folder").display().to_string();
    let install = |dest: &str, prefix: &str| {
        let mut make = Command::new("make");
        make.current_dir(workspace()).args(["-s", "install"]);
        make.args([format!("DESTDIR={dest}"), format!("PREFIX={prefix}"), format!("BUILT={bin}")]);
        gantry_tests::Running::spawn(make).finish().ok().to_owned()
    };
    let dest = place.path("dest");
    install(dest.to_str().expect("a plain path"), "/opt/gantry");
    for file in ["bin/gantryd", "bin/gantry", "bin/gantry-shim", "lib/systemd/system/gantry.socket"] {
        assert!(dest.join("opt/gantry").join(file).exists(), "{file}");
    }
    let unit = dest.join("opt/gantry/lib/systemd/system/gantry.service");
    let unit = std::fs::read_to_string(unit).expect("a unit");
    for line in
        ["ExecStart=/opt/gantry/bin/gantryd -H fd://", "Type=notify", "Delegate=yes", "KillMode=process"]
    {
        assert!(unit.lines().any(|l| l == line), "{line}");
    }
    std::fs::remove_dir_all(dest).expect("remove what was installed");
    // The judge, where it is at hand; it looks for the programs too.
    if Command::new("systemd-analyze").arg("--version").output().is_ok_and(|o| o.status.success()) {
        let prefix = place.path("usr");
        install("", prefix.to_str().expect("a plain path"));
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--man=no"]).arg(prefix.join("lib/systemd/system/gantry.service"));
        let said = gantry_tests::Running::spawn(verify).finish();
        assert!(!said.stderr.contains("gantry"), "{said}");
        std::fs::remove_dir_all(prefix).expect("remove what was installed");
    }
}
