//! Files of a layer whose place a later member of the same layer took.
//!
//! They are moved aside, the n-th to `n`, and `moves` says of each how many files had got content before that and what its
//! path was.

use super::{number, path, put, put_bytes};
use crate::limits::remember;
use rustix::fs::{self as rfs, Mode, OFlags};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const MOVES: &str = "moves";

/// Where files are moved to; made with the first one.
pub(crate) struct Kept {
    folder: PathBuf,
    open: Option<(OwnedFd, BufWriter<File>)>,
    count: u64,
    names: usize,
}

impl Kept {
    /// In this folder, which is not there yet.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, open: None, count: 0, names: 0 }
    }

    /// Moves a file or a tree aside. `before` files had got content, and `path` is where it was.
    pub(crate) fn take(
        &mut self,
        parent: impl AsFd,
        name: &OsStr,
        path: &[u8],
        before: u64,
    ) -> io::Result<()> {
        // A reader has to know them all at once.
        remember(&mut self.names, path)?;
        let (folder, moves) = match &mut self.open {
            Some(open) => open,
            none => {
                // Whoever unpacks may have no umask.
                DirBuilder::new().mode(0o755).create(&self.folder)?;
                let folder = File::open(&self.folder)?;
                let moves =
                    File::options().write(true).create_new(true).mode(0o644).open(self.folder.join(MOVES))?;
                let moves = BufWriter::new(moves);
                none.insert((folder.into(), moves))
            }
        };
        rfs::renameat(parent, name, folder, self.count.to_string())?;
        let mut line = Vec::new();
        put(&mut line, before);
        put_bytes(&mut line, path);
        moves.write_all(&line)?;
        self.count += 1;
        Ok(())
    }

    /// Writes down what was moved.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.open.map_or(Ok(()), |(_, mut moves)| moves.flush())
    }
}

/// What was moved, by path: how many files had got content before, and the number it has now.
pub(super) struct Moves {
    by_path: HashMap<Vec<u8>, Vec<(u64, u64)>>,
    folder: Option<File>,
}

impl Moves {
    /// Reads what [`Kept`] wrote; no folder means that nothing was moved.
    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        let mut by_path: HashMap<_, Vec<_>> = HashMap::new();
        let moves = match File::open(folder.join(MOVES)) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self { by_path, folder: None }),
            Err(e) => return Err(e),
        };
        let (mut moves, mut names) = (BufReader::new(moves), 0);
        for kept in 0.. {
            let mut first = [0];
            if moves.read(&mut first)? == 0 {
                break;
            }
            let before = number(&mut first.chain(&mut moves))?;
            let path = path(&mut moves)?;
            remember(&mut names, &path)?;
            by_path.entry(path).or_default().push((before, kept));
        }
        Ok(Self { by_path, folder: Some(File::open(folder)?) })
    }

    /// Where the `index`-th file that got content is now: the kept tree's number, and the path in it.
    fn find<'a>(&self, path: &'a [u8], index: u64) -> Option<(u64, &'a [u8])> {
        let slashes = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
        let moved = slashes.chain([path.len()]).filter_map(|at| {
            let list = self.by_path.get(path.get(..at)?)?;
            // In the order they were moved.
            let (_, kept) = list.iter().find(|(before, _)| *before > index)?;
            Some((*kept, path.get(at..)?))
        });
        // Once moved aside, it stays.
        moved.min_by_key(|(kept, _)| *kept)
    }

    /// The kept folder that the file is in and its path there, `None` if it is where it was placed.
    pub(super) fn locate(&self, path: &[u8], index: u64) -> io::Result<Option<(OwnedFd, Vec<u8>)>> {
        let Some(folder) = self.folder.as_ref().filter(|_| !self.by_path.is_empty()) else { return Ok(None) };
        let Some((kept, rest)) = self.find(path, index) else { return Ok(None) };
        let rest = rest.strip_prefix(b"/").unwrap_or_default();
        if rest.is_empty() {
            return Ok(Some((folder.as_fd().try_clone_to_owned()?, kept.to_string().into_bytes())));
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Some((rfs::openat(folder, kept.to_string(), flags, Mode::empty())?, rest.to_vec())))
    }
}

#[cfg(test)]
mod tests {
    use super::Moves;

    #[test]
    fn a_file_is_found_by_the_first_move_after_it() {
        let list = [("d/f", 1, 0), ("d", 3, 1), ("d/f", 5, 2), ("d/f", 5, 3)];
        let mut moves = Moves { by_path: Default::default(), folder: None };
        for (path, before, kept) in list {
            moves.by_path.entry(path.into()).or_default().push((before, kept));
        }
        for (path, index, wanted) in [
            ("d/f", 0, Some((0, &b""[..]))),
            ("d/f", 1, Some((1, b"/f"))),
            ("d/g", 2, Some((1, b"/g"))),
            ("d/f", 3, Some((2, b""))),
            ("d/f", 5, None),
            ("dd/f", 0, None),
        ] {
            assert_eq!(moves.find(path.as_bytes(), index), wanted, "{path} {index}");
        }
    }
}
