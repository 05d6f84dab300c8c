//! The port to the files of a build: its context, what `COPY` and `ADD` name, and their way into a container's root.

use crate::archive::{Stream, Subject};
use crate::error::PortError;
use crate::runtime::RootSpec;
use async_trait::async_trait;
use bytes::Bytes;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

/// A folder of the host with a build's files; erased with its last holder, and by the next start after a kill.
pub trait Folder: Debug + Send + Sync {
    /// Where it is.
    fn path(&self) -> &Path;
}

/// A build's context, or files fetched for one of its steps.
pub type Context = Arc<dyn Folder>;

/// Where files are copied from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// The context; what its `.dockerignore` names is not there.
    Context(Context),
    /// An image or an earlier stage.
    Image(RootSpec),
}

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// Paths and patterns as the Dockerfile has them, variables expanded.
    pub patterns: Vec<String>,
    /// Which instruction.
    pub verb: Verb,
}

/// Which instruction copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Files as they are.
    Copy,
    /// Archives of the context are unpacked, URLs fetched.
    Add,
}

/// What was found, not yet copied.
#[derive(Debug, Clone)]
pub struct Found {
    /// `sha256:…` over names, kinds, modes and content: what the build cache goes by.
    pub digest: String,
    /// The files, in the form the port itself understands.
    pub files: Arc<dyn Debug + Send + Sync>,
}

/// Where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Absolute path inside the container; a slash at its end makes it a folder.
    pub path: String,
    /// `user[:group]` of everything that is made; `None` is root.
    pub owner: Option<String>,
    /// Mode of everything that is made, as `--chmod` has it.
    pub mode: Option<u32>,
}

/// The files of builds.
#[async_trait]
pub trait Contexts: Send + Sync {
    /// Unpacks a context sent as a tar stream (plain, gzip, bzip2, xz or zstd).
    async fn receive(&self, content: Stream) -> Result<Context, PortError>;
    /// Fetches a context: a git repository, an archive or a lone Dockerfile behind a URL.
    async fn fetch(&self, remote: &str) -> Result<Context, PortError>;
    /// A file of the context, never from outside of it.
    async fn read(&self, context: &Context, path: &str) -> Result<Bytes, PortError>;
    /// Leaves out what `.dockerignore` names, but never these files themselves (the Dockerfile).
    async fn exclude(&self, context: &Context, kept: &[String]) -> Result<(), PortError>;
    /// Finds what an instruction copies. Nothing found is Docker's error.
    async fn find(&self, origin: &Origin, sources: &Sources) -> Result<Found, PortError>;
    /// Copies it into the root of a container that does not run.
    async fn place(&self, found: &Found, of: &Subject, target: &Target) -> Result<(), PortError>;
    /// Removes what a killed daemon left.
    async fn sweep(&self) -> Result<(), PortError>;
}
