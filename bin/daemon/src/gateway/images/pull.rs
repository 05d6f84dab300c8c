//! `POST /images/create?fromImage=…`.

use super::super::Shared;
use super::super::hijack::tokio_stream;
use super::super::query::Query;
use super::super::status::{Answer, Failure};
use super::mismatch::mismatch;
use super::{channel, joined, progress_value, streamed};
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use contract::image::{Credentials, Progress, ProgressSink};
use contract::{Kind, PortError};
use futures::StreamExt;
use tokio_util::task::AbortOnDropHandle;

/// Credentials of `X-Registry-Auth`. What cannot be read counts as none, as with Docker.
pub fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = headers.get("x-registry-auth")?.to_str().ok()?.replace('+', "-").replace('/', "_");
    let decoded = GeneralPurpose::new(&URL_SAFE, config).decode(text).ok()?;
    let found: Credentials = serde_json::from_slice(&decoded).ok()?;
    let any =
        |c: &Credentials| [&c.username, &c.identitytoken, &c.registrytoken].iter().any(|t| !t.is_empty());
    Some(found).filter(any)
}

/// What `fromImage` and `tag` (a tag or a digest) ask for together.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// One image.
    One(String),
    /// Every tag of a repository.
    All(String),
}

fn asked(image: &str, tag: Option<&str>) -> Asked {
    // The CLI's `pull -a` may leave a colon.
    let image = image.strip_suffix(':').unwrap_or(image);
    let bare = image.split_once('@').map_or(image, |(name, _)| name);
    let tagged = bare.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
    Asked::One(match tag {
        Some(digest) if digest.contains(':') => {
            format!("{}@{digest}", tagged.map_or(bare, |(name, _)| name))
        }
        Some(tag) if image.contains('@') => {
            format!("{}:{tag}@{}", bare, image.split_once('@').map_or("", |(_, d)| d))
        }
        Some(tag) => format!("{}:{tag}", tagged.map_or(bare, |(name, _)| name)),
        None if tagged.is_some() || image.contains('@') => image.to_owned(),
        None => return Asked::All(image.to_owned()),
    })
}

pub async fn pull(gateway: Shared, image: &str, query: &Query, headers: &HeaderMap) -> Answer {
    let asked = asked(image, query.text("tag"));
    let (Asked::One(name) | Asked::All(name)) = &asked;
    if storage::Reference::parse(name)?.familiar() == "scratch" {
        return Err(PortError::new(Kind::Denied, "'scratch' is a reserved name").into());
    }
    let (auth, platform) = (credentials(headers), query.text("platform").map(str::to_owned));
    let (sender, mut receiver) = channel();
    // A client that leaves waits no more.
    let pull = AbortOnDropHandle::new(tokio::spawn(bring(gateway, asked, platform, auth, sender)));
    // An error before the first line is the answer's status; later ones are lines of the stream.
    let Some(first) = receiver.recv().await else {
        joined(pull.await).map_err(Failure::of_registry)?;
        return Ok(super::empty(StatusCode::OK));
    };
    let lines = futures::stream::once(async move { first }).chain(tokio_stream(receiver));
    Ok(streamed(lines.map(|p| progress_value(&p)), async move { joined(pull.await) }))
}

async fn bring(
    gateway: Shared,
    asked: Asked,
    platform: Option<String>,
    auth: Option<Credentials>,
    progress: ProgressSink,
) -> Result<(), PortError> {
    let engine = &gateway.engine;
    let name = match asked {
        Asked::One(name) => name,
        Asked::All(repository) => {
            let reference = storage::Reference::parse(&repository)?;
            let tags = gateway.registries.tags(&reference.remote(), auth.clone()).await?;
            let names = tags.iter().map(|tag| format!("{repository}:{tag}")).collect();
            return engine.pull_all(&reference.familiar(), names, platform, auth, progress).await;
        }
    };
    let id = engine.pull(&name, platform.clone(), auth, progress.clone()).await?;
    // As Docker, an image that is there for one platform alone comes with a warning.
    if let Some(platform) = platform
        && let Ok(image) = engine.find_image(id.as_str()).await
        && let Some(text) = mismatch(&storage::Reference::parse(&name)?.shown(), &platform, &image)
    {
        let line = Progress { status: format!("WARNING: {text}"), ..Progress::default() };
        // Whoever asked may have left.
        let _left = progress.send(line).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_digests_are_joined_to_the_name_and_a_bare_name_means_all() {
        let digest = "sha256:aa";
        for (image, tag, whole) in [
            ("a", Some("1"), "a:1"),
            ("h:5000/a", Some("1"), "h:5000/a:1"),
            ("a:2", Some("1"), "a:1"),
            ("a:2", None, "a:2"),
            ("a", Some(digest), "a@sha256:aa"),
            ("a@sha256:aa", None, "a@sha256:aa"),
        ] {
            assert_eq!(asked(image, tag), Asked::One(whole.to_owned()));
        }
        for image in ["h:5000/a", "h:5000/a:"] {
            assert_eq!(asked(image, None), Asked::All("h:5000/a".to_owned()));
        }
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
