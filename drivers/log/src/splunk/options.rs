//! The driver's options, checked in Docker's words.

use super::ack::CHANNEL;
use crate::gzip;
use crate::http::{Greeting, Settings};
use crate::options::{METADATA, boolean, invalid};
use crate::tls::Keys;
use contract::log::{OptionSpec, Options};
use contract::{Kind, PortError};
use flate2::Compression;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;

pub(super) static OPTIONS: [OptionSpec; 18] = {
    let [labels, labels_regex, env, env_regex, tag] = METADATA;
    [
        OptionSpec { name: "splunk-url", doc: "http|https://host:port of the event collector" },
        OptionSpec { name: "splunk-token", doc: "the collector's token" },
        OptionSpec { name: "splunk-source", doc: "source of the events" },
        OptionSpec { name: "splunk-sourcetype", doc: "source type of the events" },
        OptionSpec { name: "splunk-index", doc: "index of the events" },
        OptionSpec { name: "splunk-capath", doc: "file with the collector's certificate authorities" },
        OptionSpec { name: "splunk-caname", doc: "name in the collector's certificate" },
        OptionSpec { name: "splunk-insecureskipverify", doc: "accept any certificate" },
        OptionSpec { name: "splunk-format", doc: "inline, json or raw; inline" },
        OptionSpec {
            name: "splunk-verify-connection",
            doc: "ask the collector before the first events; true",
        },
        OptionSpec { name: "splunk-gzip", doc: "compress" },
        OptionSpec { name: "splunk-gzip-level", doc: "-1 to 9; -1" },
        OptionSpec {
            name: "splunk-index-acknowledgment",
            doc: "name a channel, and wait until the events are indexed",
        },
        labels,
        labels_regex,
        env,
        env_regex,
        tag,
    ]
};

const TLS: Keys =
    Keys { ca: "splunk-capath", pair: None, name: Some("splunk-caname"), skip: "splunk-insecureskipverify" };

/// Docker's most time for a post.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Where events are taken (HTTP Event Collector).
const PATH: &str = "/services/collector/event/1.0";

/// What an event is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// The text beside tag and attributes.
    Inline,
    /// The same, with text that is JSON as JSON.
    Json,
    /// Tag, attributes and text in one string.
    Raw,
}

pub(super) fn format(options: &Options) -> Result<Format, PortError> {
    match options.get("splunk-format").map(String::as_str) {
        None | Some("inline") => Ok(Format::Inline),
        Some("json") => Ok(Format::Json),
        Some("raw") => Ok(Format::Raw),
        Some(other) => Err(invalid(format!(
            "Unknown format specified {other}, supported formats are inline, json and raw"
        ))),
    }
}

fn flag(options: &Options, key: &str, or: bool) -> Result<bool, PortError> {
    options.get(key).map_or(Ok(or), |text| boolean(text).map_err(invalid))
}

/// How bodies are compressed, if they are.
pub(super) fn compression(options: &Options) -> Result<Option<Compression>, PortError> {
    let wrong = |text: &str| {
        invalid(format!(
            "not supported level '{text}' for splunk-gzip-level (supported values between -1 and 9)"
        ))
    };
    let level = match options.get("splunk-gzip-level") {
        None => -1,
        Some(text) => match text.parse() {
            Ok(level @ -1..=9) => level,
            Ok(_) => return Err(wrong(text)),
            Err(_) => {
                return Err(invalid(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")));
            }
        },
    };
    Ok(flag(options, "splunk-gzip", false)?.then(|| gzip::level(level)))
}

fn url(options: &Options) -> Result<Url, PortError> {
    let text = options.get("splunk-url").ok_or_else(|| invalid("splunk: splunk-url is expected"))?;
    let wrong = || invalid("splunk: expected format scheme://dns_name_or_ip:port for splunk-url");
    let mut url = Url::parse(text).map_err(|_| wrong())?;
    let bare = matches!(url.scheme(), "http" | "https")
        && matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none();
    if !bare {
        return Err(wrong());
    }
    url.set_path(PATH);
    Ok(url)
}

/// Whether events are to be indexed before they count as delivered.
pub(super) fn acknowledged(options: &Options) -> Result<bool, PortError> {
    flag(options, "splunk-index-acknowledgment", false)
}

/// Where events go.
pub(super) fn settings(options: &Options) -> Result<Settings, PortError> {
    let url = url(options)?;
    let token = options.get("splunk-token").ok_or_else(|| invalid("splunk: splunk-token is expected"))?;
    let mut headers = HeaderMap::new();
    let mut authorization = HeaderValue::from_str(&format!("Splunk {token}"))
        .map_err(|_| invalid("splunk: splunk-token has characters that no header may have"))?;
    authorization.set_sensitive(true);
    headers.insert(AUTHORIZATION, authorization);
    if compression(options)?.is_some() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if acknowledged(options)? {
        headers.insert(HeaderName::from_static(CHANNEL), channel()?);
    }
    let verify = flag(options, "splunk-verify-connection", true)?;
    let greeting = if verify { Greeting::Options } else { Greeting::Nothing };
    Ok(Settings { url, headers, identity: TLS.read(options)?, timeout: TIMEOUT, proxy: None, greeting })
}

/// A random UUID, version 4.
fn channel() -> Result<HeaderValue, PortError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| PortError::new(Kind::Bug, format!("random bytes: {e}")))?;
    let random = u128::from_be_bytes(bytes);
    // Version and variant (RFC 9562 §5.4).
    let id = random & !(0xf000 << 64 | 0xc000 << 48) | 0x4000 << 64 | 0x8000 << 48;
    let hex = format!("{id:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    let text = [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-");
    HeaderValue::from_str(&text).map_err(|e| PortError::new(Kind::Bug, e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> Options {
        let needed = [("splunk-url", "http://h:8088"), ("splunk-token", "t")];
        needed.iter().chain(pairs).map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    fn refusal(pairs: &[(&str, &str)]) -> String {
        let options = given(pairs);
        let all = settings(&options).map(drop).and_then(|()| format(&options).map(drop));
        all.map_or_else(|e| e.chain(), |()| String::new())
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_in_dockers_words() {
        assert_eq!(settings(&Options::new()).unwrap_err().chain(), "splunk: splunk-url is expected");
        let only = [("splunk-url".to_owned(), "https://h".to_owned())].into();
        assert_eq!(settings(&only).unwrap_err().chain(), "splunk: splunk-token is expected");
        for url in ["h:8088", "ftp://h", "http://h/x", "http://h?x", "http://h#x", "/x"] {
            let text = "splunk: expected format scheme://dns_name_or_ip:port for splunk-url";
            assert_eq!(refusal(&[("splunk-url", url)]), text, "{url}");
        }
        for (key, value, text) in [
            (
                "splunk-format",
                "xml",
                "Unknown format specified xml, supported formats are inline, json and raw",
            ),
            ("splunk-gzip", "y", "strconv.ParseBool: parsing \"y\": invalid syntax"),
            (
                "splunk-gzip-level",
                "10",
                "not supported level '10' for splunk-gzip-level (supported values between -1 and 9)",
            ),
            ("splunk-gzip-level", "x", "strconv.ParseInt: parsing \"x\": invalid syntax"),
            ("splunk-verify-connection", "", "strconv.ParseBool: parsing \"\": invalid syntax"),
            ("splunk-insecureskipverify", "2", "strconv.ParseBool: parsing \"2\": invalid syntax"),
            ("splunk-index-acknowledgment", "-", "strconv.ParseBool: parsing \"-\": invalid syntax"),
        ] {
            assert_eq!(refusal(&[(key, value)]), text);
        }
    }

    #[test]
    fn headers_say_what_the_collector_wants_to_know() {
        let plain = settings(&given(&[])).unwrap();
        assert_eq!(plain.url.as_str(), "http://h:8088/services/collector/event/1.0");
        assert_eq!(plain.headers[AUTHORIZATION], "Splunk t");
        assert_eq!((plain.headers.len(), plain.greeting), (1, Greeting::Options));
        let all = given(&[
            ("splunk-gzip", "true"),
            ("splunk-index-acknowledgment", "true"),
            ("splunk-verify-connection", "false"),
            ("splunk-capath", "/ca.pem"),
            ("splunk-caname", "SplunkServerDefaultCert"),
        ]);
        let all = settings(&all).unwrap();
        assert_eq!(
            (&all.headers[CONTENT_ENCODING], all.greeting),
            (&"gzip".parse().unwrap(), Greeting::Nothing)
        );
        let channel = all.headers["x-splunk-request-channel"].to_str().unwrap();
        let dashes: Vec<usize> = channel.match_indices('-').map(|(at, _)| at).collect();
        assert_eq!((channel.len(), dashes), (36, vec![8, 13, 18, 23]));
        assert_eq!(&channel[14..15], "4");
        assert!("89ab".contains(&channel[19..20]));
        assert_eq!(all.identity.name.as_deref(), Some("SplunkServerDefaultCert"));
    }
}
