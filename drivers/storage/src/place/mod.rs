//! One member after another placed in a layer's folder or in a container's, never touching anything outside it.
//!
//! A layer's form is overlayfs's (kernel documentation, "whiteouts and opaque directories"), the archive's that of the OCI
//! image specification ("Representing Changes").

mod dress;
mod open;

use crate::erase::clear_away;
use crate::inside::{components, existing_folder, folder_at, located};
use crate::limits::{exceeded, remember};
use crate::stream::kept::Kept;
use crate::tar::{Member, bad};
use dress::{dress, mode, node, own, times};
use open::Open;
use rustix::fs::{self as rfs, AtFlags, FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

const OPAQUE: &str = "trusted.overlay.opaque";

/// What the members make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Makes {
    /// A layer: names may stand for deletions.
    Layer,
    /// A build's files, all of them root's.
    Context,
    /// Files of a container, seen from its root by a process that has one thread.
    Files {
        /// A folder and something else never take each other's place.
        keep_kinds: bool,
        /// Who gets everything, instead of whom the stream names.
        owner: Option<(u32, u32)>,
    },
}

/// A stream on its way to disk.
pub(crate) struct Place {
    root: File,
    /// The folder below the root that everything goes to.
    base: Vec<u8>,
    makes: Makes,
    /// Folders and their times.
    folders: Vec<(Vec<u8>, (i64, i64))>,
    names: usize,
    size: u64,
    limit: u64,
    modes: Modes,
    /// The folder of the last member; none where others may change the folders meanwhile.
    open: Option<Rc<Open>>,
    /// Where files go that another takes the place of; `None` lets them go.
    kept: Option<Kept>,
    /// Files that got content.
    filled: u64,
}

/// How the modes that files are made with come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Modes {
    /// As they are asked for: the thread has a umask of its own, and it is empty.
    Exact,
    /// Without what the process's umask takes away.
    Masked,
}

/// What was there when a member came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Folder,
    Whiteout,
}

impl Place {
    /// A layer into this folder; files may have `limit` bytes together, holes counted.
    pub(crate) fn layer(root: File, limit: u64, kept: Kept, modes: Modes) -> Self {
        // Data roots may be in a folder with access lists.
        let modes = if dress::has_lists(&root) { Modes::Masked } else { modes };
        Self { kept: Some(kept), limit, modes, ..Self::below(root, b"", Makes::Layer) }
    }

    /// A build's files into this folder; they may have `limit` bytes together.
    pub(crate) fn context(root: File, limit: u64) -> Self {
        Self { limit, ..Self::below(root, b"", Makes::Context) }
    }

    /// Whatever it makes, into a folder below this root.
    pub(crate) fn below(root: File, base: &[u8], makes: Makes) -> Self {
        Self {
            root,
            base: base.to_vec(),
            makes,
            folders: Vec::new(),
            names: 0,
            size: 0,
            limit: u64::MAX,
            modes: Modes::Masked,
            open: None,
            kept: None,
            filled: 0,
        }
    }

    /// Path from the root.
    fn path(&self, parts: &[&[u8]]) -> Vec<u8> {
        let base: Vec<&[u8]> = self.base.split(|b| *b == b'/').filter(|p| !p.is_empty()).collect();
        [base.as_slice(), parts].concat().join(&b'/')
    }

    /// The folder that members call so.
    fn folder(&mut self, called: &[&[u8]]) -> io::Result<Rc<Open>> {
        if let Some(open) = self.open.as_ref().filter(|open| open.is(called)) {
            return Ok(Rc::clone(open));
        }
        let path = self.path(called);
        let parts: Vec<&[u8]> = path.split(|b| *b == b'/').filter(|p| !p.is_empty()).collect();
        let (fd, path) = match self.kept {
            Some(_) => located(self.root.as_fd(), &parts)?,
            None => (folder_at(self.root.as_fd(), &parts)?, None),
        };
        let open = Rc::new(Open::new(called.join(&b'/'), fd, path, self.modes == Modes::Exact)?);
        self.keep(Some(&open));
        Ok(open)
    }

    /// Keeps a folder open for the next member.
    fn keep(&mut self, open: Option<&Rc<Open>>) {
        self.open = open.filter(|_| !matches!(self.makes, Makes::Files { .. })).map(Rc::clone);
    }

    /// Sets the folders' times, last because placing members inside changes them; answers the bytes of all files.
    pub(crate) fn finish(self) -> io::Result<u64> {
        for (path, time) in &self.folders {
            match existing_folder(self.root.as_fd(), path) {
                Ok(folder) => rfs::futimens(folder, &times(*time))?,
                // A later member took its place.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(e) => return Err(e.into()),
            }
        }
        self.kept.map_or(Ok(()), Kept::finish)?;
        Ok(self.size)
    }

    fn remember(&mut self, path: Vec<u8>, member: &Member) -> io::Result<()> {
        remember(&mut self.names, &path)?;
        self.folders.push((path, member.mtime));
        Ok(())
    }

    /// Places one member; answers the path of the file that got its content.
    pub(crate) fn member(
        &mut self,
        member: &Member,
        content: &mut impl BufRead,
    ) -> io::Result<Option<Vec<u8>>> {
        let parts = components(&member.path)?;
        if dress::lists(member) {
            self.modes = Modes::Masked;
            self.open = None;
        }
        let Some((name, above)) = parts.split_last() else {
            if self.makes != Makes::Layer {
                // The folder that is copied into stays as it is.
                return Ok(None);
            }
            if !member.kind.is_dir() {
                return Err(bad("the root is no folder"));
            }
            self.open = None;
            own(&self.root, member, self.makes)?;
            return self.remember(Vec::new(), member).map(|()| None);
        };
        let layer = self.makes == Makes::Layer;
        if layer && parts.iter().any(|p| p.starts_with(b".wh..wh.") && *p != b".wh..wh..opq") {
            // Notes of aufs to itself.
            return Ok(None);
        }
        if layer && above.iter().any(|p| p.starts_with(b".wh.")) {
            return Err(bad("path leads through a whiteout"));
        }
        let parent = self.folder(above)?;
        if layer && *name == b".wh..wh..opq" {
            return opaque(&parent.fd).map(|()| None);
        }
        if let Some(gone) = name.strip_prefix(b".wh.").filter(|_| layer) {
            return whiteout(&parent.fd, gone).map(|()| None);
        }
        let name = OsStr::from_bytes(name);
        if member.kind.is_dir() {
            self.inner(&parent, name, member)?;
            self.remember(self.path(&parts), member)?;
        } else if member.kind.is_file() || member.kind.is_contiguous() {
            self.file(&parent, name, member, content)?;
            if member.size > 0 {
                self.filled += 1;
                // What cannot be named again cannot be read again.
                return match self.kept {
                    Some(_) => below(&parent, name).map(Some),
                    None => Ok(None),
                };
            }
        } else if member.kind.is_hard_link() {
            self.clear(&parent, name, member)?;
            let target = components(&member.link)?;
            let Some((target, above)) = target.split_last() else { return Err(bad("hard link to the root")) };
            // A link to a link is a link itself: its target is not followed.
            let from = self.folder(above)?;
            rfs::linkat(&from.fd, OsStr::from_bytes(target), &parent.fd, name, AtFlags::empty())?;
        } else if member.kind.is_symlink() {
            self.clear(&parent, name, member)?;
            rfs::symlinkat(OsStr::from_bytes(&member.link), &parent.fd, name)?;
            dress(&parent, name, member, self.makes)?;
        } else {
            self.clear(&parent, name, member)?;
            node(&parent, name, member, self.makes)?;
        }
        Ok(None)
    }

    /// Makes room for a member.
    fn clear(&mut self, parent: &Open, name: &OsStr, member: &Member) -> io::Result<Before> {
        let stat = match rfs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(Before::Nothing),
            other => other?,
        };
        let (is, comes) =
            (FileType::from_raw_mode(stat.st_mode) == FileType::Directory, member.kind.is_dir());
        if let Makes::Files { keep_kinds: true, .. } = self.makes
            && is != comes
        {
            let word = |folder| if folder { "directory" } else { "non-directory" };
            let (shown, base) = (String::from_utf8_lossy(&member.path), String::from_utf8_lossy(&self.base));
            let text = format!(
                "cannot overwrite {} {:?} with {} {:?}",
                word(is),
                shown.trim_end_matches('/'),
                word(comes),
                format!("/{}", base.trim_start_matches('/')),
            );
            return Err(io::Error::other(text));
        }
        // What leads somewhere else from now on may be on the way to the folder that is open.
        self.open = None;
        match (is, comes) {
            (true, true) => return Ok(Before::Folder),
            (true, false) if self.kept.is_none() => clear_away(&parent.fd, name)?,
            _ => match &mut self.kept {
                Some(kept) if is || has_content(&stat) => {
                    kept.take(parent, name, &below(parent, name)?, self.filled)?;
                }
                _ => rfs::unlinkat(parent, name, AtFlags::empty())?,
            },
        }
        Ok(if is_whiteout(&stat) { Before::Whiteout } else { Before::Nothing })
    }

    /// Makes a folder, or takes the one that is there.
    fn inner(&mut self, parent: &Open, name: &OsStr, member: &Member) -> io::Result<()> {
        let mode = self.asked(member)?;
        // Nothing is there most of the time: that is looked at only when it turns out otherwise.
        let before = match rfs::mkdirat(parent, name, mode) {
            Err(Errno::EXIST) => Some(self.clear(parent, name, member)?),
            made => made.map(|()| None)?,
        };
        if before.is_some_and(|before| before != Before::Folder) {
            rfs::mkdirat(parent, name, mode)?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rfs::openat(parent, name, flags, Mode::empty())?;
        match before {
            Some(Before::Folder) => return own(folder, member, self.makes),
            // The name was deleted from the layers below and made anew: nothing of theirs may show through.
            Some(Before::Whiteout) if self.makes == Makes::Layer => opaque(&folder)?,
            _ => {}
        }
        dress::finish(&folder, member, self.makes, parent.gives)?;
        if before.is_none()
            && let Some(open) = parent.inner(name.as_bytes(), folder, self.modes == Modes::Exact)?
        {
            self.keep(Some(&Rc::new(open)));
        }
        Ok(())
    }

    /// The mode to make a file or folder with. Set-id bits come last, when it has its owner.
    fn asked(&self, member: &Member) -> io::Result<Mode> {
        let mode = mode(member)? - Mode::SUID - Mode::SGID;
        // Others can see a container's files: nobody opens those that have not got their owner.
        Ok(if matches!(self.makes, Makes::Files { .. }) { Mode::RWXU } else { mode })
    }

    fn file(
        &mut self,
        parent: &Open,
        name: &OsStr,
        member: &Member,
        content: &mut impl BufRead,
    ) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = self.asked(member)?;
        let made = match rfs::openat(parent, name, flags, mode) {
            Err(Errno::EXIST) => {
                self.clear(parent, name, member)?;
                rfs::openat(parent, name, flags, mode)?
            }
            made => made?,
        };
        let mut file = File::from(made);
        let size = member.sparse.as_ref().map_or(member.size, |s| s.real);
        let Some(sum) = self.size.checked_add(size).filter(|s| *s <= self.limit) else {
            return Err(exceeded("unpacks to more bytes"));
        };
        self.size = sum;
        match &member.sparse {
            None => copy(content, &mut file, member.size)?,
            Some(sparse) => {
                for (offset, length) in &sparse.segments {
                    file.seek(SeekFrom::Start(*offset))?;
                    copy(content, &mut file, *length)?;
                }
                file.set_len(sparse.real)?;
            }
        }
        dress::finish(&file, member, self.makes, parent.gives)?;
        Ok(rfs::futimens(&file, &times(member.mtime))?)
    }
}

fn copy(from: &mut impl BufRead, to: &mut File, mut length: u64) -> io::Result<()> {
    while length > 0 {
        let there = from.fill_buf()?;
        let most = usize::try_from(length).unwrap_or(usize::MAX).min(there.len());
        let count = match to.write(there.get(..most).unwrap_or_default()) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            written => written?,
        };
        from.consume(count);
        length -= count as u64;
    }
    Ok(())
}

/// The path of a name in a folder, with no links in it; it may be longer than paths can be.
fn below(folder: &Open, name: &OsStr) -> io::Result<Vec<u8>> {
    let mut path = folder.path.clone().ok_or(Errno::NAMETOOLONG)?;
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name.as_bytes());
    Ok(path)
}

fn has_content(stat: &rfs::Stat) -> bool {
    stat.st_size > 0 && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

pub(crate) fn is_whiteout(stat: &rfs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn opaque(folder: impl AsFd) -> io::Result<()> {
    Ok(rfs::fsetxattr(folder, OPAQUE, b"y", XattrFlags::empty())?)
}

fn whiteout(parent: &OwnedFd, gone: &[u8]) -> io::Result<()> {
    if gone.is_empty() || gone == b"." || gone == b".." {
        return Err(bad("invalid whiteout"));
    }
    match rfs::mknodat(parent, OsStr::from_bytes(gone), FileType::CharacterDevice, Mode::empty(), 0) {
        Ok(()) => Ok(()),
        // The layer brings the name itself, and whiteouts are only about layers below: what a folder had there is gone.
        Err(Errno::EXIST) => match existing_folder(parent.as_fd(), gone) {
            Ok(folder) => opaque(folder),
            Err(Errno::NOTDIR | Errno::LOOP) => Ok(()),
            Err(e) => Err(e.into()),
        },
        Err(e) => Err(e.into()),
    }
}

/// Whether a layer's folder hides everything below it.
pub(crate) fn is_opaque(folder: &Path) -> bool {
    let mut value = [0u8; 1];
    matches!(rfs::lgetxattr(folder, OPAQUE, &mut value[..]), Ok(1)) && value == *b"y"
}

/// The same of an open one.
pub(crate) fn is_opaque_at(folder: impl AsFd) -> bool {
    let mut value = [0u8; 1];
    matches!(rfs::fgetxattr(folder, OPAQUE, &mut value[..]), Ok(1)) && value == *b"y"
}
