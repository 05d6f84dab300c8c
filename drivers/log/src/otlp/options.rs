//! The driver's options: those of OpenTelemetry's exporters (`OTEL_EXPORTER_OTLP_LOGS_…`), as log options.

use crate::http::{Greeting, Settings};
use crate::options::{METADATA, invalid};
use crate::span::span;
use crate::tls::Keys;
use contract::PortError;
use contract::log::{OptionSpec, Options};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) static OPTIONS: [OptionSpec; 14] = {
    let [labels, labels_regex, env, env_regex, tag] = METADATA;
    [
        OptionSpec { name: "otlp-endpoint", doc: "http|https://host:port[/path]; http://localhost:4318" },
        OptionSpec { name: "otlp-headers", doc: "name=value pairs sent along, values percent-encoded" },
        OptionSpec { name: "otlp-compression", doc: "gzip or none; none" },
        OptionSpec { name: "otlp-timeout", doc: "most time one export may take; 10s" },
        OptionSpec { name: "otlp-resource-attributes", doc: "name=value pairs, values percent-encoded" },
        OptionSpec { name: "otlp-certificate", doc: "file with certificate authorities" },
        OptionSpec { name: "otlp-client-certificate", doc: "file with this side's certificate" },
        OptionSpec { name: "otlp-client-key", doc: "file with its key" },
        OptionSpec { name: "otlp-insecure-skip-verify", doc: "accept any certificate" },
        labels,
        labels_regex,
        env,
        env_regex,
        tag,
    ]
};

const TLS: Keys = Keys {
    ca: "otlp-certificate",
    pair: Some(["otlp-client-certificate", "otlp-client-key"]),
    name: None,
    skip: "otlp-insecure-skip-verify",
};

/// Whether exports are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Plain,
}

pub(super) fn packing(options: &Options) -> Result<Packing, PortError> {
    match options.get("otlp-compression").map_or("", String::as_str) {
        "gzip" => Ok(Packing::Gzip),
        "" | "none" => Ok(Packing::Plain),
        other => Err(invalid(format!("otlp: unknown otlp-compression {other:?}: it is gzip or none"))),
    }
}

/// The pairs of an option in the form of W3C baggage, as the environment variables have them.
pub(super) fn pairs(options: &Options, key: &str) -> Result<BTreeMap<String, String>, PortError> {
    let text = options.get(key).map_or("", String::as_str);
    let mut out = BTreeMap::new();
    for pair in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let wrong = || invalid(format!("otlp: {key} has {pair:?}, which is no name=value"));
        let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
        let value = percent_decode_str(value.trim()).decode_utf8().map_err(|_| wrong())?;
        if name.trim().is_empty() {
            return Err(wrong());
        }
        out.insert(name.trim().to_owned(), value.into_owned());
    }
    Ok(out)
}

fn url(options: &Options) -> Result<Url, PortError> {
    let text = options.get("otlp-endpoint").map_or("", String::as_str);
    let text = if text.is_empty() { "http://localhost:4318" } else { text };
    let wrong = |why: String| invalid(format!("otlp: invalid otlp-endpoint {text:?}: {why}"));
    let mut url = Url::parse(text).map_err(|e| wrong(e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(format!("unsupported scheme: '{}'", url.scheme())));
    }
    if matches!(url.path(), "" | "/") {
        url.set_path("/v1/logs");
    }
    Ok(url)
}

/// Where exports go.
pub(super) fn settings(options: &Options) -> Result<Settings, PortError> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs(options, "otlp-headers")? {
        let wrong = || invalid(format!("otlp: otlp-headers has {name:?}, which is no header"));
        let mut value = HeaderValue::from_str(&value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?, value);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    if packing(options)? == Packing::Gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let text = |key: &str| options.get(key).filter(|v| !v.is_empty()).cloned();
    let timeout = match text("otlp-timeout") {
        None => Duration::from_secs(10),
        Some(text) => span(&text)
            .filter(|time| !time.is_zero())
            .ok_or_else(|| invalid(format!("otlp: invalid otlp-timeout: time: invalid duration {text:?}")))?,
    };
    Ok(Settings {
        url: url(options)?,
        headers,
        identity: TLS.read(options)?,
        timeout,
        proxy: None,
        greeting: Greeting::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(key: &str, value: &str) -> Options {
        [(key.to_owned(), value.to_owned())].into()
    }

    #[test]
    fn endpoints_without_a_path_get_the_one_of_logs() {
        for (text, wanted) in [
            ("", "http://localhost:4318/v1/logs"),
            ("https://h:1", "https://h:1/v1/logs"),
            ("http://h/", "http://h/v1/logs"),
            ("http://h/otlp/v1/logs", "http://h/otlp/v1/logs"),
        ] {
            assert_eq!(url(&given("otlp-endpoint", text)).unwrap().as_str(), wanted);
        }
    }

    #[test]
    fn headers_are_pairs_with_encoded_values() {
        let settings = settings(&given("otlp-headers", "api-key=a%20b%3D, x = y")).unwrap();
        assert_eq!(settings.headers["api-key"], "a b=");
        assert_eq!(settings.headers["x"], "y");
        assert_eq!(settings.headers[CONTENT_TYPE], "application/x-protobuf");
    }

    #[test]
    fn wrong_values_are_named() {
        for (key, value, text) in [
            ("otlp-endpoint", "h:4318", "otlp: invalid otlp-endpoint \"h:4318\": unsupported scheme: 'h'"),
            ("otlp-headers", "a", "otlp: otlp-headers has \"a\", which is no name=value"),
            ("otlp-headers", "a b=c", "otlp: otlp-headers has \"a b\", which is no header"),
            ("otlp-compression", "zstd", "otlp: unknown otlp-compression \"zstd\": it is gzip or none"),
            ("otlp-timeout", "0", "otlp: invalid otlp-timeout: time: invalid duration \"0\""),
            (
                "otlp-client-key",
                "/k",
                "otlp-client-certificate and otlp-client-key belong together: one of them is missing",
            ),
            ("otlp-insecure-skip-verify", "x", "strconv.ParseBool: parsing \"x\": invalid syntax"),
        ] {
            assert_eq!(settings(&given(key, value)).map(drop).unwrap_err().chain(), text);
        }
    }
}
