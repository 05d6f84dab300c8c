//! The harness itself.

use gantry_tests::{Builder, Daemon, OtherHost, Place, Registry, Rsyslog, leftovers};

#[test]
fn a_container_runs_and_nothing_of_it_is_left() {
    let gantry = Daemon::start();
    assert_eq!(gantry.docker(["run", "--rm", "busybox", "echo", "hi"]).ok(), "hi");
    assert_eq!(gantry.gantry(["run", "--rm", "busybox", "echo", "hi"]).ok(), "hi");
}

#[test]
fn what_is_left_behind_is_found() {
    let place = Place::new();
    let mut process = place.spawn("sh", ["-c", "echo up; exec sleep 1000"]);
    process.wait_for("up");
    assert_eq!(leftovers(&place), Vec::<String>::new());
    let marked = place.path("data/containers/x");
    std::fs::create_dir_all(&marked).unwrap();
    std::fs::write(marked.join("spec.json"), "").unwrap();
    place.run("ip", ["link", "add", "stray", "type", "veth"]).ok();
    place.run("mount", ["-t", "tmpfs", "none", marked.to_str().unwrap()]).ok();
    let found = leftovers(&place).join("\n");
    assert!(found.contains("link stray"), "{found}");
    assert!(found.contains(&format!("mount {}", marked.display())), "{found}");
    place.run("ip", ["link", "del", "stray"]).ok();
    place.run("umount", [marked.to_str().unwrap()]).ok();
    let found = leftovers(&place).join("\n");
    assert_eq!(found, format!("file {}", marked.display()));
    std::fs::remove_dir_all(marked).unwrap();
    assert!(!process.ended());
}

#[test]
fn a_registry_a_syslog_server_and_another_host_stand_beside_the_daemon() {
    let place = Place::new();
    let _registry = Registry::start(&place);
    let rsyslog = Rsyslog::start(&place);
    let other = OtherHost::new(&place);
    other.sh("busybox ping -c 1 10.77.0.1").ok();
    place.sh("logger -d -n 127.0.0.1 -P 514 --rfc3164 -t app -p user.info over udp").ok();
    let message = rsyslog.wait_for("over udp");
    assert_eq!((message.priority, message.tag.as_str()), (14, "app:"));
    let gantry = Builder::at(&place).without_image().start();
    gantry.docker(["pull", "127.0.0.1:5000/layered:1"]).ok();
}

#[test]
fn a_terminal_can_be_typed_on() {
    let mut shell = gantry_tests::Pty::spawn(std::process::Command::new("sh").env("PS1", "> "));
    shell.send("stty size\n");
    shell.expect("24 80");
    shell.send("exit 7\n");
    assert_eq!(shell.finish(), 7);
}
