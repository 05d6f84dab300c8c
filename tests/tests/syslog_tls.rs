//! The syslog driver over TLS, into a real rsyslogd.

use gantry_tests::{Builder, Daemon, Place, Rsyslog, eventually};
use std::sync::Arc;

fn run(gantry: &Daemon, place: &Arc<Place>, name: &str, options: &[&str]) {
    let mut args =
        vec!["run".to_owned(), "-d".into(), "--name".into(), name.into(), "--log-driver=syslog".into()];
    for option in options {
        args.extend(["--log-opt".to_owned(), option.replace("ROOT", place.root().to_str().unwrap())]);
    }
    args.extend(["busybox", "echo"].map(str::to_owned));
    args.push(format!("from {name}"));
    gantry.docker(args.iter().map(String::as_str)).ok();
}

const OURS: [&str; 3] =
    ["syslog-tls-ca-cert=ROOT/ca.pem", "syslog-tls-cert=ROOT/client.pem", "syslog-tls-key=ROOT/client.key"];

#[test]
fn lines_arrive_over_mutual_tls_in_both_framings() {
    let place = Place::new();
    let rsyslog = Rsyslog::start_tls(&place);
    let gantry = Builder::at(&place).start();
    let address = "syslog-address=tcp+tls://localhost:6514";
    let [ca, certificate, key] = OURS;
    run(&gantry, &place, "plain", &[address, ca, certificate, key]);
    run(
        &gantry,
        &place,
        "counted",
        &[address, ca, certificate, key, "syslog-format=rfc5424micro", "tag=mylog"],
    );
    run(&gantry, &place, "trusting", &[address, certificate, key, "syslog-tls-skip-verify=true"]);
    rsyslog.wait_for("from plain");
    rsyslog.wait_for("from trusting");
    let counted = rsyslog.wait_for("from counted");
    assert!(counted.raw.starts_with("<30>1 ") && counted.tag.starts_with("mylog"), "{counted:?}");
}

#[test]
fn a_receiver_of_an_unknown_authority_gets_nothing_and_holds_nothing_up() {
    let place = Place::new();
    let rsyslog = Rsyslog::start_tls(&place);
    let gantry = Builder::at(&place).start();
    run(&gantry, &place, "web", &["syslog-address=tcp+tls://127.0.0.1:6514"]);
    eventually("it can be read here", || {
        (gantry.docker(["logs", "web"]).stdout == "from web\n").then_some(())
    });
    gantry.docker(["rm", "-f", "web"]).ok();
    assert!(rsyslog.received().is_empty());
}

#[test]
fn certificates_that_cannot_be_read_are_refused_at_creation() {
    let gantry = Daemon::start();
    for (options, text) in [
        (["syslog-tls-ca-cert=/nosuch.pem", "tag=x"], "could not read certificates from /nosuch.pem"),
        (["syslog-tls-cert=/nosuch.pem", "tag=x"], "syslog-tls-cert and syslog-tls-key belong together"),
    ] {
        let [first, second] = options;
        let refused = gantry.docker([
            "create",
            "--log-driver=syslog",
            "--log-opt",
            "syslog-address=tcp+tls://localhost",
            "--log-opt",
            first,
            "--log-opt",
            second,
            "busybox",
        ]);
        assert!(refused.code != 0 && refused.stderr.contains(text), "{}", refused.stderr);
    }
}
