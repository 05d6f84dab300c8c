//! Proxies on the way to registries: from the configuration, else from the environment, as in Docker.

use crate::error::ValueError;
use crate::source::Source;

/// What requests go through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http://`.
    pub http: String,
    /// For `https://`.
    pub https: String,
    /// Hosts that are reached directly, by commas.
    pub none: String,
}

impl Proxies {
    pub(crate) fn read(source: &Source, environment: fn(&str) -> Option<String>) -> Result<Self, ValueError> {
        let one = |key: &'static str, names: [&str; 2]| -> Result<String, ValueError> {
            let own = source.some_text(key)?;
            let found = || names.into_iter().find_map(|n| environment(n).filter(|v| !v.is_empty()));
            Ok(own.or_else(found).unwrap_or_default())
        };
        Ok(Self {
            http: one("http-proxy", ["HTTP_PROXY", "http_proxy"])?,
            https: one("https-proxy", ["HTTPS_PROXY", "https_proxy"])?,
            none: one("no-proxy", ["NO_PROXY", "no_proxy"])?,
        })
    }
}

/// The address with its user and password hidden, as Docker shows it.
pub fn mask(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest.get(..end).and_then(|authority| authority.rfind('@')) {
        Some(at) => format!("{scheme}://xxxxx:xxxxx{}", rest.get(at..).unwrap_or_default()),
        None => url.to_owned(),
    }
}
