//! What is behind http and https URLs: contexts, Dockerfiles, and files for `ADD`.

use super::folder::Fresh;
use crate::file::{blocking, failed};
use crate::limits::{Bounded, Limits};
use bytes::Bytes;
use contract::archive::Stream;
use contract::build::{Context, Download, Downloads};
use contract::{Kind, PortError};
use rustix::fs::{self as rfs, Timespec, Timestamps};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use tokio::io::AsyncReadExt;
use tokio_util::io::SyncIoBridge;

/// Bytes by which Docker tells what a server did not.
const PREAMBLE: u64 = 100;
/// Bytes of a lone Dockerfile.
const DOCKERFILE: u64 = 16 << 20;
/// Types of contexts that Docker takes, next to plain text.
const ARCHIVES: [&str; 10] = [
    "application/x-tar",
    "application/tar",
    "application/octet-stream",
    "application/x-gzip",
    "application/gzip",
    "application/x-bzip2",
    "application/bzip2",
    "application/x-bzip",
    "application/x-xz",
    "application/xz",
];

/// A context by its kind.
pub(super) enum Answer {
    Text(Bytes),
    Archive(Stream),
}

/// Whether Docker takes a source for a URL.
pub(super) fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// Asks for a context.
pub(super) async fn context(downloads: &dyn Downloads, url: &str) -> Result<Answer, PortError> {
    let wrapped =
        |what: &str, e: PortError| PortError::new(e.kind, format!("error {what} {url}: {}", e.chain()));
    let answer = downloads.get(url).await.map_err(|e| wrapped("downloading remote context", e))?;
    let Download { kind, mut content, .. } = answer;
    let mut start = Vec::new();
    let read = (&mut content).take(PREAMBLE).read_to_end(&mut start).await;
    read.map_err(|e| {
        wrapped("downloading remote context", PortError::new(Kind::Unavailable, e.to_string()))
    })?;
    let undetected =
        |text: String| wrapped("detecting content type for remote", PortError::new(Kind::Invalid, text));
    if start.is_empty() {
        return Err(undetected("empty response".into()));
    }
    let is_text = match kind.as_str() {
        // Servers say this of files whose names tell nothing, like "Dockerfile".
        "" | "application/octet-stream" => plain(&start),
        kind if kind.contains("text/plain") => true,
        kind if ARCHIVES.iter().any(|known| kind.contains(known)) => false,
        kind => return Err(undetected(format!("unsupported Content-Type {kind:?}"))),
    };
    let mut whole: Stream = Box::new(io::Cursor::new(start).chain(content));
    if !is_text {
        return Ok(Answer::Archive(whole));
    }
    let mut text = Vec::new();
    let read = (&mut whole).take(DOCKERFILE + 1).read_to_end(&mut text).await;
    read.map_err(|e| {
        wrapped("downloading remote context", PortError::new(Kind::Unavailable, e.to_string()))
    })?;
    if text.len() as u64 > DOCKERFILE {
        return Err(undetected(format!("a Dockerfile is larger than {DOCKERFILE} bytes")));
    }
    Ok(Answer::Text(text.into()))
}

/// Whether bytes are text: the bytes that never are, are those of the WHATWG's MIME sniffing standard.
fn plain(bytes: &[u8]) -> bool {
    !bytes.iter().any(|b| matches!(b, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f))
}

/// A file fetched for `ADD`: its folder and its name.
pub(super) async fn file(
    downloads: &dyn Downloads,
    url: &str,
    target: &str,
    into: Fresh,
    limits: Limits,
) -> Result<(Context, String), PortError> {
    let answer = downloads.get(url).await?;
    let name = match name_of(url).or_else(|| named(&answer.disposition)) {
        Some(name) => name,
        None if target.ends_with('/') => {
            return Err(PortError::new(Kind::Invalid, format!("cannot determine filename for source {url}")));
        }
        None => "__unnamed__".to_owned(),
    };
    let path = into.path().join(&name);
    let content = SyncIoBridge::new(answer.content);
    let modified = jiff::fmt::rfc2822::parse(&answer.modified).map_or(0, |at| at.timestamp().as_second());
    blocking(move || {
        let limits = limits.on_disk(into.path());
        let write = || {
            let mut file =
                std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            io::copy(&mut Bounded { inner: content, left: limits.bytes }, &mut file)?;
            let at = Timespec { tv_sec: modified, tv_nsec: 0 };
            Ok(rfs::futimens(&file, &Timestamps { last_access: at, last_modification: at })?)
        };
        write().map_err(failed("downloading", &path))?;
        Ok((into.whole(), name))
    })
    .await
}

/// A name that a file can have.
fn usable(name: &str) -> Option<String> {
    let fine = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']);
    fine.then(|| name.to_owned())
}

/// The last name of a URL's path.
fn name_of(url: &str) -> Option<String> {
    let path = url.split_once("://")?.1.split_once('/')?.1;
    let path = path.split(['?', '#']).next()?;
    usable(decoded(path)?.rsplit('/').next()?)
}

/// `%20` and the like.
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        out.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

/// The name that a server gives.
fn named(disposition: &str) -> Option<String> {
    let mut parameters = disposition.split(';').skip(1).filter_map(|p| p.trim().split_once('='));
    let name = parameters.find(|(key, _)| key.eq_ignore_ascii_case("filename"))?.1;
    let name = name.trim_matches('"');
    if name.ends_with('/') { None } else { usable(name.rsplit('/').next()?) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_its_url_or_its_server() {
        assert_eq!(name_of("http://h/a/b%20c.tar?x=/y#z").as_deref(), Some("b c.tar"));
        for url in
            ["http://h", "http://h/", "http://h/a/", "http://h/..", "http://h/a/%2e%2e", "http://h/%0g"]
        {
            assert_eq!(name_of(url), None, "{url}");
        }
        assert_eq!(named("attachment; filename=\"x/y.tgz\"").as_deref(), Some("y.tgz"));
        assert_eq!(named("inline"), None);
        assert_eq!(named("attachment; filename=..").as_deref(), None);
    }

    #[test]
    fn text_is_told_from_archives() {
        assert!(plain(b"FROM busybox\n# \xc3\xa9\n"));
        assert!(!plain(b"name\0\0\0\0"));
        assert!(!plain(&[0x1f, 0x8b, 8, 0]));
    }
}
