//! A stream of messages whose protocol confirms nothing: what a receiver may not have read when its connection broke is
//! written again to the next.

use crate::dial::{Connection, State, Target, is_own_limit};
use contract::log::{Certain, Cursor};
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
    /// Writes that succeeded, the last ones, and which batch each of them ended.
    unread: VecDeque<(Vec<u8>, Option<Cursor>)>,
    /// The end of the last batch that is no longer among them.
    read: Option<Cursor>,
    written: Option<Instant>,
    /// After so long everything counts as read.
    patience: Duration,
    /// How long the other end may take to close as well.
    closes: Duration,
}

impl Line {
    pub(crate) fn new(target: Target) -> Self {
        Self::within(target, WRITE)
    }

    /// One whose writes may take so long.
    pub(crate) fn within(target: Target, limit: Duration) -> Self {
        let (unread, since) = (VecDeque::new(), Instant::now());
        let (patience, closes) = (READ, CLOSE);
        Self { target, limit, open: None, since, unread, read: None, written: None, patience, closes }
    }

    /// The other end may take so long to close as well.
    pub(crate) fn may_end_within(&mut self, limit: Duration) {
        self.closes = limit;
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

    /// Writes `messages`, the last of a batch if its end is given; they are the connection's once the kernel has them. Gives
    /// an empty buffer for the next ones.
    pub(crate) async fn write(&mut self, messages: Vec<u8>, end: Option<&Cursor>) -> io::Result<Vec<u8>> {
        let mut connection = match self.still_open().await {
            Some(open) => open,
            None => self.connect().await?,
        };
        connection.write(&messages, self.limit).await?;
        self.open = Some(connection);
        self.written = Some(Instant::now());
        Ok(self.keep(messages, end.cloned()))
    }

    async fn still_open(&mut self) -> Option<Connection> {
        let mut open = self.open.take()?;
        match open.state().await {
            State::Open => return Some(open),
            // What was written after the other end had closed was answered by a reset, or will be. One that read
            // everything closes in order: a kernel resets a connection that has unread bytes.
            State::Closed if self.written.is_none_or(|at| at.elapsed() >= ANSWERED) => self.all_read(),
            State::Closed | State::Broken => {}
        }
        None
    }

    /// Writes again what may be unread if the connection broke after the last write; false when nothing is left to be.
    pub(crate) async fn look_after(&mut self) -> io::Result<bool> {
        self.open = self.still_open().await;
        if self.written.is_some_and(|at| at.elapsed() >= self.patience) && self.open.is_some() {
            self.all_read();
        }
        if self.open.is_none() && !self.unread.is_empty() {
            self.open = Some(self.connect().await?);
            self.written = Some(Instant::now());
        }
        Ok(!self.unread.is_empty())
    }

    /// Up to which batch everything was read.
    pub(crate) fn certain(&self) -> Certain {
        if self.unread.is_empty() { Certain::All } else { Certain::UpTo(self.read.clone()) }
    }

    fn all_read(&mut self) {
        let last = std::mem::take(&mut self.unread).into_iter().rev().find_map(|(_, end)| end);
        self.read = last.or_else(|| self.read.take());
    }

    fn keep(&mut self, messages: Vec<u8>, end: Option<Cursor>) -> Vec<u8> {
        self.unread.push_back((messages, end));
        let mut kept: usize = self.unread.iter().map(|(messages, _)| messages.len()).sum();
        let mut free = Vec::new();
        // What stays has at least so many bytes, however large single writes are.
        while self.unread.front().is_some_and(|(oldest, _)| kept - oldest.len() >= UNREAD) {
            let Some((oldest, end)) = self.unread.pop_front() else { break };
            kept -= oldest.len();
            free = oldest;
            self.read = end.or_else(|| self.read.take());
        }
        free.clear();
        free
    }

    async fn connect(&mut self) -> io::Result<Connection> {
        let mut connection = self.target.connect().await?;
        self.since = Instant::now();
        for (messages, _) in &self.unread {
            connection.write(messages, self.limit).await?;
        }
        Ok(connection)
    }

    /// Ends the connection in order. An error when the far side does not do so as well: what it had not read then, nobody
    /// knows.
    pub(crate) async fn close(mut self) -> io::Result<()> {
        // Nobody notices later that the connection had broken.
        self.look_after().await?;
        match self.open {
            Some(connection) => {
                let finished = connection.finish(self.closes).await;
                finished.map_err(|e| unfinished(&self.target, self.closes, e))
            }
            None => Ok(()),
        }
    }
}

/// That a time is over says nothing about what was waited for.
fn unfinished(target: &Target, limit: Duration, error: io::Error) -> io::Error {
    if !is_own_limit(&error) {
        return error;
    }
    let seconds = limit.as_secs_f64().ceil();
    let text = format!(
        "{target}: the receiver has not closed its end within {seconds} s: whether it has read what was sent is unknown"
    );
    io::Error::new(error.kind(), text)
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
        line.write(b"one ".to_vec(), None).await.unwrap();
        let (mut first, _) = listener.accept().await.unwrap();
        assert_eq!(read(&mut first, 4).await, b"one ");
        line.write(b"two ".to_vec(), None).await.unwrap();
        // It closes with unread bytes, which its kernel answers by a reset.
        drop(first);
        while line.write(b"three ".to_vec(), None).await.is_err() {}
        let (mut next, _) = listener.accept().await.unwrap();
        assert_eq!(read(&mut next, 14).await, b"one two three ");
    }

    #[tokio::test]
    async fn what_was_unread_goes_to_the_next_receiver_though_nothing_more_is_written() {
        let (listener, mut line) = line().await;
        line.write(b"last words".to_vec(), None).await.unwrap();
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
        line.patience = Duration::ZERO;
        assert!(!line.look_after().await.unwrap());
    }

    #[test]
    fn what_a_vanished_machine_has_not_acknowledged_is_remembered_while_the_kernel_still_tries() {
        // `tcp_retries2` tries, each pause twice the one before it, from TCP_RTO_MIN to TCP_RTO_MAX.
        let pauses = (0..=15).map(|n| Duration::from_millis(200 << n).min(Duration::from_secs(120)));
        assert!(READ > pauses.sum::<Duration>());
    }

    #[tokio::test]
    async fn a_receiver_that_closed_long_after_the_last_write_had_read_it() {
        let (listener, mut line) = line().await;
        line.write(b"old ".to_vec(), None).await.unwrap();
        let (mut first, _) = listener.accept().await.unwrap();
        assert_eq!(read(&mut first, 4).await, b"old ");
        drop(first);
        line.written = Instant::now().checked_sub(ANSWERED);
        while line.write(b"new ".to_vec(), None).await.is_err() {}
        let (mut next, _) = listener.accept().await.unwrap();
        assert_eq!(read(&mut next, 4).await, b"new ");
    }

    #[tokio::test]
    async fn a_write_that_is_larger_than_what_is_remembered_is_not_forgotten_at_once() {
        let (_listener, mut line) = line().await;
        let mut kept = |bytes: usize| {
            let _free = line.keep(vec![b'x'; bytes], None);
            line.unread.iter().map(|(write, _)| write.len()).collect::<Vec<_>>()
        };
        assert_eq!(kept(UNREAD + 1), [UNREAD + 1]);
        assert_eq!(kept(UNREAD - 1), [UNREAD + 1, UNREAD - 1]);
        assert_eq!(kept(UNREAD), [UNREAD]);
    }

    #[tokio::test]
    async fn what_was_unread_when_a_line_is_closed_goes_to_the_next_receiver() {
        let (listener, mut line) = line().await;
        line.write(b"last words".to_vec(), None).await.unwrap();
        drop(listener.accept().await.unwrap());
        tokio::time::sleep(Duration::from_millis(50)).await;
        let closing = tokio::spawn(line.close());
        let (mut next, _) = listener.accept().await.unwrap();
        assert_eq!(read(&mut next, 10).await, b"last words");
        drop(next);
        closing.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let (listener, mut line) = line().await;
        let reads = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.unwrap()
        });
        for _ in 0..20 {
            line.write(vec![b'x'; UNREAD / 4], None).await.unwrap();
            assert!(line.unread.iter().map(|(w, _)| w.len()).sum::<usize>() <= UNREAD);
        }
        line.close().await.unwrap();
        assert_eq!(reads.await.unwrap(), 5 * UNREAD as u64);
    }

    #[tokio::test]
    async fn certain_is_what_is_not_remembered_any_more_or_what_was_closed_in_order() {
        let end = |offset| {
            let at = contract::log::Position { segment: 1, offset };
            let mark = contract::log::Mark { at, ..Default::default() };
            Cursor { stdout: mark.clone(), stderr: mark, ..Cursor::default() }
        };
        let (listener, mut line) = line().await;
        let reads = tokio::spawn(async move {
            let (mut receiver, _) = listener.accept().await.unwrap();
            tokio::io::copy(&mut receiver, &mut tokio::io::sink()).await.unwrap();
        });
        assert_eq!(line.certain(), Certain::All);
        line.write(vec![b'x'; UNREAD / 2], None).await.unwrap();
        line.write(vec![b'x'; UNREAD / 4], Some(&end(1))).await.unwrap();
        assert_eq!(line.certain(), Certain::UpTo(None));
        line.write(vec![b'x'; UNREAD / 2], Some(&end(2))).await.unwrap();
        assert_eq!(line.certain(), Certain::UpTo(None), "the first half of a batch is no batch");
        line.write(vec![b'x'; UNREAD / 4], Some(&end(3))).await.unwrap();
        line.write(vec![b'x'; UNREAD / 4], Some(&end(4))).await.unwrap();
        assert_eq!(line.certain(), Certain::UpTo(Some(end(1))));
        line.patience = Duration::ZERO;
        assert!(!line.look_after().await.unwrap());
        assert_eq!(line.certain(), Certain::All);
        line.write(b"more".to_vec(), Some(&end(5))).await.unwrap();
        assert_eq!(line.certain(), Certain::UpTo(Some(end(4))));
        line.close().await.unwrap();
        reads.await.unwrap();
    }

    #[tokio::test]
    async fn a_receiver_that_hangs_has_not_closed_and_is_not_said_to_have_timed_out_alone() {
        let (listener, mut line) = line().await;
        line.write(b"unread".to_vec(), None).await.unwrap();
        let hangs = listener.accept().await.unwrap();
        let unknown = line.close().await.unwrap_err();
        assert!(unknown.to_string().ends_with("whether it has read what was sent is unknown"), "{unknown}");
        assert_eq!(unknown.kind(), io::ErrorKind::TimedOut);
        drop(hangs);
    }
}
