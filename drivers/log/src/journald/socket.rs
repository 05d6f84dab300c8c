//! The journal's socket: entries as datagrams, those too large for one as a sealed memory file.

use crate::dial::undialed;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::fs::File;
use std::io::{self, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

/// How long the journal may leave its socket full.
const WRITE: Duration = Duration::from_secs(30);
/// EMSGSIZE on Linux.
const MESSAGE_SIZE: i32 = 90;

/// An open one.
pub(super) struct Socket(UnixDatagram);

impl Socket {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path).map_err(|e| away(path, &e))?;
        Ok(Self(socket))
    }

    pub(super) async fn send(&self, entry: &[u8]) -> io::Result<()> {
        match in_time(self.0.send(entry)).await {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(MESSAGE_SIZE) => self.send_file(entry).await,
            Err(error) => Err(error),
        }
    }

    async fn send_file(&self, entry: &[u8]) -> io::Result<()> {
        let mut file =
            File::from(memfd_create("journal-entry", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
        file.write_all(entry)?;
        // The journal takes only what nobody can change any more.
        fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
        let work = self.0.async_io(Interest::WRITABLE, || {
            let files = [file.as_fd()];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !ancillary.push(SendAncillaryMessage::ScmRights(&files)) {
                return Err(io::Error::other(format!("no room for descriptor {}", file.as_raw_fd())));
            }
            Ok(sendmsg(&self.0, &[], &mut ancillary, SendFlags::empty())?)
        });
        in_time(work).await.map(drop)
    }
}

/// Docker's words where there is no journal, with the socket that is missing.
fn away(path: &Path, error: &io::Error) -> io::Error {
    let told = undialed(&format_args!("unixgram {}", path.display()), error);
    match error.kind() {
        kind @ (io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            io::Error::new(kind, format!("journald is not enabled on this host: {told}"))
        }
        _ => told,
    }
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(WRITE, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_journal_that_is_not_there_is_told_with_its_socket() {
        let missing = Socket::open(Path::new("/nowhere/socket")).err().unwrap();
        let text = "journald is not enabled on this host: dial unixgram /nowhere/socket: connect: no such file or \
                    directory";
        assert_eq!(missing.to_string(), text);
    }
}
