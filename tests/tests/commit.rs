//! `docker commit`: an image of what a container changed.

use gantry_tests::Daemon;
use serde_json::json;

fn sleeping(gantry: &Daemon) {
    gantry
        .docker(["run", "-d", "--name", "web", "-e", "A=1", "-l", "own=x", "busybox", "sleep", "1000"])
        .ok();
    gantry
        .docker([
            "exec",
            "web",
            "sh",
            "-c",
            "echo changed > /etc/passwd; rm /etc/group; mkdir /new; echo x > /new/x",
        ])
        .ok();
}

#[test]
fn the_image_has_the_containers_files_and_configuration_over_its_parents_layers() {
    let gantry = Daemon::start();
    sleeping(&gantry);
    let id = gantry.docker(["commit", "-m", "why", "-a", "somebody", "web", "mine:1"]).ok().to_owned();
    assert!(id.starts_with("sha256:"), "{id}");
    let image = gantry.inspected("mine:1");
    assert_eq!(image["Id"], id.as_str());
    assert_eq!((&image["Comment"], &image["Author"]), (&json!("why"), &json!("somebody")));
    assert_eq!(image["Parent"], gantry.inspected("busybox")["Id"]);
    assert_eq!(image["RootFS"]["Layers"].as_array().unwrap().len(), 2);
    assert_eq!(image["RootFS"]["Layers"][0], gantry.inspected("busybox")["RootFS"]["Layers"][0]);
    assert_eq!(image["Config"]["Cmd"], json!(["sleep", "1000"]));
    assert!(image["Config"]["Env"].as_array().unwrap().contains(&json!("A=1")), "{image}");
    assert_eq!(image["Config"]["Labels"]["own"], "x");
    let show = "cat /etc/passwd /new/x; ls /etc; echo $A";
    let shown = gantry.docker(["run", "--rm", "mine:1", "sh", "-c", show]);
    assert_eq!(shown.lines(), ["changed", "x", "hostname", "hosts", "passwd", "resolv.conf", "1"]);
    let history =
        gantry.docker(["history", "--no-trunc", "--format", "{{.ID}} {{.CreatedBy}} {{.Comment}}", "mine:1"]);
    assert_eq!(history.lines()[0], format!("{id} sleep 1000 why"));
    assert_eq!(history.lines().len(), 2);
}

#[test]
fn changes_and_a_given_configuration_are_honoured_and_nonsense_refused() {
    let gantry = Daemon::start();
    sleeping(&gantry);
    let mut args = vec!["commit"];
    for change in [
        "CMD [\"cat\", \"/new/x\"]",
        "ENV B=2",
        "EXPOSE 80",
        "LABEL more=y",
        "USER app",
        "WORKDIR /new",
        "VOLUME /v",
        "ONBUILD RUN x",
        "STOPSIGNAL SIGINT",
        "HEALTHCHECK NONE",
    ] {
        args.extend(["-c", change]);
    }
    args.extend(["web", "mine"]);
    gantry.docker(args).ok();
    let config = gantry.inspected("mine")["Config"].take();
    assert_eq!(config["Cmd"], json!(["cat", "/new/x"]));
    assert_eq!((&config["User"], &config["WorkingDir"]), (&json!("app"), &json!("/new")));
    assert_eq!(config["Labels"], json!({"own": "x", "more": "y"}));
    assert_eq!(config["ExposedPorts"], json!({"80/tcp": {}}));
    assert_eq!(config["Volumes"], json!({"/v": {}}));
    assert_eq!(config["OnBuild"], json!(["RUN x"]));
    assert_eq!(config["Healthcheck"]["Test"], json!(["NONE"]));
    let body = json!({ "Env": ["A=9"], "Cmd": ["echo", "given"] });
    let made = gantry.api("POST", "/commit?container=web&repo=given&tag=2&comment=c", Some(&body));
    assert_eq!(made.status, 201, "{}", made.text());
    let given = gantry.inspected("given:2");
    assert_eq!(given["Config"]["Cmd"], json!(["echo", "given"]));
    assert!(given["Config"]["Env"].as_array().unwrap().contains(&json!("A=9")), "{given}");
    for (args, text) in [
        (["-c", "RUN x", "web", "no"], "RUN is not a valid change command"),
        (["-c", "ENV A=1", "web", "No"], "invalid reference format"),
        (["-c", "ENV A=1", "nobody", "no"], "No such container: nobody"),
    ] {
        let said = gantry.docker([&["commit"][..], &args].concat());
        assert!(said.fails(1).contains(text), "{said}");
    }
    assert_eq!(gantry.inspect("web", "{{.State.Status}}"), "running");
    assert!(!gantry.docker(["images", "-q", "no"]).ok().contains(|_| true));
}

#[test]
fn it_stands_still_meanwhile_unless_told_otherwise() {
    let gantry = Daemon::start();
    gantry.docker(["run", "-d", "--name", "web", "busybox", "sleep", "1000"]).ok();
    gantry.docker(["commit", "web", "one"]).ok();
    gantry.docker(["commit", "--pause=false", "web", "two"]).ok();
    gantry.docker(["pause", "web"]).ok();
    gantry.docker(["commit", "-m", "still", "web", "three"]).ok();
    assert_eq!(gantry.inspect("web", "{{.State.Status}}"), "paused");
    gantry.docker(["unpause", "web"]).ok();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 1;
    let span = ["events", "--since", "1", "--until", &now.to_string()].map(str::to_owned);
    let events = |filter: &[&str]| {
        let filter = filter.iter().map(|f| (*f).to_owned());
        gantry.docker(span.iter().cloned().chain(filter))
    };
    let told =
        events(&["--filter", "container=web", "--filter", "type=container", "--format", "{{.Action}}"]);
    let expected = ["create", "start", "pause", "commit", "unpause", "commit", "pause", "commit", "unpause"];
    assert_eq!(told.lines(), expected);
    let format = "{{.Actor.Attributes.imageRef}} {{.Actor.Attributes.comment}}";
    let told = events(&["--filter", "event=commit", "--format", format]);
    assert_eq!(told.lines()[2], "three:latest still");
}

#[test]
fn capabilities_owners_holes_and_hard_links_survive() {
    let gantry = Daemon::start();
    sleeping(&gantry);
    let mut tar = tar::Builder::new(Vec::new());
    // cap_net_raw=ep, version 2 (linux/capability.h).
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let records = [("SCHILY.xattr.security.capability", &capability[..])];
    tar.append_pax_extensions(records).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    header.set_mode(0o755);
    header.set_uid(100_000);
    header.set_gid(100_001);
    header.set_mtime(7);
    tar.append_data(&mut header, "new/tool", &b"tool"[..]).unwrap();
    gantry.docker_with_input(["cp", "-", "web:/"], &tar.into_inner().unwrap()).ok();
    gantry
        .docker([
            "exec",
            "web",
            "sh",
            "-c",
            "truncate -s 1G /new/sparse; echo end >> /new/sparse; ln /new/x /new/y",
        ])
        .ok();
    gantry.docker(["commit", "web", "mine"]).ok();
    let size: u64 = gantry.inspect("mine", "{{.Size}}").parse().unwrap();
    assert!(size > 1 << 30, "{size}");
    gantry.docker(["run", "-d", "--name", "second", "mine"]).ok();
    let show = "stat -c '%u %g %a %Y' /new/tool; stat -c '%h' /new/x; stat -c '%s' /new/sparse; tail -c 4 /new/sparse; du -k /new/sparse";
    let shown = gantry.docker(["exec", "second", "sh", "-c", show]);
    let lines = shown.lines();
    assert_eq!(lines[..4], ["100000 100001 755 7", "2", "1073741828", "end"], "{shown}");
    let used: u64 = lines[4].split_whitespace().next().unwrap().parse().unwrap();
    assert!(used < 1024, "the hole was filled: {shown}");
    let out = gantry.docker_command(["cp", "second:/new/tool", "-"]).output().unwrap().stdout;
    let kept = out.windows(capability.len()).any(|w| w == capability);
    assert!(kept, "the capability is gone");
}

#[test]
fn a_parent_stays_while_others_were_made_from_it() {
    let gantry = Daemon::start();
    sleeping(&gantry);
    gantry.docker(["commit", "web", "mine"]).ok();
    gantry.docker(["rm", "-f", "web"]).ok();
    let parent = gantry.inspect("busybox", "{{.Id}}");
    let said = gantry.docker(["rmi", "-f", &parent]);
    assert!(said.fails(1).contains("(cannot be forced) - image has dependent child images"), "{said}");
    assert_eq!(gantry.docker(["rmi", "busybox"]).ok(), "Untagged: busybox:latest");
    assert_eq!(gantry.docker(["run", "--rm", "mine", "cat", "/new/x"]).ok(), "x");
    assert_eq!(gantry.docker(["images", "-q"]).lines().len(), 1);
    assert_eq!(gantry.docker(["images", "-aq"]).lines().len(), 2);
}

#[test]
fn a_container_that_changed_nothing_adds_no_layer() {
    let gantry = Daemon::start();
    gantry.docker(["run", "--name", "idle", "busybox", "true"]).ok();
    gantry.docker(["commit", "idle", "same"]).ok();
    assert_eq!(gantry.inspected("same")["RootFS"], gantry.inspected("busybox")["RootFS"]);
    assert_ne!(gantry.inspect("same", "{{.Id}}"), gantry.inspect("busybox", "{{.Id}}"));
}
