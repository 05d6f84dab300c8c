//! The files of builds: contexts received or fetched, what is found in them, and their way into roots.

mod find;
mod folder;
mod git;
mod receive;
mod remote;

use crate::file::{blocking, failed};
use crate::limits::Limits;
use crate::transfer::{Link, broken, hold_below, open, words};
use async_trait::async_trait;
use bytes::Bytes;
use contract::archive::{Archives, Beside, Placed, Placing, Stream};
use contract::build::{Context, Contexts, Downloads, Fetched, Found, Origin, Sources, Target};
use contract::runtime::RootSpec;
use contract::{Kind, PortError};
use folder::Fresh;
use patterns::Ignore;
use rustix::fs::{self as rfs, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of a Dockerfile or `.dockerignore` that are read.
const TEXT: u64 = 16 << 20;
const IGNORE: &str = ".dockerignore";

/// Contexts under `<data_root>/builds`.
pub struct BuildContexts {
    base: PathBuf,
    limits: Limits,
    downloads: Arc<dyn Downloads>,
    archives: Arc<dyn Archives>,
}

impl BuildContexts {
    /// Contexts of this data root.
    pub fn new(data_root: &Path, downloads: Arc<dyn Downloads>, archives: Arc<dyn Archives>) -> Self {
        Self { base: data_root.join("builds"), limits: Limits::default(), downloads, archives }
    }

    /// The same with other bounds.
    pub fn bounded(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    async fn fresh(&self) -> Result<Fresh, PortError> {
        let base = self.base.clone();
        blocking(move || Fresh::new(&base)).await
    }
}

fn opened(path: &Path) -> Result<OwnedFd, PortError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rfs::open(path, flags, Mode::empty()).map_err(|e| failed("opening", path)(e.into()))
}

/// What is open in this process.
fn descriptors() -> Result<OwnedFd, PortError> {
    let path = Path::new("/proc/self/fd");
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rfs::open(path, flags, Mode::empty()).map_err(|e| failed("opening", path)(e.into()))
}

fn text(root: &OwnedFd, path: &str) -> Result<Bytes, PortError> {
    let held = hold_below(root, path.as_bytes(), Link::Follow).map_err(|e| {
        let kind = if e == Errno::NOENT { Kind::NotFound } else { Kind::Invalid };
        PortError::new(kind, format!("open {path}: {}", words(&e.into())))
    })?;
    if held.kind() != FileType::RegularFile {
        return Err(PortError::new(Kind::Invalid, format!("read {path}: is not a regular file")));
    }
    let file = open(&descriptors()?, &held.file).map_err(|e| broken(e.into()))?;
    let mut content = Vec::new();
    file.take(TEXT + 1).read_to_end(&mut content).map_err(broken)?;
    if content.len() as u64 > TEXT {
        return Err(PortError::new(Kind::Invalid, format!("{path} is larger than {TEXT} bytes")));
    }
    Ok(content.into())
}

/// Removes a file, its folder's links followed below the root.
fn remove(root: &OwnedFd, path: &str) -> Result<(), PortError> {
    let (above, name) = path.trim_end_matches('/').rsplit_once('/').unwrap_or(("", path));
    let above = hold_below(root, above.as_bytes(), Link::Follow);
    match above
        .and_then(|above| rfs::unlinkat(&above.file, OsStr::from_bytes(name.as_bytes()), AtFlags::empty()))
    {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(PortError::new(Kind::Bug, format!("removing {path}: {}", words(&e.into())))),
    }
}

fn exclude(root: &OwnedFd, dockerfile: &str) -> Result<(), PortError> {
    let ignore = match text(root, IGNORE) {
        Err(e) if e.kind == Kind::NotFound => return Ok(()),
        other => other?,
    };
    let patterns = Ignore::read(&String::from_utf8_lossy(&ignore));
    // Bad ones are the sender's to refuse; to Docker's daemon they match nothing.
    let Ok(ignore) = Ignore::new(&patterns) else { return Ok(()) };
    let dockerfile = patterns::clean(dockerfile.trim_start_matches('/'));
    let mut gone = [IGNORE, &dockerfile].into_iter().filter(|path| ignore.matches(path));
    gone.try_for_each(|path| remove(root, path))
}

#[async_trait]
impl Contexts for BuildContexts {
    async fn receive(&self, content: Stream) -> Result<Context, PortError> {
        receive::receive(self.fresh().await?, content, self.limits).await
    }

    async fn fetch(&self, remote: &str) -> Result<Fetched, PortError> {
        if let Some(repository) = git::Repository::read(remote)? {
            return Ok(Fetched::Files(git::clone(self.fresh().await?, repository, self.limits).await?));
        }
        if !remote::is_url(remote) {
            let text = format!("remoteURL ({remote}) could not be recognized as URL");
            return Err(PortError::new(Kind::Invalid, text));
        }
        match remote::context(&*self.downloads, remote).await? {
            remote::Answer::Text(text) => Ok(Fetched::Dockerfile(text)),
            remote::Answer::Archive(content) => Ok(Fetched::Files(self.receive(content).await?)),
        }
    }

    async fn read(&self, context: &Context, path: &str) -> Result<Bytes, PortError> {
        let (context, path) = (Arc::clone(context), path.to_owned());
        blocking(move || text(&opened(context.path())?, &path)).await
    }

    async fn exclude(&self, context: &Context, dockerfile: &str) -> Result<(), PortError> {
        let (context, dockerfile) = (Arc::clone(context), dockerfile.to_owned());
        blocking(move || exclude(&opened(context.path())?, &dockerfile)).await
    }

    async fn find(&self, origin: &Origin, sources: &Sources) -> Result<Found, PortError> {
        find::find(self, origin, sources).await
    }

    async fn place(&self, found: &Found, root: &RootSpec, target: &Target) -> Result<(), PortError> {
        let mut sources = Vec::new();
        let mut pieces = Vec::new();
        for piece in &found.pieces {
            let beside = match &piece.origin {
                Origin::Context(context) => Beside::Folder(context.path().to_owned()),
                Origin::Layers(layers) => Beside::Layers(layers.clone()),
                Origin::Nothing => return Err(PortError::new(Kind::Bug, "files out of nowhere")),
            };
            let keeps_owner = matches!(beside, Beside::Layers(_));
            let source = sources.iter().position(|known| *known == beside).unwrap_or_else(|| {
                sources.push(beside);
                sources.len() - 1
            });
            pieces.push(Placed { source, path: piece.path.clone(), shape: piece.shape, keeps_owner });
        }
        self.archives.place(root, Placing { sources, pieces, target: target.clone() }).await
    }

    async fn sweep(&self) -> Result<(), PortError> {
        let base = self.base.clone();
        blocking(move || if base.exists() { crate::file::clean(&base, |_, _| true) } else { Ok(()) }).await
    }
}

#[cfg(test)]
mod tests;
