//! The fifo between a container's lines and a plugin.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::io::ioctl_fionread;
use rustix::pipe::fcntl_setpipe_size;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::net::unix::pipe::{OpenOptions, Sender};
use tokio::time::{sleep, timeout};

/// Bytes that the kernel keeps for a plugin that is slower than its container.
const SIZE: usize = 256 * 1024;
/// A plugin that has read nothing for so long is told of.
const STALL: Duration = Duration::from_secs(10);
/// Shortest and longest pause between two looks at what it has read, of which the kernel tells nothing by itself.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(20)];

/// Why what was written is not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// It is there, and reads nothing.
    #[error("the plugin does not read what it is given")]
    Stalled,
    /// It has never read.
    #[error("the plugin does not open its fifo")]
    Unopened,
    /// It has closed its end, or has ended.
    #[error("the plugin has closed its fifo")]
    Gone,
    /// Writing failed otherwise.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The name of a fifo, which goes with this value. A plugin that has it open reads on to its end.
pub(super) struct Name(PathBuf);

impl Drop for Name {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// A fifo, which goes with this value.
pub(super) struct Fifo {
    name: Name,
    /// Open for reading, too, until the plugin has been seen reading: nothing is lost on a plugin that opens late. From
    /// then on the plugin is the only reader, so that its end is noticed.
    end: Sender,
    reader: Reader,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Awaited,
    Seen,
}

impl Fifo {
    pub(super) fn make(folder: &Path, name: &str) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let path = folder.join(name);
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR)?;
        match OpenOptions::new().read_write(true).open_sender(&path) {
            Ok(end) => {
                // As large as the kernel lets it be.
                fcntl_setpipe_size(&end, SIZE).ok();
                Ok(Self { name: Name(path), end, reader: Reader::Awaited })
            }
            Err(error) => {
                std::fs::remove_file(&path).ok();
                Err(error)
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.name.0
    }

    /// Nothing more is written. A plugin that reads comes to the end now, and one that has not opened it yet is not left
    /// waiting for a writer while it does: that is there as long as what this gives.
    pub(super) fn finish(mut self) -> (Option<Sender>, Name) {
        // Whether it reads decides, and not what it has read.
        let _seen = self.settle().is_ok();
        let Self { name, end, reader } = self;
        (Some(end).filter(|_| reader == Reader::Awaited), name)
    }

    /// Writes what is left of `frames` from `written` on, and waits until the plugin has read everything. Can be called
    /// again with the same after [`Trouble::Stalled`].
    pub(super) async fn push(&mut self, frames: &[u8], written: &mut usize) -> Result<(), Trouble> {
        let (mut moved, mut pause) = (Instant::now(), PAUSES[0]);
        let mut unread = ioctl_fionread(&self.end).map_err(io::Error::from)?;
        loop {
            let rest = frames.get(*written..).unwrap_or_default();
            let before = (*written, unread);
            if !rest.is_empty() {
                match self.end.try_write(rest) {
                    Ok(n) => *written += n,
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Err(Trouble::Gone),
                    Err(e) => return Err(e.into()),
                }
            }
            let expected = unread + (*written - before.0) as u64;
            unread = ioctl_fionread(&self.end).map_err(io::Error::from)?;
            if self.reader == Reader::Awaited && unread < expected {
                self.end = OpenOptions::new().open_sender(self.path())?;
                self.reader = Reader::Seen;
            }
            if *written == frames.len() && unread == 0 {
                return Ok(());
            }
            self.check()?;
            if before == (*written, unread) {
                if moved.elapsed() > STALL {
                    return Err(match self.reader {
                        Reader::Awaited => Trouble::Unopened,
                        Reader::Seen => Trouble::Stalled,
                    });
                }
                pause = (pause * 2).min(PAUSES[1]);
            } else {
                (moved, pause) = (Instant::now(), PAUSES[0]);
            }
            if *written < frames.len() {
                // What it reads makes room.
                drop(timeout(pause, self.end.writable()).await);
            } else {
                sleep(pause).await;
            }
        }
    }

    /// Whether a plugin has it open, as far as anybody can tell: what waits for one that has never read waits on.
    pub(super) fn settle(&mut self) -> Result<(), Trouble> {
        if self.reader == Reader::Seen {
            return self.check();
        }
        if ioctl_fionread(&self.end).map_err(io::Error::from)? > 0 {
            return Ok(());
        }
        // One end is opened before the other is closed: a plugin that reads sees no end of it.
        self.end = OpenOptions::new().open_sender(self.path())?;
        if self.check().is_ok() {
            self.reader = Reader::Seen;
            return Ok(());
        }
        self.end = OpenOptions::new().read_write(true).open_sender(self.path())?;
        Err(Trouble::Unopened)
    }

    /// Whether anybody has the other end open.
    pub(super) fn check(&self) -> Result<(), Trouble> {
        let mut ends = [PollFd::new(&self.end, PollFlags::OUT)];
        poll(&mut ends, Some(&rustix::event::Timespec::default())).map_err(io::Error::from)?;
        let broken = ends.iter().any(|end| end.revents().contains(PollFlags::ERR));
        if broken { Err(Trouble::Gone) } else { Ok(()) }
    }
}

/// Removes what daemons that were killed have left of the fifos whose names begin so.
pub(super) fn sweep(folder: &Path, prefix: &str) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix)) {
            std::fs::remove_file(entry.path()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn fifo(folder: &Path) -> Fifo {
        Fifo::make(&folder.join("logging"), "t-c-1").unwrap()
    }

    #[tokio::test]
    async fn everything_is_read_also_by_a_plugin_that_opens_late_and_reads_slowly() {
        let folder = tempfile::tempdir().unwrap();
        let mut fifo = fifo(folder.path());
        let path = fifo.path().to_owned();
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
        let reading = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            let (mut file, mut got) = (std::fs::File::open(path).unwrap(), Vec::new());
            file.read_to_end(&mut got).unwrap();
            got
        });
        fifo.push(&bytes, &mut 0).await.unwrap();
        fifo.push(b"more", &mut 0).await.unwrap();
        let path = fifo.path().to_owned();
        drop(fifo);
        assert!(!path.exists());
        let got = reading.join().unwrap();
        assert!(got == [&bytes[..], b"more"].concat());
    }

    #[tokio::test]
    async fn whether_a_plugin_that_was_given_nothing_yet_is_there_can_be_told_without_ending_its_reading() {
        let folder = tempfile::tempdir().unwrap();
        let mut fifo = fifo(folder.path());
        assert!(matches!(fifo.settle(), Err(Trouble::Unopened)), "nobody has opened it");
        assert!(matches!(fifo.settle(), Err(Trouble::Unopened)), "nor later");
        let mut file = std::fs::File::open(fifo.path()).unwrap();
        let reading = std::thread::spawn(move || {
            let mut got = [0; 4];
            file.read_exact(&mut got).unwrap();
            (file, got)
        });
        std::thread::sleep(Duration::from_millis(30));
        fifo.settle().unwrap();
        fifo.push(b"text", &mut 0).await.unwrap();
        let (file, got) = reading.join().unwrap();
        assert_eq!(&got, b"text");
        drop(file);
        assert!(matches!(fifo.settle(), Err(Trouble::Gone)));
    }

    #[tokio::test]
    async fn a_plugin_that_reads_is_at_the_end_before_it_is_told_to_stop_and_one_that_comes_late_does_not_hang()
     {
        // One that answers once it has read everything would have answered never; with that in memory alone it was killed.
        let folder = tempfile::tempdir().unwrap();
        let mut read = fifo(folder.path());
        let (path, mut file) = (read.path().to_owned(), std::fs::File::open(read.path()).unwrap());
        let reading = std::thread::spawn(move || {
            let mut got = Vec::new();
            file.read_to_end(&mut got).unwrap();
            got
        });
        read.push(b"last", &mut 0).await.unwrap();
        let until_then = read.finish();
        assert_eq!(reading.join().unwrap(), b"last");
        assert!(path.exists());
        drop(until_then);
        assert!(!path.exists());
        let until_then = fifo(folder.path()).finish();
        drop(std::fs::File::open(&path).unwrap());
        drop(until_then);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_plugin_that_ends_with_unread_bytes_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let mut fifo = fifo(folder.path());
        let mut file = std::fs::File::open(fifo.path()).unwrap();
        let reading = std::thread::spawn(move || {
            // Some of it is read, some is not.
            file.read_exact(&mut [0; 10]).unwrap();
            std::thread::sleep(Duration::from_millis(30));
        });
        let mut written = 0;
        assert!(matches!(fifo.push(&[1; 100], &mut written).await, Err(Trouble::Gone)));
        assert_eq!(written, 100);
        reading.join().unwrap();
    }
}
