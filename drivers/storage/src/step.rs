//! Images of the steps of builds.

use crate::archive::JSON_LIMIT;
use crate::commit::EMPTY;
use crate::core::Core;
use crate::file::blocking;
use crate::import::architecture;
use crate::making::Making;
use crate::pieces::Cut;
use crate::store::Store;
use async_trait::async_trait;
use contract::image::{ImageSummary, StepLayer, StepSpec, Steps};
use contract::{ImageId, Kind, PortError};
use serde_json::{Value, json};

#[async_trait]
impl Steps for Store {
    async fn make(&self, spec: StepSpec) -> Result<ImageId, PortError> {
        let making = self.making();
        blocking(move || make(&making, spec)).await
    }

    async fn children(&self, parent: Option<&ImageId>) -> Result<Vec<ImageSummary>, PortError> {
        let (core, parent) = (self.core(), stem(parent));
        blocking(move || children(&core, &parent)).await
    }

    async fn adopt(&self, image: &ImageId, parent: Option<&ImageId>) -> Result<(), PortError> {
        let (core, image, parent) = (self.core(), image.to_string(), stem(parent));
        blocking(move || {
            core.edit(|index| {
                // Nothing stands on what stands on it.
                let mut above = Some(&parent);
                while let Some(id) = above {
                    if *id == image {
                        return Ok(());
                    }
                    above = index.parents.get(id);
                }
                if index.images.contains_key(&image) {
                    index.parents.insert(image, parent);
                }
                Ok(())
            })
        })
        .await
    }
}

/// What the index has for it: nothing is the parent of what was made from scratch.
fn stem(parent: Option<&ImageId>) -> String {
    parent.map(ToString::to_string).unwrap_or_default()
}

fn children(core: &Core, parent: &str) -> Result<Vec<ImageSummary>, PortError> {
    let ids: Vec<String> = core.ask(|index| {
        index.parents.iter().filter(|(_, of)| *of == parent).map(|(id, _)| id.clone()).collect()
    });
    let mut found = Vec::new();
    for id in ids {
        match core.summary(&id) {
            Ok(summary) => found.push(summary),
            // One removed meanwhile is none of them.
            Err(_) if core.ask(|index| !index.images.contains_key(&id)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn make(making: &Making, spec: StepSpec) -> Result<ImageId, PortError> {
    let (below, layers) = match &spec.parent {
        Some(parent) => {
            let parent = making.core().summary(parent.as_str())?;
            (parent.config, parent.layers)
        }
        None => (Value::Null, Vec::new()),
    };
    let gone = |id: &str| PortError::new(Kind::NotFound, format!("layer {id} is gone"));
    for layer in &layers {
        if !making.hold(layer) {
            return Err(gone(layer));
        }
    }
    let own = match spec.layer {
        StepLayer::None => None,
        StepLayer::Content(content) => Some(making.unpack(Cut(content), None, None)?.diff_id),
        StepLayer::Known(id) if making.hold(&id) => Some(id),
        StepLayer::Known(id) => return Err(gone(&id)),
    };
    let own = own.filter(|id| id != EMPTY);
    let now = spec.created.unwrap_or_else(|| jiff::Timestamp::now().to_string());
    let words = spec.container_config.get("Cmd").and_then(Value::as_array).into_iter().flatten();
    let words: Vec<&str> = words.filter_map(Value::as_str).collect();
    let mut step = json!({ "created": now, "created_by": words.join(" ") });
    if let Some(map) = step.as_object_mut() {
        if !spec.author.is_empty() {
            map.insert("author".into(), spec.author.as_str().into());
        }
        if own.is_none() {
            map.insert("empty_layer".into(), true.into());
        }
    }
    let mut history = below.get("history").and_then(Value::as_array).cloned().unwrap_or_default();
    history.push(step);
    let diff_ids: Vec<String> = layers.into_iter().chain(own).collect();
    let mut image = json!({
        "architecture": below.get("architecture").and_then(Value::as_str).unwrap_or(architecture()),
        "config": spec.config, "container_config": spec.container_config, "created": now, "history": history,
        "os": "linux", "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    if let Some(map) = image.as_object_mut() {
        for key in ["variant", "os.version"] {
            if let Some(value) = below.get(key) {
                map.insert(key.into(), value.clone());
            }
        }
        let author = match spec.author.as_str() {
            "" => below.get("author").cloned(),
            author => Some(author.into()),
        };
        map.extend(author.map(|author| ("author".to_owned(), author)));
        if !spec.container.is_empty() {
            map.insert("container".into(), spec.container.into());
        }
    }
    let image = image.to_string();
    if image.len() as u64 > JSON_LIMIT {
        let text = format!("the image's configuration is larger than {JSON_LIMIT} bytes");
        return Err(PortError::new(Kind::Invalid, text));
    }
    let parent = spec.parent.map(|p| p.to_string()).unwrap_or_default();
    let (id, _) = making.finish_over(Some(&parent), image.as_bytes(), &[])?;
    Ok(ImageId::new(id))
}
