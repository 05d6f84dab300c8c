//! gantry's own commands for images, against a daemon and a registry.

use gantry_tests::{Builder, Daemon, Place, Registry, Web};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

const HOST: &str = "127.0.0.1:5000";

/// A registry that wants `user` with `secret`.
fn guarded(place: &Arc<Place>) -> Registry {
    let file = place.path("htpasswd");
    place.sh(&format!("htpasswd -Bbn user secret > {}", file.display())).ok();
    let section = format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", file.display());
    Registry::at(place, HOST, "", &section)
}

fn configuration(gantry: &Daemon) -> String {
    std::fs::read_to_string(gantry.place().path("docker/config.json")).unwrap_or_default()
}

#[test]
fn an_image_is_built_pushed_removed_and_pulled_again() {
    let place = Place::new();
    let _registry = guarded(&place);
    let gantry = Builder::at(&place).start();
    let context = place.path("context");
    std::fs::create_dir_all(context.join("sub")).unwrap();
    for (path, content) in [
        (
            "Dockerfile",
            "FROM busybox AS first\nARG WHO=nobody\nRUN echo $WHO > /who\nFROM first\nCOPY . /all\nRUN false\n",
        ),
        ("a", "a"),
        ("sub/b", "b"),
        ("ignored", "i"),
        (".dockerignore", "ignored\n"),
    ] {
        std::fs::write(context.join(path), content).unwrap();
    }
    let context = context.to_str().unwrap();
    let name = format!("{HOST}/mine/thing:1");
    let failed = gantry.gantry(["build", "-t", &name, context]);
    assert!(
        failed.fails(1).contains("The command '/bin/sh -c false' returned a non-zero code: 1"),
        "{failed}"
    );
    let id = place.path("iid");
    let built = gantry.gantry([
        "build",
        "-t",
        &name,
        "--target",
        "first",
        "--build-arg",
        "WHO=me",
        "--label",
        "x=y",
        "--iidfile",
        id.to_str().unwrap(),
        context,
    ]);
    assert!(built.ok().contains(&format!("Successfully tagged {name}")), "{built}");
    assert_eq!(std::fs::read_to_string(&id).unwrap(), gantry.inspect(&name, "{{.Id}}"));
    assert_eq!(gantry.inspect(&name, "{{.Config.Labels.x}}"), "y");
    let dockerfile = "FROM busybox\nCOPY . /all\n";
    let other = place.path("other");
    std::fs::write(&other, dockerfile).unwrap();
    let quiet = gantry.gantry(["build", "-q", "-t", "whole", "-f", other.to_str().unwrap(), context]);
    assert_eq!(quiet.ok(), gantry.inspect("whole", "{{.Id}}"));
    assert_eq!(
        gantry.gantry(["run", "--rm", "whole", "find", "/all", "-name", "[abi]"]).ok().lines().count(),
        2
    );
    let piped = gantry.gantry_with_input(["build", "-q", "-"], b"FROM busybox\nLABEL piped=1\n");
    assert_eq!(gantry.inspect(piped.ok(), "{{.Config.Labels.piped}}"), "1");

    let refused = gantry.gantry(["push", &name]);
    assert!(refused.fails(1).contains("no basic auth credentials"), "{refused}");
    let wrong = gantry.gantry_with_input(["login", "-u", "user", "--password-stdin", HOST], b"wrong\n");
    assert!(wrong.fails(1).contains("401 Unauthorized"), "{wrong}");
    let login = gantry.gantry_with_input(["login", "-u", "user", "--password-stdin", HOST], b"secret\n");
    assert!(login.ok().contains("Login Succeeded"), "{login}");
    assert!(configuration(&gantry).contains("dXNlcjpzZWNyZXQ="), "{}", configuration(&gantry));
    let pushed = gantry.gantry(["push", &name]);
    assert!(pushed.ok().contains("1: digest: sha256:"), "{pushed}");
    gantry.docker(["rmi", &name]).ok();
    let pulled = gantry.gantry(["pull", &name]);
    assert!(pulled.ok().contains("Downloaded newer image"), "{pulled}");
    assert_eq!(gantry.gantry(["run", "--rm", &name, "cat", "/who"]).ok(), "me");
    gantry.gantry(["logout", HOST]).ok();
    assert!(gantry.gantry(["push", &name]).fails(1).contains("no basic auth credentials"));

    let archive = place.path("saved.tar");
    let archive = archive.to_str().unwrap();
    gantry.gantry(["save", "-o", archive, &name, "whole"]).ok();
    gantry.docker(["rmi", &name, "whole"]).ok();
    let loaded = gantry.docker(["load", "-i", archive]);
    assert!(loaded.ok().contains(&format!("Loaded image: {name}")), "{loaded}");
    assert_eq!(gantry.gantry(["run", "--rm", "whole", "cat", "/all/sub/b"]).ok(), "b");
}

#[test]
fn passwords_are_left_to_the_helper_that_the_configuration_names() {
    let place = Place::new();
    let _registry = guarded(&place);
    let gantry = Builder::at(&place).start();
    let programs = place.path("programs");
    std::fs::create_dir_all(&programs).unwrap();
    let store = place.path("kept");
    let helper = programs.join("docker-credential-fake");
    let script = format!(
        "#!/bin/sh\necho \"$1\" >> {0}.calls\ncase $1 in\nstore) cat > {0} ;;\nget) cat > /dev/null; test -f {0} && cat {0} || \
         {{ echo 'credentials not found in native keychain'; exit 1; }} ;;\nerase) cat > /dev/null; rm -f {0} ;;\nlist) echo '{{}}' ;;\nesac\n",
        store.display()
    );
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(place.path("docker/config.json"), r#"{"credsStore":"fake","other":"kept"}"#).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let run = |args: &[&str]| {
        let mut command = gantry.gantry_command(args);
        command.env("PATH", &path);
        gantry_tests::run(command)
    };
    gantry.docker(["tag", "busybox", &format!("{HOST}/b:1")]).ok();
    assert!(run(&["push", &format!("{HOST}/b:1")]).fails(1).contains("no basic auth credentials"));
    let login = run(&["login", "-u", "user", "-p", "secret", HOST]);
    assert!(login.ok().contains("Login Succeeded"), "{login}");
    let kept = std::fs::read_to_string(&store).unwrap();
    assert!(
        kept.contains("\"Secret\":\"secret\"") && kept.contains("\"ServerURL\":\"127.0.0.1:5000\""),
        "{kept}"
    );
    assert!(!configuration(&gantry).contains("dXNlcjpzZWNyZXQ="), "{}", configuration(&gantry));
    assert!(configuration(&gantry).contains("\"other\""), "{}", configuration(&gantry));
    run(&["push", &format!("{HOST}/b:1")]).ok();
    // What gantry left there, docker reads.
    let mut docker = gantry.docker_command(["pull", &format!("{HOST}/b:1")]);
    docker.env("PATH", &path);
    gantry_tests::run(docker).ok();
    run(&["logout", HOST]).ok();
    assert!(!store.exists());
}

#[test]
fn a_registry_is_searched() {
    let gantry = Daemon::start();
    let web = Web::start(gantry.place(), HOST, |request| {
        let found = r#"{"num_results":2,"query":"thing","results":[
            {"name":"thing","description":"the thing itself","star_count":12,"is_official":true,"is_automated":false},
            {"name":"other/thing","description":"less known","star_count":1,"is_official":false,"is_automated":false}]}"#;
        match request.path.split('?').next() {
            Some("/v1/search") => (200, Vec::new(), found.to_owned()),
            Some("/v1/_ping") => {
                (200, vec!["X-Docker-Registry-Standalone: true".to_owned()], "true".to_owned())
            }
            _ => (404, Vec::new(), String::new()),
        }
    });
    let term = format!("{HOST}/thing");
    let found = gantry.gantry(["search", &term]);
    assert!(
        found.ok().lines().nth(1).is_some_and(|l| l.contains("the thing itself") && l.contains("[OK]")),
        "{found}"
    );
    assert_eq!(found.stdout, gantry.docker(["search", &term]).stdout);
    let official = ["search", "--filter", "is-official=true", "--format", "{{.Name}} {{.StarCount}}", &term];
    assert_eq!(gantry.gantry(official).ok(), gantry.docker(official).ok());
    assert!(web.seen().iter().any(|r| r.path.contains("q=thing")));
}
