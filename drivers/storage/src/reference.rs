//! Image names as Docker reads and shows them.

use contract::image::RemoteName;
use contract::{Kind, PortError};

/// A parsed name: familiar repository plus tag and digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Registry host, `docker.io` by default.
    pub host: String,
    /// Path on the registry, `library/busybox`.
    pub repository: String,
    /// Tag as given.
    pub tag: Option<String>,
    /// `sha256:…` as given.
    pub digest: Option<String>,
}

fn invalid() -> PortError {
    PortError::new(Kind::Invalid, "invalid reference format")
}

fn component(text: &str) -> bool {
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    edge(text.bytes().next())
        && edge(text.bytes().last())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
        && !["..", "___", "._", "_.", "-.", ".-", "-_", "_-"].iter().any(|bad| text.contains(bad))
}

fn tag_fine(tag: &str) -> bool {
    tag.len() <= 128
        && tag.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// `sha256:` and 64 lower-case hex digits.
pub(crate) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

fn label(text: &str) -> bool {
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    edge(text.bytes().next())
        && edge(text.bytes().last())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn host_fine(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !host.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let inner = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    let name_fine = match inner {
        Some(v6) => !v6.is_empty() && v6.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'),
        None => name.split('.').all(label),
    };
    name_fine && port.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether a name's first part is a registry and no part of a path.
fn names_host(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase())
}

/// Whether a name could be taken for an image's id.
fn is_hex_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

impl Reference {
    /// Reads a name in any form Docker takes.
    pub fn parse(text: &str) -> Result<Self, PortError> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) if is_digest(digest) => (rest, Some(digest.to_owned())),
            Some(_) => return Err(invalid()),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (rest, None),
        };
        if tag.as_deref().is_some_and(|t| !tag_fine(t)) {
            return Err(invalid());
        }
        let (host, path) = match name.split_once('/') {
            Some((first, path)) if names_host(first) => (first, path),
            _ => ("docker.io", name),
        };
        let host = if host == "index.docker.io" { "docker.io" } else { host };
        if !host_fine(host) || name.len() > 255 {
            return Err(invalid());
        }
        if path.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(PortError::new(
                Kind::Invalid,
                "invalid reference format: repository name must be lowercase",
            ));
        }
        if !path.split('/').all(component) {
            return Err(invalid());
        }
        let bare_hex = digest.is_none() && tag.is_none() && name == path && is_hex_id(path);
        if bare_hex {
            return Err(PortError::new(
                Kind::Invalid,
                format!("invalid repository name ({path}), cannot specify 64-byte hexadecimal strings"),
            ));
        }
        let repository = if host == "docker.io" && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        Ok(Self { host: host.to_owned(), repository, tag, digest })
    }

    /// The repository as shown: `busybox`, `user/app`, `ghcr.io/user/app`. What is left out must not make another name of
    /// it: images are stored by this one.
    pub fn familiar(&self) -> String {
        if self.host == "docker.io" {
            let official = self.repository.strip_prefix("library/");
            return match official.filter(|name| !name.contains('/') && !is_hex_id(name)) {
                Some(name) => name.to_owned(),
                None if self.repository.split('/').next().is_some_and(names_host) => {
                    format!("docker.io/{}", self.repository)
                }
                None => self.repository.clone(),
            };
        }
        format!("{}/{}", self.host, self.repository)
    }

    /// `name:tag`, tag `latest` by default.
    pub fn tagged(&self) -> String {
        format!("{}:{}", self.familiar(), self.tag.as_deref().unwrap_or("latest"))
    }

    /// `name@sha256:…` when asked by digest, else `name:tag`.
    pub fn key(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{}@{digest}", self.familiar()),
            None => self.tagged(),
        }
    }

    /// As Docker's messages show it: with every part that was given, the tag `latest` if none was.
    pub fn shown(&self) -> String {
        match (&self.tag, &self.digest) {
            (Some(tag), Some(digest)) => format!("{}:{tag}@{digest}", self.familiar()),
            _ => self.key(),
        }
    }

    /// For a puller.
    pub fn remote(&self) -> RemoteName {
        let tag = match (&self.tag, &self.digest) {
            (Some(tag), _) => tag.clone(),
            (None, Some(_)) => String::new(),
            (None, None) => "latest".into(),
        };
        RemoteName {
            host: self.host.clone(),
            repository: self.repository.clone(),
            tag,
            digest: self.digest.clone(),
            familiar: self.familiar(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_docker_hub_is_never_shown_as_anothers() {
        for (name, shown) in [
            ("docker.io/ghcr.io/x", "docker.io/ghcr.io/x:latest"),
            ("docker.io/localhost/x", "docker.io/localhost/x:latest"),
            ("docker.io/library/a/b", "library/a/b:latest"),
            ("docker.io/library/x", "x:latest"),
        ] {
            assert_eq!(Reference::parse(name).unwrap().shown(), shown);
            assert_eq!(Reference::parse(shown).unwrap().shown(), shown);
        }
    }

    #[test]
    fn names_are_shown_the_familiar_way() {
        for (text, shown) in [
            ("busybox", "busybox:latest"),
            ("docker.io/library/busybox:1", "busybox:1"),
            ("index.docker.io/user/app", "user/app:latest"),
            ("localhost:5000/a/b:x", "localhost:5000/a/b:x"),
            ("ghcr.io/a", "ghcr.io/a:latest"),
        ] {
            assert_eq!(Reference::parse(text).unwrap().key(), shown);
        }
        assert_eq!(Reference::parse("busybox").unwrap().remote().repository, "library/busybox");
    }

    #[test]
    fn malformed_names_are_refused_with_dockers_text() {
        for text in [
            "",
            ":x",
            "a:",
            "a//b",
            "-a",
            "a@sha256:12",
            "a b",
            "a:b c",
            "/a",
            "a/../b",
            "../x:1",
            ".a/b",
            "a./b",
            "-a.b/c",
        ] {
            assert_eq!(Reference::parse(text).unwrap_err().text, "invalid reference format", "{text}");
        }
        assert!(Reference::parse("Foo").unwrap_err().text.ends_with("must be lowercase"));
    }
}
