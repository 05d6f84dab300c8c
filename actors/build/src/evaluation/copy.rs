//! `COPY` and `ADD`.

use super::machine::{Mark, State};
use super::stages::Stages;
use super::{BuildFault, Outcome};
use contract::build::Verb;
use dockerfile::{Copying, ExpandError, Fault, Variables, absolute, expand};
use serde_json::Value;

/// Files to be copied.
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    /// Which instruction.
    pub verb: Verb,
    /// Paths, patterns and URLs.
    pub sources: Vec<String>,
    /// Where from.
    pub from: Source,
    /// Where to, absolute; a slash at its end stays.
    pub path: String,
    /// The same as the Dockerfile has it, for texts.
    pub target: String,
    /// `user[:group]`.
    pub owner: Option<String>,
    /// Mode of everything copied.
    pub mode: Option<u32>,
    /// `--chown` and `--chmod` in the history's text.
    flags: String,
    /// The image but for its text.
    base: Outcome,
}

/// Where files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The context.
    Context,
    /// An earlier stage's image by its id; never pulled. Empty = a stage with nothing in it.
    Stage(String),
    /// An image by its name.
    Image(String),
}

impl Copy {
    pub(super) fn of_copy(
        files: &Copying,
        state: &State,
        stages: &Stages,
        escape: char,
        variables: &Variables,
    ) -> Result<Self, BuildFault> {
        let from = match &files.from {
            None => Source::Context,
            Some(text) => match stages.find(text)? {
                Some(image) => Source::Stage(image.to_owned()),
                None => Source::Image(text.clone()),
            },
        };
        Self::new(Verb::Copy, files, from, state, escape, variables)
    }

    pub(super) fn of_add(
        files: &Copying,
        state: &State,
        escape: char,
        variables: &Variables,
    ) -> Result<Self, BuildFault> {
        Self::new(Verb::Add, files, Source::Context, state, escape, variables)
    }

    fn new(
        verb: Verb,
        files: &Copying,
        from: Source,
        state: &State,
        escape: char,
        variables: &Variables,
    ) -> Result<Self, BuildFault> {
        let buildkit = |what: &str| Err(Fault::BuildKit(what.to_owned()).into());
        if files.keep_git {
            return buildkit("--keep-git-dir option");
        }
        if files.checksum.is_some() {
            return buildkit("--checksum option");
        }
        if files.heredocs {
            return buildkit("heredoc syntax in COPY and ADD");
        }
        let word = |text: &String| expand(text, escape, variables);
        let optional = |text: &Option<String>| -> Result<_, ExpandError> {
            Ok(text.as_ref().map(word).transpose()?.filter(|t| !t.is_empty()))
        };
        let (owner, mode) = (optional(&files.owner)?, optional(&files.mode)?);
        let flag = |name, value: &Option<String>| {
            value.as_ref().map(|v| format!("--{name}={v} ")).unwrap_or_default()
        };
        let flags = flag("chown", &owner) + &flag("chmod", &mode);
        let sources = files.sources.iter().map(word).collect::<Result<Vec<_>, _>>()?;
        let url = |s: &String| s.starts_with("http://") || s.starts_with("https://");
        if verb == Verb::Copy && sources.iter().any(url) {
            return Err(BuildFault::CopyUrl);
        }
        let target = word(&files.destination)?;
        let folder = state.config.get("WorkingDir").and_then(Value::as_str).unwrap_or_default();
        let path = if target.starts_with('/') {
            target.clone()
        } else {
            let slash = if target.ends_with('/') { "/" } else { "" };
            absolute(folder, &target).trim_end_matches('/').to_owned() + slash
        };
        let path = if path.is_empty() { "/".to_owned() } else { path };
        let base = state.outcome("", Mark::Together);
        let mode = mode.map(octal).transpose()?;
        Ok(Self { verb, sources, from, path, target, owner, mode, flags, base })
    }

    /// The image, once the files' digest (`file:…`, `dir:…`, `multi:…`) is known.
    #[must_use]
    pub fn outcome(&self, digest: &str) -> Outcome {
        let Self { verb, flags, target, base, .. } = self;
        let verb = match verb {
            Verb::Copy => "COPY",
            Verb::Add => "ADD",
        };
        let mut outcome = base.clone();
        if let Some(Value::Array(words)) = outcome.container_config.get_mut("Cmd")
            && let Some(last) = words.last_mut()
        {
            *last = format!("#(nop) {verb} {flags}{digest} in {target} ").into();
        }
        outcome
    }
}

fn octal(text: String) -> Result<u32, BuildFault> {
    let digits = text.chars().all(|c| c.is_digit(8));
    let mode = u32::from_str_radix(&text, 8).ok().filter(|m| digits && *m <= 0o7777);
    mode.ok_or(BuildFault::Mode(text))
}
