//! A foreground session: standard streams and signals of this process tied to a container.

use std::future::Future;

use bollard::query_parameters::{KillContainerOptions, ResizeContainerTTYOptions, ResizeExecOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::client::{Client, Hijacked};
use crate::terminal::{self, DetachKeys, RawMode, TerminalError};
use wire::stdcopy::{Decoder, Stream};

/// Why a session broke.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The terminal cannot be used.
    #[error(transparent)]
    Terminal(#[from] TerminalError),
    /// The connection to the daemon broke.
    #[error("error from daemon in stream: {0}")]
    Stream(#[source] std::io::Error),
    /// The daemon says that it cannot go on.
    #[error("error from daemon in stream: {0}")]
    Daemon(String),
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The output ended.
    Finished,
    /// The user typed the detach keys.
    Detached,
}

/// What ties which streams.
#[derive(Debug, Clone, Default)]
pub struct Streams {
    /// One terminal stream instead of two framed ones.
    pub tty: bool,
    /// Pass standard input on.
    pub stdin: bool,
    /// Keys that detach, if not the usual.
    pub detach_keys: Option<String>,
}

/// The keys a flag asks for, or else the user's configuration.
pub fn detach_keys(client: &Client, flag: Option<String>) -> Option<String> {
    flag.or_else(|| client.configuration().detach_keys.clone())
}

/// Writes framed or raw output to this process's own streams.
pub struct Output {
    decoder: Option<Decoder>,
    out: tokio::io::Stdout,
    err: tokio::io::Stderr,
    /// What the daemon itself had to say.
    failure: Vec<u8>,
}

impl Output {
    /// `framed` output is taken apart into the two streams.
    pub fn new(framed: bool) -> Self {
        Self {
            decoder: framed.then(Decoder::default),
            out: tokio::io::stdout(),
            err: tokio::io::stderr(),
            failure: Vec::new(),
        }
    }

    /// Passes one piece on. After an error nothing more is to come.
    pub async fn write(&mut self, data: &[u8]) -> std::io::Result<()> {
        let mut pieces = Vec::new();
        match &mut self.decoder {
            None => pieces.push((Stream::Out, data)),
            Some(decoder) => decoder.push(data, |stream, piece| pieces.push((stream, piece))),
        }
        for (stream, piece) in pieces {
            match stream {
                Stream::System => self.failure.extend_from_slice(piece),
                _ if !self.failure.is_empty() => break,
                Stream::Out => {
                    self.out.write_all(piece).await?;
                    self.out.flush().await?;
                }
                Stream::Err => {
                    self.err.write_all(piece).await?;
                    self.err.flush().await?;
                }
            }
        }
        let whole = self.decoder.as_ref().is_none_or(Decoder::is_between);
        match self.failure.is_empty() || !whole {
            true => Ok(()),
            false => Err(std::io::Error::other("the daemon cannot go on")),
        }
    }

    /// What the daemon said of itself, if it did.
    pub fn end(&mut self) -> Result<(), SessionError> {
        match std::mem::take(&mut self.failure) {
            failure if failure.is_empty() => Ok(()),
            failure => {
                Err(SessionError::Daemon(String::from_utf8_lossy(failure.trim_ascii_end()).into_owned()))
            }
        }
    }
}

/// Ties the streams together until the output ends or the user detaches.
pub async fn run(connection: Hijacked, streams: &Streams) -> Result<Ending, SessionError> {
    let keys = DetachKeys::parse(streams.detach_keys.as_deref())?;
    let raw =
        (streams.tty && streams.stdin && terminal::stdin_is_terminal()).then(RawMode::enter).transpose()?;
    let (mut reader, mut writer) = tokio::io::split(connection);
    let (detach, detached) = oneshot::channel();
    let input = streams.stdin.then(|| {
        let mut keys = streams.tty.then_some(keys);
        tokio::spawn(async move {
            let mut stdin = tokio::io::stdin();
            let mut buffer = vec![0; 32 * 1024];
            while let Ok(count @ 1..) = stdin.read(&mut buffer).await {
                let typed = buffer.get(..count).unwrap_or_default();
                let (send, done) = match &mut keys {
                    Some(keys) => keys.feed(typed),
                    None => (typed.to_vec(), false),
                };
                if writer.write_all(&send).await.is_err() {
                    return;
                }
                if done {
                    let _ = detach.send(());
                    return;
                }
            }
            // Half-close: the container sees the end of its input, its output goes on.
            let _ = writer.shutdown().await;
        })
    });
    let mut output = Output::new(!streams.tty);
    let copy = async {
        let mut buffer = vec![0; 32 * 1024];
        loop {
            match reader.read(&mut buffer).await.map_err(SessionError::Stream)? {
                0 => return output.end().map(|()| Ending::Finished),
                count => {
                    if output.write(buffer.get(..count).unwrap_or_default()).await.is_err() {
                        return output.end().map(|()| Ending::Finished);
                    }
                }
            }
        }
    };
    let on_detach = async {
        if detached.await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let ending = tokio::select! {
        ending = copy => ending,
        () = on_detach => Ok(Ending::Detached),
    };
    if let Some(input) = input {
        input.abort();
    }
    drop(raw);
    if matches!(ending, Ok(Ending::Detached)) {
        crate::output::error_line("read escape sequence");
    }
    ending
}

/// What is resized when the terminal is.
#[derive(Debug, Clone)]
pub enum Sized {
    /// A container, by name.
    Container(String),
    /// An exec, by identifier.
    Exec(String),
}

async fn resize(client: &Client, what: &Sized) -> bool {
    let (Some((rows, columns)), Ok(docker)) = (terminal::size(), client.docker()) else { return true };
    let (h, w) = (i32::from(rows), i32::from(columns));
    match what {
        Sized::Container(name) => {
            docker.resize_container_tty(name, ResizeContainerTTYOptions { h, w }).await.is_ok()
        }
        Sized::Exec(id) => docker.resize_exec(id, ResizeExecOptions { h, w }).await.is_ok(),
    }
}

/// Keeps the container's terminal as large as this one. Never ends; run it beside the session.
pub async fn follow_size(client: Client, what: Sized) {
    // The process may not have its terminal yet.
    for attempt in 0..10u64 {
        if resize(&client, &what).await {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10 * (attempt + 1))).await;
    }
    let Ok(mut changes) = signal(SignalKind::window_change()) else { return };
    while changes.recv().await.is_some() {
        resize(&client, &what).await;
    }
}

/// Passes the signals this process gets on to the container. Never ends.
pub async fn forward_signals(client: Client, container: String) {
    let proxied = [
        (SignalKind::hangup(), "HUP"),
        (SignalKind::interrupt(), "INT"),
        (SignalKind::quit(), "QUIT"),
        (SignalKind::terminate(), "TERM"),
        (SignalKind::user_defined1(), "USR1"),
        (SignalKind::user_defined2(), "USR2"),
        (SignalKind::alarm(), "ALRM"),
    ];
    let forwards = proxied.into_iter().filter_map(|(kind, name)| {
        let mut arrivals = signal(kind).ok()?;
        let (client, container) = (client.clone(), container.clone());
        Some(async move {
            while arrivals.recv().await.is_some() {
                if let Ok(docker) = client.docker() {
                    let options = KillContainerOptions { signal: name.to_owned() };
                    let _ = docker.kill_container(&container, Some(options)).await;
                }
            }
        })
    });
    futures::future::join_all(forwards).await;
}

/// Runs `main` with helpers beside it that stop when it ends.
pub async fn beside<T>(main: impl Future<Output = T>, helpers: Vec<tokio::task::JoinHandle<()>>) -> T {
    let result = main.await;
    helpers.iter().for_each(tokio::task::JoinHandle::abort);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_daemon_says_of_itself_amid_the_output_is_an_error_and_ends_it() {
        let mut wire = wire::stdcopy::frame(Stream::System, b"Error grabbing logs: gone\n");
        wire.extend(wire::stdcopy::frame(Stream::Out, b""));
        for size in [1, 5, wire.len()] {
            let mut output = Output::new(true);
            let mut ended = false;
            for chunk in wire.chunks(size) {
                ended |= output.write(chunk).await.is_err();
            }
            let error = output.end().unwrap_err().to_string();
            assert_eq!((ended, &*error), (true, "error from daemon in stream: Error grabbing logs: gone"));
            assert!(output.end().is_ok());
        }
    }
}
