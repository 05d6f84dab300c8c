//! The machine.

use super::arguments::Arguments;
use super::copy::Copy;
use super::run::Run;
use super::stages::Stages;
use super::{Action, Base, BuildFault, Next, Options, Outcome};
use dockerfile::{
    Argument, Config, Dockerfile, Instruction, Located, Stage, Variables, apply, expand, shell, strings,
};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Docker's for images that set none.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A Dockerfile's evaluation.
#[derive(Debug)]
pub struct Evaluation {
    escape: char,
    work: VecDeque<Work>,
    ready: VecDeque<Next>,
    /// Told after what is ready.
    failed: Option<BuildFault>,
    step: usize,
    steps: usize,
    arguments: Arguments,
    stages: Stages,
    state: State,
}

/// The stage being built.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) image: String,
    pub(super) config: Config,
    author: String,
    /// Whether the stage has had a `CMD` of its own.
    commanded: bool,
}

/// How the text of an instruction stands in `container_config`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// `#(nop) ` and the text are two words.
    Apart,
    /// One.
    Together,
}

impl State {
    /// An image with the configuration as it is now.
    pub(super) fn outcome(&self, text: &str, mark: Mark) -> Outcome {
        let words = match mark {
            Mark::Apart => vec!["#(nop) ".to_owned(), text.to_owned()],
            Mark::Together => vec![format!("#(nop) {text}")],
        };
        self.outcome_of([shell(&self.config), words].concat())
    }

    pub(super) fn outcome_of(&self, command: Vec<String>) -> Outcome {
        let mut container_config = self.config.clone();
        container_config.insert("Cmd".into(), json!(command));
        Outcome { config: self.config.clone(), container_config, author: self.author.clone() }
    }

    fn set_image(&mut self, image: String) {
        self.config.insert("Image".into(), image.as_str().into());
        self.image = image;
    }
}

/// Something left to do.
#[derive(Debug)]
enum Work {
    Meta(String, Vec<Argument>),
    Begin(Stage),
    Instruction(Located),
    Trigger(String),
    /// The step is over: its image's id is shown.
    Over,
    End(Option<String>),
    Finish,
}

impl Evaluation {
    /// Begins one.
    ///
    /// # Errors
    /// No such target.
    pub fn new(file: Dockerfile, options: Options) -> Result<Self, BuildFault> {
        let target = (!options.target.is_empty()).then_some(&options.target);
        let at = target.map(|name| file.stage(name).ok_or_else(|| BuildFault::NoTarget(name.clone())));
        let Dockerfile { escape, meta, mut stages, .. } = file;
        if let Some(at) = at.transpose()? {
            stages.truncate(at + 1);
        }
        if let Some(last) = stages.last_mut() {
            last.instructions.extend(options.labels.iter().map(|(k, v)| Located::label(k, v)));
        }
        let steps = meta.len() + stages.iter().map(|s| 1 + s.instructions.len()).sum::<usize>();
        let mut work: VecDeque<Work> = meta.into_iter().map(|(text, list)| Work::Meta(text, list)).collect();
        for mut stage in stages {
            let (instructions, name) = (std::mem::take(&mut stage.instructions), stage.name.clone());
            work.extend([Work::Begin(stage), Work::Over]);
            work.extend(instructions.into_iter().flat_map(|i| [Work::Instruction(i), Work::Over]));
            work.push_back(Work::End(name));
        }
        work.push_back(Work::Finish);
        Ok(Self {
            escape,
            work,
            ready: VecDeque::new(),
            failed: None,
            step: 0,
            steps,
            arguments: Arguments::new(options.arguments, &options.platform, &options.host),
            stages: Stages::default(),
            state: State::default(),
        })
    }

    /// What is to be done next.
    ///
    /// # Errors
    /// What ends the build, in Docker's words.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Next, BuildFault> {
        loop {
            if let Some(next) = self.ready.pop_front() {
                return Ok(next);
            }
            if let Some(fault) = self.failed.take() {
                self.work.clear();
                return Err(fault);
            }
            let Some(work) = self.work.pop_front() else {
                return Ok(Next::Built(self.state.image.clone()));
            };
            self.failed = self.take(work).err();
        }
    }

    /// Answers [`Action::From`]: the image's id and its `config`.
    pub fn based(&mut self, image: String, config: Option<&Value>) {
        let mut config = config.and_then(Value::as_object).cloned().unwrap_or_default();
        for key in ["OpenStdin", "StdinOnce"] {
            config.shift_remove(key);
        }
        let mut environment = strings(&config, "Env");
        if !environment.iter().any(|v| v == "PATH" || v.starts_with("PATH=")) {
            environment.push(DEFAULT_PATH.to_owned());
            config.insert("Env".into(), json!(environment));
        }
        let triggers = strings(&config, "OnBuild");
        config.shift_remove("OnBuild");
        self.state.config = config;
        self.state.set_image(image);
        if !triggers.is_empty() {
            let plural = if triggers.len() > 1 { "s" } else { "" };
            self.line(format!("# Executing {} build trigger{plural}", triggers.len()));
            triggers.into_iter().rev().for_each(|t| self.work.push_front(Work::Trigger(t)));
        }
    }

    /// Answers the other actions: the id of the image that was made, or found in the cache.
    pub fn made(&mut self, image: String) {
        self.state.set_image(image);
    }

    /// The id of the image the current step goes out from; empty = nothing.
    #[must_use]
    pub fn image(&self) -> &str {
        &self.state.image
    }

    fn line(&mut self, text: String) {
        self.ready.push_back(Next::Line(text));
    }

    fn announce(&mut self, text: &str) {
        self.step += 1;
        self.line(format!("Step {}/{} : {text}", self.step, self.steps));
    }

    fn take(&mut self, work: Work) -> Result<(), BuildFault> {
        match work {
            Work::Meta(text, list) => {
                self.announce(&text);
                self.arguments.declare_meta(list, self.escape)?;
            }
            Work::Begin(stage) => {
                self.stages.is_free(stage.name.as_deref())?;
                self.announce(&stage.text);
                self.state = State::default();
                let base = self.base(&stage)?;
                self.ready.push_back(Next::Act(Box::new(Action::From(base))));
            }
            Work::Instruction(located) => {
                self.announce(&located.text);
                self.instruct(located.instruction)?;
            }
            Work::Trigger(text) => self.instruct(dockerfile::trigger(&text)?)?,
            Work::Over => self.line(format!(" ---> {}", short(&self.state.image))),
            Work::End(name) => {
                self.arguments.end_stage();
                self.stages.add(name, self.state.image.clone())?;
                self.ready.push_back(Next::Stage(self.state.image.clone()));
            }
            Work::Finish => {
                if let Some(warning) = self.arguments.unused() {
                    self.line(warning);
                }
                if self.state.image.is_empty() {
                    return Err(BuildFault::NoImage);
                }
            }
        }
        Ok(())
    }

    fn base(&self, stage: &Stage) -> Result<Base, BuildFault> {
        let variables = self.arguments.meta();
        let platform = stage.platform.as_ref().map(|p| expand(p, self.escape, &variables)).transpose()?;
        if platform.as_deref() == Some("") {
            return Err(BuildFault::NoPlatform);
        }
        let name = expand(&stage.base, self.escape, &variables)?;
        Ok(match self.stages.named(&name) {
            Some("") => Base::Scratch,
            Some(image) => Base::Stage(image.to_owned()),
            None if name.is_empty() => return Err(BuildFault::NoBase(stage.base.clone())),
            None if name == "scratch" => Base::Scratch,
            None => Base::Image { name, platform },
        })
    }

    fn instruct(&mut self, instruction: Instruction) -> Result<(), BuildFault> {
        let environment = strings(&self.state.config, "Env");
        let own = self.arguments.beside(&environment);
        let variables = Variables::new(environment.iter().chain(&own));
        let action = match instruction {
            Instruction::Run(run) => Action::Run(Run::new(&run, &self.state, &own, &self.arguments)?),
            Instruction::Copy(files) => {
                Action::Copy(Copy::of_copy(&files, &self.state, &self.stages, self.escape, &variables)?)
            }
            Instruction::Add(files) => {
                Action::Copy(Copy::of_add(&files, &self.state, self.escape, &variables)?)
            }
            Instruction::Arg(list) => {
                let text = self.arguments.declare(list, self.escape, &variables)?;
                Action::Commit(self.state.outcome(&text, Mark::Apart))
            }
            Instruction::Maintainer(name) => {
                let text = format!("MAINTAINER {name}");
                self.state.author = name;
                Action::Commit(self.state.outcome(&text, Mark::Apart))
            }
            other => self.configure(&other, &variables)?,
        };
        self.ready.push_back(Next::Act(Box::new(action)));
        Ok(())
    }

    /// An instruction that changes the configuration.
    fn configure(&mut self, instruction: &Instruction, variables: &Variables) -> Result<Action, BuildFault> {
        if matches!(instruction, Instruction::Healthcheck(_)) {
            let check = self.state.config.get("Healthcheck").and_then(Value::as_object);
            let test = check.map(|c| strings(c, "Test")).unwrap_or_default();
            if test.first().is_some_and(|kind| kind != "NONE") {
                self.line(format!("Note: overriding previous HEALTHCHECK: [{}]", test.join(" ")));
            }
        }
        let config = &mut self.state.config;
        let text = apply(config, instruction, self.escape, variables)?.unwrap_or_default();
        match instruction {
            Instruction::Cmd(command) => self.state.commanded |= !command.words.is_empty(),
            // The base image's command was for its own entrypoint.
            Instruction::Entrypoint(_) if !self.state.commanded => {
                config.shift_remove("Cmd");
            }
            Instruction::Workdir(_) => {
                let path = config.get("WorkingDir").and_then(Value::as_str).unwrap_or("/").to_owned();
                return Ok(Action::Workdir { path, outcome: self.state.outcome(&text, Mark::Together) });
            }
            _ => {}
        }
        Ok(Action::Commit(self.state.outcome(&text, Mark::Apart)))
    }
}

/// An image's id as lines show it.
fn short(id: &str) -> &str {
    let hex = id.split_once(':').map_or(id, |(_, hex)| hex);
    hex.get(..12).unwrap_or(hex)
}
