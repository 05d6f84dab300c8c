//! `POST /images/prune`.

use super::super::query::Query;
use super::super::status::Answer;
use super::super::{Shared, filter, json, moment, now_ns};
use super::list::dangling;
use axum::extract::{RawQuery, State};
use contract::image::{Force, ImageSummary, Parents, Removed};
use contract::{Kind, PortError};
use serde_json::{Value, json as object};
use std::collections::{BTreeMap, BTreeSet};

/// One at a time, as Docker.
static PRUNING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Which images go, if nobody uses them.
struct Choice {
    dangling: bool,
    until_ns: Option<i64>,
    by: BTreeMap<String, Vec<String>>,
}

impl Choice {
    fn read(query: &Query) -> Result<Self, PortError> {
        let by = query.filters(&["dangling", "label", "label!", "until"])?;
        let until_ns = match by.get("until").map(Vec::as_slice) {
            None | Some([]) => None,
            Some([one]) => Some(moment::parse(one, now_ns())?),
            Some(_) => return Err(PortError::new(Kind::Invalid, "more than one until filter specified")),
        };
        let dangling = by.get("dangling").map(|d| dangling(d)).transpose()?.unwrap_or(true);
        Ok(Self { dangling, until_ns, by })
    }

    fn takes(&self, image: &ImageSummary) -> bool {
        let has = |key: &str| {
            let labels = self.by.get(key)?;
            Some(labels.iter().all(|l| filter::label(l, &image.labels)))
        };
        (!self.dangling || image.tags.is_empty())
            && self.until_ns.is_none_or(|until| image.created_ns <= until)
            && has("label") != Some(false)
            && has("label!") != Some(true)
    }
}

pub async fn prune(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let choice = Choice::read(&Query::parse(query.as_deref()))?;
    let Ok(_only) = PRUNING.try_lock() else {
        return Err(PortError::new(Kind::Conflict, "a prune operation is already running").into());
    };
    let engine = &gateway.engine;
    let all = engine.images().await?;
    let used: BTreeSet<String> = engine.list().iter().map(|s| s.spec.image.clone()).collect();
    let parents: BTreeSet<&str> = all.iter().map(|i| i.parent.as_str()).collect();
    let unnamed = |i: &ImageSummary| i.tags.is_empty() && i.digests.is_empty();
    let mut gone = Vec::new();
    for image in &all {
        let needed = used.contains(&image.id) || unnamed(image) && parents.contains(image.id.as_str());
        if needed || !choice.takes(image) {
            continue;
        }
        let names: Vec<&String> = image.tags.iter().chain(&image.digests).collect();
        let names = if names.is_empty() { vec![&image.id] } else { names };
        for name in names {
            match engine.remove_image(name, Force::No, Parents::Prune).await {
                Ok(removed) => gone.extend(removed),
                // With a tag its digests went too.
                Err(error) if error.kind == Kind::NotFound => {}
                Err(error) => tracing::info!(image = image.id, "not pruned: {}", error.chain()),
            }
        }
    }
    let reclaimed = freed(&all, &engine.images().await?);
    engine.pruned("image", reclaimed);
    let lines: Vec<Value> = gone.iter().map(line).collect();
    let lines = if lines.is_empty() { Value::Null } else { lines.into() };
    Ok(json(&object!({ "ImagesDeleted": lines, "SpaceReclaimed": reclaimed })))
}

/// One removal as the API words it.
pub fn line(removed: &Removed) -> Value {
    match removed {
        Removed::Untagged(name) => object!({ "Untagged": name }),
        Removed::Deleted(id) | Removed::Layer(id) => object!({ "Deleted": id }),
    }
}

/// Bytes of the layers that no image has any more.
fn freed(before: &[ImageSummary], after: &[ImageSummary]) -> u64 {
    let kept: BTreeSet<&String> = after.iter().flat_map(|i| &i.layers).collect();
    let each = before.iter().flat_map(|i| i.layers.iter().zip(i.sizes.iter().copied()));
    each.filter(|(layer, _)| !kept.contains(layer)).collect::<BTreeMap<_, _>>().values().sum()
}
