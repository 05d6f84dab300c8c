//! A push, seen from the store: an image's layers stay while they go out, and what the registry then has is remembered.

use crate::core::now_ns;
use crate::file::{blocking, failed};
use crate::index::Index;
use crate::making::Making;
use crate::pull::Share;
use crate::reference::Reference;
use async_trait::async_trait;
use contract::archive::BlockingStream;
use contract::image::{
    Credentials, KnownBlob, LayerSource, ProgressSink, Pushed, PushedImage, PushedLayer, Pusher,
};
use contract::{Kind, PortError};
use std::sync::Arc;

/// The tags of a repository that a push of this name is about.
pub(crate) fn names(index: &Index, reference: &Reference) -> Result<Vec<String>, PortError> {
    let familiar = reference.familiar();
    let of = |name: &&String| Reference::parse(name).is_ok_and(|r| r.familiar() == familiar);
    let all: Vec<&String> = index.names.keys().filter(of).collect();
    if all.is_empty() {
        let text = format!("An image does not exist locally with the tag: {familiar}");
        return Err(PortError::new(Kind::NotFound, text));
    }
    if reference.digest.is_some() {
        return Err(PortError::new(Kind::Invalid, "cannot push a digest reference"));
    }
    if reference.tag.is_some() {
        let wanted = reference.tagged();
        return match all.iter().any(|name| **name == wanted) {
            true => Ok(vec![wanted]),
            false => Err(PortError::new(Kind::NotFound, format!("tag does not exist: {wanted}"))),
        };
    }
    let tags: Vec<String> = all.into_iter().filter(|name| !name.contains('@')).cloned().collect();
    if tags.is_empty() {
        return Err(PortError::new(Kind::NotFound, format!("no tags to push for {familiar}")));
    }
    Ok(tags)
}

struct Source {
    share: Share,
}

fn ended() -> PortError {
    PortError::new(Kind::Bug, "the push has ended")
}

#[async_trait]
impl LayerSource for Source {
    async fn open(&self, diff_id: &str) -> Result<BlockingStream, PortError> {
        let (making, diff_id) = (self.share.get().ok_or_else(ended)?, diff_id.to_owned());
        blocking(move || Ok(Box::new(making.core().layers.stream(&diff_id)?) as BlockingStream)).await
    }

    async fn known(&self, diff_id: &str) -> Result<Vec<KnownBlob>, PortError> {
        let (making, diff_id) = (self.share.get().ok_or_else(ended)?, diff_id.to_owned());
        blocking(move || Ok(making.core().layers.known(&diff_id))).await
    }

    async fn learn(&self, diff_id: &str, blob: KnownBlob) -> Result<(), PortError> {
        let (making, diff_id) = (self.share.get().ok_or_else(ended)?, diff_id.to_owned());
        blocking(move || making.core().layers.learn(&diff_id, blob)).await
    }
}

/// The image of a name, its layers held.
fn image(making: &Making, name: &str) -> Result<(String, PushedImage), PortError> {
    let core = making.core();
    let found = core.ask(|index| {
        let id = index.names.get(name)?;
        Some((id.clone(), index.images.get(id).cloned().unwrap_or_default()))
    });
    let missing = || PortError::new(Kind::NotFound, format!("tag does not exist: {name}"));
    let (id, layers) = found.ok_or_else(missing)?;
    let path = core.config_path(&id);
    let config = std::fs::read(&path).map_err(failed("reading", &path))?;
    let mut out = Vec::new();
    for diff_id in layers {
        if !making.hold(&diff_id) {
            return Err(PortError::new(Kind::NotFound, format!("layer {diff_id} is gone")));
        }
        out.push(PushedLayer { size: core.layers.size(&diff_id), diff_id });
    }
    Ok((id, PushedImage { config: config.into(), layers: out }))
}

/// Pushes what a name with a tag stands for.
pub(crate) async fn push(
    pusher: Arc<dyn Pusher>,
    making: Making,
    reference: &Reference,
    auth: Option<Credentials>,
    progress: ProgressSink,
) -> Result<Pushed, PortError> {
    let making = Arc::new(making);
    let share = Share::new(making.clone());
    let source: Arc<dyn LayerSource> = Arc::new(Source { share: Share::new(making.clone()) });
    let name = reference.tagged();
    let (id, image) = blocking(move || image(&making, &name)).await?;
    let pushed = pusher.push(&reference.remote(), image, auth, source, progress).await?;
    let (making, by_digest) =
        (share.get().ok_or_else(ended)?, format!("{}@{}", reference.familiar(), pushed.digest));
    blocking(move || {
        making.core().edit(|index| {
            // It may have gone while its layers were held.
            if index.images.contains_key(&id) {
                index.name(&by_digest, &id, now_ns());
            }
            Ok(())
        })
    })
    .await?;
    Ok(pushed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_about_one_tag_or_all_of_a_repository() {
        let mut index = Index::default();
        let digest = format!("sha256:{}", "ab".repeat(32));
        let by_digest = format!("r:5000/none@{digest}");
        let given = ["r:5000/app:1", "r:5000/app:2", "r:5000/app2:1", "busybox:latest", &by_digest];
        index.add("sha256:1", Vec::new(), &given.map(str::to_owned), 1);
        let about = |name: &str| names(&index, &Reference::parse(name).unwrap()).map_err(|e| e.text);
        assert_eq!(about("r:5000/app").unwrap(), ["r:5000/app:1", "r:5000/app:2"]);
        assert_eq!(about("r:5000/app:2").unwrap(), ["r:5000/app:2"]);
        assert_eq!(about("docker.io/library/busybox:latest").unwrap(), ["busybox:latest"]);
        for (name, text) in [
            ("r:5000/app:3", "tag does not exist: r:5000/app:3"),
            ("r:5000/gone:1", "An image does not exist locally with the tag: r:5000/gone"),
            ("r:5000/none", "no tags to push for r:5000/none"),
            (by_digest.as_str(), "cannot push a digest reference"),
        ] {
            assert_eq!(about(name).unwrap_err(), text);
        }
    }
}
