//! What the daemon says of itself and of its machine, and how it answers what it cannot serve.

use gantry_tests::{Builder, Daemon};
use serde_json::{Value, json};

fn info(daemon: &Daemon) -> Value {
    daemon.api("GET", "/info", None).json()
}

fn sh(text: &str) -> String {
    let out = std::process::Command::new("sh").args(["-c", text]).output().expect("a shell");
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

#[test]
fn info_is_true_to_the_machine() {
    let daemon = Builder::new().without_image().start();
    let info = info(&daemon);
    for (field, wanted) in [
        ("KernelVersion", sh("uname -r")),
        ("Architecture", sh("uname -m")),
        ("Name", sh("uname -n")),
        ("OperatingSystem", sh(". /etc/os-release; echo $PRETTY_NAME")),
        ("OSType", "linux".to_owned()),
        ("Driver", "overlay2".to_owned()),
        ("CgroupDriver", "cgroupfs".to_owned()),
        ("CgroupVersion", sh("test -e /sys/fs/cgroup/cgroup.controllers && echo 2 || echo 1")),
        ("DockerRootDir", daemon.data().display().to_string()),
        ("ServerVersion", env!("CARGO_PKG_VERSION").to_owned()),
        ("LoggingDriver", "json-file".to_owned()),
        ("DefaultRuntime", "gantry".to_owned()),
    ] {
        assert_eq!(info[field], json!(wanted), "{field}");
    }
    assert_eq!(info["NCPU"].to_string(), sh("nproc"));
    let kib: u64 = sh("awk '/MemTotal/ { print $2 }' /proc/meminfo").parse().expect("a number");
    assert_eq!(info["MemTotal"], json!(kib * 1024));
    let status = info["DriverStatus"].to_string();
    assert!(
        status.contains("Backing Filesystem") && status.contains("[\"Supports d_type\",\"true\"]"),
        "{status}"
    );
    assert_eq!(info["Plugins"]["Network"], json!(["bridge", "host", "null"]));
    assert_eq!(info["SecurityOptions"], json!(["name=seccomp,profile=builtin", "name=cgroupns"]));
    assert_eq!(
        (&info["LiveRestoreEnabled"], &info["Swarm"]["LocalNodeState"]),
        (&json!(true), &json!("inactive"))
    );
    // docker's own reading of it.
    let shown = daemon.docker(["system", "info"]);
    for line in [
        " Storage Driver: overlay2",
        " Swarm: inactive",
        " Default Runtime: gantry",
        " Live Restore Enabled: true",
    ] {
        assert!(shown.lines().contains(&line), "{line}: {shown}");
    }
}

#[test]
fn info_counts_containers_and_images_and_tells_the_configuration() {
    let config = json!({
        "labels": ["zone=a", "bare"], "registry-mirrors": ["https://m.lan"], "insecure-registries": ["r.lan"],
        "proxies": {"http-proxy": "http://me:secret@proxy.lan:3128", "no-proxy": "a.lan,b.lan"},
        "no-new-privileges": true, "experimental": true,
        "runtimes": {"other": {"path": "/usr/bin/other", "runtimeArgs": ["--x"]}},
    });
    let mut daemon = Builder::new().config(&config).start();
    daemon.docker(["run", "-d", "--name", "running", "busybox", "sleep", "1000"]).ok();
    daemon.docker(["run", "-d", "--name", "paused", "busybox", "sleep", "1000"]).ok();
    daemon.docker(["pause", "paused"]).ok();
    daemon.docker(["create", "busybox"]).ok();
    let format =
        "{{.Containers}} {{.ContainersRunning}} {{.ContainersPaused}} {{.ContainersStopped}} {{.Images}}";
    assert_eq!(daemon.docker(["system", "info", "--format", format]).ok(), "3 1 1 1 1");
    let told = info(&daemon);
    assert_eq!(told["Labels"], json!(["zone=a", "bare"]));
    assert_eq!(
        (&told["HttpProxy"], &told["NoProxy"]),
        (&json!("http://xxxxx:xxxxx@proxy.lan:3128"), &json!("a.lan,b.lan"))
    );
    assert_eq!(told["Runtimes"]["other"], json!({"path": "/usr/bin/other", "runtimeArgs": ["--x"]}));
    assert!(told["SecurityOptions"].to_string().contains("name=no-new-privileges"));
    assert_eq!(told["RegistryConfig"]["IndexConfigs"]["docker.io"]["Mirrors"], json!(["https://m.lan/"]));
    assert_eq!(told["ExperimentalBuild"], json!(true));
    assert_eq!(daemon.api("GET", "/_ping", None).headers["docker-experimental"], "true");
    daemon.docker(["unpause", "paused"]).ok();
    daemon.stop();
    daemon.start_again();
    assert_eq!(info(&daemon)["ID"], told["ID"], "the daemon's id did not outlive it");
}

#[test]
fn the_version_names_its_components() {
    let daemon = Builder::new().without_image().start();
    let version = daemon.api("GET", "/version", None).json();
    let names: Vec<&str> =
        version["Components"].as_array().expect("a list").iter().filter_map(|c| c["Name"].as_str()).collect();
    assert_eq!(names, ["Engine", "gantry-shim"]);
    let details = &version["Components"][0]["Details"];
    assert_eq!(
        (&details["ApiVersion"], &details["MinAPIVersion"]),
        (&version["ApiVersion"], &version["MinAPIVersion"])
    );
    assert_eq!(version["KernelVersion"], json!(sh("uname -r")));
}

#[test]
fn clients_find_their_version_by_a_ping() {
    let daemon = Builder::new().without_image().start();
    let (get, head) = (daemon.api("GET", "/_ping", None), daemon.api("HEAD", "/_ping", None));
    assert_eq!((get.text().as_str(), head.text().as_str(), head.status), ("OK", "", 200));
    for (name, wanted) in [
        ("api-version", "1.51"),
        ("ostype", "linux"),
        ("docker-experimental", "false"),
        ("builder-version", "1"),
        ("swarm", "inactive"),
        ("cache-control", "no-cache, no-store, must-revalidate"),
        ("pragma", "no-cache"),
    ] {
        assert_eq!(get.headers[name], wanted);
        assert_eq!(head.headers[name], wanted);
    }
    assert!(get.headers["server"].starts_with("gantry/"));
    assert_eq!(
        daemon
            .docker_command(["version"])
            .env("DOCKER_API_VERSION", "1.30")
            .output()
            .expect("docker")
            .status
            .code(),
        Some(0)
    );
}

#[test]
fn what_cannot_be_served_is_refused_in_dockers_words() {
    let daemon = Builder::new().without_image().start();
    let error = |method: &str, path: &str, status| {
        let answer = daemon.api(method, path, None);
        assert_eq!(answer.headers["api-version"], "1.51", "{path}");
        answer.error(status)
    };
    let new = "client version 1.99 is too new. Maximum supported API version is 1.51";
    assert_eq!(error("GET", "/v1.99/info", 400), new);
    let old = "client version 1.12 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version";
    assert_eq!(error("GET", "/v1.12/info", 400), old);
    assert!(error("GET", "/v2/info", 400).starts_with("client version 2 is too new"));
    assert_eq!(error("GET", "/nosuch", 404), "page not found");
    assert_eq!(error("DELETE", "/info", 404), "page not found");
    for body in ["{", "[1]", "{\"Image\": 1}"] {
        let answer = daemon.api_with("POST", "/containers/create", "application/json", body);
        assert!(answer.error(400).starts_with("invalid JSON: "), "{}", answer.text());
    }
    let answer = daemon.api_with("POST", "/containers/create", "text/plain", "{}");
    assert_eq!(answer.error(400), "unsupported Content-Type header (text/plain): must be 'application/json'");
}
