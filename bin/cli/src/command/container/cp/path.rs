//! Paths of a copy: what their last letters assert, and where they lead inside a container.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::{HeaderMap, Method};
use serde_json::Value;

use crate::client::{Client, ClientError, encode, nothing, query};

// Bits of Go's os.FileMode, in which the API tells what a path is.
const DIRECTORY: u64 = 1 << 31;
const SYMLINK: u64 = 1 << 27;
const DEVICE: u64 = 1 << 26;
const IRREGULAR: u64 = 1 << 19;

/// What a path in a container is.
#[derive(Debug, Clone, Default)]
pub struct Stat {
    mode: u64,
    /// Where a symbolic link points.
    pub link_target: String,
}

impl Stat {
    /// Of a folder, for tests.
    #[cfg(test)]
    pub fn directory() -> Self {
        Self { mode: DIRECTORY, ..Default::default() }
    }

    /// A folder.
    pub fn is_directory(&self) -> bool {
        self.mode & DIRECTORY != 0
    }

    /// A symbolic link.
    pub fn is_link(&self) -> bool {
        self.mode & SYMLINK != 0
    }

    /// Why nothing can be written there, if so.
    pub fn unwritable(&self) -> Option<&'static str> {
        match () {
            () if self.mode & DEVICE != 0 => Some("got a device"),
            () if self.mode & IRREGULAR != 0 => Some("got an irregular file"),
            () => None,
        }
    }

    /// Reads the header of an answer about an archive.
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let encoded = headers.get("x-docker-container-path-stat")?;
        let told: Value = serde_json::from_slice(&STANDARD.decode(encoded.as_bytes()).ok()?).ok()?;
        Some(Self {
            mode: told.get("mode").and_then(Value::as_u64).unwrap_or_default(),
            link_target: told.get("linkTarget").and_then(Value::as_str).unwrap_or_default().to_owned(),
        })
    }

    /// Asks the daemon. A path that is not there is none.
    pub async fn ask(client: &Client, container: &str, path: &str) -> Result<Option<Self>, ClientError> {
        let query = query(&[("path", Some(path.to_owned()))]);
        let path = format!("/containers/{}/archive?{query}", encode(container));
        match client.call(Method::HEAD, &path, nothing()).await {
            Ok(answer) => Ok(Self::read(answer.headers())),
            Err(ClientError::Daemon { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether `path` can only be a folder: it ends in `/` or `/.`.
pub fn asserts_directory(path: &str) -> bool {
    path.ends_with('/') || names_contents(path)
}

/// Whether `path` means what is in a folder rather than the folder.
pub fn names_contents(path: &str) -> bool {
    path == "." || path.ends_with("/.")
}

/// The folder and the last name of `path`; `.` for the contents of a folder.
pub fn split(path: &str) -> (String, String) {
    let contents = names_contents(path);
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if path.starts_with('/') => {}
            other => parts.push(other),
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    if contents {
        return (format!("{root}{}", parts.join("/")), ".".to_owned());
    }
    let last = parts.pop().unwrap_or_default().to_owned();
    (format!("{root}{}", parts.join("/")), last)
}

/// Where a link at `path` leads.
pub fn follow(path: &str, target: &str) -> String {
    match target.starts_with('/') {
        true => target.to_owned(),
        false => format!("{}/{target}", split(path).0.trim_end_matches('/')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_behind_a_slash_is_the_contents() {
        assert_eq!(split("/a/b"), ("/a".to_owned(), "b".to_owned()));
        assert_eq!(split("/a/b/"), ("/a".to_owned(), "b".to_owned()));
        assert_eq!(split("/a/b/."), ("/a/b".to_owned(), ".".to_owned()));
        assert_eq!(split("/a/../b"), ("/".to_owned(), "b".to_owned()));
        assert_eq!(split("/"), ("/".to_owned(), String::new()));
        assert!(asserts_directory("a/") && asserts_directory("a/.") && !asserts_directory("a"));
    }

    #[test]
    fn links_are_relative_to_where_they_lie() {
        assert_eq!(follow("/a/link", "b"), "/a/b");
        assert_eq!(follow("/link", "b"), "/b");
        assert_eq!(follow("/a/link", "/b"), "/b");
    }
}
