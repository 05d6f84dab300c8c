//! Every option that Docker's drivers have is taken, or refused by a text that names it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use contract::log::Options;
use gantry_log::{Drivers, catalogue, find};

/// Options of every driver.
const COMMON: [(&str, &str); 6] = [
    ("mode", "non-blocking"),
    ("max-buffer-size", "1m"),
    ("cache-disabled", "false"),
    ("cache-max-size", "20m"),
    ("cache-max-file", "5"),
    ("cache-compress", "true"),
];

/// What chooses a line's attributes and tag.
const METADATA: [(&str, &str); 5] =
    [("labels", "a"), ("labels-regex", "^a"), ("env", "A"), ("env-regex", "^A"), ("tag", "{{.Name}}")];

/// A driver of Docker's, what it cannot be without, and its options with a value that Docker takes.
struct Docker {
    driver: &'static str,
    needed: &'static [(&'static str, &'static str)],
    own: &'static [(&'static str, &'static str)],
    /// The options of metadata that it has.
    metadata: &'static [(&'static str, &'static str)],
}

const DRIVERS: [Docker; 10] = [
    Docker {
        driver: "json-file",
        needed: &[],
        own: &[("max-size", "10m"), ("max-file", "3"), ("compress", "false")],
        metadata: &METADATA,
    },
    Docker {
        driver: "local",
        needed: &[],
        own: &[("max-size", "10m"), ("max-file", "3"), ("compress", "false")],
        metadata: &METADATA,
    },
    Docker { driver: "journald", needed: &[], own: &[], metadata: &METADATA },
    Docker {
        driver: "syslog",
        needed: &[],
        own: &[
            ("syslog-address", "tcp://127.0.0.1"),
            ("syslog-facility", "local7"),
            ("syslog-tls-ca-cert", ""),
            ("syslog-tls-cert", ""),
            ("syslog-tls-key", ""),
            ("syslog-tls-skip-verify", "true"),
            ("syslog-format", "rfc5424micro"),
        ],
        metadata: &METADATA,
    },
    Docker {
        driver: "fluentd",
        needed: &[],
        own: &[
            ("fluentd-address", "127.0.0.1:24224"),
            ("fluentd-async", "true"),
            ("fluentd-async-reconnect-interval", "100ms"),
            ("fluentd-buffer-limit", "1m"),
            ("fluentd-max-retries", "10"),
            ("fluentd-request-ack", "true"),
            ("fluentd-retry-wait", "1s"),
            ("fluentd-sub-second-precision", "true"),
            ("fluentd-write-timeout", "1s"),
            ("fluentd-read-timeout", "1s"),
            ("fluentd-async-connect", "true"),
        ],
        metadata: &METADATA,
    },
    Docker {
        driver: "awslogs",
        needed: &[("awslogs-group", "g")],
        own: &[
            ("awslogs-region", "eu-west-1"),
            ("awslogs-endpoint", "http://127.0.0.1"),
            ("awslogs-stream", "s"),
            ("awslogs-create-group", "true"),
            ("awslogs-create-stream", "true"),
            ("awslogs-datetime-format", "%Y"),
            ("awslogs-multiline-pattern", "^x"),
            ("awslogs-credentials-endpoint", "/x"),
            ("awslogs-force-flush-interval-seconds", "5"),
            ("awslogs-max-buffered-events", "4096"),
            ("awslogs-format", "json/emf"),
        ],
        metadata: &[("tag", "{{.ID}}")],
    },
    Docker {
        driver: "gcplogs",
        needed: &[],
        own: &[
            ("gcp-project", "p"),
            ("gcp-log-cmd", "true"),
            ("gcp-meta-zone", "z"),
            ("gcp-meta-name", "n"),
            ("gcp-meta-id", "1"),
        ],
        metadata: &[("labels", "a"), ("labels-regex", "^a"), ("env", "A"), ("env-regex", "^A")],
    },
    Docker {
        driver: "gelf",
        needed: &[("gelf-address", "udp://127.0.0.1:1")],
        own: &[("gelf-compression-type", "zlib"), ("gelf-compression-level", "9")],
        metadata: &METADATA,
    },
    Docker {
        driver: "gelf",
        needed: &[("gelf-address", "tcp://127.0.0.1:1")],
        own: &[("gelf-tcp-max-reconnect", "3"), ("gelf-tcp-reconnect-delay", "1")],
        metadata: &METADATA,
    },
    Docker {
        driver: "splunk",
        needed: &[("splunk-url", "http://127.0.0.1:1"), ("splunk-token", "t")],
        own: &[
            ("splunk-source", "s"),
            ("splunk-sourcetype", "s"),
            ("splunk-index", "i"),
            ("splunk-capath", ""),
            ("splunk-caname", "n"),
            ("splunk-insecureskipverify", "true"),
            ("splunk-format", "raw"),
            ("splunk-verify-connection", "false"),
            ("splunk-gzip", "true"),
            ("splunk-gzip-level", "9"),
            ("splunk-index-acknowledgment", "true"),
        ],
        metadata: &METADATA,
    },
];

fn options<'a>(pairs: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> Options {
    pairs.into_iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

#[test]
fn each_option_of_dockers_is_taken_or_refused_by_name() {
    let drivers = Drivers::default();
    for Docker { driver, needed, own, metadata } in &DRIVERS {
        drivers.check(driver, &options(*needed)).unwrap();
        drivers.check(driver, &options(needed.iter().chain(&COMMON))).unwrap();
        for option in own.iter().chain(*metadata) {
            match drivers.check(driver, &options(needed.iter().chain([option]))) {
                Ok(()) => {
                    let known = find(driver).unwrap().options();
                    assert!(
                        known.iter().any(|k| k.name == option.0),
                        "{driver} does not tell of {}",
                        option.0
                    );
                }
                Err(error) => assert!(error.chain().contains(option.0), "{driver}: {}", error.chain()),
            }
        }
    }
}

#[test]
fn options_that_a_driver_has_not_are_refused_by_name() {
    let drivers = Drivers::default();
    for kind in catalogue().iter().filter(|kind| kind.name() != "none") {
        let needed = DRIVERS.iter().find(|d| d.driver == kind.name()).map_or(&[][..], |d| d.needed);
        let own = match kind.name() {
            "loki" => &[("loki-url", "http://127.0.0.1:1")][..],
            _ => needed,
        };
        let error = drivers.check(kind.name(), &options(own.iter().chain(&[("colour", "red")]))).unwrap_err();
        assert!(error.chain().contains("colour"), "{}: {}", kind.name(), error.chain());
        for spec in kind.options() {
            assert!(!spec.name.is_empty() && !spec.doc.is_empty(), "{}: {}", kind.name(), spec.name);
        }
    }
    let error = drivers.check("etwlogs", &Options::new()).unwrap_err();
    assert!(error.chain().starts_with("gantry does not support the log driver etwlogs: "));
}

#[test]
fn a_batch_is_never_larger_than_64_mebibytes_whatever_is_asked_for() {
    for (driver, key, values) in [
        ("fluentd", "fluentd-buffer-limit", ["1k", "64m", "65m", "2g"]),
        ("loki", "loki-batch-size", ["1024", "67108864", "67108865", "18446744073709551615"]),
    ] {
        let bytes = values.map(|value| {
            let given =
                options(&[("loki-url", "http://127.0.0.1:1"), (key, value)][usize::from(driver != "loki")..]);
            Drivers::default().check(driver, &given).unwrap();
            find(driver).unwrap().batching(&given).max_bytes
        });
        assert_eq!(bytes, [1 << 10, 64 << 20, 64 << 20, 64 << 20], "{driver}");
    }
}
