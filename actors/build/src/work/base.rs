//! What stages stand on, and what they copy from: images of here, pulled ones, earlier stages.

use super::Work;
use crate::arguments::Arguments;
use crate::feed::{Failure, Line};
use crate::options::Pull;
use crate::stage::Stage;
use contract::build::Origin;
use contract::image::ImageSummary;
use contract::{ImageId, Kind, PortError};
use dockerfile::{Variables, expand};
use tokio::sync::mpsc;

/// Moby's `api.NoBaseImageSpecifier`.
const SCRATCH: &str = "scratch";

/// Pull progress that a client may lag behind.
const PROGRESS: usize = 256;

impl Work {
    /// Begins a stage, and carries out the triggers of its image.
    pub(super) async fn begin(
        &mut self,
        written: &dockerfile::Stage,
        arguments: &Arguments,
    ) -> Result<Stage, Failure> {
        self.prober.reset().await;
        let seen = Variables::new(arguments.of_from());
        let word = |text: &str| {
            expand(text, self.escape, &seen).map_err(|e| PortError::new(Kind::Bug, e.to_string()))
        };
        let platform = match &written.platform {
            Some(text) => word(text)?,
            None => self.options.platform.clone(),
        };
        let name = word(&written.base)?;
        if name.is_empty() {
            let text = format!("base name ({}) should not be blank", written.base);
            return Err(PortError::new(Kind::Bug, text).into());
        }
        let earlier = self.stage_named(&name).map(|stage| stage.image.clone());
        let base = match earlier {
            Some(image) => self.stored(image.as_ref()).await?,
            None if name == SCRATCH => None,
            None => Some(self.image(&name, &platform).await?),
        };
        let (mut stage, triggers) = Stage::begin(written.name.clone(), base.as_ref(), arguments.stage());
        if !triggers.is_empty() {
            let plural = if triggers.len() > 1 { "s" } else { "" };
            self.feed.line(format!("# Executing {} build trigger{plural}", triggers.len())).await;
            for text in &triggers {
                let instruction =
                    dockerfile::trigger(text).map_err(|e| PortError::new(Kind::Bug, e.to_string()))?;
                self.instruct(&mut stage, &instruction).await?;
                stage.settle();
            }
        }
        Ok(stage)
    }

    async fn stored(&self, image: Option<&ImageId>) -> Result<Option<ImageSummary>, PortError> {
        match image {
            Some(id) => self.ports.engine.find_image(id.as_str()).await.map(Some),
            None => Ok(None),
        }
    }

    /// An image by name; pulled if it is not here, or if that is wanted.
    async fn image(&mut self, name: &str, platform: &str) -> Result<ImageSummary, PortError> {
        let key = format!("{name} {platform}");
        if let Some(id) = self.images.get(&key) {
            return self.ports.engine.find_image(id.as_str()).await;
        }
        let here = match self.options.pull {
            Pull::Always => None,
            Pull::Missing => match self.ports.engine.find_image(name).await {
                Ok(image) => Some(image).filter(|image| runs_on(image, platform)),
                Err(error) if error.kind == Kind::NotFound => None,
                Err(error) => return Err(error),
            },
        };
        let image = match here {
            Some(image) => image,
            None => {
                let id = self.pull(name, platform).await?;
                self.ports.engine.find_image(id.as_str()).await?
            }
        };
        self.images.insert(key, ImageId::new(image.id.clone()));
        Ok(image)
    }

    async fn pull(&mut self, name: &str, platform: &str) -> Result<ImageId, PortError> {
        let (sender, mut progress) = mpsc::channel(PROGRESS);
        let auth = self.options.credentials_for(name);
        let platform = Some(platform.to_owned()).filter(|p| !p.is_empty());
        let (engine, feed) = (self.ports.engine.clone(), &mut self.feed);
        let relay = async {
            while let Some(line) = progress.recv().await {
                feed.tell(Line::Progress(line)).await;
            }
        };
        let (outcome, ()) = futures::join!(engine.pull(name, platform, auth, sender), relay);
        outcome
    }

    /// What `--from` names.
    pub(super) async fn copied_from(&mut self, name: &str) -> Result<Origin, PortError> {
        let wrong =
            |e: PortError| PortError::new(e.kind, format!("invalid from flag value {name}: {}", e.chain()));
        let named = self.stage_named(name).map(|stage| stage.image.clone());
        let earlier = match (named, name.parse::<i64>()) {
            (Some(image), _) => Some(image),
            (None, Ok(number)) => {
                let at = usize::try_from(number).ok();
                let Some(stage) = at.and_then(|at| self.done.get(at)) else {
                    let current = at == Some(self.done.len());
                    let text = if current { "refers to current build stage" } else { "index out of bounds" };
                    return Err(wrong(PortError::new(Kind::Bug, text)));
                };
                Some(stage.image.clone())
            }
            (None, Err(_)) => None,
        };
        let image = match earlier {
            Some(image) => self.stored(image.as_ref()).await.map_err(wrong)?,
            None => {
                let platform = self.options.platform.clone();
                Some(self.image(name, &platform).await.map_err(wrong)?)
            }
        };
        let mut layers = Vec::new();
        for folder in image.into_iter().flat_map(|i| i.folders.into_iter().rev()) {
            // A layer that is there twice covers what is between.
            if !layers.contains(&folder) {
                layers.push(folder);
            }
        }
        Ok(Origin::Layers(layers))
    }
}

/// Whether an image is for a platform, as far as both say.
fn runs_on(image: &ImageSummary, platform: &str) -> bool {
    let mut asked = platform.split('/').filter(|p| !p.is_empty());
    let own = |key: &str| image.config.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
    let fits = |asked: Option<&str>, own: &str| {
        asked.is_none_or(|asked| own.is_empty() || asked.eq_ignore_ascii_case(own))
    };
    match (asked.next(), asked.next()) {
        (Some(os), Some(architecture)) => {
            fits(Some(os), own("os")) && fits(Some(normal(architecture)), own("architecture"))
        }
        (Some(one), None) if one.eq_ignore_ascii_case("linux") => true,
        (one, _) => fits(one.map(normal), own("architecture")),
    }
}

/// Other names of architectures.
fn normal(architecture: &str) -> &str {
    match architecture {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
