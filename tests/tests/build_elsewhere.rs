//! `docker build`: images of registries and of other daemons, other networks, and Compose.

use gantry_tests::{Builder, Daemon, Output, Place, Registry, eventually};
use std::path::PathBuf;
use std::process::Command;

fn context(gantry: &Daemon, name: &str, dockerfile: &str) -> PathBuf {
    let folder = gantry.place().path(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
    folder
}

fn build(gantry: &Daemon, flags: &[&str], dockerfile: &str) -> Output {
    let folder = context(gantry, "context", dockerfile);
    std::fs::write(folder.join("a"), "a\n").unwrap();
    let mut args = vec!["build"];
    args.extend(flags);
    args.push(folder.to_str().unwrap());
    gantry.docker(args)
}

#[test]
fn an_image_built_elsewhere_is_a_cache_when_named_as_one() {
    const DOCKERFILE: &str = "FROM 127.0.0.1:5000/base:1\nENV A=b\nCOPY a /\n\
        RUN cat /proc/sys/kernel/random/uuid > /made\n";
    let place = Place::new();
    let registry = Registry::empty(&place);
    registry.push("busybox", "base:1", &[]).ok();
    let gantry = Builder::at(&place).without_image().start();
    let image = "127.0.0.1:5000/mine:1";
    build(&gantry, &["-t", image], DOCKERFILE).ok();
    gantry.docker(["push", image]).ok();
    let made = gantry.docker(["run", "--rm", image, "cat", "/made"]).ok().to_owned();
    // What it was made of goes with it, so that it comes back as one from elsewhere.
    gantry.docker(["rmi", image]).ok();
    gantry.docker(["pull", image]).ok();
    // Without being named it is none: what it stands on is not known here.
    let built = build(&gantry, &["-t", "other"], DOCKERFILE);
    assert!(!built.ok().contains("Using cache"), "{}", built.stdout);
    gantry.docker(["rmi", "other"]).ok();
    let built = build(&gantry, &["-t", "same", "--cache-from", image], DOCKERFILE);
    assert_eq!(built.ok().matches("Using cache").count(), 3, "{}", built.stdout);
    assert_eq!(gantry.docker(["run", "--rm", "same", "cat", "/made"]).ok(), made);
    gantry.docker(["rmi", "same"]).ok();
    // Other steps after the same ones take those alone; a cache that is not there is none.
    let longer = DOCKERFILE.replace("COPY a /", "COPY a /elsewhere");
    let flags = ["-t", "other", "--cache-from", image, "--cache-from", "nothing"];
    let built = build(&gantry, &flags, &longer);
    assert_eq!(built.ok().matches("Using cache").count(), 1, "{}", built.stdout);
}

#[test]
fn an_image_that_was_saved_and_loaded_is_a_cache_when_named_as_one() {
    const DOCKERFILE: &str =
        "FROM busybox\nENV A=b\nCOPY a /\nRUN cat /proc/sys/kernel/random/uuid > /made\n";
    let gantry = Daemon::start();
    build(&gantry, &["-t", "mine"], DOCKERFILE).ok();
    let made = gantry.docker(["run", "--rm", "mine", "cat", "/made"]).ok().to_owned();
    let file = gantry.place().path("mine.tar");
    let file = file.to_str().unwrap();
    gantry.docker(["save", "-o", file, "mine"]).ok();
    gantry.docker(["rmi", "mine"]).ok();
    gantry.docker(["load", "-i", file]).ok();
    let built = build(&gantry, &["-t", "other"], DOCKERFILE);
    assert!(!built.ok().contains("Using cache"), "{}", built.stdout);
    gantry.docker(["rmi", "other"]).ok();
    let built = build(&gantry, &["-t", "same", "--cache-from", "mine"], DOCKERFILE);
    assert_eq!(built.ok().matches("Using cache").count(), 3, "{}", built.stdout);
    assert_eq!(gantry.docker(["run", "--rm", "same", "cat", "/made"]).ok(), made);
}

#[test]
fn a_base_image_is_pulled_with_what_the_client_logged_in_with() {
    let place = Place::new();
    let file = place.path("htpasswd");
    place.sh(&format!("htpasswd -Bbn user secret > {}", file.display())).ok();
    let section = format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", file.display());
    let registry = Registry::at(&place, "127.0.0.1:5000", "", &section);
    registry.push("busybox", "base:1", &["--dest-creds=user:secret"]).ok();
    let gantry = Builder::at(&place).without_image().start();
    let dockerfile = "FROM 127.0.0.1:5000/base:1\nRUN echo x > /x\n";
    let said = build(&gantry, &["-t", "mine"], dockerfile);
    assert!(said.fails(1).contains("no basic auth credentials"), "{said}");
    let login = ["login", "-u", "user", "--password-stdin", "127.0.0.1:5000"];
    gantry.docker_with_input(login, b"secret").ok();
    build(&gantry, &["-t", "mine"], dockerfile).ok();
    assert_eq!(gantry.docker(["run", "--rm", "mine", "cat", "/x"]).ok(), "x");
    // So are images that files are copied from.
    registry.push("layered", "parts:1", &["--dest-creds=user:secret"]).ok();
    let copying = format!("{dockerfile}COPY --from=127.0.0.1:5000/parts:1 / /parts\n");
    build(&gantry, &["-t", "copied"], &copying).ok();
    assert_ne!(gantry.docker(["run", "--rm", "copied", "ls", "/parts"]).ok(), "");
}

#[test]
fn a_base_image_that_is_there_is_looked_for_anew_only_when_asked() {
    let place = Place::new();
    let registry = Registry::empty(&place);
    registry.push("busybox", "base:1", &[]).ok();
    let gantry = Builder::at(&place).without_image().start();
    let dockerfile = "FROM 127.0.0.1:5000/base:1\nLABEL a=b\n";
    build(&gantry, &["-t", "mine"], dockerfile).ok();
    let old = gantry.inspect("127.0.0.1:5000/base:1", "{{.Id}}");
    registry.push("layered", "base:1", &[]).ok();
    build(&gantry, &["-t", "mine"], dockerfile).ok();
    assert_eq!(gantry.inspect("127.0.0.1:5000/base:1", "{{.Id}}"), old);
    build(&gantry, &["--pull", "-t", "mine"], dockerfile).ok();
    let new = gantry.inspect("127.0.0.1:5000/base:1", "{{.Id}}");
    assert_ne!(new, old);
    let layers = |image: &str| gantry.inspected(image)["RootFS"]["Layers"].clone();
    assert_eq!(layers("mine"), layers("127.0.0.1:5000/base:1"));
    drop(registry);
    assert_ne!(build(&gantry, &["--pull", "-t", "mine"], dockerfile).code, 0);
    build(&gantry, &["-t", "mine"], dockerfile).ok();
}

#[test]
fn steps_join_the_network_that_they_are_told_to() {
    let gantry = Daemon::start();
    gantry.docker(["network", "create", "own"]).ok();
    let serving = "mkdir /www; echo page > /www/index.html; exec httpd -f -p 80 -h /www";
    gantry.docker(["run", "-d", "--name", "web", "--net", "own", "busybox", "sh", "-c", serving]).ok();
    eventually("it serves", || {
        (gantry.docker(["exec", "web", "wget", "-qO-", "http://127.0.0.1/"]).stdout == "page\n").then_some(())
    });
    let by_name = "FROM busybox\nRUN timeout 20 wget -qO /got http://web/ && cat /got\n";
    assert!(build(&gantry, &["--no-cache", "--network", "own"], by_name).ok().contains("\npage\n"));
    let at_home = "FROM busybox\nRUN timeout 20 wget -qO /got http://127.0.0.1/ && cat /got\n";
    assert!(build(&gantry, &["--no-cache", "--network", "container:web"], at_home).ok().contains("\npage\n"));
    let said = build(&gantry, &["--no-cache", "--force-rm"], by_name);
    assert!(said.code != 0 && said.stderr.contains("returned a non-zero code"), "{said}");
    let said = build(&gantry, &["--no-cache", "--force-rm", "--network", "nothing"], by_name);
    assert!(said.fails(1).contains("network nothing not found"), "{said}");
    assert_eq!(gantry.docker(["ps", "-a", "--format", "{{.Names}}"]).ok(), "web");
    gantry.docker(["rm", "-f", "web"]).ok();
    gantry.docker(["network", "rm", "own"]).ok();
}

const COMPOSED: &str = r#"
version: "3.8"
services:
  web:
    build:
      context: ./web
      args: {PAGE: first}
      labels: {built.by: compose}
      target: serving
    ports: ["8080:80"]
"#;

const SERVING: &str = "FROM busybox AS made\nARG PAGE\nRUN mkdir /www && echo $PAGE > /www/index.html\n\
    FROM busybox AS serving\nCOPY --from=made /www /www\nCOPY more /www/more\n\
    CMD [\"httpd\", \"-f\", \"-p\", \"80\", \"-h\", \"/www\"]\nFROM serving\nRUN false\n";

#[test]
fn compose_builds_what_it_brings_up() {
    let gantry = Daemon::start();
    context(&gantry, "web", SERVING);
    gantry.write("web/more", "more\n");
    gantry.write("docker-compose.yml", COMPOSED);
    let compose = |args: &[&str]| {
        let file = gantry.place().path("docker-compose.yml");
        let mut command = Command::new("docker-compose");
        command.arg("-f").arg(file).args(["-p", "app", "--no-ansi"]).args(args);
        command.env("DOCKER_HOST", format!("unix://{}", gantry.socket().display()));
        command.env("COMPOSE_HTTP_TIMEOUT", "60").env("DOCKER_BUILDKIT", "0").current_dir("/");
        gantry_tests::run(command)
    };
    let said = compose(&["build"]);
    assert!(said.ok().contains("Successfully tagged app_web:latest"), "{said}");
    let first = gantry.inspect("app_web", "{{.Id}}");
    assert_eq!(gantry.inspected("app_web")["Config"]["Labels"]["built.by"], "compose");
    let page = |path: &str, wanted: &str| {
        eventually("the page", || {
            let got =
                gantry.place().sh(&format!("timeout 20 busybox wget -qO- http://127.0.0.1:8080/{path}"));
            (got.stdout == wanted).then_some(())
        });
    };
    compose(&["up", "-d"]).ok();
    page("", "first\n");
    page("more", "more\n");
    gantry.write("web/more", "changed\n");
    let said = compose(&["up", "-d", "--build"]);
    assert!(said.ok().contains("Using cache"), "{said}");
    page("more", "changed\n");
    assert_ne!(gantry.inspect("app_web", "{{.Id}}"), first);
    compose(&["down", "-t", "0", "--rmi", "all"]).ok();
    assert!(gantry.docker(["image", "inspect", "app_web"]).fails(1).contains("No such image"));
}
