//! Looks for steps in the cache; the first that is not there ends the search in its stage.

use crate::cache::{made_by, next_of};
use crate::options::Cache;
use actors::Engine;
use contract::image::{ImageSummary, StepLayer, StepSpec};
use contract::{ImageId, PortError};
use serde_json::{Map, Value};

/// The cache as one build uses it.
pub struct Prober {
    engine: Engine,
    cache: Cache,
    sources: Vec<ImageSummary>,
    missed: bool,
}

/// A step: what it stands on, what it is carried out with, what the image says then.
pub struct Step<'a> {
    /// `None` = from scratch.
    pub parent: Option<&'a ImageId>,
    /// What it is carried out with.
    pub carried: &'a Map<String, Value>,
    /// What comes out.
    pub config: &'a Map<String, Value>,
}

impl Prober {
    /// Nothing was looked for yet.
    pub fn new(engine: Engine, cache: Cache) -> Self {
        Self { engine, cache, sources: Vec::new(), missed: false }
    }

    /// A stage begins.
    pub async fn reset(&mut self) {
        self.missed = false;
        self.sources.clear();
        let Cache::From(names) = &self.cache else { return };
        for name in names {
            match self.engine.find_image(name).await {
                Ok(image) => self.sources.push(image),
                // As in Docker, such an image is no source.
                Err(error) => {
                    tracing::warn!("Could not look up {name} for cache resolution: {}", error.chain())
                }
            }
        }
    }

    /// The image that this step made before.
    pub async fn probe(&mut self, step: &Step<'_>) -> Result<Option<ImageId>, PortError> {
        if self.missed || self.cache == Cache::Off {
            return Ok(None);
        }
        let children = self.engine.steps_on(step.parent).await?;
        let local = made_by(&children, step.carried).map(|image| ImageId::new(image.id.clone()));
        let found = match &self.cache {
            Cache::From(_) => match local {
                Some(image) if self.is_below_a_source(&image).await => Some(image),
                _ => self.restored(step).await?,
            },
            Cache::Local | Cache::Off => local,
        };
        self.missed = found.is_none();
        Ok(found)
    }

    /// As in Docker, whoever names sources takes nothing from elsewhere.
    async fn is_below_a_source(&self, image: &ImageId) -> bool {
        for source in &self.sources {
            let mut at = source.id.clone();
            while !at.is_empty() {
                if at == image.as_str() {
                    return true;
                }
                at = self.engine.find_image(&at).await.map(|i| i.parent).unwrap_or_default();
            }
        }
        false
    }

    /// A step out of the history of an image that was made elsewhere.
    async fn restored(&mut self, step: &Step<'_>) -> Result<Option<ImageId>, PortError> {
        let parent = match step.parent {
            Some(id) => Some(self.engine.find_image(id.as_str()).await?),
            None => None,
        };
        let next = |s: &ImageSummary| next_of(s, parent.as_ref(), step.carried).map(|part| (s.clone(), part));
        let Some((source, part)) = self.sources.iter().find_map(next) else { return Ok(None) };
        if part.is_last {
            let image = ImageId::new(source.id);
            self.engine.adopt_step(&image, step.parent).await?;
            return Ok(Some(image));
        }
        let spec = StepSpec {
            parent: step.parent.cloned(),
            config: Value::Object(step.config.clone()),
            container_config: Value::Object(step.carried.clone()),
            container: String::new(),
            author: String::new(),
            layer: part.layer.map_or(StepLayer::None, StepLayer::Known),
            created: part.created,
        };
        let image = self.engine.make_step(None, spec).await?;
        // What follows is taken from the same image.
        self.sources = vec![source];
        Ok(Some(image))
    }
}
