//! docker-compose 1.29 with several networks: aliases, addresses, internal ones, and one that was there before.

use gantry_tests::{Daemon, Output, eventually};
use std::process::Command;

const FILE: &str = r#"
version: "2.4"
services:
  proxy:
    image: busybox
    command: sh -c "mkdir /www; echo proxy > /www/index.html; exec httpd -f -p 80 -h /www"
    ports: ["8080:80", "127.0.0.1:8443:80", "5353:53/udp"]
    networks: {front: {}, back: {aliases: [gateway]}}
  app:
    image: busybox
    command: sleep 1000
    networks:
      back:
        ipv4_address: 10.66.0.10
        aliases: [api, service]
        priority: 1000
      inner: {}
  db:
    image: busybox
    command: sleep 1000
    networks:
      inner: {ipv4_address: 10.67.0.20}
      before: {aliases: [data]}
  alone:
    image: busybox
    command: sleep 1000
    network_mode: none
  beside:
    image: busybox
    command: sleep 1000
    network_mode: "service:app"
  later:
    image: busybox
    command: sleep 1000
networks:
  front:
    driver_opts: {com.docker.network.driver.mtu: "1400"}
    labels: {tier: front}
  back:
    ipam:
      config: [{subnet: 10.66.0.0/24, ip_range: 10.66.0.128/25, gateway: 10.66.0.254}]
  inner:
    internal: true
    ipam:
      config: [{subnet: 10.67.0.0/24}]
  before:
    external: true
    name: outside
"#;

fn compose(gantry: &Daemon, args: &[&str]) -> Output {
    let file = gantry.place().path("docker-compose.yml");
    let mut command = Command::new("docker-compose");
    command.arg("-f").arg(file).args(["-p", "app", "--no-ansi"]).args(args);
    command.env("DOCKER_HOST", format!("unix://{}", gantry.socket().display()));
    command.env("COMPOSE_HTTP_TIMEOUT", "60").current_dir("/");
    gantry_tests::run(command)
}

/// What a service is told of a name.
fn addresses(gantry: &Daemon, service: &str, name: &str) -> Vec<String> {
    let said = gantry.docker(["exec", &format!("app_{service}_1"), "nslookup", name]).stdout;
    let lines = said.lines().skip_while(|l| !l.starts_with("Name:"));
    let mut found: Vec<String> =
        lines.filter_map(|l| l.strip_prefix("Address: ")).map(str::to_owned).collect();
    found.sort();
    found
}

#[test]
fn services_are_on_the_networks_that_their_file_gives_them() {
    let gantry = Daemon::start();
    gantry.write("docker-compose.yml", FILE);
    let said = compose(&gantry, &["up", "-d"]);
    assert!(
        said.code != 0 && said.stderr.contains("outside declared as external, but could not be found"),
        "{said}"
    );
    gantry.docker(["network", "create", "outside"]).ok();
    compose(&gantry, &["up", "-d"]).ok();
    for (service, name, wanted) in [
        ("proxy", "api", &["10.66.0.10"][..]),
        ("proxy", "service", &["10.66.0.10"]),
        ("app", "gateway", &["10.66.0.128"]),
        ("app", "db", &["10.67.0.20"]),
        ("beside", "db", &["10.67.0.20"]),
        ("proxy", "db", &[]),
        ("later", "app", &[]),
    ] {
        assert_eq!(addresses(&gantry, service, name), wanted, "{service} asks for {name}");
    }
    let ping = |from: &str, to: &str| {
        gantry.docker(["exec", &format!("app_{from}_1"), "ping", "-c", "1", "-W", "2", to]).code == 0
    };
    assert!(ping("app", "db") && ping("proxy", "app") && ping("beside", "proxy"));
    assert!(!ping("later", "10.66.0.10"), "on another network");
    for address in ["127.0.0.1:8080", "127.0.0.1:8443"] {
        eventually(address, || {
            let page = gantry.place().sh(&format!("timeout 5 busybox wget -qO- http://{address}/")).stdout;
            (page == "proxy\n").then_some(())
        });
    }
    assert_eq!(gantry.docker(["exec", "app_alone_1", "ls", "/sys/class/net"]).ok(), "lo");
    let links = gantry.docker(["exec", "app_proxy_1", "sh", "-c", "cat /sys/class/net/*/mtu | sort"]);
    assert_eq!(links.lines()[..2], ["1400", "1500"]);
    let networks = gantry.docker(["network", "ls", "--filter", "label=tier=front", "--format", "{{.Name}}"]);
    assert_eq!(networks.ok(), "app_front");
    // Started anew, they are where they were.
    compose(&gantry, &["restart", "-t", "0"]).ok();
    assert_eq!(addresses(&gantry, "proxy", "api"), ["10.66.0.10"]);
    // `--force-recreate` of docker-compose 1 needs what newer APIs no longer tell of images.
    compose(&gantry, &["rm", "-sf", "app"]).ok();
    compose(&gantry, &["up", "-d", "app"]).ok();
    assert_eq!(addresses(&gantry, "proxy", "api"), ["10.66.0.10"]);
    // One that is used by others stays.
    gantry.docker(["run", "-d", "--name", "stranger", "--net", "app_front", "busybox", "sleep", "1000"]).ok();
    let said = compose(&gantry, &["down", "-t", "0"]);
    assert!(said.stderr.contains("has active endpoints"), "{said}");
    gantry.docker(["rm", "-f", "stranger"]).ok();
    compose(&gantry, &["down", "-t", "0"]).ok();
    let left = gantry.docker(["network", "ls", "--filter", "type=custom", "--format", "{{.Name}}"]);
    assert_eq!(left.ok(), "outside");
}
