//! Attach and exec sessions: the HTTP connection becomes a raw stream in both directions.

use super::detach::{DetachKeys, Verdict};
use super::serve::Peer;
use super::status::Answer;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use contract::log::Stream;
use contract::runtime::{Attachment, Input};
use futures::StreamExt;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use wire::stdcopy;

/// How a session looks on the wire.
#[derive(Debug, Clone)]
pub struct Shape {
    /// A tty's output is raw, everything else is framed by stream.
    pub raw: bool,
    /// Forward stdout.
    pub stdout: bool,
    /// Forward stderr.
    pub stderr: bool,
    /// Detach sequence, for ttys.
    pub detach: Option<DetachKeys>,
}

impl Shape {
    fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static(if self.raw {
            "application/vnd.docker.raw-stream"
        } else {
            "application/vnd.docker.multiplexed-stream"
        })
    }

    fn encode(&self, stream: Stream, data: &Bytes) -> Option<Bytes> {
        let wanted = match stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        };
        match (wanted, self.raw) {
            (false, _) => None,
            (true, true) => Some(data.clone()),
            (true, false) => Some(frame(stream, data)),
        }
    }
}

/// A stream's name on the wire.
pub fn stream(stream: Stream) -> stdcopy::Stream {
    match stream {
        Stream::Stdout => stdcopy::Stream::Out,
        Stream::Stderr => stdcopy::Stream::Err,
    }
}

/// One frame of Docker's multiplexed stream.
pub fn frame(of: Stream, data: &[u8]) -> Bytes {
    Bytes::from(stdcopy::frame(stream(of), data))
}

/// Answers with the session. A client that asked for an upgrade gets both directions; any other gets the output as
/// the response's body. `on_end` runs when the session is over, however it ends.
pub fn answer(
    request: Request,
    attachment: Attachment,
    shape: Shape,
    on_end: impl FnOnce(End) + Send + 'static,
) -> Answer {
    answer_then(request, attachment, shape, |end| {
        on_end(end);
        std::future::ready(())
    })
}

/// The same; the stream ends only after what follows `on_end` is done.
pub fn answer_then<F: Future<Output = ()> + Send + 'static>(
    mut request: Request,
    attachment: Attachment,
    shape: Shape,
    on_end: impl FnOnce(End) -> F + Send + 'static,
) -> Answer {
    let upgrade = request.headers().contains_key(header::UPGRADE);
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(header::CONTENT_TYPE, shape.content_type());
    if !upgrade {
        let output = tokio_stream(attachment.output).filter_map(move |(s, d)| {
            futures::future::ready(shape.encode(s, &d).map(Ok::<_, std::io::Error>))
        });
        *response.body_mut() = Body::from_stream(output);
        return Ok(response);
    }
    let peer = request.extensions_mut().remove::<Peer>();
    let pending = hyper::upgrade::on(&mut request);
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("tcp"));
    tokio::spawn(async move {
        match pending.await {
            Ok(connection) => run((TokioIo::new(connection), peer), attachment, shape, on_end).await,
            Err(_) => on_end(End::ClientLeft).await,
        }
    });
    Ok(response)
}

/// A receiver as a stream.
pub fn tokio_stream<T: Send + 'static>(
    receiver: mpsc::Receiver<T>,
) -> impl futures::Stream<Item = T> + Send + 'static {
    futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|item| (item, receiver))
    })
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The process's output ended.
    Finished,
    /// The user typed the detach sequence.
    Detached,
    /// The connection broke.
    ClientLeft,
}

async fn run<C, F>(
    (connection, peer): (C, Option<Peer>),
    attachment: Attachment,
    shape: Shape,
    on_end: impl FnOnce(End) -> F,
) where
    F: Future<Output = ()>,
    C: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + 'static,
{
    let (mut from_client, mut to_client) = tokio::io::split(connection);
    let Attachment { input, mut output } = attachment;
    let keys = shape.detach.clone();
    let client = peer.clone();
    let typed = async move {
        match (pump_input(&mut from_client, input, keys).await, client) {
            (End::Detached, _) => return End::Detached,
            // A half-closed client still reads. docker's own leaves so when its user types the detach sequence.
            (_, Some(client)) => client.left().await,
            (_, None) => std::future::pending().await,
        }
        End::ClientLeft
    };
    let shown = async {
        let mut head_unread = peer;
        while let Some((stream, data)) = output.recv().await {
            // docker-py reads the answer's head through a buffer that it then throws away, with whatever came along.
            if let Some(peer) = head_unread.take() {
                peer.has_read().await;
            }
            if let Some(bytes) = shape.encode(stream, &data)
                && to_client.write_all(&bytes).await.is_err()
            {
                return End::ClientLeft;
            }
        }
        End::Finished
    };
    let end = tokio::select! {
        end = typed => end,
        end = shown => end,
    };
    on_end(end).await;
    // The client learns the end of a session by the end of the stream; it may have left first.
    let _left = to_client.shutdown().await;
}

async fn pump_input(
    client: &mut (impl AsyncReadExt + Unpin),
    mut input: Option<Input>,
    mut keys: Option<DetachKeys>,
) -> End {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let piece = match client.read(&mut buffer).await {
            Ok(n) if n > 0 => buffer.get(..n).unwrap_or_default().to_vec(),
            _ => break,
        };
        let (bytes, leave) = match keys.as_mut().map(|k| k.feed(&piece)) {
            None => (piece, false),
            Some(Verdict::Forward(bytes)) => (bytes, false),
            Some(Verdict::Detach(bytes)) => (bytes, true),
        };
        if let Some(to) = &mut input
            && (to.write_all(&bytes).await.is_err() || to.flush().await.is_err())
        {
            input = None;
        }
        if leave {
            return End::Detached;
        }
    }
    if let Some(mut to) = input.take() {
        // The far side may be gone already; its end is what the output half reports.
        let _gone = to.shutdown().await;
    }
    End::ClientLeft
}
