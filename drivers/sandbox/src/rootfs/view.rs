//! A container's root as it is entered by a short-lived process of the engine, to copy files in and out. What has to be
//! mounted for that is mounted in a namespace of the process's own and goes with it.

use super::detached::{self, Propagation, Reach};
use super::overlay::{self, Own};
use super::tree::{self, Shape};
use crate::error::{LaunchError, Step};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::SFlag;
use rustix::fs::{Mode, OFlags};
use rustix::mount::MountAttrFlags as Flags;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Address space such a process may have: a container with countless links or names must not take the host's memory.
const MEMORY: u64 = 4 << 30;

/// What of a container is entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum View {
    /// A running container as it sees itself, by the file of its mount namespace.
    Running(PathBuf),
    /// The same without what is mounted in it.
    RunningRoot(PathBuf),
    /// A container that does not run, with what would be mounted in it.
    Stopped {
        /// Its layers.
        root: Layers,
        /// Its volumes and binds.
        mounts: Vec<Lent>,
    },
    /// The same for reading, without what would be mounted in it.
    StoppedRoot(Layers),
    /// Its own layer beside what lies below.
    Layers(Layers),
    /// Nothing of a container: folders of the host.
    Host,
    /// An image's layers for reading, topmost first.
    Image(Vec<PathBuf>),
    /// A root that nothing runs in, beside what is copied into it.
    Building {
        /// Its layers.
        root: Layers,
        /// Where the files are.
        sources: Vec<Beside>,
    },
}

/// Where files to be copied are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Beside {
    /// A folder of the host.
    Folder(PathBuf),
    /// An image's layers, topmost first.
    Layers(Vec<PathBuf>),
}

/// A root's layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layers {
    /// Read-only ones, topmost first.
    pub lower: Vec<PathBuf>,
    /// The container's own.
    pub upper: PathBuf,
    /// Overlay's scratch folder.
    pub work: PathBuf,
    /// Where they are mounted.
    pub target: PathBuf,
}

/// A folder or file of the host inside a container that does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lent {
    /// On the host.
    pub source: PathBuf,
    /// A path inside the source, whose links are its own; empty = the whole.
    #[serde(default)]
    pub below: String,
    /// Inside.
    pub target: String,
    /// No writing.
    pub read_only: bool,
    /// Without what is mounted below the source.
    #[serde(default)]
    pub top_only: bool,
    /// Where it is read-only, what is mounted below stays writable.
    #[serde(default)]
    pub writable_below: bool,
}

/// What was entered.
#[derive(Debug)]
pub struct Entered {
    /// The container's root, also this process's; or its own layer.
    pub root: OwnedFd,
    /// What lies below its own layer, if that was asked for.
    pub below: Option<OwnedFd>,
    /// Where files to be copied into it are.
    pub sources: Vec<OwnedFd>,
    /// `/proc/self/fd` of the host: what is open can be opened again there, and only there.
    pub descriptors: OwnedFd,
}

/// Enters. The process must have one thread and do nothing else afterwards.
pub fn enter(view: &View) -> Result<Entered, LaunchError> {
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    bound()?;
    let descriptors = folder("/proc/self/fd")?;
    let mut below = None;
    let mut beside = Vec::new();
    let root = match view {
        View::Running(namespace) => join(namespace)?,
        View::RunningRoot(namespace) => {
            let copy = detached::copy(&join(namespace)?, Reach::One)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::openat(&copy, ".", flags, Mode::empty()).step("open the container's root")?
        }
        View::Stopped { root, mounts } => {
            alone()?;
            let sources = mounts.iter().map(source).collect::<Result<Vec<_>, _>>()?;
            let target = layered(root, Writing::Yes)?;
            for (lent, (copy, shape)) in mounts.iter().zip(sources) {
                lend(&target, lent, &copy, shape)?;
            }
            super::pivot(&target)?;
            target
        }
        View::StoppedRoot(root) => {
            alone()?;
            let target = layered(root, Writing::No)?;
            super::pivot(&target)?;
            target
        }
        View::Layers(root) => {
            alone()?;
            let upper = folder(text(&root.upper)?)?;
            below = Some(lower(root)?);
            upper
        }
        View::Host => folder("/")?,
        View::Image(layers) => {
            alone()?;
            image(layers)?
        }
        View::Building { root, sources } => {
            alone()?;
            for source in sources {
                beside.push(match source {
                    Beside::Folder(path) => folder(text(path)?)?,
                    Beside::Layers(layers) => image(layers)?,
                });
            }
            let target = layered(root, Writing::Yes)?;
            super::pivot(&target)?;
            target
        }
    };
    Ok(Entered { root, below, sources: beside, descriptors })
}

fn text(path: &Path) -> Result<&str, LaunchError> {
    path.to_str().ok_or_else(|| LaunchError::new(format!("open {}", path.display()), "its name is no text"))
}

fn folder(path: &str) -> Result<OwnedFd, LaunchError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).step(format!("open {path}"))
}

/// As many descriptors as may be, and no more memory than that.
fn bound() -> Result<(), LaunchError> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).step("ask for limits")?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).step("raise the limit of open files")?;
    setrlimit(Resource::RLIMIT_AS, MEMORY, MEMORY).step("limit memory")
}

/// Enters a running container's mount namespace; the kernel makes its root this process's.
fn join(namespace: &Path) -> Result<OwnedFd, LaunchError> {
    let file = File::open(namespace).step(format!("open {}", namespace.display()))?;
    setns(&file, CloneFlags::CLONE_NEWNS).step("enter the container's mount namespace")?;
    folder("/")
}

/// A mount namespace of its own, from which nothing gets out.
fn alone() -> Result<(), LaunchError> {
    unshare(CloneFlags::CLONE_NEWNS).step("make a mount namespace")?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .step("make mounts private")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    Yes,
    No,
}

/// The container's root, mounted where it always is, but only for this process.
fn layered(root: &Layers, writing: Writing) -> Result<OwnedFd, LaunchError> {
    let mut lower = root.lower.iter().map(|l| text(l)).collect::<Result<Vec<_>, _>>()?;
    let (upper, target) = (text(&root.upper)?, text(&root.target)?);
    let own = match writing {
        Writing::Yes => Some(Own { upper, work: text(&root.work)?, volatile: false }),
        Writing::No => {
            // Read as one layer among the others, it may be mounted elsewhere at the same time.
            lower.insert(0, upper);
            None
        }
    };
    overlay::mount_layers(&lower, own, target)?;
    folder(target)
}

/// The layers below a container's own.
fn lower(root: &Layers) -> Result<OwnedFd, LaunchError> {
    let lower = root.lower.iter().map(|l| text(l)).collect::<Result<Vec<_>, _>>()?;
    match lower.as_slice() {
        // Overlay wants two.
        [one] => folder(one),
        several => {
            let target = text(&root.target)?;
            overlay::mount_layers(several, None, target)?;
            folder(target)
        }
    }
}

/// An image's layers, mounted for as long as the answer is held.
fn image(layers: &[PathBuf]) -> Result<OwnedFd, LaunchError> {
    let layers = layers.iter().map(|l| text(l)).collect::<Result<Vec<_>, _>>()?;
    match layers.as_slice() {
        // Overlay wants two.
        [one] => folder(one),
        [] => Err(LaunchError::new("open an image's layers", "it has none")),
        // Any folder would do; this one is there, and what is mounted on it goes from it again at once.
        [top, ..] => {
            overlay::mount_layers(&layers, None, top)?;
            let mounted = folder(top)?;
            umount2(*top, MntFlags::MNT_DETACH).step(format!("unmount {top}"))?;
            Ok(mounted)
        }
    }
}

fn source(lent: &Lent) -> Result<(OwnedFd, Shape), LaunchError> {
    let source = text(&lent.source)?;
    let mut file = rustix::fs::open(source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .step(format!("bind source path {source}"))?;
    if !lent.below.is_empty() {
        file = tree::resolve(&file, &lent.below)?;
    }
    let shape = if tree::kind_of(&file)? == SFlag::S_IFDIR { Shape::Folder } else { Shape::File };
    let reach = if lent.top_only { Reach::One } else { Reach::Tree };
    Ok((detached::copy(&file, reach)?, shape))
}

fn lend(root: &OwnedFd, lent: &Lent, copy: &OwnedFd, shape: Shape) -> Result<(), LaunchError> {
    let target = tree::ensure(root, &lent.target, shape)?;
    detached::change(copy, Reach::Tree, Flags::empty(), Some(Propagation::Private))?;
    if lent.read_only {
        let reach = if lent.writable_below { Reach::One } else { Reach::Tree };
        detached::change(copy, reach, Flags::MOUNT_ATTR_RDONLY, None)?;
    }
    detached::attach(copy, &target)
}
