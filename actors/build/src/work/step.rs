//! Steps: in a container each, or in none where only the configuration changes.

use super::Work;
use crate::feed::{Failure, Line};
use crate::options::Removal;
use crate::probe::Step;
use crate::stage::{Stage, short};
use actors::{AttachRequest, WaitCondition};
use contract::build::{Found, Target};
use contract::image::{StepLayer, StepSpec};
use contract::log::Stream;
use contract::{ContainerId, Kind, PortError};
use dockerfile::Config;
use serde_json::{Value, json};

impl Work {
    /// Takes the step's image from the cache, if it is there.
    async fn cached(&mut self, stage: &mut Stage, carried: &Config) -> Result<bool, PortError> {
        let step = Step { parent: stage.image.as_ref(), carried, config: &stage.config };
        let Some(image) = self.prober.probe(&step).await? else { return Ok(false) };
        self.feed.text(" ---> Using cache\n").await;
        stage.image = Some(image);
        Ok(true)
    }

    async fn commit(
        &mut self,
        stage: &mut Stage,
        of: Option<&ContainerId>,
        carried: Config,
    ) -> Result<(), PortError> {
        let spec = StepSpec {
            parent: stage.image.clone(),
            config: Value::Object(stage.config.clone()),
            container_config: Value::Object(carried),
            container: String::new(),
            author: stage.author.clone(),
            layer: StepLayer::None,
            created: None,
        };
        stage.image = Some(self.ports.engine.make_step(of.cloned(), spec).await?);
        Ok(())
    }

    /// A step that only says something.
    pub(super) async fn note(&mut self, stage: &mut Stage, text: &str) -> Result<(), PortError> {
        let carried = stage.noting(text);
        if self.cached(stage, &carried).await? {
            return Ok(());
        }
        self.commit(stage, None, carried).await
    }

    async fn container(&mut self, stage: &Stage, config: &Config) -> Result<ContainerId, PortError> {
        let id = self.holder(stage, config).await?;
        self.feed.text(format!(" ---> Running in {}\n", short(id.as_str()))).await;
        Ok(id)
    }

    /// A container that nobody is told of.
    async fn holder(&mut self, stage: &Stage, config: &Config) -> Result<ContainerId, PortError> {
        let mut body = config.clone();
        let image = stage.image.as_ref().map(ToString::to_string).unwrap_or_default();
        body.insert("Image".into(), image.into());
        body.insert("HostConfig".into(), Value::Object(self.options.host_config.clone()));
        let (mut spec, warnings) = self.ports.specifications.make(Value::Object(body)).await?;
        spec.build.clone_from(&self.name);
        for warning in warnings {
            self.feed.text(format!(" ---> [Warning] {warning}\n")).await;
        }
        self.ledger.make(spec).await
    }

    /// The step is over; with `--rm=false` its container is the user's.
    async fn over(&mut self, failed: bool) {
        for id in self.ledger.take() {
            let removed = match self.options.removal {
                Removal::Always => true,
                Removal::Succeeded => !failed,
                Removal::Never => false,
            };
            let outcome =
                if removed { self.ledger.remove(&id).await } else { self.ports.engine.keep(&id).await };
            let id = short(id.as_str());
            match outcome {
                Ok(()) if removed => {
                    self.feed.text(format!(" ---> Removed intermediate container {id}\n")).await;
                }
                Ok(()) => {}
                Err(error) => {
                    let text = format!("Removing intermediate container {id}: {}\n", error.chain());
                    self.feed.text(text).await;
                }
            }
        }
    }

    /// `RUN`.
    pub(super) async fn run_step(&mut self, stage: &mut Stage, words: Vec<String>) -> Result<(), Failure> {
        let (probed, carried) = stage.running(&words);
        if self.cached(stage, &probed).await? {
            return Ok(());
        }
        let outcome = async {
            let id = self.container(stage, &carried).await?;
            let code = self.carry_out(&id).await?;
            if code != 0 {
                let text = format!("The command '{}' returned a non-zero code: {code}", words.join(" "));
                return Err(Failure { code, error: PortError::new(Kind::Bug, text) });
            }
            Ok(self.commit(stage, Some(&id), probed).await?)
        }
        .await;
        self.over(outcome.is_err()).await;
        outcome
    }

    /// Runs a container to its end; its output is the build's.
    async fn carry_out(&mut self, id: &ContainerId) -> Result<i32, PortError> {
        let engine = self.ports.engine.clone();
        let mut output = engine.attach(id, AttachRequest::default()).await?.output;
        let end = engine.wait(id, WaitCondition::NextExit).await?;
        engine.start(id).await?;
        while let Some((stream, data)) = output.recv().await {
            let text = String::from_utf8_lossy(&data).into_owned();
            let line = if stream == Stream::Stderr { Line::Warning(text) } else { Line::Text(text) };
            self.feed.tell(line).await;
        }
        end.await
    }

    /// `COPY` and `ADD`.
    pub(super) async fn copy_step(
        &mut self,
        stage: &mut Stage,
        text: &str,
        found: &Found,
        target: &Target,
    ) -> Result<(), PortError> {
        let carried = stage.changing(text);
        if self.cached(stage, &carried).await? {
            return Ok(());
        }
        self.written(stage, carried, found, target).await
    }

    /// `WORKDIR`: the folder is made.
    pub(super) async fn folder_step(&mut self, stage: &mut Stage, text: &str) -> Result<(), PortError> {
        let carried = stage.changing(text);
        if self.cached(stage, &carried).await? {
            return Ok(());
        }
        let path = stage.config.get("WorkingDir").and_then(Value::as_str).unwrap_or("/");
        let target = Target { path: format!("{}/", path.trim_end_matches('/')), owner: None, mode: None };
        let nothing = Found { digest: String::new(), pieces: Vec::new() };
        self.written(stage, carried, &nothing, &target).await
    }

    /// A step whose files are put into the root of a container that does not start. As in Docker's steps of this kind,
    /// there is none to be seen or kept.
    async fn written(
        &mut self,
        stage: &mut Stage,
        carried: Config,
        found: &Found,
        target: &Target,
    ) -> Result<(), PortError> {
        let outcome = async {
            let mut config = carried.clone();
            // Volumes would be filled for nothing: what is copied goes into the image.
            config.insert("Volumes".into(), json!({}));
            let id = self.holder(stage, &config).await?;
            let (root, still) = self.ports.engine.still_root(&id).await?;
            self.ports.contexts.place(found, &root, target).await?;
            drop(still);
            self.commit(stage, Some(&id), carried).await
        }
        .await;
        self.ledger.clear().await;
        outcome
    }
}
