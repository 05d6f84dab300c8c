//! Files of a build copied into a root that nothing runs in, by the rules of `COPY` and `ADD`.

use super::{Held, Inside, Link, broken, folder, hold_below, hold_in, names, open};
use crate::decompress::decompress;
use crate::place::{Makes, Place};
use crate::tar::Members;
use contract::archive::Placed;
use contract::build::{Shape, Target};
use contract::{Kind, PortError};
use rustix::fs::{self as rfs, AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// The attribute that Docker copies.
const CAPABILITY: &str = "security.capability";
/// Links followed on the way to a destination.
const LINKS: usize = 255;
/// Levels of folders that a path of the kernel's length can have.
const DEPTH: u32 = 2048;

/// Copies every piece. Without any, the target becomes a folder.
pub(super) fn all(inside: &Inside, pieces: &[Placed], target: &Target) -> Result<(), PortError> {
    let named = target.owner.as_deref().map(|owner| owners(inside, owner)).transpose()?;
    if pieces.is_empty() {
        let lay = Lay { inside, named, owner: named, mode: None, links: HashMap::new() };
        let made = lay.resolve(target.path.as_bytes()).and_then(|way| lay.folders(&way));
        return made.map(drop).map_err(broken);
    }
    for piece in pieces {
        let source = inside.sources.get(piece.source);
        let source = source.ok_or_else(|| PortError::new(Kind::Bug, "no such source"))?;
        let root = (!piece.keeps_owner).then_some((0, 0));
        let mut lay = Lay { inside, named, owner: named.or(root), mode: target.mode, links: HashMap::new() };
        lay.piece(source, piece, target).map_err(|e| {
            let error = broken(e);
            PortError::new(error.kind, format!("failed to copy files: {}", error.text))
        })?;
    }
    Ok(())
}

/// The numbers of `user[:group]` by the root's own files; without a group it is the one named like the user.
fn owners(inside: &Inside, owner: &str) -> Result<(u32, u32), PortError> {
    let invalid = |text: String| {
        let text = format!("unable to convert uid/gid chown string to host mapping: {text}");
        PortError::new(Kind::Invalid, text)
    };
    let (user, group) = owner.split_once(':').unwrap_or((owner, owner));
    if user.is_empty() || group.is_empty() {
        return Err(invalid(format!("invalid chown string format: {owner}")));
    }
    let uid = number(user, &inside.text("/etc/passwd"))
        .ok_or_else(|| invalid(format!("can't find uid for user {user}: no such user: {user}")))?;
    let gid = number(group, &inside.text("/etc/group"))
        .ok_or_else(|| invalid(format!("can't find gid for group {group}: no such group: {group}")))?;
    Ok((uid, gid))
}

/// A name's number in a file whose lines have it in the third field; a number is itself.
fn number(name: &str, file: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let lines = file.lines().map(|line| line.split(':'));
    let mut named = lines.filter_map(|mut fields| (fields.next()? == name).then(|| fields.nth(1))?);
    named.next()?.parse().ok()
}

struct Lay<'a> {
    inside: &'a Inside,
    /// Who was asked for: an archive's files, too, become theirs.
    named: Option<(u32, u32)>,
    /// Who gets what is copied; nobody leaves it its owner's.
    owner: Option<(u32, u32)>,
    mode: Option<u32>,
    /// Where files with several names were copied to.
    links: HashMap<(u64, u64), Vec<u8>>,
}

impl Lay<'_> {
    fn piece(&mut self, source: &OwnedFd, piece: &Placed, target: &Target) -> io::Result<()> {
        let held = hold_below(source, &piece.path, Link::Follow)?;
        let mut way = self.resolve(target.path.as_bytes())?;
        if held.kind() == FileType::Directory {
            let to = self.folders(&way)?;
            return self.tree(&folder(&held.file)?, &to, &way.join(&b'/'), DEPTH);
        }
        if piece.shape == Shape::Archive && self.archive(&held, &way)? {
            return Ok(());
        }
        let exists = self.inside.hold(&way.join(&b'/'), Link::Keep);
        if target.path.ends_with('/') || exists.is_ok_and(|held| held.kind() == FileType::Directory) {
            way.push(piece.path.rsplit(|b| *b == b'/').next().unwrap_or_default().to_vec());
        }
        let Some((name, above)) = way.split_last() else { return Err(Errno::ISDIR.into()) };
        let parent = self.folders(above)?;
        self.other(&held, &parent, name, &way.join(&b'/'))
    }

    /// A path's names with all links on it followed, also where nothing is there yet.
    fn resolve(&self, path: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let mut ahead: VecDeque<Vec<u8>> = path.split(|b| *b == b'/').map(<[u8]>::to_vec).collect();
        let (mut way, mut links) = (Vec::new(), 0);
        while let Some(name) = ahead.pop_front() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    way.pop();
                    continue;
                }
                _ => way.push(name),
            }
            let Ok(held) = self.inside.hold(&way.join(&b'/'), Link::Keep) else { continue };
            if held.kind() == FileType::Symlink {
                links += 1;
                if links > LINKS {
                    return Err(Errno::LOOP.into());
                }
                let link = rfs::readlinkat(&held.file, "", Vec::new())?.into_bytes();
                way.pop();
                if link.starts_with(b"/") {
                    way.clear();
                }
                for name in link.rsplit(|b| *b == b'/') {
                    ahead.push_front(name.to_vec());
                }
            }
        }
        Ok(way)
    }

    /// The folder there; missing ones are made.
    fn folders(&self, way: &[Vec<u8>]) -> io::Result<OwnedFd> {
        let mut at = folder(&self.inside.root)?;
        for name in way {
            at = self.folder(&at, name)?.0;
        }
        Ok(at)
    }

    /// A folder in another one, and whether it was made.
    fn folder(&self, parent: &OwnedFd, name: &[u8]) -> io::Result<(OwnedFd, bool)> {
        let name = OsStr::from_bytes(name);
        let made = match rfs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(e) => return Err(e.into()),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rfs::openat(parent, name, flags, Mode::empty())?;
        if made && let Some((uid, gid)) = self.owner {
            rfs::fchown(&opened, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        Ok((opened, made))
    }

    /// Unpacks a file; `false` if it is no archive.
    fn archive(&self, held: &Held, way: &[Vec<u8>]) -> io::Result<bool> {
        if held.kind() != FileType::RegularFile {
            return Ok(false);
        }
        let file = open(&self.inside.descriptors, &held.file)?;
        let Ok(stream) = decompress(file) else { return Ok(false) };
        let mut members = Members::new(io::BufReader::with_capacity(1 << 16, stream));
        let Ok(Some(mut member)) = members.next() else { return Ok(false) };
        self.folders(way)?;
        let makes = Makes::Files { keep_kinds: false, owner: self.named };
        let mut into = Place::below(File::from(self.inside.root.try_clone()?), &way.join(&b'/'), makes);
        loop {
            if let Some(mode) = self.mode.filter(|_| !member.kind.is_symlink()) {
                member.header.set_mode(mode);
            }
            into.member(&member, &mut members.content())?;
            match members.next()? {
                Some(next) => member = next,
                None => break,
            }
        }
        into.finish()?;
        Ok(true)
    }

    fn tree(&mut self, from: &OwnedFd, to: &OwnedFd, path: &[u8], depth: u32) -> io::Result<()> {
        if depth == 0 {
            return Err(Errno::NAMETOOLONG.into());
        }
        for name in names(from)? {
            let held = hold_in(from, OsStr::from_bytes(&name))?;
            let path = [path, b"/", name.as_slice()].concat();
            if held.kind() != FileType::Directory {
                self.other(&held, to, &name, &path)?;
                continue;
            }
            // Anything but a folder makes room.
            if !is_folder(to, &name)? {
                clear(to, &name)?;
            }
            let inner = folder(&held.file)?;
            let made = self.folder(to, &name)?.0;
            self.tree(&inner, &made, &path, depth - 1)?;
            self.dress(&inner, &made, &held.stat)?;
            rfs::futimens(&made, &times(&held.stat))?;
        }
        Ok(())
    }

    /// What is no folder.
    fn other(&mut self, held: &Held, to: &OwnedFd, name: &[u8], path: &[u8]) -> io::Result<()> {
        let stat = &held.stat;
        let device = matches!(held.kind(), FileType::CharacterDevice | FileType::BlockDevice);
        if held.kind() == FileType::Socket || device && stat.st_rdev == 0 {
            // A socket is its listener's, and such a device is a layer's mark for a name that is gone.
            return Ok(());
        }
        if held.kind() != FileType::RegularFile || stat.st_nlink > 1 {
            clear(to, name)?;
        }
        let name = OsStr::from_bytes(name);
        if stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                let first = self.inside.hold(first, Link::Keep)?;
                let empty = AtFlags::EMPTY_PATH;
                return Ok(rfs::linkat(&first.file, "", to, name, empty)?);
            }
            self.links.insert((stat.st_dev, stat.st_ino), path.to_vec());
        }
        match held.kind() {
            FileType::RegularFile => self.file(held, to, name),
            FileType::Symlink => {
                rfs::symlinkat(rfs::readlinkat(&held.file, "", Vec::new())?.as_c_str(), to, name)?;
                self.outside(to, name, stat)
            }
            kind => {
                rfs::mknodat(to, name, kind, Mode::from_raw_mode(0o600), stat.st_rdev)?;
                self.outside(to, name, stat)
            }
        }
    }

    fn file(&self, held: &Held, to: &OwnedFd, name: &OsStr) -> io::Result<()> {
        let mut from = open(&self.inside.descriptors, &held.file)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = self.bits(&held.stat) & (Mode::RWXU | Mode::RWXG | Mode::RWXO);
        let made = match rfs::openat(to, name, flags, mode) {
            // Something is in the way, which is looked at only then.
            Err(Errno::EXIST) => {
                clear(to, name.as_bytes())?;
                rfs::openat(to, name, flags, mode)?
            }
            made => made?,
        };
        let mut made = File::from(made);
        content(&mut from, &mut made, &held.stat)?;
        self.dress(&from, &made, &held.stat)?;
        Ok(rfs::futimens(&made, &times(&held.stat))?)
    }

    fn numbers(&self, stat: &rfs::Stat) -> (Uid, Gid) {
        let (uid, gid) = self.owner.unwrap_or((stat.st_uid, stat.st_gid));
        (Uid::from_raw(uid), Gid::from_raw(gid))
    }

    fn bits(&self, stat: &rfs::Stat) -> Mode {
        Mode::from_raw_mode(self.mode.unwrap_or(stat.st_mode) & 0o7777)
    }

    /// Owner, mode and attributes of an open file or folder.
    fn dress(&self, from: impl AsFd, to: impl AsFd, stat: &rfs::Stat) -> io::Result<()> {
        let (uid, gid) = self.numbers(stat);
        let made = rfs::fstat(&to)?;
        let own = (made.st_uid, made.st_gid) == (uid.as_raw(), gid.as_raw());
        // Ownership first: changing it clears the set-id bits and file capabilities.
        if !own {
            rfs::fchown(&to, Some(uid), Some(gid))?;
        }
        if !own || Mode::from_raw_mode(made.st_mode) != self.bits(stat) {
            rfs::fchmod(&to, self.bits(stat))?;
        }
        let mut value = [0u8; 64];
        if let Ok(length) = rfs::fgetxattr(&from, CAPABILITY, &mut value[..]) {
            rfs::fsetxattr(&to, CAPABILITY, value.get(..length).unwrap_or_default(), XattrFlags::empty())?;
        }
        Ok(())
    }

    /// Owner, mode and time of what cannot be opened.
    fn outside(&self, to: &OwnedFd, name: &OsStr, stat: &rfs::Stat) -> io::Result<()> {
        let (uid, gid) = self.numbers(stat);
        rfs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            rfs::chmodat(to, name, self.bits(stat), AtFlags::empty())?;
        }
        Ok(rfs::utimensat(to, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)?)
    }
}

fn is_folder(parent: &OwnedFd, name: &[u8]) -> io::Result<bool> {
    match rfs::statat(parent, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
        Err(Errno::NOENT) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Removes what has a name, whatever it is.
fn clear(parent: &OwnedFd, name: &[u8]) -> io::Result<()> {
    let name = OsStr::from_bytes(name);
    match rfs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR) => crate::erase::clear_away(parent, name),
        Err(e) => Err(e.into()),
    }
}

/// Content up to this is read and written at once.
const SMALL: u64 = 1 << 16;

/// Copies content; what is a hole stays one.
fn content(from: &mut File, to: &mut File, stat: &rfs::Stat) -> io::Result<()> {
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    // Blocks of 512 bytes, whatever the file system's are (stat(2)).
    let full = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512) >= size;
    if full && size <= SMALL {
        let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
        from.take(size).read_to_end(&mut content)?;
        if (content.len() as u64) < size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        return to.write_all(&content);
    }
    let mut at = 0;
    while at < size {
        let start = match rfs::seek(&*from, rfs::SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            // No holes are known here.
            Err(Errno::INVAL) => return io::copy(from, to).map(drop),
            Err(e) => return Err(e.into()),
        };
        let end = rfs::seek(&*from, rfs::SeekFrom::Hole(start))?.min(size);
        from.seek(SeekFrom::Start(start))?;
        to.seek(SeekFrom::Start(start))?;
        // The kernel copies by itself where it can.
        let copied = io::copy(&mut (&mut *from).take(end - start), to)?;
        if copied < end - start {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        at = end;
    }
    to.set_len(size)
}

fn times(stat: &rfs::Stat) -> Timestamps {
    let at = Timespec { tv_sec: stat.st_mtime as _, tv_nsec: stat.st_mtime_nsec as _ };
    Timestamps { last_access: at, last_modification: at }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn names_have_the_numbers_of_the_roots_own_files() {
        let users = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/:/bin/sh\nbroken\n";
        assert_eq!(number("web", users), Some(33));
        assert_eq!(number("1000", users), Some(1000));
        assert_eq!(number("broken", users), None);
        assert_eq!(number("nobody", users), None);
    }
}
