//! What a container that has ended leaves is the next one's at once, though the kernel takes its time over an interface.

use gantry_tests::{Daemon, eventually};
use serde_json::{Value, json};
use std::time::Duration;

fn done(gantry: &Daemon, method: &str, path: &str, body: Option<&Value>) {
    let answer = gantry.api(method, path, body);
    assert!(answer.status < 300, "{method} {path}: {}", answer.text());
}

/// It was refused: the address stayed its predecessor's until the interface was gone, which is behind the answer.
#[test]
fn address_and_port_of_a_killed_container_are_its_successors_at_once() {
    let gantry = Daemon::start();
    gantry.docker(["network", "create", "--subnet", "10.9.0.0/24", "own"]).ok();
    let body = json!({
        "Image": "busybox", "Cmd": ["sleep", "1000"],
        "HostConfig": { "NetworkMode": "own", "PortBindings": { "80/tcp": [{ "HostPort": "7000" }] } },
        "NetworkingConfig": { "EndpointsConfig": { "own": { "IPAMConfig": { "IPv4Address": "10.9.0.50" } } } },
    });
    for name in ["one", "two"] {
        done(&gantry, "POST", &format!("/containers/create?name={name}"), Some(&body));
    }
    done(&gantry, "POST", "/containers/one/start", None);
    for _ in 0..5 {
        for (from, to) in [("one", "two"), ("two", "one")] {
            done(&gantry, "POST", &format!("/containers/{from}/kill"), None);
            done(&gantry, "POST", &format!("/containers/{to}/start"), None);
            let shown = gantry.inspected(to)["NetworkSettings"].take();
            assert_eq!(shown["Networks"]["own"]["IPAddress"], "10.9.0.50");
            assert_eq!(shown["Ports"]["80/tcp"][0]["HostPort"], "7000");
        }
    }
}

#[test]
fn a_network_can_be_removed_as_soon_as_its_last_container_has_ended() {
    let gantry = Daemon::start();
    let body =
        json!({ "Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": { "NetworkMode": "own" } });
    for _ in 0..10 {
        done(&gantry, "POST", "/networks/create", Some(&json!({ "Name": "own" })));
        done(&gantry, "POST", "/containers/create?name=box", Some(&body));
        done(&gantry, "POST", "/containers/box/start", None);
        done(&gantry, "POST", "/containers/box/kill", None);
        done(&gantry, "DELETE", "/networks/own", None);
        done(&gantry, "DELETE", "/containers/box", None);
    }
}

/// The namespace lives on with whoever shares it, and so did the interface: its address was then another's, too.
#[test]
fn an_interface_that_a_killed_daemon_did_not_get_to_delete_goes_with_the_next() {
    let mut gantry = Daemon::start();
    gantry.docker(["create", "--name", "owner", "busybox", "sleep", "1000"]).ok();
    for pause in [0, 4, 8, 16] {
        gantry.docker(["start", "owner"]).ok();
        let shares = ["--name", "guest", "--network", "container:owner"];
        gantry.docker(["run", "-d"].iter().chain(&shares).chain(&["busybox", "sleep", "1000"])).ok();
        done(&gantry, "POST", "/containers/owner/kill", None);
        std::thread::sleep(Duration::from_millis(pause));
        gantry.crash();
        eventually("the one that shares it has nothing but loopback", || {
            (gantry.docker(["exec", "guest", "ls", "/sys/class/net"]).ok() == "lo").then_some(())
        });
        // The address is free a moment after the interface is gone.
        eventually("another has its address", || {
            gantry.docker(["run", "-d", "--name", "next", "busybox", "sleep", "1000"]).ok();
            let has = gantry.inspect("next", "{{.NetworkSettings.IPAddress}}") == "172.17.0.2";
            if !has {
                gantry.docker(["rm", "-f", "next"]).ok();
            }
            has.then_some(())
        });
        let reached = gantry.place().sh("busybox ping -c 1 -W 20 172.17.0.2");
        assert_eq!(reached.code, 0, "{reached}");
        gantry.docker(["rm", "-f", "next", "guest"]).ok();
    }
}
