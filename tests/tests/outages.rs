//! Receivers that fail in every way: each line is there in the end, and nothing waits for them meanwhile.

use gantry_tests::{
    Builder, Cloud, Fluentd, Journald, Outage, Over, Place, Promise, Receiver, Rsyslog, Sink, SyslogNg,
    Trial, eventually, make_certificates,
};

use Promise::{AllButOnTheWay, EveryLine};
use Trial::{Answers, BothDie, Dies, DiesAndMoves, Hangs, HangsAndDies, IsReset, IsSlow};

/// What a connection over the network can be put through.
const ALL: [Trial; 6] = [DiesAndMoves, Hangs, HangsAndDies, BothDie, IsSlow, IsReset];

#[test]
fn syslog_over_tcp_gets_every_line_in_the_end() {
    let place = Place::new();
    let rsyslog = Rsyslog::start(&place);
    let options = ["syslog-address=tcp://collector:514"];
    Outage::new(&place, rsyslog, 514, EveryLine, &options).endures(&ALL);
}

#[test]
fn syslog_over_tls_gets_every_line_in_the_end() {
    let place = Place::new();
    let syslog_ng = SyslogNg::start(&place);
    let options = [
        "syslog-address=tcp+tls://collector:6515",
        "syslog-format=rfc5424micro",
        "syslog-tls-ca-cert=PLACE/ca.pem",
        "syslog-tls-cert=PLACE/client.pem",
        "syslog-tls-key=PLACE/client.key",
    ];
    Outage::new(&place, syslog_ng, 6515, EveryLine, &options).endures(&ALL);
}

#[test]
fn syslog_over_udp_gets_every_line_but_those_on_their_way_when_the_receiver_died() {
    let place = Place::new();
    let rsyslog = Rsyslog::start(&place);
    let options = ["syslog-address=udp://collector:514"];
    Outage::new(&place, rsyslog, 514, AllButOnTheWay, &options).endures(&[DiesAndMoves, Hangs, Dies]);
}

#[test]
fn fluentd_over_tcp_gets_every_line_in_the_end() {
    let place = Place::new();
    let fluentd = Fluentd::start(&place);
    let options = ["fluentd-address=collector:24224", "fluentd-request-ack=true"];
    Outage::new(&place, fluentd, 24224, EveryLine, &options).endures(&ALL);
}

#[test]
fn fluentd_without_confirmations_gets_every_line_in_the_end() {
    let place = Place::new();
    let fluentd = Fluentd::start(&place);
    let options = ["fluentd-address=collector:24224"];
    Outage::new(&place, fluentd, 24224, EveryLine, &options).endures(&ALL);
}

#[test]
fn fluentd_over_tls_gets_every_line_in_the_end() {
    let place = Place::new();
    make_certificates(&place);
    let fluentd = Fluentd::start_over(&place, Over::Tls);
    let options = ["fluentd-address=tls://collector:24224", "fluentd-request-ack=true"];
    Outage::new(&place, fluentd, 24224, EveryLine, &options).endures(&[DiesAndMoves, HangsAndDies, IsReset]);
}

#[test]
fn fluentd_over_a_unix_socket_gets_every_line_in_the_end() {
    let place = Place::new();
    let fluentd = Fluentd::start_over(&place, Over::Unix);
    let options = ["fluentd-address=unix://PLACE/fluentd.sock", "fluentd-request-ack=true"];
    Outage::new(&place, fluentd, 0, EveryLine, &options).endures(&[Dies, Hangs, HangsAndDies]);
}

#[test]
fn gelf_over_tcp_gets_every_line_in_the_end() {
    let place = Place::new();
    let sink = Sink::start(&place, "gelf");
    let options = ["gelf-address=tcp://collector:8000"];
    Outage::new(&place, sink, 8000, EveryLine, &options).endures(&ALL);
}

#[test]
fn gelf_over_udp_gets_every_line_but_those_on_their_way_when_the_receiver_died() {
    let place = Place::new();
    let sink = Sink::start_datagrams(&place);
    let options = ["gelf-address=udp://collector:8000"];
    Outage::new(&place, sink, 8000, AllButOnTheWay, &options).endures(&[DiesAndMoves, Dies]);
}

#[test]
fn splunk_gets_every_line_in_the_end() {
    let place = Place::new();
    let sink = Sink::start(&place, "splunk");
    let options = ["splunk-url=http://collector:8000", "splunk-token=secret"];
    let answers = [Answers("503"), Answers("429"), Answers("403")];
    Outage::new(&place, sink, 8000, EveryLine, &options).endures(&[&ALL[..], &answers].concat());
}

#[test]
fn loki_gets_every_line_in_the_end() {
    let place = Place::new();
    let sink = Sink::start(&place, "loki");
    let options = ["loki-url=http://collector:8000/loki/api/v1/push", "loki-timeout=2s"];
    let answers = [Answers("500"), Answers("429")];
    Outage::new(&place, sink, 8000, EveryLine, &options).endures(&[&ALL[..], &answers].concat());
}

#[test]
fn otlp_gets_every_line_in_the_end() {
    let place = Place::new();
    let sink = Sink::start(&place, "otlp");
    let options = ["otlp-endpoint=http://collector:8000", "otlp-timeout=2s"];
    let answers = [Answers("502"), Answers("429")];
    Outage::new(&place, sink, 8000, EveryLine, &options).endures(&[&ALL[..], &answers].concat());
}

#[test]
fn awslogs_gets_every_line_in_the_end() {
    let place = Place::new();
    let cloud = Cloud::start(&place);
    let options = [
        "awslogs-endpoint=http://collector:8000",
        "awslogs-group=g",
        "awslogs-create-group=true",
        "tag={{.Name}}",
    ];
    Outage::new(&place, cloud, 8000, EveryLine, &options).endures(&ALL);
}

#[test]
fn gcplogs_gets_every_line_in_the_end() {
    let place = Place::new();
    let sink = Sink::start(&place, "gcplogs");
    let options = ["gcp-endpoint=http://collector:8000", "gcp-project=p"];
    let answers = [Answers("503"), Answers("429"), Answers("401"), Answers("403")];
    Outage::new(&place, sink, 8000, EveryLine, &options).endures(&[&ALL[..], &answers].concat());
}

#[test]
fn journald_gets_every_line_in_the_end() {
    let place = Place::new();
    let journald = Journald::start(&place);
    let namespace = format!("journald-namespace={}", journald.name());
    // What is in a datagram socket goes with its reader.
    Outage::new(&place, journald, 0, AllButOnTheWay, &[&namespace]).endures(&[Dies, Hangs]);
}

#[test]
fn the_last_lines_of_a_container_come_again_when_their_receiver_died_without_having_read_them() {
    let place = Place::new();
    let mut sink = Sink::start(&place, "gelf");
    let gantry = Builder::at(&place).start();
    sink.hang();
    let options = ["--log-driver=gelf", "--log-opt=gelf-address=tcp://127.0.0.1:8000"];
    let run = ["run", "-d", "--name", "brief"].into_iter().chain(options);
    gantry.docker(run.chain(["busybox", "echo", "last words"])).ok();
    eventually("the kernel took the line", || {
        let sinks = gantry.api("GET", "/gantry/logs?container=brief", None).json();
        sinks.as_array().unwrap().iter().all(|s| s["Delivered"]["Lines"] == 1).then_some(())
    });
    gantry.until_exited("brief");
    // Nothing is written any more that would notice.
    sink.kill();
    sink.start_again();
    sink.wait_for("last words");
}
