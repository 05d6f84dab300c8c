//! The language of Dockerfiles as Docker's classic builder reads it: lines, instructions, variables, and what each
//! instruction makes of an image's configuration. Pure: text in, values out.

mod changes;
mod config;
mod directives;
mod error;
mod expand;
mod file;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod instruction;
mod lines;
mod ports;
mod print;
mod signal;
mod syntax;
mod typed;

pub use changes::amend;
pub use config::{Config, absolute, apply, shell, strings};
pub use error::{ExpandError, Fault, ParseError};
pub use expand::{Variables, expand, expand_words};
pub use file::{Dockerfile, Located, Stage};
pub use instruction::{Argument, Command, Copying, Expansion, Form, Health, Heredoc, Instruction, Pair, Run};
pub use typed::trigger;
