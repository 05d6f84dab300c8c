//! Attachments: stdin of the main process and sessions go through the shim. The main process's output is in its spool.

use crate::link;
use bytes::Bytes;
use contract::log::Stream;
use contract::runtime::{Attachment, Input};
use contract::{Kind, PortError};
use sandbox::protocol::Request;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::mpsc;

/// Pieces a client may lag behind before its reading of the spool waits for it.
const WINDOW: usize = 64;

/// Stdin of a main process whose shim may not be there yet.
pub fn lazy_input(socket: PathBuf) -> Input {
    let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        let mut buffer = vec![0; 32 * 1024];
        // Nothing is connected before something is typed (or the client half-closes).
        let Ok(mut n) = theirs.read(&mut buffer).await else { return };
        let Some(mut stream) = reach(&socket).await else { return };
        while n > 0 {
            if stream.write_all(buffer.get(..n).unwrap_or_default()).await.is_err() {
                return;
            }
            match theirs.read(&mut buffer).await {
                Ok(more) => n = more,
                Err(_) => break,
            }
        }
        // The process may have ended first.
        let _gone = stream.shutdown().await;
        let _rest = stream.read(&mut buffer).await;
    });
    Box::new(ours)
}

/// Attaches to the main process as soon as its shim listens; a container that is not started within a minute of
/// the first key is not being started.
async fn reach(socket: &Path) -> Option<UnixStream> {
    for _ in 0..6000 {
        if let Ok(mut stream) = UnixStream::connect(socket).await {
            let answer = link::exchange(&mut stream, &Request::Attach { exec: None }).await;
            return answer.is_ok_and(|a| link::refused(a).is_ok()).then_some(stream);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    None
}

/// The stdio of an exec session.
pub async fn session(socket: &Path, id: &str) -> Result<Attachment, PortError> {
    let broken = |e| PortError::caused(Kind::Unavailable, format!("attach to exec {id}"), e);
    let mut stream = UnixStream::connect(socket).await.map_err(broken)?;
    let request = Request::Attach { exec: Some(id.to_owned()) };
    link::refused(link::exchange(&mut stream, &request).await.map_err(broken)?)?;
    let (mut from, to) = stream.into_split();
    let (sender, receiver) = mpsc::channel(WINDOW);
    tokio::spawn(async move {
        // Once nobody takes the output the connection closes: the shim is to know.
        let next = async |from: &mut OwnedReadHalf| {
            tokio::select! { stream = from.read_u8() => stream.ok(), () = sender.closed() => None }
        };
        while let Some(stream) = next(&mut from).await {
            let Ok(length) = from.read_u32().await else { return };
            let mut data = vec![0; length as usize];
            if from.read_exact(&mut data).await.is_err() {
                return;
            }
            let stream = if stream == 2 { Stream::Stderr } else { Stream::Stdout };
            if sender.send((stream, Bytes::from(data))).await.is_err() {
                return;
            }
        }
    });
    Ok(Attachment { input: Some(Box::new(to)), output: receiver })
}
