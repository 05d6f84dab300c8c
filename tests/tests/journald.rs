//! The journald driver, into a real systemd-journald.

use gantry_tests::{Builder, Daemon, Journald, Place, eventually};
use serde_json::{Map, Value};

fn with_journald() -> (Journald, Daemon) {
    let place = Place::new();
    let journald = Journald::start(&place);
    let gantry = Builder::at(&place).start();
    (journald, gantry)
}

fn text<'a>(entry: &'a Map<String, Value>, field: &str) -> &'a str {
    entry.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn journalctl_finds_a_containers_lines_by_dockers_fields() {
    let (journald, gantry) = with_journald();
    let namespace = format!("journald-namespace={}", journald.name());
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "web",
            "--log-driver=journald",
            "--log-opt",
            &namespace,
            "--log-opt",
            "tag=shop/{{.Name}}",
            "--log-opt",
            "labels=app.name",
            "--label",
            "app.name=shop",
            "busybox",
            "sh",
            "-c",
            "echo out; echo err >&2; head -c 300000 /dev/zero | tr '\\0' x; echo; printf 'a\\033b\\n'",
        ])
        .ok();
    let entries = eventually("all lines stand in the journal", || {
        let entries = journald.entries("CONTAINER_NAME=web");
        let last = entries.iter().any(|e| e.contains_key("MESSAGE") && !e["MESSAGE"].is_string());
        // The other stream may come after it.
        (last && entries.iter().any(|e| text(e, "MESSAGE") == "err")).then_some(entries)
    });
    let out = entries.iter().find(|e| text(e, "MESSAGE") == "out").unwrap();
    let id = gantry.inspect("web", "{{.Id}}");
    assert_eq!((text(out, "CONTAINER_ID"), text(out, "CONTAINER_ID_FULL")), (&id[..12], id.as_str()));
    assert_eq!((text(out, "CONTAINER_TAG"), text(out, "SYSLOG_IDENTIFIER")), ("shop/web", "shop/web"));
    assert_eq!(
        (text(out, "APP_NAME"), text(out, "IMAGE_NAME"), text(out, "PRIORITY")),
        ("shop", "busybox", "6")
    );
    let err = entries.iter().find(|e| text(e, "MESSAGE") == "err").unwrap();
    assert_eq!(text(err, "PRIORITY"), "3");
    let pieces: Vec<_> = entries.iter().filter(|e| e.contains_key("CONTAINER_PARTIAL_ID")).collect();
    let bytes: usize = pieces.iter().map(|e| text(e, "MESSAGE").len()).sum();
    assert_eq!(bytes, 300_000);
    let mut ordinals: Vec<u32> =
        entries.iter().map(|e| text(e, "CONTAINER_LOG_ORDINAL").parse().unwrap()).collect();
    ordinals.sort_unstable();
    assert_eq!(ordinals, (1..=u32::try_from(entries.len()).unwrap()).collect::<Vec<_>>());
    assert!(gantry.docker(["logs", "web"]).ok().starts_with("out\n"));
}

#[test]
fn a_journal_that_is_started_again_gets_what_was_written_meanwhile() {
    let (mut journald, gantry) = with_journald();
    journald.stop();
    let namespace = format!("journald-namespace={}", journald.name());
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "web",
            "--log-driver=journald",
            "--log-opt",
            &namespace,
            "busybox",
            "sh",
            "-c",
            "seq 1 200",
        ])
        .ok();
    gantry.until_exited("web");
    journald.start_again();
    eventually("all lines stand in the journal", || {
        let entries = journald.entries("CONTAINER_NAME=web");
        let has = |n: u32| entries.iter().any(|e| text(e, "MESSAGE") == n.to_string());
        (1..=200).all(has).then_some(())
    });
}

#[test]
fn unknown_options_are_refused() {
    let gantry = Daemon::start();
    let refused =
        gantry.docker(["create", "--log-driver=journald", "--log-opt", "journald-address=x", "busybox"]);
    assert!(refused.stderr.contains("unknown log opt 'journald-address' for journald log driver"));
}
