//! The parameters of `POST /build`.

use super::super::create::unsupported;
use super::super::query::Query;
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use build::{Cache, Options, Pull, Removal, Telling};
use contract::image::Credentials;
use contract::{Kind, PortError};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

fn invalid(text: impl Into<String>) -> PortError {
    PortError::new(Kind::Invalid, text)
}

/// What is asked for; what is not supported is refused by name.
pub fn read(query: &Query, headers: &HeaderMap, experimental: bool) -> Result<Options, PortError> {
    refuse(query, experimental)?;
    let json_or = |key: &str, what: &str| -> Result<Option<Value>, PortError> { parsed(query, key, what) };
    let cache_from: Option<Vec<String>> = parsed(query, "cachefrom", "error reading cache-from")?;
    let cache = match cache_from {
        _ if query.flag("nocache") => Cache::Off,
        Some(names) if !names.is_empty() => Cache::From(names),
        _ => Cache::Local,
    };
    let removal = match (query.flag("forcerm"), query.flag_or("rm", true)) {
        (true, _) => Removal::Always,
        (false, true) => Removal::Succeeded,
        (false, false) => Removal::Never,
    };
    let arguments: Option<BTreeMap<String, Option<String>>> =
        parsed(query, "buildargs", "error reading build args")?;
    let labels: Option<BTreeMap<String, String>> = parsed(query, "labels", "error reading labels")?;
    let ulimits = json_or("ulimits", "error reading ulimit settings")?;
    Ok(Options {
        id: query.text("buildid").unwrap_or_default().to_owned(),
        dockerfile: query.text("dockerfile").unwrap_or_default().to_owned(),
        tags: tags(query)?,
        target: query.text("target").unwrap_or_default().to_owned(),
        arguments: arguments.unwrap_or_default(),
        labels: labels.unwrap_or_default(),
        cache,
        pull: if query.flag("pull") { Pull::Always } else { Pull::Missing },
        removal,
        telling: if query.flag("q") { Telling::Quiet } else { Telling::Steps },
        platform: query.text("platform").unwrap_or_default().to_owned(),
        credentials: credentials(headers),
        host_config: host_config(query, ulimits)?,
    })
}

fn refuse(query: &Query, experimental: bool) -> Result<(), PortError> {
    match query.text("version") {
        None | Some("1") => {}
        Some("2") => {
            let text = "gantry does not support BuildKit (version=2): build with DOCKER_BUILDKIT=0";
            return Err(PortError::new(Kind::Unsupported, text));
        }
        Some(other) => return Err(invalid(format!("invalid version {other:?}"))),
    }
    if query.flag("squash") {
        if !experimental {
            return Err(invalid("squash is only supported with experimental mode"));
        }
        return Err(unsupported("the build parameter squash"));
    }
    if !query.all("securityopt").is_empty() {
        return Err(invalid("security options are not supported on linux"));
    }
    match query.text("isolation").unwrap_or("default") {
        "default" => {}
        other => return Err(invalid(format!("unsupported isolation: {other:?}"))),
    }
    if query.text("outputs").is_some_and(|o| o != "null" && o != "[]") {
        return Err(unsupported("the build parameter outputs"));
    }
    match query.text("session") {
        Some(_) => Err(unsupported("the build parameter session (secrets and ssh need BuildKit)")),
        None => Ok(()),
    }
}

fn parsed<T: DeserializeOwned>(query: &Query, key: &str, what: &str) -> Result<Option<T>, PortError> {
    let Some(text) = query.text(key).filter(|t| *t != "null") else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|e| invalid(format!("{what}: {e}")))
}

/// Names of the image, whole, each once.
fn tags(query: &Query) -> Result<Vec<String>, PortError> {
    let mut out = Vec::new();
    for name in query.all("t").iter().filter(|n| !n.is_empty()) {
        let reference = storage::Reference::parse(name)?;
        if reference.digest.is_some() {
            return Err(invalid("build tag cannot contain a digest"));
        }
        let tag = reference.tagged();
        if !out.contains(&tag) {
            out.push(tag);
        }
    }
    Ok(out)
}

/// What the containers of steps are made with, as moby's `hostConfigFromOptions`.
fn host_config(query: &Query, ulimits: Option<Value>) -> Result<Map<String, Value>, PortError> {
    let mut out = Map::new();
    let numbers = [
        ("memory", "Memory"),
        ("memswap", "MemorySwap"),
        ("cpushares", "CpuShares"),
        ("cpuperiod", "CpuPeriod"),
        ("cpuquota", "CpuQuota"),
        ("shmsize", "ShmSize"),
    ];
    for (key, name) in numbers {
        let number = if key == "shmsize" {
            query.number::<i64>(key)?
        } else {
            // Docker takes what is no number for none.
            query.text(key).and_then(|text| text.parse().ok())
        };
        if let Some(number) = number.filter(|n| *n != 0) {
            out.insert(name.into(), number.into());
        }
    }
    let texts =
        [("cpusetcpus", "CpusetCpus"), ("cpusetmems", "CpusetMems"), ("cgroupparent", "CgroupParent")];
    for (key, name) in texts {
        if let Some(text) = query.text(key) {
            out.insert(name.into(), text.into());
        }
    }
    let mode = query.text("networkmode").unwrap_or("default");
    out.insert("NetworkMode".into(), mode.into());
    let hosts: Vec<String> = query.all("extrahosts").into_iter().flat_map(|text| listed(&text)).collect();
    out.insert("ExtraHosts".into(), json!(hosts));
    if let Some(ulimits) = ulimits {
        out.insert("Ulimits".into(), ulimits);
    }
    // A step's output is the build's, and nobody reads it again.
    out.insert("LogConfig".into(), json!({ "Type": "none" }));
    Ok(out)
}

/// One entry, or a JSON list or map of them, as docker-py sends it.
fn listed(text: &str) -> Vec<String> {
    match serde_json::from_str(text) {
        Ok(Value::Array(list)) => list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
        Ok(Value::Object(map)) => {
            map.iter().filter_map(|(k, v)| v.as_str().map(|v| format!("{k}:{v}"))).collect()
        }
        _ if text.is_empty() => Vec::new(),
        _ => vec![text.to_owned()],
    }
}

/// Credentials of `X-Registry-Config`, by registry. What cannot be read counts as none, as with Docker.
fn credentials(headers: &HeaderMap) -> BTreeMap<String, Credentials> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let read = || {
        let text = headers.get("x-registry-config")?.to_str().ok()?.replace('+', "-").replace('/', "_");
        let decoded = GeneralPurpose::new(&URL_SAFE, config).decode(text).ok()?;
        let mut map: Map<String, Value> = serde_json::from_slice(&decoded).ok()?;
        // docker-py puts them one level deeper.
        if let Some(Value::Object(inner)) = map.get("auths") {
            map = inner.clone();
        }
        let one = |(host, value): (String, Value)| Some((host, serde_json::from_value(value).ok()?));
        Some(map.into_iter().filter_map(one).collect())
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(query: &str) -> Result<Options, PortError> {
        read(&Query::parse(Some(query)), &HeaderMap::new(), false)
    }

    #[test]
    fn parameters_become_wishes() {
        let read = options(
            "t=a&t=b:1&t=a:latest&rm=0&nocache=1&memory=5&networkmode=host&buildargs=%7B%22A%22%3A%221%22%2C%22B%22%3Anull%7D&extrahosts=a:1.2.3.4",
        )
        .unwrap();
        assert_eq!(read.tags, ["a:latest", "b:1"]);
        assert_eq!((read.removal, read.cache), (Removal::Never, Cache::Off));
        assert_eq!(read.arguments["A"], Some("1".to_owned()));
        assert_eq!(read.arguments["B"], None);
        assert_eq!(read.host_config["Memory"], 5);
        assert_eq!(read.host_config["NetworkMode"], "host");
        assert_eq!(read.host_config["ExtraHosts"], json!(["a:1.2.3.4"]));
        assert_eq!(options("").unwrap().removal, Removal::Succeeded);
        assert_eq!(options("rm=0&forcerm=1").unwrap().removal, Removal::Always);
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        for (query, status) in [
            ("version=2", Kind::Unsupported),
            ("version=3", Kind::Invalid),
            ("squash=1", Kind::Invalid),
            ("isolation=hyperv", Kind::Invalid),
            ("securityopt=x", Kind::Invalid),
            ("session=x", Kind::Unsupported),
            ("outputs=%5B%7B%22Type%22%3A%22tar%22%7D%5D", Kind::Unsupported),
            ("labels=x", Kind::Invalid),
            ("t=a@sha256:0000000000000000000000000000000000000000000000000000000000000000", Kind::Invalid),
        ] {
            assert_eq!(options(query).unwrap_err().kind, status, "{query}");
        }
    }
}
