//! What clients negotiate and how errors look.

use gantry_tests::Daemon;
use serde_json::json;

#[test]
fn ping_answers_with_the_headers_clients_negotiate_by() {
    let gantry = Daemon::start();
    let answer = gantry.api("GET", "/_ping", None);
    assert_eq!((answer.status, answer.text().as_str()), (200, "OK"));
    for (name, value) in [
        ("api-version", "1.51"),
        ("docker-experimental", "false"),
        ("ostype", "linux"),
        ("cache-control", "no-cache, no-store, must-revalidate"),
        ("pragma", "no-cache"),
        ("content-type", "text/plain; charset=utf-8"),
    ] {
        assert_eq!(answer.headers.get(name).map(String::as_str), Some(value), "{name}");
    }
    let head = gantry.api("HEAD", "/_ping", None);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.headers.get("api-version").map(String::as_str), Some("1.51"));
}

#[test]
fn every_version_from_1_24_to_1_51_is_served() {
    let gantry = Daemon::start();
    for minor in 24..=51 {
        for path in ["/version", "/info", "/containers/json?all=1", "/images/json"] {
            let answer = gantry.api("GET", &format!("/v1.{minor}{path}"), None);
            assert_eq!(answer.status, 200, "v1.{minor}{path}: {}", answer.text());
        }
    }
    assert_eq!(gantry.api("GET", "/version", None).status, 200, "and none at all");
}

#[test]
fn other_versions_are_refused() {
    let gantry = Daemon::start();
    let new = gantry.api("GET", "/v1.60/version", None).error(400);
    assert_eq!(new, "client version 1.60 is too new. Maximum supported API version is 1.51");
    let old = gantry.api("GET", "/v1.12/version", None).error(400);
    assert_eq!(
        old,
        "client version 1.12 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"
    );
}

#[test]
fn the_cli_negotiates_and_can_be_told_a_version() {
    let gantry = Daemon::start();
    let said = gantry.docker([
        "version",
        "-f",
        "{{.Client.APIVersion}} {{.Server.APIVersion}} {{.Server.MinAPIVersion}} {{.Server.Os}}",
    ]);
    let client = said.ok().split(' ').next().unwrap();
    assert_eq!(said.ok(), format!("{client} 1.51 1.24 linux"));
    for version in ["1.24", "1.30", "1.41", "1.44"] {
        let mut command = gantry.docker_command(["run", "--rm", "busybox", "echo", version]);
        command.env("DOCKER_API_VERSION", version);
        let said = command.output().unwrap();
        let text = String::from_utf8_lossy(&said.stderr);
        assert_eq!(String::from_utf8_lossy(&said.stdout).trim_end(), version, "{text}");
    }
}

#[test]
fn version_and_info_describe_the_daemon() {
    let gantry = Daemon::start();
    let version = gantry.api("GET", "/version", None).json();
    for key in ["Version", "ApiVersion", "MinAPIVersion", "Os", "Arch", "KernelVersion", "Components"] {
        assert!(!version[key].is_null(), "{key}");
    }
    gantry.docker(["run", "-d", "busybox", "sleep", "1000"]).ok();
    gantry.docker(["create", "busybox"]).ok();
    let info = gantry.api("GET", "/info", None).json();
    let root = gantry.data();
    for (key, value) in [
        ("Containers", json!(2)),
        ("ContainersRunning", json!(1)),
        ("ContainersStopped", json!(1)),
        ("ContainersPaused", json!(0)),
        ("Images", json!(1)),
        ("LoggingDriver", json!("json-file")),
        ("OSType", json!("linux")),
        ("Architecture", json!("x86_64")),
        ("DockerRootDir", json!(root.to_str().unwrap())),
    ] {
        assert_eq!(info[key], value, "{key}");
    }
    let drivers = &info["Plugins"]["Log"];
    for driver in ["json-file", "local", "none", "syslog"] {
        assert!(
            drivers.as_array().unwrap().iter().any(|d| d == driver) || driver == "none",
            "{driver}: {drivers}"
        );
    }
    assert!(info["NCPU"].as_u64().unwrap() > 0 && info["MemTotal"].as_u64().unwrap() > 1 << 20);
    let said = gantry.docker(["info"]);
    for part in ["Containers: 2", " Running: 1", "Logging Driver: json-file"] {
        assert!(said.ok().contains(part), "{part}: {said}");
    }
    assert!(!said.stderr.contains("ERROR"), "{said}");
    assert!(gantry.gantry(["info"]).ok().contains("Containers: 2"));
    assert!(gantry.gantry(["version"]).ok().contains("1.51"));
}

#[test]
fn unknown_routes_are_not_found() {
    let gantry = Daemon::start();
    for (method, path) in [
        ("GET", "/nosuch"),
        ("POST", "/v1.44/nosuch/route"),
        ("DELETE", "/info"),
        ("PUT", "/containers/json"),
        ("GET", "/"),
    ] {
        assert_eq!(gantry.api(method, path, None).error(404), "page not found", "{method} {path}");
    }
}

#[test]
fn what_is_not_built_names_itself() {
    let gantry = Daemon::start();
    gantry.docker(["run", "-d", "--name", "web", "busybox", "sleep", "1000"]).ok();
    for (method, path) in [("POST", "/swarm/init"), ("POST", "/session")] {
        let text = gantry.api(method, path, Some(&json!({}))).error(501);
        let bare = path.split('?').next().unwrap();
        assert!(text.contains("not support") && text.contains(bare), "{method} {path}: {text}");
    }
}

#[test]
fn errors_have_dockers_body_and_status() {
    let gantry = Daemon::start();
    for (method, path) in [
        ("GET", "/containers/nosuch/json"),
        ("POST", "/containers/nosuch/start"),
        ("POST", "/containers/nosuch/stop"),
        ("POST", "/containers/nosuch/kill"),
        ("POST", "/containers/nosuch/wait"),
        ("POST", "/containers/nosuch/resize?h=1&w=1"),
        ("POST", "/containers/nosuch/rename?name=x1"),
        ("GET", "/containers/nosuch/logs?stdout=1"),
        ("GET", "/containers/nosuch/top"),
        ("DELETE", "/containers/nosuch"),
    ] {
        assert_eq!(gantry.api(method, path, None).error(404), "No such container: nosuch", "{method} {path}");
    }
    let create = |body: &serde_json::Value| gantry.api("POST", "/containers/create", Some(body));
    assert_eq!(create(&json!({"Image": "nosuch"})).error(404), "No such image: nosuch:latest");
    assert!(create(&json!("text")).error(400).starts_with("invalid JSON: "), "a wrong type");
    gantry.docker(["run", "-d", "--name", "web", "busybox", "sleep", "1000"]).ok();
    let conflict =
        gantry.api("POST", "/containers/create?name=web", Some(&json!({"Image": "busybox"}))).error(409);
    assert!(
        conflict.starts_with("Conflict. The container name \"/web\" is already in use by container"),
        "{conflict}"
    );
    let conflict = gantry.api("DELETE", "/containers/web", None).error(409);
    assert!(
        conflict.contains("container is running: stop the container before removing or force remove"),
        "{conflict}"
    );
    let text = gantry.api("GET", "/containers/web/logs", None).error(400);
    assert_eq!(text, "Bad parameters: you must choose at least one stream");
    gantry.docker(["kill", "web"]).ok();
    gantry.until_exited("web");
    let id = gantry.inspect("web", "{{.Id}}");
    let conflict = gantry.api("POST", "/containers/web/kill", None).error(409);
    assert_eq!(conflict, format!("cannot kill container: web: container {id} is not running"));
    assert_eq!(gantry.api("POST", "/containers/web/stop", None).status, 304);
}

#[test]
fn success_has_dockers_status_and_body() {
    let gantry = Daemon::start();
    let made = gantry.api(
        "POST",
        "/containers/create?name=web",
        Some(&json!({"Image": "busybox", "Cmd": ["sleep", "1000"]})),
    );
    assert_eq!(made.status, 201);
    let id = made.json()["Id"].as_str().unwrap().to_owned();
    assert_eq!(made.json(), json!({"Id": id, "Warnings": []}));
    assert_eq!(gantry.api("POST", "/containers/web/start", None).status, 204);
    assert_eq!(gantry.api("POST", "/containers/web/resize?h=30&w=100", None).status, 200);
    let top = gantry.api("GET", "/containers/web/top", None).json();
    assert_eq!(top["Titles"][7], "CMD");
    assert_eq!(gantry.api("POST", "/containers/web/kill", None).status, 204);
    assert_eq!(gantry.api("POST", "/containers/web/wait", None).json(), json!({"StatusCode": 137}));
    let list = gantry.api("GET", "/containers/json?all=true&limit=1", None).json();
    assert_eq!(
        (&list[0]["Id"], &list[0]["Names"][0], &list[0]["State"]),
        (&json!(id), &json!("/web"), &json!("exited"))
    );
    assert_eq!(gantry.api("DELETE", "/containers/web", None).status, 204);
    let filters = "%7B%22reference%22%3A%5B%22busybox%22%5D%7D";
    assert_eq!(
        gantry.api("GET", &format!("/images/json?filters={filters}"), None).json()[0]["RepoTags"],
        json!(["busybox:latest"])
    );
}

#[test]
fn a_body_that_is_not_json_is_refused() {
    let gantry = Daemon::start();
    let create = |kind: &str| gantry.api_with("POST", "/containers/create", kind, "{not json").error(400);
    assert!(create("application/json").starts_with("invalid JSON: "));
    assert_eq!(
        create("text/plain"),
        "unsupported Content-Type header (text/plain): must be 'application/json'"
    );
}
