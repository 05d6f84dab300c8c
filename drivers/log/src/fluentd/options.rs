//! The driver's options, checked in Docker's words.

use super::forward::Packing;
use crate::dial::Target;
use crate::options::{BATCH, METADATA, binary_size, boolean, invalid};
use crate::span::span;
use crate::tls::Identity;
use contract::PortError;
use contract::log::{OptionSpec, Options};
use std::time::Duration;

pub(super) static OPTIONS: [OptionSpec; 16] = {
    let [labels, labels_regex, env, env_regex, tag] = METADATA;
    [
        OptionSpec {
            name: "fluentd-address",
            doc: "[tcp|tls://]host[:port] or unix://path; 127.0.0.1:24224",
        },
        OptionSpec { name: "fluentd-async", doc: "connect in the background, which gantry always does" },
        OptionSpec {
            name: "fluentd-async-reconnect-interval",
            doc: "a connection is opened anew after so long, 100ms to 10s",
        },
        OptionSpec { name: "fluentd-buffer-limit", doc: "most bytes sent in one message, up to 64m; 1m" },
        OptionSpec {
            name: "fluentd-compress",
            doc: "text or gzip, as the compress of Fluentd's own sender; text",
        },
        OptionSpec { name: "fluentd-max-retries", doc: "tries before a message is given up; 2^31-1" },
        OptionSpec { name: "fluentd-request-ack", doc: "wait for the receiver to confirm" },
        OptionSpec { name: "fluentd-retry-wait", doc: "pause before another try; 1s" },
        OptionSpec { name: "fluentd-sub-second-precision", doc: "times with nanoseconds" },
        OptionSpec {
            name: "fluentd-write-timeout",
            doc: "most time in which a receiver takes nothing; none",
        },
        OptionSpec { name: "fluentd-read-timeout", doc: "most time a confirmation may take; none" },
        labels,
        labels_regex,
        env,
        env_regex,
        tag,
    ]
};

/// A write that hangs for longer than this is tried again even if no limit is set: nothing else would notice a dead peer.
const HANGING: Duration = Duration::from_secs(60);
/// Docker's most tries (fluent-logger-golang's default).
const MAX_RETRIES: u64 = i32::MAX as u64;

/// What the options say.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) target: Target,
    pub(super) acknowledged: bool,
    pub(super) sub_second: bool,
    pub(super) packing: Packing,
    pub(super) retry_wait: Duration,
    pub(super) max_retries: u64,
    pub(super) max_bytes: usize,
    pub(super) reconnect: Option<Duration>,
    pub(super) write_timeout: Duration,
    pub(super) read_timeout: Duration,
}

impl Settings {
    pub(super) fn parse(options: &Options) -> Result<Self, PortError> {
        let get = |key: &str| options.get(key).map(String::as_str).filter(|v| !v.is_empty());
        let flag = |key: &str| get(key).map_or(Ok(false), |v| boolean(v).map_err(invalid));
        // Delivery never holds the container up: there is nothing to choose, but a wrong value is still one.
        flag("fluentd-async")?;
        let limit = |key: &str| match get(key) {
            None => Ok(HANGING),
            Some(text) => match (span(text), text.strip_prefix('-').and_then(span)) {
                (Some(time), _) if time.is_zero() => Ok(HANGING),
                (Some(time), _) => Ok(time),
                (None, Some(_)) => Err(invalid(format!(
                    "invalid value for {key}: value must be a duration that is non-negative"
                ))),
                (None, None) => Err(invalid(format!(
                    "invalid value for {key}: value must be a duration: time: invalid duration {text:?}"
                ))),
            },
        };
        let given = get("fluentd-address").unwrap_or_default();
        Ok(Self {
            target: address(given).map_err(|e| {
                PortError::new(e.kind, format!("invalid fluentd-address ({given}): {}", e.chain()))
            })?,
            acknowledged: flag("fluentd-request-ack")?,
            sub_second: flag("fluentd-sub-second-precision")?,
            packing: match get("fluentd-compress") {
                None | Some("text") => Packing::Plain,
                Some("gzip") => Packing::Gzip,
                Some(other) => {
                    return Err(invalid(format!("invalid fluentd-compress: {other:?}: it is text or gzip")));
                }
            },
            retry_wait: duration(get("fluentd-retry-wait"))?.unwrap_or(Duration::from_secs(1)),
            max_retries: retries(get("fluentd-max-retries"))?,
            max_bytes: match get("fluentd-buffer-limit") {
                None => 1 << 20,
                Some(text) => {
                    usize::try_from(binary_size(text).map_err(invalid)?).unwrap_or(usize::MAX).clamp(1, BATCH)
                }
            },
            reconnect: reconnect(get("fluentd-async-reconnect-interval"))?,
            write_timeout: limit("fluentd-write-timeout")?,
            read_timeout: limit("fluentd-read-timeout")?,
        })
    }
}

fn duration(text: Option<&str>) -> Result<Option<Duration>, PortError> {
    let Some(text) = text else { return Ok(None) };
    span(text).map(Some).ok_or_else(|| invalid(format!("time: invalid duration {text:?}")))
}

fn retries(text: Option<&str>) -> Result<u64, PortError> {
    let Some(text) = text else { return Ok(MAX_RETRIES) };
    match text.parse::<u64>() {
        Ok(n) if n > MAX_RETRIES => Err(invalid("invalid fluentd-max-retries: value out of range")),
        Ok(n) => Ok(n),
        Err(_) => Err(invalid(format!("strconv.ParseUint: parsing {text:?}: invalid syntax"))),
    }
}

fn reconnect(text: Option<&str>) -> Result<Option<Duration>, PortError> {
    let Some(text) = text else { return Ok(None) };
    let range = Duration::from_millis(100)..=Duration::from_secs(10);
    match span(text) {
        None => Err(invalid(format!(
            "invalid value for fluentd-async-reconnect-interval: time: invalid duration {text:?}"
        ))),
        Some(time) if time.is_zero() => Ok(None),
        Some(time) if range.contains(&time) => Ok(Some(time)),
        Some(_) => Err(invalid(format!(
            "invalid value for fluentd-async-reconnect-interval: value ({text}) must be between 100ms and 10s"
        ))),
    }
}

fn address(text: &str) -> Result<Target, PortError> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
    match scheme {
        "unix" if rest.trim_start_matches('/').is_empty() => return Err(invalid("path is empty")),
        "unix" => return Ok(Target::Unix(rest.into())),
        "tcp" | "tls" => {}
        other => return Err(invalid(format!("unsupported scheme: '{other}'"))),
    }
    if rest.contains('/') {
        return Err(invalid("should not contain a path element"));
    }
    let bare = rest.rfind(']').map_or(0, |i| i + 1);
    let (host, port) = match rest.get(bare..).and_then(|r| r.rfind(':')) {
        Some(colon) => rest.split_at(bare + colon),
        None => (rest, ""),
    };
    let port = port.trim_start_matches(':');
    let port: u16 = match port {
        "" => 24224,
        _ => port.parse().map_err(|_| invalid(format!("invalid port: {port}")))?,
    };
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    let address = format!("{host}:{port}");
    Ok(if scheme == "tls" {
        Target::Tls(address, Identity::default().client()?)
    } else {
        Target::Tcp(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(key: &str, value: &str) -> String {
        Settings::parse(&[(key.to_owned(), value.to_owned())].into())
            .map_or_else(|e| e.chain(), |_| String::new())
    }

    #[test]
    fn addresses_have_a_scheme_a_host_a_port_or_a_path() {
        for fine in
            ["", "host", "host:1", "tcp://host:1", "tls://host", "unix:///run/x", "[::1]:5", "tcp://[::1]"]
        {
            assert_eq!(refusal("fluentd-address", fine), "", "{fine}");
        }
        for (wrong, text) in [
            ("udp://host", "unsupported scheme: 'udp'"),
            ("tcp://host:1/x", "should not contain a path element"),
            ("unix://", "path is empty"),
            ("host:70000", "invalid port: 70000"),
        ] {
            let told = format!("invalid fluentd-address ({wrong}): {text}");
            assert_eq!(refusal("fluentd-address", wrong), told);
        }
    }

    #[test]
    fn wrong_values_are_refused() {
        assert!(refusal("fluentd-async", "maybe").contains("ParseBool"));
        assert_eq!(
            refusal("fluentd-compress", "zip"),
            "invalid fluentd-compress: \"zip\": it is text or gzip"
        );
        assert_eq!(refusal("fluentd-compress", "gzip"), "");
        assert!(refusal("fluentd-retry-wait", "1").contains("invalid duration"));
        assert_eq!(
            refusal("fluentd-max-retries", "2147483648"),
            "invalid fluentd-max-retries: value out of range"
        );
        assert!(
            refusal("fluentd-async-reconnect-interval", "11s").ends_with("must be between 100ms and 10s")
        );
        assert_eq!(
            refusal("fluentd-write-timeout", "-1s"),
            "invalid value for fluentd-write-timeout: value must be a duration that is non-negative"
        );
        assert_eq!(
            refusal("fluentd-write-timeout", "x"),
            "invalid value for fluentd-write-timeout: value must be a duration: time: invalid duration \"x\""
        );
        assert_eq!(refusal("fluentd-read-timeout", "250ms"), "");
    }
}
