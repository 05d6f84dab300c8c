use super::*;
use actors::{Lag, Purpose, Reading, Timing};
use contract::log::{Delivery, Streams};

fn sink(name: &str) -> SinkReport {
    let mut reading = Reading { offered: (12, 340), since_ns: 5_000_000_000, ..Reading::default() };
    (reading.status.lines, reading.status.bytes, reading.status.refused) = (7, 200, 2);
    reading.status.losses.dropped.lost = 4;
    SinkReport {
        container: "0123456789abcdef".into(),
        name: name.into(),
        sink: "errors".into(),
        driver: "syslog",
        streams: Streams::Stderr,
        delivery: Delivery::NonBlocking { buffer: 5000, overflow: Default::default() },
        purpose: Purpose::Asked,
        reading,
        lag: Some(Lag { bytes: 143, lines: 3, oldest_ns: Some(8_000_000_000), ..Lag::default() }),
        spool_bytes: Some(4096),
    }
}

#[test]
fn a_sink_that_takes_nothing_is_not_up() {
    let mut readings = readings();
    let reading = &mut readings.sinks[0].reading;
    reading.status.refuses = true;
    (reading.failed_ns, reading.down_since_ns) = (Some(9_000_000_000), Some(7_000_000_000));
    let text = told(readings, false);
    let labels = r#"{id="0123456789ab",name="we\"b\\",sink="errors",driver="syslog"}"#;
    assert!(text.contains(&format!("gantry_log_sink_up{labels} 0.0\n")), "{text}");
    let since = format!("gantry_log_sink_down_since_timestamp_seconds{labels} 7.0\n");
    assert!(text.contains(&since), "{text}");
}

fn readings() -> Readings {
    let mut counts = Counts::default();
    let mut timing = Timing { count: 3, sum: 61.0, ..Timing::default() };
    timing.classes[1] = 2;
    counts.actions.insert("start", timing);
    Readings {
        sinks: vec![sink("we\"b\\")],
        containers: STATES.map(|s| (s, u64::from(s == "running"))).into(),
        respawns: [("sink", 4)].into(),
        counts,
        now_ns: 10_500_000_000,
        ..Readings::default()
    }
}

fn written(open: bool) -> String {
    told(readings(), open)
}

fn told(readings: Readings, open: bool) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(readings));
    let mut out = String::new();
    match open {
        true => text::encode(&mut out, &registry).unwrap(),
        false => prometheus_text::encode(&mut out, &registry).unwrap(),
    }
    out
}

#[test]
fn a_sink_is_told_by_its_container_and_driver() {
    for (open, has) in
        [(true, "# TYPE gantry_log_sink_in_lines counter\n"), (false, "_in_lines_total counter\n")]
    {
        let text = written(open);
        assert!(text.contains(has), "{text}");
        let labels = r#"{id="0123456789ab",name="we\"b\\",sink="errors",driver="syslog""#;
        for line in [
            format!("gantry_log_sink_in_lines_total{labels}}} 12\n"),
            format!("gantry_log_sink_acknowledged_bytes_total{labels}}} 200\n"),
            format!("gantry_log_sink_dropped_lines_total{labels},reason=\"refused\"}} 2\n"),
            format!("gantry_log_sink_dropped_places_total{labels},reason=\"spool-gone\"}} 4\n"),
            format!("gantry_log_sink_lag_seconds{labels}}} 2.5\n"),
            format!("gantry_log_sink_state{labels},state=\"opening\"}} 1.0\n"),
            format!("gantry_log_sink_state{labels},state=\"idle\"}} 0.0\n"),
            format!("gantry_log_sink_up{labels}}} 1.0\n"),
            format!("gantry_log_sink_buffer_bytes{labels}}} 5000.0\n"),
        ] {
            assert!(text.contains(&line), "{line}is not in\n{text}");
        }
        assert!(!text.contains("gantry_log_sink_up_since_timestamp_seconds{"), "it has not been up");
    }
}

#[test]
fn what_took_longer_than_all_bounds_is_in_the_last_class() {
    let text = written(false);
    let class = |le: &str| format!("container_actions_seconds_bucket{{action=\"start\",le=\"{le}\"}} ");
    assert!(text.contains(&(class("0.005") + "0\n")), "{text}");
    assert!(text.contains(&(class("0.01") + "2\n")), "{text}");
    assert!(text.contains(&(class("10") + "2\n")), "{text}");
    assert!(text.contains(&(class("+Inf") + "3\n")), "{text}");
    assert!(text.contains("gantry_actor_respawns_total{kind=\"sink\"} 4\n"));
}
