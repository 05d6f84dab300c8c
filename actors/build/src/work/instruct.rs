//! One instruction carried out.

use super::Work;
use crate::feed::Failure;
use crate::stage::{Stage, copying, destination, mode, needs_buildkit};
use contract::build::{Origin, Sources, Target, Verb};
use contract::{Kind, PortError};
use dockerfile::{Copying, Instruction, Variables, apply, expand};
use serde_json::Value;

impl Work {
    pub(super) async fn instruct(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
    ) -> Result<(), Failure> {
        let variables = Variables::new(stage.variables());
        match instruction {
            Instruction::Run(run) => self.run_step(stage, stage.command_line(run)?).await,
            Instruction::Copy(copying) => Ok(self.copy(stage, copying, Verb::Copy, &variables).await?),
            Instruction::Add(copying) => Ok(self.copy(stage, copying, Verb::Add, &variables).await?),
            Instruction::Arg(declared) => {
                let mut texts = vec!["ARG".to_owned()];
                for argument in declared {
                    let word = |text: &String| self.word(text, &variables);
                    let value = argument.value.as_ref().map(word).transpose()?;
                    let key = self.word(&argument.key, &variables)?;
                    texts.push(value.as_ref().map_or_else(|| key.clone(), |v| format!("{key}={v}")));
                    stage.arguments.declare(&dockerfile::Argument { key, value });
                }
                Ok(self.note(stage, &texts.join(" ")).await?)
            }
            Instruction::Maintainer(name) => {
                stage.author.clone_from(name);
                Ok(self.note(stage, &format!("MAINTAINER {name}")).await?)
            }
            Instruction::Workdir(_) => {
                let text = self.applied(stage, instruction, &variables)?;
                Ok(self.folder_step(stage, &text).await?)
            }
            _ => {
                if let Instruction::Healthcheck(_) = instruction {
                    self.told_of_health(stage).await;
                }
                let text = self.applied(stage, instruction, &variables)?;
                match instruction {
                    // The base's command was its entrypoint's.
                    Instruction::Entrypoint(_) if !stage.commanded => {
                        stage.config.shift_remove("Cmd");
                    }
                    Instruction::Cmd(command) => stage.commanded |= !command.words.is_empty(),
                    _ => {}
                }
                Ok(self.note(stage, &text).await?)
            }
        }
    }

    fn word(&self, text: &str, variables: &Variables) -> Result<String, PortError> {
        expand(text, self.escape, variables).map_err(|e| PortError::new(Kind::Invalid, e.to_string()))
    }

    /// Changes the stage's configuration; answers the text of the history.
    fn applied(
        &self,
        stage: &mut Stage,
        instruction: &Instruction,
        variables: &Variables,
    ) -> Result<String, PortError> {
        let text = apply(&mut stage.config, instruction, self.escape, variables);
        Ok(text.map_err(|e| PortError::new(Kind::Invalid, e.to_string()))?.unwrap_or_default())
    }

    async fn told_of_health(&mut self, stage: &Stage) {
        let old = stage.config.get("Healthcheck").and_then(|h| h.get("Test")).and_then(Value::as_array);
        let old: Vec<&str> = old.into_iter().flatten().filter_map(Value::as_str).collect();
        if old.first().is_some_and(|first| *first != "NONE") {
            let text = format!("Note: overriding previous HEALTHCHECK: [{}]\n", old.join(" "));
            self.feed.text(text).await;
        }
    }

    async fn copy(
        &mut self,
        stage: &mut Stage,
        written: &Copying,
        verb: Verb,
        variables: &Variables,
    ) -> Result<(), PortError> {
        let refused = match written {
            Copying { heredocs: true, .. } => Some("heredoc syntax"),
            Copying { checksum: Some(_), .. } => Some("--checksum option"),
            Copying { keep_git: true, .. } => Some("--keep-git-dir option"),
            _ => None,
        };
        if let Some(what) = refused {
            return Err(needs_buildkit(what));
        }
        let word = |text: &String| self.word(text, variables);
        let mut asked = written.clone();
        asked.destination = word(&written.destination)?;
        asked.sources = written.sources.iter().map(word).collect::<Result<_, _>>()?;
        asked.owner = written.owner.as_ref().map(word).transpose()?.filter(|o| !o.is_empty());
        asked.mode = written.mode.as_ref().map(word).transpose()?.filter(|m| !m.is_empty());
        let from = written.from.as_ref().map(word).transpose()?.filter(|f| !f.is_empty());
        let origin: Origin = match from {
            Some(name) => self.copied_from(&name).await?,
            None => self.origin.clone(),
        };
        let sources = Sources { patterns: asked.sources.clone(), verb, target: asked.destination.clone() };
        let found = self.ports.contexts.find(&origin, &sources).await?;
        let name = if verb == Verb::Add { "ADD" } else { "COPY" };
        let text = copying(name, &asked, &found);
        let working_dir = stage.config.get("WorkingDir").and_then(Value::as_str).unwrap_or_default();
        let target = Target {
            path: destination(working_dir, &asked.destination),
            owner: asked.owner.clone(),
            mode: asked.mode.as_deref().map(mode).transpose()?,
        };
        self.copy_step(stage, &text, &found, &target).await
    }
}
