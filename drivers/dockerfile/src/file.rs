//! Whole Dockerfiles.

use crate::directives::Directives;
use crate::error::ParseError;
use crate::instruction::{Argument, Expansion, Instruction, Pair};
use crate::lines::{self, Lines};
use crate::typed::{Typed, typed};

/// A Dockerfile, read but not yet evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// `\` or `` ` ``, from `# escape=`.
    pub escape: char,
    /// `# syntax=`; noticed only, as in the classic builder.
    pub syntax: Option<String>,
    /// `# check=`; noticed only.
    pub check: Option<String>,
    /// `ARG`s before the first `FROM`: text and declarations.
    pub meta: Vec<(String, Vec<Argument>)>,
    /// The stages, at least one.
    pub stages: Vec<Stage>,
    /// Lines for the user.
    pub warnings: Vec<String>,
}

/// `FROM` and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// `AS name`, in lower case.
    pub name: Option<String>,
    /// The image or stage it begins with, variables not replaced.
    pub base: String,
    /// `--platform`, variables not replaced.
    pub platform: Option<String>,
    /// Line of its `FROM`, from 1.
    pub line: usize,
    /// `FROM …` as steps show it.
    pub text: String,
    /// Its instructions.
    pub instructions: Vec<Located>,
}

/// An instruction and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Its first line, from 1; 0 = not of the file.
    pub line: usize,
    /// Its text as steps show it, continued lines put together.
    pub text: String,
    /// What it says.
    pub instruction: Instruction,
}

impl Dockerfile {
    /// Reads a Dockerfile; `name` is the file's, for errors.
    ///
    /// # Errors
    /// The first mistake in the form of a line, or else of an instruction, in Docker's words.
    pub fn parse(name: &str, content: &[u8]) -> Result<Self, ParseError> {
        if content.is_empty() {
            return Err(ParseError::Empty(name.to_owned()));
        }
        let read = lines::read(content).map_err(|(line, fault)| ParseError::Line {
            name: name.to_owned(),
            line,
            fault,
        })?;
        let Lines { nodes, warnings, directives: Directives { escape, syntax, check, .. } } = read;
        let mut file = Self { escape, syntax, check, meta: Vec::new(), stages: Vec::new(), warnings };
        for node in &nodes {
            let line = node.line;
            let text = node.text.trim().to_owned();
            match typed(node).map_err(|fault| ParseError::Instruction { line, fault })? {
                Typed::From { name, base, platform } => {
                    let instructions = Vec::new();
                    file.stages.push(Stage { name, base, platform, line, text, instructions });
                }
                Typed::Instruction(Instruction::Arg(arguments)) if file.stages.is_empty() => {
                    file.meta.push((text, arguments));
                }
                Typed::Instruction(instruction) => match file.stages.last_mut() {
                    Some(stage) => stage.instructions.push(Located { line, text, instruction }),
                    None => return Err(ParseError::NoStage { line }),
                },
            }
        }
        Ok(file)
    }

    /// Where the stage of this name is, in any case of letters.
    #[must_use]
    pub fn stage(&self, name: &str) -> Option<usize> {
        self.stages.iter().position(|s| s.name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(name)))
    }
}

impl Located {
    /// `LABEL key=value` that no file holds (`docker build --label`).
    #[must_use]
    pub fn label(key: &str, value: &str) -> Self {
        let pair = Pair { key: key.to_owned(), value: value.to_owned() };
        Self {
            line: 0,
            text: format!("LABEL {key}={value}"),
            instruction: Instruction::Label(vec![pair], Expansion::Verbatim),
        }
    }
}
