//! Many containers on one network, many published ports.

use gantry_tests::{Daemon, asked_for, eventually, greeted, inside};
use serde_json::{Map, Value, json};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How many containers where `GANTRY_NEIGHBOURS` does not say (`make chaos`: 200).
const FEW: usize = 24;

const PATIENCE: Duration = Duration::from_secs(20);

struct Neighbour {
    name: String,
    address: IpAddr,
    netns: PathBuf,
}

fn start(gantry: &Daemon, name: &str, body: &Value) -> Value {
    let caller = gantry.caller();
    let ask = |method: &str, path: &str, body: Option<&Value>| {
        let answer = caller.ask(method, path, body).unwrap_or_else(|e| panic!("{method} {path}: {e}"));
        assert!(answer.status < 300, "{method} {path}: {}", answer.text());
        answer
    };
    ask("POST", &format!("/containers/create?name={name}"), Some(body));
    ask("POST", &format!("/containers/{name}/start"), None);
    ask("GET", &format!("/containers/{name}/json"), None).json()
}

fn neighbour(gantry: &Daemon, name: &str) -> Neighbour {
    let body = json!({
        "Image": "busybox", "Cmd": ["guest", "greet", "80"], "Hostname": name,
        "HostConfig": { "NetworkMode": "own", "LogConfig": { "Type": "none" } },
    });
    let shown = start(gantry, name, &body);
    let address = shown["NetworkSettings"]["Networks"]["own"]["IPAddress"].as_str().unwrap();
    Neighbour {
        name: name.to_owned(),
        address: address.parse().unwrap(),
        netns: format!("/proc/{}/ns/net", shown["State"]["Pid"]).into(),
    }
}

impl Neighbour {
    /// Asks for the names of all and calls each.
    fn knows(&self, all: &[Self]) {
        inside(&self.netns, || {
            for other in all {
                let what = format!("{} asks for {}", self.name, other.name);
                let told = eventually(&what, || asked_for(&other.name, 1));
                assert_eq!(told, [other.address], "{what}");
                let address = SocketAddr::from((other.address, 80));
                eventually(&format!("{} reaches {}", self.name, other.name), || {
                    (greeted(address, PATIENCE)? == other.name).then_some(())
                });
            }
        });
    }
}

/// The kernel has one table of neighbours for all its network namespaces, of 1024 entries unless it is told otherwise; as
/// many pairs as this test makes want more.
struct Room(Vec<(String, String)>);

impl Room {
    fn make(entries: usize) -> Self {
        let names = ["gc_thresh3", "gc_thresh2", "gc_thresh1"];
        let made = names.iter().filter_map(|name| {
            let path = format!("/proc/sys/net/ipv4/neigh/default/{name}");
            let before = std::fs::read_to_string(&path).ok()?;
            let more = before.trim().parse::<usize>().ok()? < entries;
            (more && std::fs::write(&path, entries.to_string()).is_ok()).then_some((path, before))
        });
        Self(made.collect())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        for (path, before) in self.0.iter().rev() {
            let _ = std::fs::write(path, before);
        }
    }
}

#[test]
fn every_container_of_a_crowded_network_knows_and_reaches_every_other() {
    let count =
        std::env::var("GANTRY_NEIGHBOURS").map_or(FEW, |n| n.parse().expect("GANTRY_NEIGHBOURS is a number"));
    let _room = (count > FEW).then(|| Room::make(2 * count * count));
    let gantry = Daemon::start();
    gantry.docker(["network", "create", "own"]).ok();
    let begin = Instant::now();
    let names: Vec<String> = (0..count).map(|n| format!("box{n}")).collect();
    let all: Vec<Neighbour> = std::thread::scope(|scope| {
        let parts = names.chunks(count.div_ceil(4)).map(|part| {
            let gantry = &gantry;
            scope.spawn(move || part.iter().map(|name| neighbour(gantry, name)).collect::<Vec<_>>())
        });
        let parts: Vec<_> = parts.collect();
        parts.into_iter().flat_map(|p| p.join().expect("start a part of them")).collect()
    });
    let started = begin.elapsed();
    for one in &all {
        one.knows(&all);
    }
    eprintln!(
        "{count} started in {started:?}, {} questions and calls in {:?}",
        count * count,
        begin.elapsed() - started
    );
    // The same by the programs that people use.
    let last = &all[count - 1];
    let said = gantry.docker(["exec", "box0", "nslookup", &last.name]);
    assert!(said.ok().contains(&format!("Address: {}", last.address)), "{said}");
    let said = gantry.docker(["exec", "box0", "ping", "-c", "1", "-W", "20", &last.name]);
    assert_eq!(said.code, 0, "{said}");
    let members = gantry.docker(["network", "inspect", "own"]).json()[0]["Containers"].clone();
    assert_eq!(members.as_object().map(Map::len), Some(count));
}

#[test]
fn a_thousand_ports_are_published_each_leading_to_its_own_container() {
    let gantry = Daemon::start();
    let of = |n: u16| (10_000 + n * 200..10_200 + n * 200).zip(1..);
    for n in 0..5 {
        let ports: Map<String, Value> = of(n)
            .map(|(host, inside)| (format!("{inside}/tcp"), json!([{ "HostPort": host.to_string() }])))
            .collect();
        let body = json!({
            "Image": "busybox", "Hostname": format!("box{n}"), "Cmd": ["guest", "greet", "1", "100", "200"],
            "HostConfig": { "PortBindings": ports },
        });
        start(&gantry, &format!("box{n}"), &body);
    }
    let host = gantry.place().path("net");
    for n in 0..5 {
        for (port, _) in of(n).filter(|(_, inside)| [1, 100, 200].contains(inside)) {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            eventually(&format!("port {port} leads to box{n}"), || {
                (inside(&host, || greeted(address, PATIENCE))? == format!("box{n}")).then_some(())
            });
        }
    }
    gantry.docker(["rm", "-f", "box2"]).ok();
    let gone = SocketAddr::from(([127, 0, 0, 1], 10_400));
    assert_eq!(inside(&host, || greeted(gone, PATIENCE)), None, "those of one go without the others");
    let stays = SocketAddr::from(([127, 0, 0, 1], 10_600));
    eventually("those of the others stay", || {
        (inside(&host, || greeted(stays, PATIENCE))? == "box3").then_some(())
    });
}
