//! A stream of messages whose protocol confirms nothing: what a receiver may not have read when its connection broke is
//! written again to the next.

use crate::dial::{Connection, State, Target};
use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

/// How long a write may take unless told otherwise.
const WRITE: Duration = Duration::from_secs(30);
const CLOSE: Duration = Duration::from_secs(1);
/// Bytes that are remembered at least: about what two kernels keep for a receiver that does not read.
const UNREAD: usize = 1 << 20;
/// After so long an answer to a write has come, if one comes at all.
const ANSWERED: Duration = Duration::from_secs(10);

/// A receiver that has not closed its connection for so long has read what came. A kernel tries for up to some eighteen
/// minutes to reach a machine that has vanished before it breaks the connection (tcp_retries2).
const READ: Duration = Duration::from_secs(1800);

/// A connection that is made when it is needed.
pub(crate) struct Line {
    target: Target,
    /// How long a write may take.
    limit: Duration,
    open: Option<Connection>,
    /// Since when the connection stands.
    since: Instant,
    /// Writes that succeeded, the last ones.
    unread: VecDeque<Vec<u8>>,
    written: Option<Instant>,
}

impl Line {
    pub(crate) fn new(target: Target) -> Self {
        Self::within(target, WRITE)
    }

    /// One whose writes may take so long.
    pub(crate) fn within(target: Target, limit: Duration) -> Self {
        Self { target, limit, open: None, since: Instant::now(), unread: VecDeque::new(), written: None }
    }

    /// Closes a connection that is older than that, in order: what was written to it will be read from it.
    pub(crate) async fn renew(&mut self, oldest: Duration) -> io::Result<()> {
        if self.since.elapsed() >= oldest
            && let Some(open) = self.still_open().await
        {
            open.close(CLOSE).await;
            (self.open, self.since) = (Some(self.target.connect().await?), Instant::now());
        }
        Ok(())
    }

    /// Writes `messages`; they are the connection's once the kernel has them. Gives an empty buffer for the next ones.
    pub(crate) async fn write(&mut self, messages: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut connection = match self.still_open().await {
            Some(open) => open,
            None => self.connect().await?,
        };
        connection.write(&messages, self.limit).await?;
        self.open = Some(connection);
        self.written = Some(Instant::now());
        Ok(self.keep(messages))
    }

    async fn still_open(&mut self) -> Option<Connection> {
        let mut open = self.open.take()?;
        match open.state().await {
            State::Open => return Some(open),
            // What was written after the other end had closed was answered by a reset, or will be. One that read
            // everything closes in order: a kernel resets a connection that has unread bytes.
            State::Closed if self.written.is_none_or(|at| at.elapsed() >= ANSWERED) => self.unread.clear(),
            State::Closed | State::Broken => {}
        }
        None
    }

    /// Writes again what may be unread if the connection broke after the last write; false when nothing is left to be.
    pub(crate) async fn look_after(&mut self) -> io::Result<bool> {
        self.open = self.still_open().await;
        if self.written.is_some_and(|at| at.elapsed() >= READ) && self.open.is_some() {
            self.unread = VecDeque::new();
        }
        if self.open.is_none() && !self.unread.is_empty() {
            self.open = Some(self.connect().await?);
            self.written = Some(Instant::now());
        }
        Ok(!self.unread.is_empty())
    }

    fn keep(&mut self, messages: Vec<u8>) -> Vec<u8> {
        self.unread.push_back(messages);
        let mut kept: usize = self.unread.iter().map(Vec::len).sum();
        let mut free = Vec::new();
        // What stays has at least so many bytes, however large single writes are.
        while self.unread.front().is_some_and(|oldest| kept - oldest.len() >= UNREAD) {
            let Some(oldest) = self.unread.pop_front() else { break };
            kept -= oldest.len();
            free = oldest;
        }
        free.clear();
        free
    }

    async fn connect(&mut self) -> io::Result<Connection> {
        let mut connection = self.target.connect().await?;
        self.since = Instant::now();
        for messages in &self.unread {
            connection.write(messages, self.limit).await?;
        }
        Ok(connection)
    }

    pub(crate) async fn close(mut self) {
        // Nobody notices later that the connection had broken. And one that is closed with something unread of what the
        // receiver said is reset, which costs what has not been sent yet.
        let _unheard = self.look_after().await;
        if let Some(connection) = self.open {
            connection.close(CLOSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    async fn read(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
        let mut got = vec![0; bytes];
        stream.read_exact(&mut got).await.unwrap();
        got
    }

    async fn line() -> (TcpListener, Line) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::Tcp(listener.local_addr().unwrap().to_string());
        (listener, Line::new(target))
    }

    #[tokio::test]
    async fn what_was_written_as_the_receiver_went_goes_to_the_next() {
        let (listener, mut line) = line().await;
        line.write(b"one ".to_vec()).await.unwrap();
        let (mut first, _) = listener.accept().await.unwrap();
        assert_eq!(read(&mut first, 4).await, b"one ");
        line.write(b"two ".to_vec()).await.unwrap();
        // It closes with unread bytes, which its kernel answers by a reset.
        drop(first);
        while line.write(b"three ".to_vec()).await.is_err() {}
        let (mut next, _) = listener.accept().await.unwrap();
        assert_eq!(read(&mut next, 14).await, b"one two three ");
    }

    #[tokio::test]
    async fn what_was_unread_goes_to_the_next_receiver_though_nothing_more_is_written() {
        let (listener, mut line) = line().await;
        line.write(b"last words".to_vec()).await.unwrap();
        let (first, _) = listener.accept().await.unwrap();
        assert!(line.look_after().await.unwrap());
        drop(first);
        let accepted = tokio::spawn(async move { listener.accept().await.unwrap().0 });
        while !accepted.is_finished() {
            assert!(line.look_after().await.unwrap());
            tokio::task::yield_now().await;
        }
        let mut next = accepted.await.unwrap();
        assert_eq!(read(&mut next, 10).await, b"last words");
        line.written = Instant::now().checked_sub(READ);
        assert!(!line.look_after().await.unwrap());
    }

    #[tokio::test]
    async fn what_a_vanished_machine_has_not_acknowledged_is_remembered_while_the_kernel_still_tries() {
        let (listener, mut line) = line().await;
        line.write(b"last words".to_vec()).await.unwrap();
        let (_silent, _) = listener.accept().await.unwrap();
        line.written = Instant::now().checked_sub(Duration::from_secs(1100));
        assert!(line.look_after().await.unwrap());
        assert_eq!(line.unread.len(), 1);
    }

    #[tokio::test]
    async fn a_receiver_that_closed_long_after_the_last_write_had_read_it() {
        let (listener, mut line) = line().await;
        line.write(b"old ".to_vec()).await.unwrap();
        let (mut first, _) = listener.accept().await.unwrap();
        assert_eq!(read(&mut first, 4).await, b"old ");
        drop(first);
        line.written = Instant::now().checked_sub(ANSWERED);
        while line.write(b"new ".to_vec()).await.is_err() {}
        let (mut next, _) = listener.accept().await.unwrap();
        assert_eq!(read(&mut next, 4).await, b"new ");
    }

    #[tokio::test]
    async fn a_write_that_is_larger_than_what_is_remembered_is_not_forgotten_at_once() {
        let (_listener, mut line) = line().await;
        let mut kept = |bytes: usize| {
            let _free = line.keep(vec![b'x'; bytes]);
            line.unread.iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(kept(UNREAD + 1), [UNREAD + 1]);
        assert_eq!(kept(UNREAD - 1), [UNREAD + 1, UNREAD - 1]);
        assert_eq!(kept(UNREAD), [UNREAD]);
    }

    #[tokio::test]
    async fn what_was_unread_when_a_line_is_closed_goes_to_the_next_receiver() {
        let (listener, mut line) = line().await;
        line.write(b"last words".to_vec()).await.unwrap();
        drop(listener.accept().await.unwrap());
        tokio::time::sleep(Duration::from_millis(50)).await;
        line.close().await;
        let (mut next, _) = listener.accept().await.unwrap();
        assert_eq!(read(&mut next, 10).await, b"last words");
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let (listener, mut line) = line().await;
        let reads = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.unwrap()
        });
        for _ in 0..20 {
            line.write(vec![b'x'; UNREAD / 4]).await.unwrap();
            assert!(line.unread.iter().map(Vec::len).sum::<usize>() <= UNREAD);
        }
        line.close().await;
        assert_eq!(reads.await.unwrap(), 5 * UNREAD as u64);
    }
}
