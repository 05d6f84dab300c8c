//! What an image has where a volume is mounted becomes the volume's first content.

use super::{Place, copy, drop_file, mount};
use crate::file::failed;
use crate::layers::stack;
use contract::volume::Content;
use contract::{Kind, PortError};
use nix::sched::CloneFlags;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount_change};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Marks a volume into which an image's content is on its way.
const FILLING: &str = "filling";

/// Copies an image's content into a volume that has none.
pub fn fill(place: &Place, content: Content) -> Result<(), PortError> {
    let layers = stack(content.layers.into_iter().rev());
    let path = content.path;
    let Some(source) = look(&layers, &path)? else { return Ok(()) };
    let data = mount::put_on(&place.read()?)
        .map_err(|e| PortError::new(e.kind, format!("failed to populate volume: {}", e.chain())))?;
    if std::fs::read_dir(&data).map_err(failed("listing", &data))?.next().is_some() {
        return Ok(());
    }
    let mark = place.file(FILLING);
    std::fs::write(&mark, "").map_err(failed("writing", &mark))?;
    let target = copy::folder(&data).map_err(failed("opening", &data))?;
    let copied = copy::tree(source, target);
    if copied.is_err() {
        undo(place)?;
    }
    copied.map_err(|e| {
        let kind = match e.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::Exhausted,
            _ => Kind::Bug,
        };
        PortError::caused(kind, format!("failed to populate volume: copying {path}"), e)
    })?;
    drop_file(&mark)
}

/// Takes the beginning of a content back that a kill cut short; the volume was empty before.
pub fn undo(place: &Place) -> Result<(), PortError> {
    let mark = place.file(FILLING);
    if !mark.exists() {
        return Ok(());
    }
    // What its options name is somebody else's folder too.
    if !place.read()?.is_mount() {
        crate::file::clean(&place.data(), |_, _| true)?;
    }
    drop_file(&mark)
}

/// The folder that an image has at a path; nothing is there: `None`.
fn look(layers: &[PathBuf], path: &str) -> Result<Option<OwnedFd>, PortError> {
    let laying = |e| PortError::caused(Kind::Bug, "laying the image's layers together", e);
    let root = match layers {
        [] => return Ok(None),
        [one] => open(one).map_err(|e| laying(e.into()))?,
        // A mount namespace that goes with its thread: no such mount is ever seen on the host, or left behind there. What
        // was opened in it stays good.
        several => std::thread::scope(|scope| scope.spawn(|| lay_together(several)).join())
            .unwrap_or_else(|_| Err(io::Error::other("a thread broke off")))
            .map_err(laying)?,
    };
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let told = |e: Errno| {
        PortError::caused(Kind::Bug, format!("looking up {path} in the image"), io::Error::from(e))
    };
    let found = match openat2(&root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), how) {
        Ok(found) => found,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(e) => return Err(told(e)),
    };
    let is = rustix::fs::fstat(&found).map_err(told)?;
    if FileType::from_raw_mode(is.st_mode) != FileType::Directory {
        let text = format!("cannot mount volume over existing file, file exists {path}");
        return Err(PortError::new(Kind::Bug, text));
    }
    Ok(Some(found))
}

fn open(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Opens the root of all layers together, topmost first. From here on this thread has mounts of its own.
fn lay_together(layers: &[PathBuf]) -> io::Result<OwnedFd> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNS)?;
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?;
    let held = layers.iter().map(|l| open(l)).collect::<Result<Vec<_>, _>>()?;
    // Short names: mount(2) takes one page of options.
    let names: Vec<String> = held.iter().map(|fd| format!("/proc/self/fd/{}", fd.as_raw_fd())).collect();
    let options = CString::new(format!("lowerdir={}", names.join(":")))?;
    let at = layers.first().ok_or(io::ErrorKind::NotFound)?;
    rustix::mount::mount("overlay", at, "overlay", MountFlags::RDONLY, options.as_c_str())?;
    Ok(open(at)?)
}
