//! docker-compose 1.29, as Debian packages it, brings an application up and down.

use gantry_tests::{Daemon, Output, eventually};
use std::process::Command;

const FILE: &str = r#"
version: "3.8"
services:
  db:
    image: busybox
    command: sh -c "echo ready; exec httpd -f -p 3306 -h /data"
    volumes: ["data:/data"]
    environment: {SECRET: word}
    networks:
      back: {aliases: [database]}
  web:
    image: busybox
    command: sh -c "mkdir /www; echo page > /www/index.html; echo serving; exec httpd -f -p 80 -h /www"
    depends_on: [db]
    ports: ["8080:80"]
    networks: [back, default]
  worker:
    image: busybox
    command: sh -c "echo working; sleep 1000"
networks:
  back: {internal: true}
volumes:
  data: {}
"#;

fn compose(gantry: &Daemon, args: &[&str]) -> Output {
    let file = gantry.place().path("docker-compose.yml");
    let mut command = Command::new("docker-compose");
    command.arg("-f").arg(file).args(["-p", "app", "--no-ansi"]).args(args);
    command.env("DOCKER_HOST", format!("unix://{}", gantry.socket().display()));
    command.env("COMPOSE_HTTP_TIMEOUT", "60").current_dir("/");
    gantry_tests::run(command)
}

#[test]
fn an_application_comes_up_scales_is_looked_into_and_goes() {
    let gantry = Daemon::start();
    gantry.write("docker-compose.yml", FILE);
    compose(&gantry, &["up", "-d"]).ok();
    let listed = compose(&gantry, &["ps"]);
    for service in ["app_db_1", "app_web_1", "app_worker_1"] {
        let line = listed.ok().lines().find(|l| l.contains(service)).unwrap_or_default().to_owned();
        assert!(line.contains("Up"), "{listed}");
    }
    assert!(listed.stdout.contains("0.0.0.0:8080->80/tcp"), "{listed}");
    eventually("the published page", || {
        (gantry.place().sh("timeout 3 busybox wget -qO- http://127.0.0.1:8080/").stdout == "page\n")
            .then_some(())
    });
    for name in ["db", "database", "app_db_1"] {
        compose(&gantry, &["exec", "-T", "web", "ping", "-c", "1", "-W", "2", name]).ok();
    }
    compose(&gantry, &["exec", "-T", "worker", "ping", "-c", "1", "-W", "2", "web"]).ok();
    let said = compose(&gantry, &["exec", "-T", "worker", "ping", "-c", "1", "-W", "2", "db"]);
    assert_ne!(said.code, 0, "a service on another network: {said}");
    assert_eq!(
        compose(&gantry, &["exec", "-T", "db", "sh", "-c", "echo $SECRET; echo kept >/data/file"]).ok(),
        "word"
    );
    eventually("the logs", || compose(&gantry, &["logs", "web"]).stdout.contains("serving").then_some(()));
    compose(&gantry, &["up", "-d", "--scale", "worker=3"]).ok();
    let workers = gantry.docker(["ps", "-q", "--filter", "label=com.docker.compose.service=worker"]);
    assert_eq!(workers.lines().len(), 3);
    // The alias of a service stands for all of its containers.
    let said = compose(&gantry, &["exec", "-T", "web", "nslookup", "worker"]);
    let found = said.stdout.lines().filter(|l| l.starts_with("Address: 172.")).count();
    assert_eq!(found, 3, "{said}");
    compose(&gantry, &["restart", "-t", "0", "db"]).ok();
    compose(&gantry, &["exec", "-T", "web", "ping", "-c", "1", "-W", "2", "db"]).ok();
    compose(&gantry, &["down", "-t", "0"]).ok();
    assert_eq!(gantry.docker(["network", "ls", "-q", "--filter", "type=custom"]).ok(), "");
    compose(&gantry, &["up", "-d", "db"]).ok();
    assert_eq!(
        compose(&gantry, &["exec", "-T", "db", "cat", "/data/file"]).ok(),
        "kept",
        "the data outlives the containers"
    );
    compose(&gantry, &["down", "-v", "-t", "0"]).ok();
    assert_eq!(gantry.docker(["volume", "ls", "-q"]).ok(), "");
    assert_eq!(gantry.docker(["ps", "-aq"]).ok(), "");
}
