//! `POST /images/create?fromImage=…`.

use super::super::Shared;
use super::super::hijack::tokio_stream;
use super::super::query::Query;
use super::super::status::{Answer, Failure};
use super::{channel, joined, progress_value, streamed};
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use contract::image::Credentials;
use contract::{Kind, PortError};
use futures::StreamExt;
use tokio_util::task::AbortOnDropHandle;

/// Credentials of `X-Registry-Auth`. What cannot be read counts as none, as with Docker.
fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = headers.get("x-registry-auth")?.to_str().ok()?.replace('+', "-").replace('/', "_");
    let decoded = GeneralPurpose::new(&URL_SAFE, config).decode(text).ok()?;
    let found: Credentials = serde_json::from_slice(&decoded).ok()?;
    Some(found).filter(|c| !c.username.is_empty() || !c.identitytoken.is_empty())
}

/// The reference that `fromImage` and `tag` (a tag or a digest) make together.
fn reference(image: &str, tag: Option<&str>) -> Result<String, PortError> {
    // The CLI's `pull -a` may leave a colon.
    let image = image.strip_suffix(':').unwrap_or(image);
    let bare = image.split_once('@').map_or(image, |(name, _)| name);
    let tagged = bare.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
    match tag {
        Some(digest) if digest.contains(':') => {
            Ok(format!("{}@{digest}", tagged.map_or(bare, |(name, _)| name)))
        }
        Some(tag) if image.contains('@') => {
            Ok(format!("{}:{tag}@{}", bare, image.split_once('@').map_or("", |(_, d)| d)))
        }
        Some(tag) => Ok(format!("{}:{tag}", tagged.map_or(bare, |(name, _)| name))),
        None if tagged.is_some() || image.contains('@') => Ok(image.to_owned()),
        None => Err(super::super::create::unsupported("pulling all tags of a repository")),
    }
}

/// An unreachable registry is the daemon's failure to Docker's clients, not a daemon that is away.
fn failure(error: Failure) -> Failure {
    match error.status() {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::FORBIDDEN => {
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error.text())
        }
        _ => error,
    }
}

pub async fn pull(gateway: Shared, image: &str, query: &Query, headers: &HeaderMap) -> Answer {
    let name = reference(image, query.text("tag"))?;
    if storage::Reference::parse(&name)?.familiar() == "scratch" {
        return Err(PortError::new(Kind::Denied, "'scratch' is a reserved name").into());
    }
    let (auth, platform) = (credentials(headers), query.text("platform").map(str::to_owned));
    let (sender, mut receiver) = channel();
    let engine = gateway.engine.clone();
    // A client that leaves waits no more.
    let pull =
        AbortOnDropHandle::new(tokio::spawn(async move { engine.pull(&name, platform, auth, sender).await }));
    // An error before the first line is the answer's status; later ones are lines of the stream.
    let Some(first) = receiver.recv().await else {
        joined(pull.await).map_err(failure)?;
        return Ok(super::empty(StatusCode::OK));
    };
    let lines = futures::stream::once(async move { first }).chain(tokio_stream(receiver));
    Ok(streamed(lines.map(|p| progress_value(&p)), async move { joined(pull.await) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_digests_are_joined_to_the_name() {
        let digest = "sha256:aa";
        for (image, tag, whole) in [
            ("a", Some("1"), "a:1"),
            ("h:5000/a", Some("1"), "h:5000/a:1"),
            ("a:2", Some("1"), "a:1"),
            ("a:2", None, "a:2"),
            ("a", Some(digest), "a@sha256:aa"),
            ("a@sha256:aa", None, "a@sha256:aa"),
        ] {
            assert_eq!(reference(image, tag).unwrap(), whole);
        }
        assert_eq!(reference("h:5000/a", None).unwrap_err().kind, Kind::Unsupported);
    }

    #[test]
    fn both_alphabets_and_no_padding_are_read() {
        for text in [
            "eyJ1c2VybmFtZSI6ImE_PyJ9",
            "eyJ1c2VybmFtZSI6ImE/PyJ9",
            "eyJ1c2VybmFtZSI6ImEifQ",
            "eyJ1c2VybmFtZSI6ImEifQ==",
        ] {
            let headers = HeaderMap::from_iter([("x-registry-auth".parse().unwrap(), text.parse().unwrap())]);
            assert!(credentials(&headers).unwrap().username.starts_with('a'), "{text}");
        }
        let headers = HeaderMap::from_iter([("x-registry-auth".parse().unwrap(), "!".parse().unwrap())]);
        assert!(credentials(&headers).is_none());
    }
}
