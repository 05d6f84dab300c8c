//! A stream of messages, each ended by a NUL. The protocol confirms nothing, so what a receiver may not have read when
//! its connection broke is written again.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

const CONNECT: Duration = Duration::from_secs(5);
const WRITE: Duration = Duration::from_secs(30);
const CLOSE: Duration = Duration::from_secs(1);
/// Bytes that are remembered: about what two kernels keep for a receiver that does not read.
const UNREAD: usize = 1 << 20;
/// After so long an answer to a write has come, if one comes at all.
const ANSWERED: Duration = Duration::from_secs(10);

/// A connection that is made when it is needed.
pub(super) struct Line {
    address: String,
    open: Option<TcpStream>,
    /// Writes that succeeded, the last ones.
    unread: VecDeque<Vec<u8>>,
    written: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The other end closed it having read everything: a kernel resets a connection that has unread bytes.
    Finished,
    Broken,
}

impl Line {
    pub(super) fn new(address: String) -> Self {
        Self { address, open: None, unread: VecDeque::new(), written: None }
    }

    /// Writes `messages`; they are the connection's once the kernel has them.
    pub(super) async fn write(&mut self, messages: Vec<u8>) -> io::Result<()> {
        let mut stream = match self.open.take() {
            Some(open) => match self.state(&open) {
                State::Open => open,
                State::Finished => {
                    self.unread.clear();
                    self.connect().await?
                }
                State::Broken => self.connect().await?,
            },
            None => self.connect().await?,
        };
        in_time(WRITE, stream.write_all(&messages)).await?;
        self.open = Some(stream);
        self.written = Some(Instant::now());
        self.unread.push_back(messages);
        let mut kept: usize = self.unread.iter().map(Vec::len).sum();
        while kept > UNREAD {
            kept -= self.unread.pop_front().map_or(kept, |oldest| oldest.len());
        }
        Ok(())
    }

    fn state(&self, stream: &TcpStream) -> State {
        let mut scratch = [0; 512];
        loop {
            match stream.try_read(&mut scratch) {
                Ok(0) => {
                    // What was written after the other end had closed was answered by a reset, or will be.
                    let late = self.written.is_some_and(|at| at.elapsed() < ANSWERED);
                    let reset = !matches!(stream.take_error(), Ok(None));
                    return if late || reset { State::Broken } else { State::Finished };
                }
                // Receivers have nothing to say.
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return State::Open,
                Err(_) => return State::Broken,
            }
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let mut stream = in_time(CONNECT, TcpStream::connect(&self.address)).await?;
        for messages in &self.unread {
            in_time(WRITE, stream.write_all(messages)).await?;
        }
        Ok(stream)
    }

    pub(super) async fn close(self) {
        if let Some(mut stream) = self.open {
            // Whether it hears of it makes no difference to what was delivered.
            in_time(CLOSE, stream.shutdown()).await.ok();
        }
    }
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
