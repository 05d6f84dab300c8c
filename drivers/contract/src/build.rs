//! The port to the files of a build: its context, what `COPY` and `ADD` name, and their way into a root.

use crate::archive::Stream;
use crate::error::PortError;
use crate::runtime::RootSpec;
use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder of the host with a build's files; erased with its last holder, and by the next start after a kill.
pub trait Folder: Debug + Send + Sync {
    /// Where it is.
    fn path(&self) -> &Path;
}

/// A build's context, or files fetched for one of its steps.
pub type Context = Arc<dyn Folder>;

/// What stood behind a URL.
#[derive(Debug, Clone)]
pub enum Fetched {
    /// A git repository or an archive.
    Files(Context),
    /// A text: the Dockerfile itself, whatever name was asked for. Such a build has no context.
    Dockerfile(Bytes),
}

/// Where files are copied from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// The context.
    Context(Context),
    /// The layers of an image or of an earlier stage, topmost first.
    Layers(Vec<PathBuf>),
    /// A build without a context: only `ADD` of URLs can find something.
    Nothing,
}

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// Paths and patterns as the Dockerfile has them, variables expanded.
    pub patterns: Vec<String>,
    /// Which instruction.
    pub verb: Verb,
    /// The destination as the Dockerfile has it: several files need a slash at its end, and so does a URL without a name.
    pub target: String,
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
    /// `file:…`, `dir:…` or `multi:…` with a SHA-256 over names, kinds, modes, links, capabilities and content, but not
    /// times: what the build cache goes by, and what the image's history shows in place of the sources.
    pub digest: String,
    /// Its pieces, in the order they are copied.
    pub pieces: Vec<Piece>,
}

/// One file or folder that was found. Holding it holds the folder it was fetched into.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Where it is.
    pub origin: Origin,
    /// Its path there. Its last name is the one that a copied file gets; a link at its end is followed.
    pub path: Vec<u8>,
    /// How it is copied.
    pub shape: Shape,
}

/// How a piece is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shape {
    /// As one file.
    File,
    /// What is in a folder.
    Folder,
    /// What is in an archive.
    Archive,
}

/// Where it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Absolute path inside the root; a slash at its end makes it a folder.
    pub path: String,
    /// `user[:group]` of everything that is made, by the root's own users. `None` is root for files of the context, and
    /// leaves those of layers and archives theirs.
    pub owner: Option<String>,
    /// Mode of everything that is copied, as `--chmod` has it.
    pub mode: Option<u32>,
}

/// The files of builds. Texts are Docker's, whole: `COPY failed: …`.
#[async_trait]
pub trait Contexts: Send + Sync {
    /// Unpacks a context sent as a tar stream (plain or compressed).
    async fn receive(&self, content: Stream) -> Result<Context, PortError>;
    /// Fetches a context: a git repository, an archive or a lone Dockerfile behind a URL.
    async fn fetch(&self, remote: &str) -> Result<Fetched, PortError>;
    /// A file of the context, never from outside of it. A missing one is `Kind::NotFound`.
    async fn read(&self, context: &Context, path: &str) -> Result<Bytes, PortError>;
    /// Takes the Dockerfile and `.dockerignore`, once they are read, out of what can be copied, if `.dockerignore` names
    /// them: everything else it names was left out by whoever sent the context.
    async fn exclude(&self, context: &Context, dockerfile: &str) -> Result<(), PortError>;
    /// Finds what an instruction copies. Nothing found is Docker's error.
    async fn find(&self, origin: &Origin, sources: &Sources) -> Result<Found, PortError>;
    /// Copies it into a root that nothing runs in, its volumes aside. Of nothing only the target's folder is made.
    async fn place(&self, found: &Found, root: &RootSpec, target: &Target) -> Result<(), PortError>;
    /// Removes what a killed daemon left.
    async fn sweep(&self) -> Result<(), PortError>;
}

/// An answer to a `GET`.
pub struct Download {
    /// `Content-Type`, empty if there was none.
    pub kind: String,
    /// `Content-Disposition`, empty if there was none.
    pub disposition: String,
    /// `Last-Modified`, empty if there was none.
    pub modified: String,
    /// The body.
    pub content: Stream,
}

/// Fetches what is behind URLs that users name, through the daemon's proxies.
#[async_trait]
pub trait Downloads: Send + Sync {
    /// Asks for an http or https URL; redirects are followed. A status of 400 or more is an error with the server's text.
    async fn get(&self, url: &str) -> Result<Download, PortError>;
}
