//! A Dockerfile carried out, purely: what is to be done next, given what the last thing made.
//!
//! Asked with [`Evaluation::next`] until [`Next::Built`]. [`Action::From`] is answered by [`Evaluation::based`], every other
//! action by [`Evaluation::made`].

mod arguments;
mod copy;
mod machine;
mod run;
mod stages;

use dockerfile::{Config, ExpandError, Fault, strings};
use std::collections::BTreeMap;

pub use copy::{Copy, Source};
pub use machine::Evaluation;
pub use run::Run;
pub use stages::StageError;

/// What a build is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--build-arg`; `None` = named without a value.
    pub arguments: BTreeMap<String, Option<String>>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `--target`; empty = the last stage.
    pub target: String,
    /// What is built for, `os/arch[/variant]`: `TARGETPLATFORM` and its parts.
    pub platform: String,
    /// What it is built on: `BUILDPLATFORM` and its parts.
    pub host: String,
}

/// Why a build cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildFault {
    /// There is no such stage.
    #[error("target stage \"{0}\" could not be found")]
    NoTarget(String),
    /// A stage's name or number is wrong.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// An instruction is.
    #[error(transparent)]
    Instruction(#[from] Fault),
    /// A word's variables.
    #[error(transparent)]
    Expand(#[from] ExpandError),
    /// `FROM` of nothing.
    #[error("base name ({0}) should not be blank")]
    NoBase(String),
    /// `FROM scratch` alone.
    #[error("No image was generated. Is your Dockerfile empty?")]
    NoImage,
    /// `--platform` of `FROM` that is empty.
    #[error("failed to parse platform : \"\" is an invalid OS component of \"\"")]
    NoPlatform,
    /// `--chmod` that is no mode.
    #[error("invalid chmod parameter: '{0}'. it should be octal string and between 0 and 07777")]
    Mode(String),
    /// `COPY` of URLs.
    #[error("COPY failed: source can't be a URL for COPY")]
    CopyUrl,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// A line for the client.
    Line(String),
    /// Something to carry out and to answer.
    Act(Box<Action>),
    /// A stage is complete: its image's id, which the client is told (`aux`); empty = nothing was made yet.
    Stage(String),
    /// All is done: the image's id.
    Built(String),
}

/// What the outside carries out.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Finds the image a stage begins with.
    From(Base),
    /// Makes an image that differs in its configuration alone.
    Commit(Outcome),
    /// Makes a folder in the root, and an image with it.
    Workdir {
        /// Absolute, clean.
        path: String,
        /// The image.
        outcome: Outcome,
    },
    /// Runs a command, and makes an image of what it changed.
    Run(Run),
    /// Copies files, and makes an image with them.
    Copy(Copy),
}

/// What a stage begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Nothing: `based("", None)` answers.
    Scratch,
    /// An earlier stage's image by its id; never pulled.
    Stage(String),
    /// An image by its name.
    Image {
        /// As the Dockerfile has it, variables replaced.
        name: String,
        /// `--platform`, if the stage has one; else the build's.
        platform: Option<String>,
    },
}

/// An image to be made over the current one.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Its `config`.
    pub config: Config,
    /// Its `container_config`: with the parent's id what the cache goes by.
    pub container_config: Config,
    /// `MAINTAINER` of the stage.
    pub author: String,
}

impl Outcome {
    /// The history's text.
    #[must_use]
    pub fn created_by(&self) -> String {
        strings(&self.container_config, "Cmd").join(" ")
    }
}

#[cfg(test)]
mod tests;
