//! How images are fetched.

use crate::error::ValueError;
use crate::key::{Key, Kind, Section};
use crate::proxies::Proxies;
use crate::source::Source;

pub(crate) const SECTION: Section = Section {
    heading: "Registries",
    keys: &[
        Key::new(
            "insecure-registries",
            Kind::List,
            "HOST[:PORT]",
            "Registry, or range of addresses, spoken to without TLS",
        )
        .flag("insecure-registry")
        .reloads(),
        Key::new("registry-mirrors", Kind::List, "URL", "Mirror of Docker Hub")
            .flag("registry-mirror")
            .reloads(),
        Key::new("max-concurrent-downloads", Kind::Number, "NUMBER", "Layers fetched at a time [default: 3]")
            .reloads(),
        Key::new("max-concurrent-uploads", Kind::Number, "NUMBER", "Layers sent at a time [default: 5]")
            .reloads(),
        Key::new("max-download-attempts", Kind::Number, "NUMBER", "Tries for each layer [default: 5]")
            .reloads(),
        Key::new(
            "http-proxy",
            Kind::Text,
            "URL",
            "Proxy for http:// (the file has it in \"proxies\") [default: $HTTP_PROXY]",
        ),
        Key::new("https-proxy", Kind::Text, "URL", "Proxy for https:// [default: $HTTPS_PROXY]"),
        Key::new("no-proxy", Kind::Text, "HOSTS", "Hosts reached without them [default: $NO_PROXY]"),
    ],
};

/// How images are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registries {
    /// Spoken to without TLS.
    pub insecure: Vec<String>,
    /// Mirrors of Docker Hub, each ending in a slash.
    pub mirrors: Vec<String>,
    /// Layers fetched at a time.
    pub downloads: usize,
    /// Layers sent at a time.
    pub uploads: usize,
    /// Tries for each layer.
    pub attempts: u32,
    /// In between.
    pub proxies: Proxies,
}

impl Registries {
    pub(crate) fn read(source: &Source, environment: fn(&str) -> Option<String>) -> Result<Self, ValueError> {
        // 0 is the default, as in Docker.
        let count = |key: &'static str, what: &str, default: u32| -> Result<u32, ValueError> {
            match source.number(key, i64::MIN)? {
                None | Some(0) => Ok(default),
                Some(n) => u32::try_from(n).map_err(|_| ValueError::Told(format!("invalid max {what}: {n}"))),
            }
        };
        let insecure = source.list("insecure-registries")?;
        insecure.iter().try_for_each(|r| insecure_registry(r))?;
        Ok(Self {
            insecure,
            mirrors: source.list("registry-mirrors")?.iter().map(|m| mirror(m)).collect::<Result<_, _>>()?,
            downloads: count("max-concurrent-downloads", "concurrent downloads", 3)? as usize,
            uploads: count("max-concurrent-uploads", "concurrent uploads", 5)? as usize,
            attempts: count("max-download-attempts", "download attempts", 5)?,
            proxies: Proxies::read(source, environment)?,
        })
    }
}

fn insecure_registry(text: &str) -> Result<(), ValueError> {
    let told = |text| Err(ValueError::Told(text));
    if text.starts_with('-') || text.ends_with('-') {
        return told(format!("invalid index name ({text}). Cannot begin or end with a hyphen"));
    }
    if text.contains("://") {
        return told(format!("insecure registry {text} should not contain '://'"));
    }
    if text.is_empty() || text.contains(char::is_whitespace) {
        return told(format!("insecure registry {text:?} is not valid: invalid host"));
    }
    Ok(())
}

fn mirror(text: &str) -> Result<String, ValueError> {
    let told = |text: String| Err(ValueError::Told(text));
    const EITHER: &str = "must use either 'https://' or 'http://'";
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) if !scheme.is_empty() => (scheme, rest),
        _ => return told(format!("invalid mirror: no scheme specified for {text:?}: {EITHER}")),
    };
    if scheme != "http" && scheme != "https" {
        return told(format!("invalid mirror: unsupported scheme {scheme:?} in {text:?}: {EITHER}"));
    }
    if text.contains(['?', '#']) {
        return told(format!("invalid mirror: query or fragment at end of the URI {text:?}"));
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.is_empty() {
        return told(format!("invalid mirror: {text:?} is not a valid URI: no host"));
    }
    if authority.contains('@') {
        let shown = crate::proxies::mask(text);
        return told(format!("invalid mirror: username/password not allowed in URI {shown:?}"));
    }
    Ok(format!("{}/", text.trim_end_matches('/')))
}
