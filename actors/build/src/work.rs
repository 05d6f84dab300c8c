//! A build carried out: the stages in their order, the instructions of each.

mod base;
mod instruct;
mod step;

use crate::Ports;
use crate::arguments::Arguments;
use crate::feed::{Failure, Feed, Line};
use crate::ledger::Ledger;
use crate::options::{Cache, Options, Source};
use crate::probe::Prober;
use crate::stage::Stage;
use contract::build::{Fetched, Origin};
use contract::{ImageId, Kind, PortError};
use dockerfile::{Dockerfile, Located, Variables, expand};
use std::collections::HashMap;

const DOCKERFILE: &str = "Dockerfile";

/// One build at work.
pub struct Work {
    ports: Ports,
    options: Options,
    ledger: Ledger,
    feed: Feed,
    prober: Prober,
    origin: Origin,
    escape: char,
    /// The stages that are done.
    done: Vec<Stage>,
    /// Images that names stood for in this build.
    images: HashMap<String, ImageId>,
    /// The build's actor, by which its containers are known.
    name: String,
}

impl Work {
    /// Nothing is done yet.
    pub fn new(ports: Ports, options: Options, ledger: Ledger, feed: Feed, name: String) -> Self {
        let cache: Cache = options.cache.clone();
        let prober = Prober::new(ports.engine.clone(), cache);
        Self {
            ports,
            options,
            ledger,
            feed,
            prober,
            origin: Origin::Nothing,
            escape: '\\',
            done: Vec::new(),
            images: HashMap::new(),
            name,
        }
    }

    /// Carries it out and names the image.
    pub async fn run(&mut self, source: Source) -> Result<ImageId, Failure> {
        let outcome = self.build(source).await;
        self.feed.end(outcome.as_ref().ok().map(ImageId::as_str)).await;
        outcome
    }

    async fn build(&mut self, source: Source) -> Result<ImageId, Failure> {
        let file = self.open(source).await?;
        let image = self.stages(&file).await?;
        self.feed.text(format!("Successfully built {}\n", crate::stage::short(image.as_str()))).await;
        for tag in self.options.tags.clone() {
            self.ports.engine.tag(&image, &tag).await?;
            self.feed.text(format!("Successfully tagged {tag}\n")).await;
        }
        Ok(image)
    }

    /// Takes in the files and reads the Dockerfile.
    async fn open(&mut self, source: Source) -> Result<Dockerfile, PortError> {
        let contexts = self.ports.contexts.clone();
        let fetched = match source {
            Source::Sent(content) => Fetched::Files(contexts.receive(content).await?),
            Source::Remote(url) => contexts.fetch(&url).await?,
        };
        let asked = match self.options.dockerfile.as_str() {
            "" => DOCKERFILE.to_owned(),
            name => name.to_owned(),
        };
        let (name, content) = match fetched {
            Fetched::Dockerfile(content) => (asked, content),
            Fetched::Files(context) => {
                let mut name = asked.clone();
                let mut read = contexts.read(&context, &name).await;
                if asked == DOCKERFILE && read.as_ref().is_err_and(|e| e.kind == Kind::NotFound) {
                    name = asked.to_lowercase();
                    read = contexts.read(&context, &name).await;
                }
                let content = read.map_err(|e| match e.kind {
                    Kind::NotFound => {
                        PortError::new(Kind::Bug, format!("Cannot locate specified Dockerfile: {asked}"))
                    }
                    _ => e,
                })?;
                contexts.exclude(&context, &name).await?;
                self.origin = Origin::Context(context);
                (name, content)
            }
        };
        let invalid = |text: String| PortError::new(Kind::Invalid, text);
        let mut file = Dockerfile::parse(&name, &content).map_err(|e| invalid(e.to_string()))?;
        if !self.options.target.is_empty() {
            let target = &self.options.target;
            let by_number = || target.parse::<usize>().ok().filter(|n| *n < file.stages.len());
            let Some(last) = file.stage(target).or_else(by_number) else {
                return Err(invalid(format!("target stage {target:?} could not be found")));
            };
            file.stages.truncate(last + 1);
        }
        if let Some(last) = file.stages.last_mut() {
            last.instructions.extend(self.options.labels.iter().map(|(k, v)| Located::label(k, v)));
        }
        self.escape = file.escape;
        Ok(file)
    }

    async fn stages(&mut self, file: &Dockerfile) -> Result<ImageId, Failure> {
        for warning in &file.warnings {
            self.feed.tell(Line::Warning(format!("{warning}\n"))).await;
        }
        let total = file.meta.len()
            + file.stages.len()
            + file.stages.iter().map(|s| s.instructions.len()).sum::<usize>();
        let mut number = 0;
        let mut arguments = Arguments::new(&self.options.arguments).on(&self.options.platform);
        for (text, declared) in &file.meta {
            self.announce(&mut number, total, text).await;
            let seen = Variables::new(arguments.of_meta());
            for argument in declared {
                let value = argument.value.as_ref().map(|v| expand(v, self.escape, &seen)).transpose();
                let value = value.map_err(|e| PortError::new(Kind::Invalid, e.to_string()))?;
                arguments.declare_meta(&dockerfile::Argument { key: argument.key.clone(), value });
            }
        }
        for written in &file.stages {
            if let Some(name) = &written.name
                && self.stage_named(name).is_some()
            {
                return Err(PortError::new(Kind::Bug, format!("{name} stage name already used")).into());
            }
            self.announce(&mut number, total, &written.text).await;
            let mut stage = self.begin(written, &arguments).await?;
            self.shown(&mut stage).await;
            for located in &written.instructions {
                self.announce(&mut number, total, &located.text).await;
                self.instruct(&mut stage, &located.instruction).await?;
                self.shown(&mut stage).await;
            }
            if let Some(image) = &stage.image {
                self.feed.tell(Line::Image(image.to_string())).await;
            }
            arguments.merge(&stage.arguments);
            self.done.push(stage);
        }
        let unused = arguments.unused();
        if !unused.is_empty() {
            let text = format!("[Warning] One or more build-args [{}] were not consumed\n", unused.join(" "));
            self.feed.text(text).await;
        }
        let image = self.done.last().and_then(|stage| stage.image.clone());
        let none = || PortError::new(Kind::Bug, "No image was generated. Is your Dockerfile empty?");
        Ok(image.ok_or_else(none)?)
    }

    async fn announce(&mut self, number: &mut usize, total: usize, text: &str) {
        *number += 1;
        self.feed.line(format!("Step {number}/{total} : {text}")).await;
    }

    async fn shown(&mut self, stage: &mut Stage) {
        stage.settle();
        self.feed.text(format!(" ---> {}\n", stage.short())).await;
    }

    fn stage_named(&self, name: &str) -> Option<&Stage> {
        self.done.iter().find(|s| s.name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(name)))
    }
}
