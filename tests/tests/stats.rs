//! What containers use, told while they run.

use gantry_tests::cgroup::unified;
use gantry_tests::{Daemon, eventually};
use serde_json::Value;

fn run(gantry: &Daemon, name: &str, options: &[&str], command: &str) {
    let head = ["run", "-d", "--name", name];
    gantry.docker(head.iter().chain(options).chain(&["busybox", "sh", "-c", command])).ok();
}

fn once(gantry: &Daemon, name: &str, query: &str) -> Value {
    let answer = gantry.api("GET", &format!("/containers/{name}/stats?{query}"), None);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

const BURN: &str = "while true; do :; done";

#[test]
fn one_sample_tells_what_the_kernel_counts() {
    let gantry = Daemon::start();
    run(&gantry, "busy", &["-m", "64m", "--pids-limit", "30"], BURN);
    let told = once(&gantry, "busy", "stream=false&one-shot=true");
    assert_eq!(told["id"], gantry.inspect("busy", "{{.Id}}"));
    assert_eq!((told["name"].as_str(), told["os_type"].as_str()), (Some("/busy"), Some("linux")));
    assert_eq!(told["preread"], "0001-01-01T00:00:00Z");
    assert_eq!(told["precpu_stats"]["cpu_usage"]["total_usage"], 0);
    assert!(told["cpu_stats"]["cpu_usage"]["total_usage"].as_u64().unwrap() > 0);
    assert!(told["cpu_stats"]["system_cpu_usage"].as_u64().unwrap() > 0);
    assert_eq!(told["memory_stats"]["limit"], 64 << 20);
    assert!(told["memory_stats"]["usage"].as_u64().unwrap() > 0);
    let name = if unified() { "inactive_file" } else { "total_inactive_file" };
    assert!(told["memory_stats"]["stats"][name].is_u64(), "{told}");
    assert_eq!((&told["pids_stats"]["current"], &told["pids_stats"]["limit"]), (&1.into(), &30.into()));
    assert!(told["networks"]["eth0"]["rx_bytes"].is_u64(), "{told}");
    let before = told["networks"].as_object().unwrap().len();
    assert_eq!(before, 1, "{told}");
}

#[test]
fn the_docker_cli_derives_its_percentages() {
    let gantry = Daemon::start();
    run(&gantry, "busy", &[], BURN);
    run(&gantry, "idle", &["--network", "none"], "sleep 1000");
    gantry.docker(["create", "--name", "still", "busybox"]).ok();
    let told = once(&gantry, "busy", "stream=false");
    assert!(
        told["precpu_stats"]["system_cpu_usage"].as_u64() < told["cpu_stats"]["system_cpu_usage"].as_u64()
    );
    assert!(told["preread"].as_str() < told["read"].as_str(), "{told}");
    let format = ["stats", "-a", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}} {{.NetIO}} {{.PIDs}}"];
    let row = |table: &str, name: &str| {
        let line = table.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("{table}"));
        line.split_once(' ').unwrap().1.to_owned()
    };
    // Others may have the processors for the time of a look.
    let table = eventually("the busy one is told as such", || {
        let table = gantry.docker(format).ok().to_owned();
        let percent: f64 = row(&table, "busy").split_once('%').unwrap().0.parse().unwrap();
        (percent > 5.0).then_some(table)
    });
    assert!(row(&table, "idle").ends_with("0B / 0B 1"), "{table}");
    assert_eq!(row(&table, "still"), "0.00% 0B / 0B 0");
    let running = gantry.docker(["stats", "--no-stream", "--format", "{{.Name}}"]);
    assert_eq!(running.lines().len(), 2, "{running}");
    let none = gantry.docker(["stats", "--no-stream", "nobody"]);
    assert!(none.fails(1).contains("No such container: nobody"), "{none}");
}

#[test]
fn what_does_not_run_uses_nothing() {
    let gantry = Daemon::start();
    gantry.docker(["create", "--name", "still", "busybox"]).ok();
    for query in ["stream=false", "stream=0&one-shot=1"] {
        let told = once(&gantry, "still", query);
        assert_eq!(told["read"], "0001-01-01T00:00:00Z");
        assert_eq!(told["cpu_stats"]["cpu_usage"]["total_usage"], 0);
        assert_eq!(
            (&told["memory_stats"], &told["pids_stats"]),
            (&serde_json::json!({}), &serde_json::json!({}))
        );
        assert!(told["blkio_stats"]["io_service_bytes_recursive"].is_null() && told["networks"].is_null());
    }
}

#[test]
fn a_stream_goes_on_until_its_container_is_removed_and_clients_share_its_samples() {
    let gantry = Daemon::start();
    run(&gantry, "watched", &[], BURN);
    let socket = gantry.socket();
    let watch = |_| {
        let url = "http://gantry/containers/watched/stats";
        let mut curl = std::process::Command::new("curl");
        curl.args(["-sN", "--unix-socket"]).arg(&socket).arg(url);
        gantry_tests::Running::spawn(curl)
    };
    let clients = [1, 2].map(watch);
    for client in &clients {
        eventually("three samples come", || (client.stdout().lines().count() >= 3).then_some(()));
    }
    gantry.docker(["rm", "-f", "watched"]).ok();
    let [one, other] = clients.map(|c| {
        let said = c.finish();
        said.ok().lines().map(|l| serde_json::from_str::<Value>(l).unwrap()).collect::<Vec<_>>()
    });
    for pair in one.windows(2) {
        assert_eq!(pair[1]["preread"], pair[0]["read"], "each sample knows the one before it");
    }
    let reads = |list: &[Value]| list.iter().map(|s| s["read"].to_string()).collect::<Vec<_>>();
    let shared = reads(&one).into_iter().filter(|read| reads(&other).contains(read)).count();
    assert!(shared >= 2, "both have the same samples: {:?} {:?}", reads(&one), reads(&other));
}

#[test]
fn the_hosts_interfaces_are_not_the_containers() {
    let gantry = Daemon::start();
    run(&gantry, "open", &["--network", "host"], "sleep 1000");
    assert!(once(&gantry, "open", "stream=false&one-shot=1")["networks"].is_null());
}
