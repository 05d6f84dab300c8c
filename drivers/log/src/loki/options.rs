//! The options of Grafana's Docker driver, with its names and texts where it has them.

use crate::http::{Greeting, Settings};
use crate::options::{BATCH, METADATA, invalid};
use crate::span::span;
use crate::tls::Keys;
use crate::tries::Tries;
use contract::PortError;
use contract::log::{OptionSpec, Options};
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;

pub(super) static OPTIONS: [OptionSpec; 18] = {
    let [labels, labels_regex, env, env_regex, _tag] = METADATA;
    [
        OptionSpec { name: "loki-url", doc: "where lines are pushed, as http://host:3100/loki/api/v1/push" },
        OptionSpec { name: "loki-external-labels", doc: "name=template pairs; container_name={{.Name}}" },
        OptionSpec { name: "loki-tenant-id", doc: "the tenant, of a Loki with several" },
        OptionSpec { name: "loki-timeout", doc: "most time one push may take; 10s" },
        OptionSpec {
            name: "loki-batch-size",
            doc: "most bytes of text in one push, up to 67108864; 1048576",
        },
        OptionSpec {
            name: "loki-batch-wait",
            doc: "most time a line waits for others, which gantry's do not",
        },
        OptionSpec { name: "loki-min-backoff", doc: "shortest pause between tries; 100ms" },
        OptionSpec { name: "loki-retries", doc: "tries before lines are given up; 0, which is without end" },
        OptionSpec { name: "loki-proxy-url", doc: "proxy; that of the daemon's environment" },
        OptionSpec { name: "loki-tls-ca-file", doc: "certificate authorities" },
        OptionSpec { name: "loki-tls-cert-file", doc: "client certificate" },
        OptionSpec { name: "loki-tls-key-file", doc: "client key" },
        OptionSpec { name: "loki-tls-server-name", doc: "name in the server's certificate" },
        OptionSpec { name: "loki-tls-insecure-skip-verify", doc: "accept any certificate" },
        labels,
        labels_regex,
        env,
        env_regex,
    ]
};

const TLS: Keys = Keys {
    ca: "loki-tls-ca-file",
    pair: Some(["loki-tls-cert-file", "loki-tls-key-file"]),
    name: Some("loki-tls-server-name"),
    skip: "loki-tls-insecure-skip-verify",
};

/// Options of Grafana's driver that are refused, and why.
const REFUSED: [(&str, &str); 8] = [
    ("loki-max-backoff", "pauses between tries grow to a minute"),
    ("loki-pipeline-stages", "lines are sent as they are"),
    ("loki-pipeline-stage-file", "lines are sent as they are"),
    ("loki-relabel-config", "labels are chosen by loki-external-labels, labels and env"),
    ("no-file", "the local copy is left out by cache-disabled=true"),
    ("keep-file", "the local copy is removed with its container"),
    ("max-size", "the local copy is bounded by cache-max-size"),
    ("max-file", "the local copy is bounded by cache-max-file"),
];

/// Refuses what Grafana's driver has and this one has not.
pub(super) fn check_refused(options: &Options) -> Result<(), PortError> {
    match REFUSED.iter().find(|(key, _)| options.contains_key(*key)) {
        Some((key, why)) => Err(invalid(format!("loki: option {key} is not supported: {why}"))),
        None => Ok(()),
    }
}

fn duration(options: &Options, key: &str) -> Result<Option<Duration>, PortError> {
    let wrong = |text| invalid(format!("loki: invalid option {key} format: {text}"));
    options.get(key).map(|text| span(text).ok_or_else(|| wrong(text))).transpose()
}

fn number<T: std::str::FromStr>(options: &Options, key: &str) -> Result<Option<T>, PortError> {
    let wrong = |text| invalid(format!("loki: invalid option {key} format: {text}"));
    options.get(key).map(|text| text.parse().map_err(|_| wrong(text))).transpose()
}

/// Most bytes of a push; Grafana's default.
pub(super) fn batch_size(options: &Options) -> Result<usize, PortError> {
    Ok(number::<usize>(options, "loki-batch-size")?.unwrap_or(1 << 20).clamp(1, BATCH))
}

/// When a push is tried again.
pub(super) fn tries(options: &Options) -> Result<Tries, PortError> {
    let most = number::<u64>(options, "loki-retries")?.filter(|n| *n > 0);
    let pause = duration(options, "loki-min-backoff")?;
    Ok(Tries { most, pause, ..Tries::default() })
}

fn url(options: &Options, key: &str) -> Result<Option<Url>, PortError> {
    let Some(text) = options.get(key) else { return Ok(None) };
    let parsed = Url::parse(text).map_err(|e| e.to_string()).and_then(|url| match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!("unsupported scheme: '{other}'")),
    });
    parsed.map(Some).map_err(|e| invalid(format!("loki: option {key} is invalid {e}")))
}

/// Where pushes go.
pub(super) fn settings(options: &Options) -> Result<Settings, PortError> {
    let url_given = url(options, "loki-url")?;
    let url_given = url_given.ok_or_else(|| invalid("loki: loki-url is required in the config"))?;
    // Nothing is ever too late: lines go at once.
    duration(options, "loki-batch-wait")?;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    if let Some(tenant) = options.get("loki-tenant-id").filter(|t| !t.is_empty()) {
        let value = HeaderValue::from_str(tenant);
        let value =
            value.map_err(|_| invalid(format!("loki: option loki-tenant-id is invalid: {tenant:?}")))?;
        headers.insert(HeaderName::from_static("x-scope-orgid"), value);
    }
    Ok(Settings {
        url: url_given,
        headers,
        identity: TLS.read(options)?,
        timeout: duration(options, "loki-timeout")?
            .filter(|t| !t.is_zero())
            .unwrap_or(Duration::from_secs(10)),
        proxy: url(options, "loki-proxy-url")?,
        greeting: Greeting::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> Options {
        let needed = [("loki-url", "http://u:p@h:3100/loki/api/v1/push")];
        needed.iter().chain(pairs).map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    #[test]
    fn what_is_missing_wrong_or_not_done_is_named() {
        let refusal = |options: &Options| {
            let all = check_refused(options).and_then(|()| settings(options).map(drop));
            all.and_then(|()| tries(options).map(drop))
                .and_then(|()| batch_size(options).map(drop))
                .map_or_else(|e| e.chain(), |()| String::new())
        };
        assert_eq!(refusal(&Options::new()), "loki: loki-url is required in the config");
        for (key, value, text) in [
            ("loki-url", "ftp://h", "loki: option loki-url is invalid unsupported scheme: 'ftp'"),
            ("loki-timeout", "1", "loki: invalid option loki-timeout format: 1"),
            ("loki-batch-wait", "x", "loki: invalid option loki-batch-wait format: x"),
            ("loki-batch-size", "1k", "loki: invalid option loki-batch-size format: 1k"),
            ("loki-retries", "-1", "loki: invalid option loki-retries format: -1"),
            (
                "loki-max-backoff",
                "1s",
                "loki: option loki-max-backoff is not supported: pauses between tries grow to a minute",
            ),
            (
                "keep-file",
                "true",
                "loki: option keep-file is not supported: the local copy is removed with its container",
            ),
            (
                "loki-tls-cert-file",
                "/c",
                "loki-tls-cert-file and loki-tls-key-file belong together: one of them is missing",
            ),
        ] {
            assert_eq!(refusal(&given(&[(key, value)])), text);
        }
        assert_eq!(refusal(&given(&[("loki-timeout", "1s"), ("loki-retries", "2")])), "");
    }

    #[test]
    fn options_have_grafanas_meaning() {
        let options = given(&[
            ("loki-tenant-id", "team"),
            ("loki-timeout", "1500ms"),
            ("loki-retries", "2"),
            ("loki-min-backoff", "2s"),
            ("loki-batch-size", "400"),
        ]);
        let settings = settings(&options).unwrap();
        assert_eq!(
            (&settings.headers["x-scope-orgid"], settings.timeout.as_millis()),
            (&"team".parse().unwrap(), 1500)
        );
        let tries = tries(&options).unwrap();
        assert_eq!((tries.most, tries.pause), (Some(2), Some(Duration::from_secs(2))));
        assert_eq!(batch_size(&options).unwrap(), 400);
    }
}
