//! What things take on the disk: `ps --size`, `inspect --size`, `GET /system/df`.

use super::images::{shared, summary};
use super::query::Query;
use super::status::{Answer, Failure};
use super::{Shared, json, now_ns, render};
use actors::{Engine, Snapshot};
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use contract::PortError;
use contract::image::ImageSummary;
use contract::volume::Volume;
use serde_json::{Value, json as object};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Adds `SizeRw` and `SizeRootFs` to containers' objects.
pub async fn add_sizes(
    engine: &Engine,
    containers: &[Arc<Snapshot>],
    objects: &mut [Value],
) -> Result<(), PortError> {
    let images: HashMap<String, u64> = engine.images().await?.into_iter().map(|i| (i.id, i.size)).collect();
    let sizes = engine.sizes(containers).await?;
    for ((container, own), object) in containers.iter().zip(sizes).zip(objects) {
        let below = images.get(&container.spec.image).copied().unwrap_or_default();
        if let Some(map) = object.as_object_mut() {
            map.insert("SizeRw".into(), own.into());
            map.insert("SizeRootFs".into(), own.saturating_add(below).into());
        }
    }
    Ok(())
}

/// What is asked about.
const TYPES: [&str; 4] = ["container", "image", "volume", "build-cache"];

pub async fn df(State(gateway): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let asked = Query::parse(query.as_deref()).all("type");
    if let Some(unknown) = asked.iter().find(|t| !TYPES.contains(&t.as_str())) {
        return Err(Failure::new(StatusCode::BAD_REQUEST, format!("unknown object type: {unknown}")));
    }
    let wanted = |kind: &str| asked.is_empty() || asked.iter().any(|t| t == kind);
    let engine = &gateway.engine;
    let mut out = object!({
        "LayersSize": 0, "Images": null, "Containers": null, "Volumes": null, "BuildCache": null,
    });
    let mut set = |key: &str, value: Value| out.as_object_mut().and_then(|m| m.insert(key.into(), value));
    if wanted("image") {
        let all = engine.images().await?;
        set("LayersSize", engine.layers_size().await?.into());
        set("Images", images(&all, &engine.list()).into());
    }
    if wanted("container") {
        let mut all = engine.list();
        all.sort_by_key(|s| std::cmp::Reverse(s.spec.created_ns));
        let now = now_ns();
        let mut lines: Vec<Value> = all.iter().map(|s| render::summary(s, now)).collect();
        add_sizes(engine, &all, &mut lines).await?;
        set("Containers", lines.into());
    }
    if wanted("volume") {
        let mut lines = Vec::new();
        for (volume, users) in engine.volumes().await? {
            // What lies elsewhere takes nothing here; one removed meanwhile is not told of.
            let size = match volume.is_mount() {
                true => Some(-1),
                false => engine.volume_size(&volume.name).await.ok().and_then(|s| i64::try_from(s).ok()),
            };
            lines.extend(size.map(|size| used(&volume, size, users)));
        }
        set("Volumes", lines.into());
    }
    if wanted("build-cache") {
        set("BuildCache", object!([]));
    }
    Ok(json(&out))
}

fn images(all: &[ImageSummary], containers: &[Arc<Snapshot>]) -> Vec<Value> {
    let parents: BTreeSet<&str> = all.iter().map(|i| i.parent.as_str()).collect();
    // An image without a name that others were made from is counted with them.
    let shown = all.iter().filter(|i| !i.tags.is_empty() || !parents.contains(i.id.as_str()));
    shown
        .map(|image| {
            let mut line = summary(image, Some(shared(image, all)));
            let users = containers.iter().filter(|c| c.spec.image == image.id).count();
            line.as_object_mut().and_then(|m| m.insert("Containers".into(), users.into()));
            line
        })
        .collect()
}

fn used(volume: &Volume, size: i64, users: usize) -> Value {
    let mut line = super::volumes::render(volume);
    let usage = object!({ "Size": size, "RefCount": users });
    line.as_object_mut().and_then(|m| m.insert("UsageData".into(), usage));
    line
}
