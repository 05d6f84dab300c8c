//! `POST /images/{name}/push`.

use super::super::Shared;
use super::super::hijack::tokio_stream;
use super::super::query::Query;
use super::super::status::{Answer, Failure};
use super::pull::credentials;
use super::{found, joined, platform, progress_value, streamed};
use actors::PushNews;
use axum::http::HeaderMap;
use contract::{Kind, PortError};
use futures::{StreamExt, stream};
use serde_json::{Value, json as object};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The reference that a name and a tag make together: the tag takes the place of the name's own.
fn reference(name: &str, tag: Option<&str>) -> Result<String, PortError> {
    let Some(tag) = tag else { return Ok(name.to_owned()) };
    let given = storage::Reference::parse(name)?;
    if given.digest.is_some() {
        return Err(PortError::new(Kind::Invalid, "cannot import digest reference"));
    }
    let whole = format!("{}:{tag}", given.familiar());
    storage::Reference::parse(&whole).map_err(|_| PortError::new(Kind::Invalid, "invalid tag format"))?;
    Ok(whole)
}

/// The lines that clients are told.
fn lines(news: PushNews) -> Vec<Value> {
    match news {
        PushNews::Line(progress) => vec![progress_value(&progress)],
        PushNews::Done { tag, pushed } => {
            let status = format!("{tag}: digest: {} size: {}", pushed.digest, pushed.size);
            let aux = object!({ "Tag": tag, "Digest": pushed.digest, "Size": pushed.size });
            vec![object!({ "status": status }), object!({ "progressDetail": {}, "aux": aux })]
        }
    }
}

/// A push that ends when its client leaves.
struct Push(JoinHandle<Result<(), PortError>>);

impl Drop for Push {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Push {
    async fn outcome(mut self) -> Result<(), Failure> {
        joined((&mut self.0).await)
    }
}

pub async fn push(gateway: Shared, name: &str, query: &Query, headers: &HeaderMap) -> Answer {
    let name = reference(name, query.text("tag"))?;
    let parsed = storage::Reference::parse(&name)?;
    if let Some(platform) = platform::asked(query)? {
        found(&gateway, &name, Some(platform)).await?;
    }
    let first = format!("The push refers to repository [{}/{}]", parsed.host, parsed.repository);
    let (auth, engine) = (credentials(headers), gateway.engine.clone());
    let (sender, receiver) = mpsc::channel(512);
    let push = Push(tokio::spawn(async move { engine.push(&name, auth, sender).await }));
    let news = tokio_stream(receiver).flat_map(|news| stream::iter(lines(news)));
    Ok(streamed(stream::once(async move { object!({ "status": first }) }).chain(news), push.outcome()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::image::Pushed;

    #[test]
    fn a_tag_takes_the_place_of_the_names_own() {
        assert_eq!(reference("h:5000/a", None).unwrap(), "h:5000/a");
        assert_eq!(reference("h:5000/a", Some("1")).unwrap(), "h:5000/a:1");
        assert_eq!(reference("docker.io/library/a:2", Some("1")).unwrap(), "a:1");
        assert_eq!(reference("a", Some("a b")).unwrap_err().text, "invalid tag format");
        let digest = format!("a@sha256:{}", "ab".repeat(32));
        assert_eq!(reference(&digest, Some("1")).unwrap_err().kind, Kind::Invalid);
    }

    #[test]
    fn a_tag_that_is_done_is_told_twice() {
        let pushed = Pushed { digest: "sha256:1".into(), size: 7 };
        let told = lines(PushNews::Done { tag: "1".into(), pushed });
        assert_eq!(told[0], object!({ "status": "1: digest: sha256:1 size: 7" }));
        assert_eq!(told[1]["aux"], object!({ "Tag": "1", "Digest": "sha256:1", "Size": 7 }));
    }
}
