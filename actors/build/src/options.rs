//! What a build is asked for.

use contract::archive::Stream;
use contract::image::Credentials;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Where a build's files come from.
pub enum Source {
    /// An archive in the request.
    Sent(Stream),
    /// A git repository, an archive or a Dockerfile behind a URL.
    Remote(String),
}

/// Whether containers of steps stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Removal {
    /// They are removed when their step came to a good end.
    #[default]
    Succeeded,
    /// They are removed however it ended.
    Always,
    /// They stay.
    Never,
}

/// Where steps are looked for that need not be carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cache {
    /// Among the images that were built here.
    #[default]
    Local,
    /// In the history of these images, too.
    From(Vec<String>),
    /// Nowhere.
    Off,
}

/// How a base image is looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pull {
    /// Where it is not here.
    #[default]
    Missing,
    /// Always.
    Always,
}

/// Whether the steps are told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Telling {
    /// They are.
    #[default]
    Steps,
    /// Only the image's id, in the end; everything when it fails.
    Quiet,
}

/// A build's wishes.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// By which the client may cancel it; empty = it gave none.
    pub id: String,
    /// The Dockerfile's path in the context; empty = `Dockerfile`.
    pub dockerfile: String,
    /// Names of the image.
    pub tags: Vec<String>,
    /// The stage that is wanted; empty = the last.
    pub target: String,
    /// Build arguments; `None` = named without a value.
    pub arguments: BTreeMap<String, Option<String>>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Cache.
    pub cache: Cache,
    /// Base images.
    pub pull: Pull,
    /// Containers.
    pub removal: Removal,
    /// Output.
    pub telling: Telling,
    /// `os/arch[/variant]`; empty = the machine's.
    pub platform: String,
    /// Credentials by registry, as `X-Registry-Config` has them.
    pub credentials: BTreeMap<String, Credentials>,
    /// Docker's `HostConfig` for the steps' containers: limits, network, hosts.
    pub host_config: Map<String, Value>,
}

impl Options {
    /// Credentials for the registry of a name.
    pub fn credentials_for(&self, name: &str) -> Option<Credentials> {
        let first = name.split_once('/').map_or("", |(first, _)| first);
        let is_host = first.contains(['.', ':']) || first == "localhost";
        let host = if is_host && first != "docker.io" { first } else { HUB };
        let bare = |key: &str| {
            let key = key.trim_start_matches("https://").trim_start_matches("http://");
            key.split('/').next().unwrap_or_default().to_owned()
        };
        let found = self.credentials.get(host).or_else(|| {
            let wanted = bare(host);
            self.credentials.iter().find(|(key, _)| bare(key) == wanted).map(|(_, found)| found)
        });
        found.cloned()
    }
}

/// Under which Docker's clients keep the credentials of Docker Hub.
const HUB: &str = "https://index.docker.io/v1/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_by_the_registry_of_a_name() {
        let known =
            |host: &str| (host.to_owned(), Credentials { username: host.into(), ..Credentials::default() });
        let options = Options {
            credentials: [known(HUB), known("https://r.example/v2/"), known("localhost:5000")].into(),
            ..Options::default()
        };
        let of = |name: &str| options.credentials_for(name).map(|c| c.username);
        assert_eq!(of("busybox"), Some(HUB.to_owned()));
        assert_eq!(of("a/b:1"), Some(HUB.to_owned()));
        assert_eq!(of("r.example/a"), Some("https://r.example/v2/".to_owned()));
        assert_eq!(of("localhost:5000/a"), Some("localhost:5000".to_owned()));
        assert_eq!(of("other.example/a"), None);
    }
}
