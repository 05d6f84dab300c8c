//! Patterns of paths as builds know them: `.dockerignore` files (as `moby/patternmatcher` reads them) and the sources of
//! `COPY` and `ADD` (as Go's `filepath.Match` does). Text in, answers out; nothing here touches a file.

#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod glob;
mod ignore;
mod path;

pub use glob::{Glob, has_wildcards};
pub use ignore::{Ignore, Parents};
pub use path::clean;

/// Why a pattern cannot be used. The texts are Docker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// A class is not closed or empty, or nothing follows a backslash.
    #[error("syntax error in pattern")]
    Syntax,
    /// An exception without what it excepts.
    #[error("illegal exclusion pattern: \"!\"")]
    Lone,
}
