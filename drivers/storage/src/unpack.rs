//! Layers unpacked into a folder, never touching anything outside it.

use crate::tar_stream::{Member, Members, bad};
use rustix::fs::{
    self as rfs, AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How much an archive may unpack to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) bytes: u64,
    pub(crate) members: u64,
}

impl Limits {
    /// Bounded by a fixed size and by what the disk has left.
    pub(crate) fn of_disk(path: &Path) -> Self {
        let free = rfs::statvfs(path).map_or(u64::MAX, |s| s.f_bavail.saturating_mul(s.f_frsize));
        Self { bytes: (free / 10 * 9).min(64 << 30), members: 4_000_000 }
    }
}

/// A decompressed stream, by its first bytes.
pub(crate) fn decompress<'a>(reader: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut reader = BufReader::with_capacity(1 << 17, reader);
    let mut magic = Vec::new();
    (&mut reader).take(4).read_to_end(&mut magic)?;
    let whole = io::Cursor::new(magic.clone()).chain(reader);
    Ok(match magic.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(whole)),
        [0x28, 0xb5, 0x2f, 0xfd] => {
            let mut decoder = zstd::stream::read::Decoder::new(whole)?;
            decoder.window_log_max(27)?;
            Box::new(decoder)
        }
        [b'B', b'Z', b'h', ..] => return Err(bad("bzip2 archives are not supported")),
        [0xfd, b'7', b'z', b'X'] => return Err(bad("xz archives are not supported")),
        _ => Box::new(whole),
    })
}

/// Digests and counts what passes.
struct Digesting<R> {
    inner: R,
    sha: Sha256,
    left: u64,
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::QuotaExceeded, "archive unpacks to more than is allowed")
        })?;
        self.sha.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// What was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// `sha256:…` of the uncompressed stream.
    pub(crate) diff_id: String,
    /// Bytes of file content.
    pub(crate) size: u64,
}

/// Unpacks a (compressed) tar stream into the folder.
pub(crate) fn unpack(reader: impl Read + Send, folder: &Path, limits: Limits) -> io::Result<Unpacked> {
    let root = File::open(folder)?;
    let inner = decompress(reader)?;
    let mut members = Members::new(Digesting { inner, sha: Sha256::new(), left: limits.bytes });
    let mut folders = Vec::new();
    let (mut count, mut size) = (0u64, 0u64);
    while let Some(member) = members.next()? {
        count += 1;
        if count > limits.members {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "archive has more members than are allowed",
            ));
        }
        let shown = String::from_utf8_lossy(&member.path).into_owned();
        let name = |e: io::Error| io::Error::new(e.kind(), format!("{shown}: {e}"));
        place(root.as_fd(), &member, &mut members.content(), &mut folders, &mut size).map_err(name)?;
    }
    // Last, because placing members inside changes a folder's time.
    for (path, time) in folders.iter().rev() {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if let Ok(fd) = rfs::openat2(&root, OsStr::from_bytes(path), flags, Mode::empty(), inside()) {
            let _ = rfs::futimens(fd, &times(*time));
        }
    }
    let digest = members.finish()?;
    Ok(Unpacked { diff_id: format!("sha256:{}", hex::encode(digest.sha.finalize())), size })
}

fn inside() -> ResolveFlags {
    ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS
}

fn times((tv_sec, tv_nsec): (i64, i64)) -> Timestamps {
    let at = Timespec { tv_sec, tv_nsec };
    Timestamps { last_access: at, last_modification: at }
}

/// Components of a member's path; `..` is refused.
fn components(path: &[u8]) -> io::Result<Vec<&[u8]>> {
    let parts: Vec<&[u8]> = path.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".").collect();
    if parts.iter().any(|p| *p == b".." || p.contains(&0)) {
        return Err(bad("path leads outside of the archive"));
    }
    Ok(parts)
}

/// The folder at these components, links resolved inside the root, missing ones made.
fn folder_at(root: BorrowedFd<'_>, parts: &[&[u8]]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |path: &[u8]| {
        rfs::openat2(
            root,
            OsStr::from_bytes(if path.is_empty() { b"." } else { path }),
            flags,
            Mode::empty(),
            inside(),
        )
    };
    let whole = parts.join(&b'/');
    match open(&whole) {
        Err(Errno::NOENT) => {}
        other => return Ok(other?),
    }
    let mut at = open(b"")?;
    let mut path = Vec::new();
    for part in parts {
        match rfs::mkdirat(&at, OsStr::from_bytes(part), Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(e.into()),
        }
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(part);
        at = open(&path)?;
    }
    Ok(at)
}

/// Makes room for a member of that name.
fn clear(parent: &OwnedFd, name: &OsStr, keep_folder: bool) -> io::Result<bool> {
    let stat = match rfs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(false),
        other => other?,
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        rfs::unlinkat(parent, name, AtFlags::empty())?;
        return Ok(false);
    }
    if !keep_folder {
        std::fs::remove_dir_all(Path::new(&format!("/proc/self/fd/{}", parent.as_raw_fd())).join(name))?;
    }
    Ok(keep_folder)
}

fn own(fd: impl AsFd, member: &Member, mode: Mode) -> io::Result<()> {
    let (uid, gid) = member.owner();
    // Ownership first: changing it clears the set-id bits and file capabilities.
    rfs::fchown(&fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    rfs::fchmod(&fd, mode)?;
    for (key, value) in &member.pax {
        let Some(name) = key.strip_prefix("SCHILY.xattr.") else { continue };
        if name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.") {
            continue;
        }
        match rfs::fsetxattr(&fd, name, value, XattrFlags::empty()) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

type Folders = Vec<(Vec<u8>, (i64, i64))>;

fn place(
    root: BorrowedFd<'_>,
    member: &Member,
    content: &mut impl Read,
    folders: &mut Folders,
    size: &mut u64,
) -> io::Result<()> {
    let kind = member.header.entry_type();
    let parts = components(&member.path)?;
    let mode = Mode::from_raw_mode(member.header.mode()? & 0o7777);
    let Some((name, above)) = parts.split_last() else {
        if kind.is_dir() {
            own(root, member, mode)?;
            folders.push((b".".to_vec(), member.mtime()));
        }
        return Ok(());
    };
    let parent = folder_at(root, above)?;
    if *name == b".wh..wh..opq" {
        return Ok(rfs::fsetxattr(&parent, "trusted.overlay.opaque", b"y", XattrFlags::empty())?);
    }
    if name.starts_with(b".wh..wh.") {
        return Ok(());
    }
    if let Some(gone) = name.strip_prefix(b".wh.") {
        if gone.is_empty() || gone == b"." || gone == b".." {
            return Err(bad("invalid whiteout"));
        }
        let gone = OsStr::from_bytes(gone);
        return match rfs::mknodat(&parent, gone, FileType::CharacterDevice, Mode::empty(), 0) {
            // The layer brings the name back itself.
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(e) => Err(e.into()),
        };
    }
    let name = OsStr::from_bytes(name);
    let kept = clear(&parent, name, kind.is_dir())?;
    let (uid, gid) = member.owner();
    if kind.is_dir() {
        if !kept {
            rfs::mkdirat(&parent, name, Mode::from_raw_mode(0o700))?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        own(rfs::openat(&parent, name, flags, Mode::empty())?, member, mode)?;
        folders.push((parts.join(&b'/'), member.mtime()));
    } else if kind.is_file() || kind.is_contiguous() {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rfs::openat(&parent, name, flags, Mode::from_raw_mode(0o600))?);
        let written = io::copy(content, &mut file)?;
        if written != member.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        *size += written;
        own(&file, member, mode)?;
        rfs::futimens(&file, &times(member.mtime()))?;
    } else if kind.is_hard_link() {
        let target = components(&member.link)?;
        let Some((target, above)) = target.split_last() else { return Err(bad("hard link to the root")) };
        let from = folder_at(root, above)?;
        rfs::linkat(&from, OsStr::from_bytes(target), &parent, name, AtFlags::empty())?;
    } else if kind.is_symlink() {
        rfs::symlinkat(OsStr::from_bytes(&member.link), &parent, name)?;
        rfs::chownat(
            &parent,
            name,
            Some(Uid::from_raw(uid)),
            Some(Gid::from_raw(gid)),
            AtFlags::SYMLINK_NOFOLLOW,
        )?;
        let _ = rfs::utimensat(&parent, name, &times(member.mtime()), AtFlags::SYMLINK_NOFOLLOW);
    } else {
        let device = rfs::makedev(
            member.header.device_major()?.unwrap_or(0),
            member.header.device_minor()?.unwrap_or(0),
        );
        let (node, device) = if kind.is_fifo() {
            (FileType::Fifo, 0)
        } else if kind.is_character_special() {
            (FileType::CharacterDevice, device)
        } else if kind.is_block_special() {
            (FileType::BlockDevice, device)
        } else {
            return Ok(());
        };
        rfs::mknodat(&parent, name, node, mode, device)?;
        rfs::chownat(
            &parent,
            name,
            Some(Uid::from_raw(uid)),
            Some(Gid::from_raw(gid)),
            AtFlags::SYMLINK_NOFOLLOW,
        )?;
        rfs::chmodat(&parent, name, mode, AtFlags::empty())?;
        let _ = rfs::utimensat(&parent, name, &times(member.mtime()), AtFlags::SYMLINK_NOFOLLOW);
    }
    Ok(())
}
