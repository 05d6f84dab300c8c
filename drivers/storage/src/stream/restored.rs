//! A layer's stream, read from its record and its files.

use super::kept::Moves;
use super::{DIFF, END, HEAD, KEPT, LITERAL, MAGIC, PIECES, STREAM, WHOLE, byte, damaged, number, path};
use crate::inside::beneath;
use crate::tar::bad;
use rustix::fs::{self as rfs, FileType, Mode, OFlags};
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What is to be given out next.
enum Source {
    Steps,
    Literal(u64),
    /// A piece of a file, and how many follow.
    File {
        file: File,
        left: u64,
        pieces: u64,
    },
    Ended,
}

/// The stream of one layer. Its last bytes are given out only if all of it is what the diff id says.
pub(crate) struct Restored {
    diff: File,
    steps: BufReader<zstd::Decoder<'static, BufReader<File>>>,
    moves: Moves,
    source: Source,
    /// Files whose content was given out.
    files: u64,
    /// The folder that the last file was in.
    folder: Option<(Vec<u8>, OwnedFd)>,
    diff_id: String,
    /// Of what was given out; taken when all of it was found right.
    sha: Option<Sha256>,
    length: u64,
    given: u64,
}

/// Opens a layer's record; answers the stream's length too.
fn open(layer: &Path) -> io::Result<(File, u64)> {
    let mut file = File::open(layer.join(STREAM))?;
    let (mut magic, mut length) = ([0; 16], [0; 8]);
    file.read_exact(&mut magic)?;
    if magic != *MAGIC {
        return Err(bad("the record of the layer's stream has an unknown form"));
    }
    file.read_exact(&mut length)?;
    Ok((file, u64::from_le_bytes(length)))
}

impl Restored {
    /// The stream of the layer in this folder. One unpacked without a record is `NotFound`.
    pub(crate) fn open(layer: &Path, diff_id: &str) -> io::Result<Self> {
        let (mut record, length) = open(layer)?;
        record.seek(SeekFrom::Start(HEAD))?;
        Ok(Self {
            diff: File::open(layer.join(DIFF))?,
            steps: BufReader::with_capacity(1 << 16, zstd::Decoder::new(record)?),
            moves: Moves::read(&layer.join(KEPT))?,
            source: Source::Steps,
            files: 0,
            folder: None,
            diff_id: diff_id.to_owned(),
            sha: Some(Sha256::new()),
            length,
            given: 0,
        })
    }

    /// Bytes of the whole stream.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Reads it all; fails unless it is what its diff id says.
    pub(crate) fn verify(mut self) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 17];
        while self.read(&mut buffer)? > 0 {}
        Ok(())
    }

    /// The file that got content under this path as the next one.
    fn file(&mut self, path: &[u8]) -> io::Result<File> {
        let index = self.files;
        self.files += 1;
        let located = self.moves.locate(path, index)?;
        let (base, path) = match &located {
            Some((folder, path)) => (folder.as_fd(), path.as_slice()),
            None => (self.diff.as_fd(), path),
        };
        let slash = path.iter().rposition(|b| *b == b'/');
        let (above, name) = match slash {
            Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
            None => (&b""[..], path),
        };
        // Files of one folder mostly follow each other.
        let known = self.folder.take().filter(|(at, _)| located.is_none() && at == above);
        let (above, folder) = match known {
            Some(known) => known,
            None => (above.to_vec(), beneath(base, above)?),
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = rfs::openat(&folder, OsStr::from_bytes(name), flags, Mode::empty())?;
        if FileType::from_raw_mode(rfs::fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(damaged());
        }
        if located.is_none() {
            self.folder = Some((above, folder));
        }
        Ok(file.into())
    }

    /// Takes the next step.
    fn step(&mut self) -> io::Result<Source> {
        match byte(&mut self.steps)? {
            END => Ok(Source::Ended),
            LITERAL => Ok(Source::Literal(number(&mut self.steps)?)),
            kind @ (WHOLE | PIECES) => {
                let path = path(&mut self.steps)?;
                let count = number(&mut self.steps)?;
                let file = self.file(&path).map_err(|e| {
                    let shown = String::from_utf8_lossy(&path).into_owned();
                    io::Error::new(e.kind(), format!("{shown}: {e}"))
                })?;
                Ok(match kind {
                    WHOLE => Source::File { file, left: count, pieces: 0 },
                    _ => Source::File { file, left: 0, pieces: count },
                })
            }
            _ => Err(damaged()),
        }
    }

    /// Reads some bytes; none at the end.
    fn some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match &mut self.source {
                Source::Ended => return Ok(0),
                Source::Literal(0) => self.source = Source::Steps,
                Source::Literal(left) => return take(&mut self.steps, left, buffer),
                Source::File { left: 0, pieces: 0, .. } => self.source = Source::Steps,
                Source::File { file, left: left @ 0, pieces } => {
                    file.seek(SeekFrom::Start(number(&mut self.steps)?))?;
                    (*left, *pieces) = (number(&mut self.steps)?, *pieces - 1);
                }
                Source::File { file, left, .. } => return take(file, left, buffer),
                Source::Steps => self.source = self.step()?,
            }
        }
    }

    /// All was given out: is it what it was?
    fn check(&mut self) -> io::Result<()> {
        let Some(sha) = self.sha.as_ref() else { return Ok(()) };
        let found = format!("sha256:{}", hex::encode(sha.clone().finalize()));
        if self.given != self.length || found != self.diff_id {
            return Err(bad(format!("layer {} is damaged: its files make up {found}", self.diff_id)));
        }
        self.sha = None;
        Ok(())
    }
}

/// Reads of what is left there.
fn take(from: &mut impl Read, left: &mut u64, buffer: &mut [u8]) -> io::Result<usize> {
    let most = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
    let count = from.read(buffer.get_mut(..most).unwrap_or_default())?;
    if count == 0 && most > 0 {
        return Err(bad("a file of the layer is shorter than it was"));
    }
    *left -= count as u64;
    Ok(count)
}

impl Read for Restored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(free) = buffer.get_mut(filled..).filter(|f| !f.is_empty()) {
            let count = self.some(free)?;
            if count == 0 {
                break;
            }
            filled += count;
        }
        if let Some(sha) = &mut self.sha {
            sha.update(buffer.get(..filled).unwrap_or_default());
        }
        self.given += filled as u64;
        // Whoever counts the bytes asks no more once he has them all, so the last of them wait for the verdict.
        if self.given >= self.length && self.some(&mut [0])? > 0 {
            return Err(damaged());
        }
        if matches!(self.source, Source::Ended) {
            self.check()?;
        }
        Ok(filled)
    }
}
