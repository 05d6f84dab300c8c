//! The loops that take a container's questions.

use super::Transport;
use super::forward::{read, with_buffer, write};
use super::server::{AGAIN, Shared, Step};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Mutex;

/// How long a connection may be silent, or leave an answer unread.
const SILENCE: Duration = Duration::from_secs(10);

/// Answers datagrams.
pub async fn datagrams(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    loop {
        let received: io::Result<_> = match socket.readable().await {
            Ok(()) => with_buffer(|buffer| {
                let (length, client) = socket.try_recv_from(buffer)?;
                Ok((buffer.get(..length).unwrap_or_default().to_vec(), client))
            }),
            Err(error) => Err(error),
        };
        let (query, client) = match received {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => {
                tracing::debug!(%error, "a question for a name was lost");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        };
        let to = Arc::clone(&socket);
        let send = async move |answer: Vec<u8>| {
            if let Err(error) = to.send_to(&answer, client).await {
                tracing::debug!(%error, "an answer was lost");
            }
        };
        match shared.step(&query, Transport::Udp) {
            Step::Send(answer) => send(answer).await,
            Step::Ask(otherwise) => Arc::clone(&shared).beside(query, otherwise, Transport::Udp, send).await,
            Step::Nothing => {}
        }
    }
}

/// Takes connections.
pub async fn connections(listener: Arc<TcpListener>, shared: Arc<Shared>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection for names was lost");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&shared.connections).try_acquire_owned() else { continue };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let _place = place;
            let conversing = Arc::clone(&shared);
            shared.while_open(converse(stream, conversing)).await;
        });
    }
}

/// Answers come as they are known, not in the order of the questions (RFC 7766, 6.2.1.1).
async fn converse(stream: TcpStream, shared: Arc<Shared>) {
    let (mut reading, writing) = stream.into_split();
    let writing = Arc::new(Mutex::new(writing));
    // Its end, its silence and its nonsense all mean that it is over.
    while let Ok(Ok(query)) = tokio::time::timeout(SILENCE, read(&mut reading)).await {
        let to = Arc::clone(&writing);
        let send = async move |answer: Vec<u8>| reply(&to, &answer).await;
        match shared.step(&query, Transport::Tcp) {
            Step::Send(answer) => send(answer).await,
            Step::Ask(otherwise) => Arc::clone(&shared).beside(query, otherwise, Transport::Tcp, send).await,
            Step::Nothing => return,
        }
    }
}

async fn reply(to: &Mutex<OwnedWriteHalf>, answer: &[u8]) {
    let sent = async { write(&mut *to.lock().await, answer).await };
    match tokio::time::timeout(SILENCE, sent).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an answer was lost"),
        Err(_) => tracing::debug!("an answer was lost: nobody reads it"),
    }
}
