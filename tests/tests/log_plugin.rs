//! Log drivers that are plugins: Docker's protocol, and what becomes of lines while a plugin is not as it should be.

use gantry_tests::{Builder, Daemon, LogPlugin, Outage, Place, Promise, Receiver, Trial, eventually};
use std::collections::BTreeSet;
use std::sync::Arc;

fn daemon(place: &Arc<Place>) -> Daemon {
    Builder::at(place).args(LogPlugin::flags(place)).start()
}

fn run(gantry: &Daemon, name: &str, options: &[&str], text: &str) {
    let mut args = vec!["run", "-d", "--name", name, "--label", "app=web", "-e", "MODE=a"];
    args.push("--log-driver=outlet");
    for option in options {
        args.extend(["--log-opt", option]);
    }
    args.extend(["busybox", "sh", "-c", text]);
    gantry.docker(args).ok();
}

#[track_caller]
fn has(plugin: &LogPlugin, text: &str) {
    eventually(&format!("the plugin has {text:?}"), || {
        plugin.texts().iter().any(|t| t == text).then_some(())
    });
}

#[test]
fn a_plugin_gets_what_docker_would_tell_it_and_each_line_as_an_entry() {
    let place = Place::new();
    let plugin = LogPlugin::start(&place, "outlet");
    let gantry = daemon(&place);
    assert!(gantry.docker(["info", "-f", "{{.Plugins.Log}}"]).ok().contains(" outlet "));
    let options =
        ["colour=red", "labels=app", "mode=non-blocking", "max-buffer-size=1m", "cache-max-size=2m"];
    let script = "echo one; echo two >&2; head -c 40000 /dev/zero | tr '\\0' x; echo; echo end";
    run(&gantry, "web", &options, script);
    has(&plugin, "end");
    // The other stream may come after it.
    has(&plugin, "two");
    let entries = plugin.entries();
    for (text, source) in [("one", "stdout"), ("two", "stderr")] {
        assert!(entries.iter().any(|e| e["text"] == text && e["source"] == source), "{text}: {entries:?}");
    }
    let pieces: Vec<_> = entries.iter().filter(|e| !e["piece"].is_null()).collect();
    let told: Vec<_> = pieces.iter().map(|e| (e["piece"][1].clone(), e["piece"][2].clone())).collect();
    assert_eq!(told, [(1.into(), false.into()), (2.into(), false.into()), (3.into(), true.into())]);
    assert_eq!(pieces.iter().map(|e| e["text"].as_str().unwrap().len()).sum::<usize>(), 40_000);
    // What the container is, and all options, unchecked, but for those of the local copy.
    let starts = plugin.calls("LogDriver.StartLogging");
    let info = &starts[0]["Info"];
    assert_eq!(
        info["Config"],
        serde_json::json!({
            "colour": "red", "labels": "app", "mode": "non-blocking", "max-buffer-size": "1m",
        })
    );
    assert_eq!(info["ContainerID"], gantry.inspect("web", "{{.Id}}"));
    assert_eq!((&info["ContainerName"], &info["ContainerImageName"]), (&"/web".into(), &"busybox".into()));
    assert_eq!((&info["ContainerEntrypoint"], &info["DaemonName"]), (&"sh".into(), &"docker".into()));
    assert_eq!(info["ContainerArgs"], serde_json::json!(["-c", script]));
    assert_eq!(info["ContainerLabels"]["app"], "web");
    assert!(info["ContainerEnv"].as_array().unwrap().contains(&"MODE=a".into()));
    assert!(info["ContainerCreated"].as_str().unwrap().ends_with('Z'));
    // It hears of the container's end, its fifo goes, and the lines can be read here, too.
    eventually("it is told to stop", || {
        let stops = plugin.calls("LogDriver.StopLogging");
        stops.iter().any(|s| s["File"] == starts[0]["File"]).then_some(())
    });
    eventually("the fifo goes", || plugin.fifos().is_empty().then_some(()));
    assert!(gantry.docker(["logs", "web"]).ok().ends_with("\nend"));
    assert!(plugin.calls("torn").is_empty());
    // Another start is another beginning, without a line that was there before.
    gantry.docker(["start", "web"]).ok();
    eventually("all is there again", || (plugin.entries().len() == 2 * entries.len()).then_some(()));
    assert_eq!(plugin.calls("LogDriver.StartLogging").len(), 2);
}

#[test]
fn plugins_are_found_by_files_that_name_their_addresses() {
    let place = Place::new();
    let plugin = LogPlugin::at_port(&place, "outlet", 8100);
    let gantry = daemon(&place);
    let create = ["create", "--log-driver=outlet", "busybox"];
    let refused = gantry.docker(create);
    let text = "error looking up logging plugin outlet: plugin \"outlet\" not found";
    assert!(refused.code != 0 && refused.stderr.contains(text), "{refused}");
    for (file, content) in
        [("outlet.spec", "tcp://127.0.0.1:8100"), ("outlet.json", "{\"Addr\": \"http://127.0.0.1:8100\"}")]
    {
        let path = place.path("plugins").join(file);
        std::fs::write(&path, content).unwrap();
        run(&gantry, file, &[], &format!("echo by {file}"));
        has(&plugin, &format!("by {file}"));
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_plugin_that_docker_would_have_installed_is_a_log_driver_as_any_other() {
    let place = Place::new();
    let plugin = LogPlugin::start(&place, "outlet");
    let gantry = daemon(&place);
    plugin.behave("managed");
    assert!(gantry.docker(["info", "-f", "{{.Plugins.Log}}"]).ok().contains(" outlet "));
    run(&gantry, "web", &[], "echo here");
    has(&plugin, "here");
}

#[test]
fn what_is_no_plugin_for_logs_is_refused_in_dockers_words() {
    let place = Place::new();
    let plugin = LogPlugin::start(&place, "outlet");
    let gantry = daemon(&place);
    plugin.behave("volumes");
    assert!(!gantry.docker(["info", "-f", "{{.Plugins.Log}}"]).ok().contains("outlet"));
    for (args, text) in [
        (
            &["create", "--log-driver=outlet", "busybox"][..],
            "Plugin does not implement the requested driver: plugin=\"outlet\", requested implementation=\"LogDriver\"",
        ),
        (
            &["create", "--log-driver=nosuch", "busybox"],
            "error looking up logging plugin nosuch: plugin \"nosuch\" not found",
        ),
        (&["create", "--log-driver=../outlet", "busybox"], "error looking up logging plugin ../outlet: "),
        (&["plugin", "install", "grafana/loki-docker-driver"], "gantry does not support managed plugins"),
    ] {
        let refused = gantry.docker(args);
        assert!(refused.code != 0 && refused.stderr.contains(text), "{refused}");
    }
}

#[test]
fn a_plugin_that_refuses_or_hangs_holds_up_no_container_and_gets_the_lines_later() {
    let place = Place::new();
    let mut plugin = LogPlugin::start(&place, "outlet");
    let gantry = daemon(&place);
    plugin.behave("refuse");
    run(&gantry, "early", &[], "seq 1 500");
    gantry.until_exited("early");
    eventually("it was asked", || (!plugin.calls("LogDriver.StartLogging").is_empty()).then_some(()));
    eventually("no fifo stays", || plugin.fifos().is_empty().then_some(()));
    eventually("the status tells why", || {
        let status = gantry.gantry(["logs", "status", "early", "--json"]);
        status.ok().contains("LogDriver.StartLogging: told to refuse").then_some(())
    });
    plugin.behave("ok");
    has(&plugin, "500");
    run(&gantry, "late", &[], "seq 501 600; exec sleep 1000");
    has(&plugin, "600");
    plugin.hang();
    gantry.docker(["exec", "late", "sh", "-c", "seq 601 700 > /proc/1/fd/1"]).ok();
    gantry.docker(["rm", "-f", "early", "late"]).ok();
    eventually("no fifo stays", || plugin.fifos().is_empty().then_some(()));
    plugin.go_on();
    let numbers: BTreeSet<u32> = plugin.texts().iter().map(|t| t.parse().unwrap()).collect();
    assert!((1..=600).all(|n| numbers.contains(&n)));
}

#[test]
fn a_daemon_that_is_killed_leaves_no_fifo_to_the_next_and_every_line_arrives() {
    let place = Place::new();
    let plugin = LogPlugin::start(&place, "outlet");
    let mut gantry = daemon(&place);
    run(&gantry, "on", &[], "for n in $(seq 1 300); do echo $n; sleep 0.01; done");
    has(&plugin, "20");
    gantry.crash();
    has(&plugin, "300");
    let numbers: BTreeSet<u32> = plugin.texts().iter().map(|t| t.parse().unwrap()).collect();
    assert_eq!(numbers, (1..=300).collect());
    gantry.docker(["rm", "-f", "on"]).ok();
    eventually("no fifo stays", || plugin.fifos().is_empty().then_some(()));
}

#[test]
fn a_plugin_gets_every_line_in_the_end() {
    let place = Place::new();
    let plugin = LogPlugin::start(&place, "outlet");
    let trials = [Trial::Dies, Trial::Hangs, Trial::HangsAndDies];
    Outage::new(&place, plugin, 0, Promise::EveryLine, &["outlet-colour=red"]).endures(&trials);
}

/// Keeps no copy beside the plugin.
const ALONE: &[&str] = &["cache-disabled=true"];

/// Waits until the plugin was told of every end.
#[track_caller]
fn rests(plugin: &LogPlugin) {
    eventually("every logger is stopped", || {
        let counts = ["Start", "Stop"].map(|what| plugin.calls(&format!("LogDriver.{what}Logging")).len());
        (counts[0] == counts[1] && plugin.fifos().is_empty()).then_some(())
    });
}

#[test]
fn lines_are_read_back_from_a_plugin_that_gives_them_where_no_copy_is_kept() {
    let place = Place::new();
    let plugin = LogPlugin::start(&place, "outlet");
    let gantry = daemon(&place);
    plugin.behave("reads");
    run(&gantry, "kept", &[], "echo kept");
    has(&plugin, "kept");
    assert_eq!(gantry.docker(["logs", "kept"]).ok(), "kept");
    assert!(plugin.calls("LogDriver.ReadLogs").is_empty(), "it is not asked for what is here");
    run(&gantry, "web", ALONE, "for n in 1 2 3 4; do echo $n; sleep 0.5; done; echo oops >&2");
    has(&plugin, "oops");
    rests(&plugin);
    let entries = plugin.entries();
    let at = |text: &str| {
        let ns = entries.iter().find(|e| e["text"] == text).unwrap()["time"].as_i64().unwrap();
        format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
    };
    let (second, third) = (at("2"), at("3"));
    let cases = [
        (vec![], "1\n2\n3\n4\n", "oops\n"),
        (vec!["--tail", "2"], "4\n", "oops\n"),
        (vec!["--since", &third], "3\n4\n", "oops\n"),
        (vec!["--until", &second], "1\n2\n", ""),
        (vec!["--since", &second, "--until", &third], "2\n3\n", ""),
    ];
    let times = cases.len();
    for (options, stdout, stderr) in cases {
        let said = gantry.docker(["logs"].iter().chain(&options).chain(&["web"]));
        assert_eq!((said.code, &said.stdout[..], &said.stderr[..]), (0, stdout, stderr), "{said}");
    }
    let asked = plugin.calls("LogDriver.ReadLogs");
    assert_eq!(asked.len(), times);
    let never = "0001-01-01T00:00:00Z";
    let all = serde_json::json!({"Since": never, "Until": never, "Tail": -1, "Follow": false});
    assert_eq!((&asked[0]["Config"], &asked[1]["Config"]["Tail"]), (&all, &2.into()));
    assert_eq!(asked[0]["Info"]["ContainerID"], gantry.inspect("web", "{{.Id}}"));
    plugin.behave("ok");
    let said = gantry.docker(["logs", "web"]);
    assert!(said.fails(1).contains("configured logging driver does not support reading"), "{said}");
    plugin.entries();
}

#[test]
fn who_follows_a_plugin_that_gives_lines_back_sees_later_ones_and_the_containers_end() {
    let place = Place::new();
    let plugin = LogPlugin::start(&place, "outlet");
    let gantry = daemon(&place);
    plugin.behave("reads");
    let text = "echo early; until test -e /go; do sleep 0.05; done; echo late; echo last >&2";
    run(&gantry, "on", ALONE, text);
    has(&plugin, "early");
    let follow = gantry.docker_running(["logs", "-f", "on"]);
    follow.wait_for("early\n");
    gantry.touch("on", "/go");
    follow.wait_for("late\n");
    let said = follow.finish();
    assert_eq!((said.code, &said.stdout[..], &said.stderr[..]), (0, "early\nlate\n", "last\n"), "{said}");
    gantry.until_exited("on");
    assert_eq!(plugin.calls("LogDriver.ReadLogs")[0]["Config"]["Follow"], true);
    plugin.entries();
}

#[test]
fn a_plugin_that_dies_while_it_gives_lines_back_ends_nobodys_reading_in_silence() {
    let place = Place::new();
    let mut plugin = LogPlugin::start(&place, "outlet");
    let gantry = daemon(&place);
    plugin.behave("tears");
    run(&gantry, "on", ALONE, "echo one; echo two; exec sleep 1000");
    has(&plugin, "two");
    let torn = gantry.docker(["logs", "on"]);
    assert!(torn.fails(1).contains("error getting log reader") && torn.stdout == "one\n", "{torn}");
    plugin.behave("reads");
    let follow = gantry.docker_running(["logs", "-f", "on"]);
    follow.wait_for("one\ntwo\n");
    plugin.kill();
    let said = follow.finish();
    assert!(said.fails(1).contains("error getting log reader"), "{said}");
    assert_eq!(said.stdout, "one\ntwo\n");
    gantry.docker(["rm", "-f", "on"]).ok();
    eventually("no fifo stays", || plugin.fifos().is_empty().then_some(()));
}

#[test]
fn a_container_that_has_written_nothing_yet_is_read_and_followed_at_a_plugin() {
    let place = Place::new();
    let plugin = LogPlugin::start(&place, "outlet");
    let gantry = daemon(&place);
    plugin.behave("reads");
    run(&gantry, "on", ALONE, "until test -e /go; do sleep 0.05; done; echo first; echo last >&2");
    // It was told of the container with the first line only, and knew nothing of this one.
    assert_eq!(gantry.docker(["logs", "on"]).ok(), "");
    let follow = gantry.docker_running(["logs", "-f", "on"]);
    eventually("it is asked", || (plugin.calls("LogDriver.ReadLogs").len() == 2).then_some(()));
    gantry.docker(["exec", "on", "touch", "/go"]).ok();
    follow.wait_for("first\n");
    let said = follow.finish();
    assert_eq!((said.code, &said.stdout[..], &said.stderr[..]), (0, "first\n", "last\n"), "{said}");
    assert_eq!(plugin.calls("LogDriver.StartLogging").len(), 1, "who reads has no logger of its own");
    rests(&plugin);
    plugin.entries();
}

#[test]
fn a_plugin_that_was_started_anew_gives_lines_of_ended_containers_back() {
    let place = Place::new();
    let mut plugin = LogPlugin::start(&place, "outlet");
    let gantry = daemon(&place);
    plugin.behave("reads");
    run(&gantry, "web", ALONE, "echo one; echo two");
    has(&plugin, "two");
    rests(&plugin);
    let create = ["create", "--name=made", "--log-driver=outlet", "--log-opt=cache-disabled=true", "busybox"];
    gantry.docker(create).ok();
    plugin.kill();
    // That it is away says nothing of what it can do.
    let said = gantry.docker(["logs", "web"]);
    assert!(said.fails(1).contains("error getting log reader"), "{said}");
    plugin.start_again();
    assert_eq!(gantry.docker(["logs", "web"]).ok(), "one\ntwo");
    assert_eq!(gantry.docker(["logs", "made"]).ok(), "");
    rests(&plugin);
    plugin.entries();
}

#[test]
fn a_long_line_that_a_plugin_keeps_as_dockers_files_do_comes_back_in_one() {
    let place = Place::new();
    let plugin = LogPlugin::start(&place, "outlet");
    let gantry = daemon(&place);
    plugin.behave("files");
    run(&gantry, "web", ALONE, "head -c 40000 /dev/zero | tr '\\0' x; echo; echo end");
    has(&plugin, "end");
    rests(&plugin);
    let said = gantry.docker(["logs", "web"]);
    assert_eq!(said.ok(), format!("{}\nend", "x".repeat(40_000)));
}
