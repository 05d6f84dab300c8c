//! Paths inside the container's root, which its image or its volumes may have filled with links: resolved by
//! openat2(RESOLVE_IN_ROOT) and from then on known by descriptor (CVE-2019-14271, CVE-2021-30465).

use crate::error::{LaunchError, Step};
use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag, mkdirat, mknodat};
use rustix::fs::{Mode as RMode, OFlags, ResolveFlags};
use std::os::fd::{AsFd, OwnedFd};

/// Links followed while making one path, as in the kernel.
const MOST_LINKS: u32 = 40;

/// What a mount point must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A folder.
    Folder,
    /// Anything else.
    File,
}

/// A file's type bits.
pub fn kind_of(file: &impl AsFd) -> Result<SFlag, LaunchError> {
    let mode = rustix::fs::fstat(file).step("look at a file")?.st_mode;
    Ok(SFlag::from_bits_truncate(mode) & SFlag::S_IFMT)
}

/// Whether a file lies on a file system with this magic number (include/uapi/linux/magic.h).
pub fn lies_on(file: &impl AsFd, magic: i64) -> Result<bool, LaunchError> {
    Ok(rustix::fs::fstatfs(file).step("look at a file system")?.f_type == magic)
}

/// Opens a folder to resolve paths in.
pub fn open(path: &str) -> Result<OwnedFd, LaunchError> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, RMode::empty())
        .step(format!("open root {path}"))
}

/// The file at `path`, links read as if `root` were `/`.
pub fn resolve(root: &impl AsFd, path: &str) -> Result<OwnedFd, LaunchError> {
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, RMode::empty(), how)
        .step(format!("open {path}"))
}

/// The file at `path` of one file system: no link and no mount is followed.
pub fn within(mount: &impl AsFd, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(mount, path, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, RMode::empty(), how)
}

/// The file at `path`, which lies in the folder `base`: links may lead elsewhere in it, not out of it.
pub fn beneath(base: &str, path: &str) -> Result<OwnedFd, LaunchError> {
    let step = || format!("cannot access path {path}");
    let folder = rustix::fs::open(base, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, RMode::empty())
        .step(step())?;
    let inner = path.strip_prefix(base).unwrap_or_default().trim_start_matches('/');
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(&folder, inner, OFlags::PATH | OFlags::CLOEXEC, RMode::empty(), how) {
        Err(rustix::io::Errno::XDEV) => Err(LaunchError::new(
            "path concatenation escapes the base directory",
            format!("base: {base}, subpath: {inner}"),
        )),
        other => other.step(step()),
    }
}

/// The file at `path`, made with its parents when missing. A link into nowhere is made to lead somewhere, inside the
/// root, as Docker does.
pub fn ensure(root: &OwnedFd, path: &str, shape: Shape) -> Result<OwnedFd, LaunchError> {
    resolve(root, path).or_else(|_| make(root, path, shape, MOST_LINKS))
}

fn make(root: &OwnedFd, path: &str, shape: Shape, links: u32) -> Result<OwnedFd, LaunchError> {
    let step = |so_far: &str| format!("make mount point {so_far}");
    let mut so_far = String::new();
    let mut parent = resolve(root, "/")?;
    let mut names = path.split('/').filter(|n| !n.is_empty() && *n != ".").peekable();
    while let Some(name) = names.next() {
        let folder = if so_far.is_empty() { "/".to_owned() } else { so_far.clone() };
        so_far.push('/');
        so_far.push_str(name);
        if let Ok(found) = resolve(root, &so_far) {
            parent = found;
            continue;
        }
        let made = if names.peek().is_none() && shape == Shape::File {
            mknodat(&parent, name, SFlag::S_IFREG, Mode::from_bits_truncate(0o644), 0)
        } else {
            mkdirat(&parent, name, Mode::from_bits_truncate(0o755))
        };
        match made {
            Ok(()) => parent = resolve(root, &so_far)?,
            // It is there and leads nowhere: a link, or somebody else was faster.
            Err(Errno::EEXIST) => {
                let link = rustix::fs::readlinkat(&parent, name, Vec::new());
                let link = link.ok().and_then(|l| l.into_string().ok());
                parent = match link {
                    Some(_) if links == 0 => return Err(Errno::ELOOP).step(step(&so_far)),
                    Some(target) if target.starts_with('/') => {
                        make_last(root, &target, &mut names, shape, links - 1)?
                    }
                    Some(target) => {
                        make_last(root, &format!("{folder}/{target}"), &mut names, shape, links - 1)?
                    }
                    None => resolve(root, &so_far)?,
                };
            }
            Err(e) => return Err(e).step(step(&so_far)),
        }
    }
    Ok(parent)
}

/// Makes a link's target; it is a folder unless the link was the path's last name.
fn make_last<'a>(
    root: &OwnedFd,
    target: &str,
    rest: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    shape: Shape,
    links: u32,
) -> Result<OwnedFd, LaunchError> {
    let shape = if rest.peek().is_none() { shape } else { Shape::Folder };
    resolve(root, target).or_else(|_| make(root, target, shape, links))
}
