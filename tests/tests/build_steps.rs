//! `docker build`: each instruction, the cache, the answer's form.

use gantry_tests::{Daemon, Output};
use serde_json::{Value, json};
use std::path::PathBuf;

/// A folder with these files.
fn context(gantry: &Daemon, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = gantry.place().path(name);
    for (path, content) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    folder
}

fn build(gantry: &Daemon, flags: &[&str], files: &[(&str, &str)]) -> Output {
    let folder = context(gantry, "context", files);
    let mut args = vec!["build"];
    args.extend(flags);
    args.push(folder.to_str().unwrap());
    gantry.docker(args)
}

#[test]
fn every_instruction_does_what_it_says() {
    let gantry = Daemon::start();
    let dockerfile = r#"
ARG BASE=nothing
FROM $BASE
MAINTAINER somebody
LABEL one=1 two="two words"
ENV GREETING="hello there" OTHER=x
ARG WHO=world
RUN echo "$GREETING $WHO" > /said && id -u > /who
RUN ["sh", "-c", "echo exec > /exec"]
SHELL ["/bin/sh", "-e", "-c"]
RUN echo "$0 $-" > /shell
WORKDIR /work
WORKDIR deeper
RUN pwd > /where
COPY a.txt ./
COPY --chown=app:extra --chmod=640 a.txt /owned
ADD b/ /b/
USER app
RUN id -u > /tmp/user
EXPOSE 80 90/udp
VOLUME /data
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s CMD true
ONBUILD RUN echo triggered > /tmp/triggered
ENTRYPOINT ["sh", "-c"]
CMD ["echo ran"]
"#;
    let files =
        [("Dockerfile", dockerfile), ("a.txt", "a\n"), ("b/one", "1\n"), ("b/sub/two", "2\n"), ("c", "c")];
    let args = ["--build-arg", "BASE=busybox", "--build-arg", "WHO=you", "-t", "mine:1", "-t", "other"];
    let built = build(&gantry, &args, &files);
    built.ok();
    for wanted in [
        "Step 1/25 : ARG BASE=nothing",
        "Step 2/25 : FROM $BASE",
        "Step 25/25 : CMD [\"echo ran\"]",
        " ---> Running in ",
        " ---> Removed intermediate container ",
        "Successfully built ",
        "Successfully tagged mine:1",
        "Successfully tagged other:latest",
    ] {
        assert!(built.stdout.contains(wanted), "{wanted}: {}", built.stdout);
    }
    let image = gantry.inspected("mine:1");
    assert_eq!(image["Id"], gantry.inspected("other")["Id"]);
    let config = &image["Config"];
    assert_eq!(image["Author"], "somebody");
    assert_eq!(config["Labels"], json!({ "one": "1", "two": "two words" }));
    assert_eq!((&config["User"], &config["WorkingDir"]), (&json!("app"), &json!("/work/deeper")));
    assert_eq!(config["ExposedPorts"], json!({ "80/tcp": {}, "90/udp": {} }));
    assert_eq!((&config["Volumes"], &config["StopSignal"]), (&json!({ "/data": {} }), &json!("SIGINT")));
    assert_eq!(config["Healthcheck"]["Test"], json!(["CMD-SHELL", "true"]));
    assert_eq!(config["OnBuild"], json!(["RUN echo triggered > /tmp/triggered"]));
    assert_eq!((&config["Entrypoint"], &config["Cmd"]), (&json!(["sh", "-c"]), &json!(["echo ran"])));
    assert_eq!(config["Shell"], json!(["/bin/sh", "-e", "-c"]));
    assert!(!config["Env"].as_array().unwrap().iter().any(|e| e.as_str().unwrap().starts_with("WHO")));
    assert_eq!(gantry.docker(["run", "--rm", "mine:1"]).ok(), "ran");
    let show = "cat /said /who /exec /where /tmp/user a.txt /b/one /b/sub/two; stat -c '%U:%G %a' /owned /work/deeper; \
                grep -c e /shell; ls /c 2>&1";
    let shown = gantry.docker(["run", "--rm", "mine:1", show]);
    assert_eq!(
        shown.stdout.lines().collect::<Vec<_>>(),
        [
            "hello there you",
            "0",
            "exec",
            "/work/deeper",
            "1000",
            "a",
            "1",
            "2",
            "app:extra 640",
            "root:root 755",
            "1",
            "ls: /c: No such file or directory",
        ]
    );
    let child = build(&gantry, &["-t", "child"], &[("Dockerfile", "FROM mine:1\nCMD cat /tmp/triggered\n")]);
    assert!(child.ok().contains("# Executing 1 build trigger"), "{}", child.stdout);
    let config = &gantry.inspected("child")["Config"];
    assert_eq!((&config["OnBuild"], &config["Cmd"][3]), (&Value::Null, &json!("cat /tmp/triggered")));
    assert_eq!(gantry.docker(["run", "--rm", "child", "cat /tmp/triggered"]).ok(), "triggered");
    let history = gantry.docker(["history", "--no-trunc", "--format", "{{.CreatedBy}}", "mine:1"]);
    assert_eq!(history.lines()[0], "/bin/sh -e -c #(nop)  CMD [\"echo ran\"]");
    assert!(history.ok().contains("|1 WHO=you /bin/sh -c echo \"$GREETING $WHO\""), "{}", history.stdout);
    assert!(history.ok().contains("#(nop) COPY file:"), "{}", history.stdout);
}

#[test]
fn a_step_is_carried_out_again_only_when_what_it_depends_on_has_changed() {
    let gantry = Daemon::start();
    let dockerfile = "FROM busybox\nARG V=1\nRUN echo first\nCOPY a /a\nRUN echo last $V\n";
    let cached = |out: &Output| out.ok().matches("Using cache").count();
    let files = |a| [("Dockerfile", dockerfile), ("a", a)];
    assert_eq!(cached(&build(&gantry, &["-t", "one"], &files("1"))), 0);
    let first = gantry.inspected("one")["Id"].clone();
    assert_eq!(cached(&build(&gantry, &["-t", "two"], &files("1"))), 4);
    assert_eq!(gantry.inspected("two")["Id"], first);
    // Written anew with the same content: times do not count.
    let folder = gantry.place().path("context");
    let when = std::time::SystemTime::UNIX_EPOCH;
    std::fs::File::options().write(true).open(folder.join("a")).unwrap().set_modified(when).unwrap();
    let again = gantry.docker(["build", "-t", "two", folder.to_str().unwrap()]);
    assert_eq!(cached(&again), 4);
    assert_eq!(cached(&build(&gantry, &[], &files("2"))), 2);
    assert_eq!(cached(&build(&gantry, &["--build-arg", "V=2"], &files("1"))), 1);
    assert_eq!(cached(&build(&gantry, &["--no-cache", "-t", "three"], &files("1"))), 0);
    assert_ne!(gantry.inspected("three")["Id"], first);
    assert_eq!(
        gantry.inspected("three")["RootFS"]["Layers"][0],
        gantry.inspected("one")["RootFS"]["Layers"][0]
    );
    // What is between is no image of the user's.
    let shown = gantry.docker(["images", "-q", "--no-trunc", "-f", "dangling=false"]);
    assert!(shown.lines().len() >= 3, "{}", shown.stdout);
}

#[test]
fn a_quiet_build_tells_its_image_alone_and_everything_when_it_fails() {
    let gantry = Daemon::start();
    let files = [("Dockerfile", "FROM busybox\nRUN echo loud\n")];
    let id_file = gantry.place().path("id");
    let built = build(&gantry, &["-q", "--iidfile", id_file.to_str().unwrap(), "-t", "mine"], &files);
    let id = gantry.inspected("mine")["Id"].as_str().unwrap().to_owned();
    assert_eq!(built.ok(), id);
    assert_eq!(std::fs::read_to_string(id_file).unwrap().trim(), id);
    let failed = build(&gantry, &["-q"], &[("Dockerfile", "FROM busybox\nRUN echo loud; exit 9\n")]);
    let said = failed.fails(9);
    assert!(
        said.contains("The command '/bin/sh -c echo loud; exit 9' returned a non-zero code: 9"),
        "{said}"
    );
    assert!(format!("{}{said}", failed.stdout).contains("Step 2/2"), "{said}");
}

#[test]
fn a_failing_step_ends_the_build_with_its_code_and_leaves_its_container_unless_that_is_unwanted() {
    let gantry = Daemon::start();
    let files = [("Dockerfile", "FROM busybox\nRUN echo before > /b\nRUN exit 7\nRUN echo never\n")];
    let failed = build(&gantry, &["-t", "mine"], &files);
    assert!(failed.fails(7).contains("The command '/bin/sh -c exit 7' returned a non-zero code: 7"));
    assert!(!failed.stdout.contains("never\n ---> Running"), "{}", failed.stdout);
    assert!(gantry.docker(["image", "inspect", "mine"]).fails(1).contains("No such image"));
    assert_eq!(gantry.docker(["ps", "-aq"]).lines().len(), 1);
    assert_eq!(gantry.inspect(gantry.docker(["ps", "-aq"]).ok(), "{{.State.ExitCode}}"), "7");
    gantry.docker(["container", "prune", "-f"]).ok();
    build(&gantry, &["--force-rm"], &files).fails(7);
    assert_eq!(gantry.docker(["ps", "-aq"]).ok(), "");
    build(&gantry, &["--rm=false", "--no-cache"], &[("Dockerfile", "FROM busybox\nRUN true\n")]).ok();
    assert_eq!(gantry.docker(["ps", "-aq"]).lines().len(), 1);
}

#[test]
fn mistakes_are_told_before_anything_is_made() {
    let gantry = Daemon::start();
    for (dockerfile, flags, text) in [
        ("FROM busybox\nNOSUCH x\n", &[][..], "unknown instruction: NOSUCH"),
        ("RUN x\n", &[], "no build stage in current context"),
        ("", &[], "the Dockerfile (Dockerfile) cannot be empty"),
        ("FROM busybox\n", &["--target", "x"], "target stage \"x\" could not be found"),
        ("FROM busybox\nCOPY nosuch /\n", &[], "COPY failed"),
        ("FROM busybox AS a\nCOPY --from=0 /x /\n", &[], "refers to current build stage"),
        ("FROM busybox AS a\nCOPY --from=3 /x /\n", &[], "index out of bounds"),
        ("FROM busybox\nRUN --mount=type=cache,target=/x true\n", &[], "--mount option requires BuildKit"),
        ("FROM busybox AS a\nFROM busybox AS a\n", &[], "a stage name already used"),
    ] {
        let failed = build(&gantry, flags, &[("Dockerfile", dockerfile)]);
        assert!(failed.fails(1).contains(text), "{dockerfile:?}: {}", failed.stderr);
    }
    assert_eq!(gantry.docker(["ps", "-aq"]).ok(), "");
    assert!(gantry.api("POST", "/build?version=2", None).error(501).contains("DOCKER_BUILDKIT=0"));
    assert!(gantry.api("POST", "/build?squash=1", None).error(400).contains("squash"));
    assert!(gantry.api("POST", "/build/cancel", None).error(400).contains("build ID not provided"));
}

#[test]
fn steps_have_the_limits_network_and_hosts_that_are_asked_for() {
    let gantry = Daemon::start();
    let dockerfile = "FROM busybox\n\
        RUN ulimit -n > /files; grep own.example /etc/hosts > /hosts; ip -o link | wc -l > /links; df -k /dev/shm | tail -1 | awk '{print $2}' > /shm\n";
    let flags = [
        "--ulimit",
        "nofile=77:77",
        "--add-host",
        "own.example:10.1.2.3",
        "--network",
        "none",
        "--shm-size",
        "1m",
        "--memory",
        "64m",
        "-t",
        "mine",
    ];
    build(&gantry, &flags, &[("Dockerfile", dockerfile)]).ok();
    let shown = gantry.docker(["run", "--rm", "mine", "cat", "/files", "/hosts", "/links", "/shm"]);
    assert_eq!(shown.lines(), ["77", "10.1.2.3\town.example", "1", "1024"]);
}

#[test]
fn what_is_written_into_a_volume_after_it_is_declared_does_not_stay() {
    let gantry = Daemon::start();
    let dockerfile = "FROM busybox\nRUN mkdir /v && echo 1 > /v/before\nVOLUME /v\nRUN echo 2 > /v/after\n";
    build(&gantry, &["-t", "mine"], &[("Dockerfile", dockerfile)]).ok();
    assert_eq!(gantry.docker(["run", "--rm", "mine", "ls", "/v"]).ok(), "before");
    assert_eq!(gantry.docker(["volume", "ls", "-q"]).ok(), "");
}
