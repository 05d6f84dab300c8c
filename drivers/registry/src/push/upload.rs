//! One layer's way up (distribution-spec 1.1, "Pushing Blobs"): in one stream at first, and after a break in chunks, from
//! where the registry says that it stands.

use super::compress::{Packed, compress};
use crate::backoff::Tries;
use crate::fault::Fault;
use crate::progress::Lines;
use crate::session::{Content, Request, Session, refusal};
use bytes::{Bytes, BytesMut};
use contract::image::LayerSource;
use futures::stream;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderName, LOCATION, RANGE};
use reqwest::{Method, Response, StatusCode, Url};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;

/// Bytes of a chunk, and the most that a registry may want one to have.
const CHUNK: usize = 8 << 20;
const LARGEST: usize = 64 << 20;
/// Breaks after which an upload is given up, however far each try got: a try compresses the layer anew.
const BREAKS: u32 = 50;
/// A registry that neither takes nor says anything for so long has gone. One may need minutes to look through what it got.
const SILENCE: Duration = Duration::from_secs(300);
const OCTETS: &str = "application/octet-stream";

/// Where the next part of an upload goes, as an answer says.
pub fn location(response: &Response) -> Result<Url, Fault> {
    let text = response.headers().get(LOCATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let next = response.url().join(text).ok().filter(|_| !text.is_empty());
    let next = next.filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
    next.ok_or_else(|| Fault::Content(format!("the registry names a wrong place for an upload: {text:?}")))
}

/// The same with the digest of what was sent.
pub fn named(mut at: Url, digest: &str) -> Url {
    at.query_pairs_mut().append_pair("digest", digest);
    at
}

/// Bytes the registry has, by its `Range: 0-41`, where both ends count. Nothing is said like the first byte: `0-0`.
fn reached(response: &Response) -> u64 {
    let range = response.headers().get(RANGE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let last =
        range.trim_start_matches("bytes=").split_once('-').and_then(|(_, last)| last.parse::<u64>().ok());
    last.filter(|last| *last > 0).map_or(0, |last| last.saturating_add(1))
}

/// A request that is answered within reason.
pub async fn ask(session: &Session, request: Request) -> Result<Response, Fault> {
    let (method, url) = (request.method().clone(), request.url().to_owned());
    let answer = tokio::time::timeout(SILENCE, session.send(request)).await;
    answer.unwrap_or_else(|_| Err(Fault::silent(&method, &url)))
}

/// What an answer that is no success says, if it says it soon.
pub async fn refused(response: Response) -> Fault {
    let status = response.status();
    tokio::time::timeout(SILENCE, refusal(response)).await.unwrap_or(Fault::Status(status))
}

fn ended() -> Fault {
    Fault::Content("the compression of a layer broke off".into())
}

/// A layer that goes up.
pub struct Upload<'a> {
    /// Whom to.
    pub session: &'a Session,
    /// Where it comes from.
    pub source: &'a dyn LayerSource,
    /// Which.
    pub diff_id: &'a str,
    /// Its id in lines.
    pub id: &'a str,
    /// Its bytes as they are told.
    pub size: u64,
    /// Where lines go.
    pub lines: &'a Lines,
    /// How often it is tried.
    pub tries: Tries,
}

/// How far an upload is.
struct Standing {
    at: Url,
    have: u64,
    shape: Shape,
}

/// How it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// All in one request, as Docker does it: the form that every registry takes.
    Stream,
    /// In pieces of this many bytes, which can be sent again.
    Chunks(usize),
}

impl Upload<'_> {
    /// Begins an upload.
    pub async fn begin(&self) -> Result<Url, Fault> {
        let response =
            ask(self.session, Request::new(Method::POST, self.session.url("blobs/uploads/"))).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(refused(response).await);
        }
        location(&response)
    }

    /// Sends the layer to the place that an earlier request was given, or to a new one.
    pub async fn run(&self, given: Option<Url>) -> Result<Packed, Fault> {
        let mut standing = given.map(|at| Standing { at, have: 0, shape: Shape::Stream });
        let (mut failures, mut breaks) = (0, 0);
        loop {
            let before = standing.as_ref().map_or(0, |s| s.have);
            let fault = match self.attempt(&mut standing).await {
                Ok(packed) => return Ok(packed),
                Err(fault) => fault,
            };
            breaks += 1;
            if !retried(&fault) || breaks > BREAKS {
                return Err(fault);
            }
            // Where it stands is asked first: a try that got on does not count against those that did not.
            let now = self.standing(standing.take(), &fault).await;
            failures = if now.as_ref().is_some_and(|s| s.have > before) { 1 } else { failures + 1 };
            if failures >= self.tries.most {
                return Err(fault);
            }
            self.tries.wait_telling(failures, self.lines, self.id).await;
            standing = now;
        }
    }

    /// Where the registry says that a broken upload stands; `None` begins anew.
    async fn standing(&self, broken: Option<Standing>, fault: &Fault) -> Option<Standing> {
        let broken = broken?;
        // What does not fit its digest is not continued.
        if matches!(fault, Fault::Named { code, .. } if code == "DIGEST_INVALID" || code == "BLOB_UPLOAD_UNKNOWN")
        {
            return None;
        }
        // A registry may still be taking leave of the broken connection.
        tokio::time::sleep(self.tries.pause.min(Duration::from_secs(1))).await;
        let response = ask(self.session, Request::new(Method::GET, broken.at.as_str())).await.ok()?;
        if !response.status().is_success() {
            return None;
        }
        let at = location(&response).unwrap_or(broken.at);
        Some(Standing { at, have: reached(&response), shape: Shape::Chunks(CHUNK) })
    }

    async fn attempt(&self, standing: &mut Option<Standing>) -> Result<Packed, Fault> {
        let mut now = match standing.take() {
            Some(now) => now,
            None => Standing { at: self.begin().await?, have: 0, shape: Shape::Stream },
        };
        let mut paced = self.lines.paced(self.id, "Pushing", self.size);
        let most = self.size;
        let source = self.source.open(self.diff_id).await?;
        // A tar stream is longer than its files.
        let packing = compress(source, now.have, move |passed| paced.at(passed.min(most)));
        let start = now.have;
        let sent = match now.shape {
            Shape::Stream => self.stream(&mut now, packing.pieces).await,
            Shape::Chunks(size) => self.chunks(&mut now, packing.pieces, size).await,
        };
        let at = now.at.clone();
        *standing = Some(now);
        let mut outcome = packing.outcome;
        let packed = match sent {
            Ok(()) => outcome.await.unwrap_or_else(|_| Err(ended()))?,
            // If it was the layer itself that failed, that is the reason.
            Err(fault) => match outcome.try_recv() {
                Ok(Err(own @ Fault::Port(_))) => return Err(own),
                _ => return Err(fault),
            },
        };
        if start > packed.size {
            *standing = None;
            return Err(Fault::Status(StatusCode::RANGE_NOT_SATISFIABLE));
        }
        self.commit(at, &packed).await?;
        Ok(packed)
    }

    async fn stream(&self, now: &mut Standing, pieces: Receiver<Bytes>) -> Result<(), Fault> {
        let taken = Arc::new(AtomicU64::new(0));
        // Whatever ends this ends the body with an error: a connection must not go on taking what nobody waits for.
        let (held, gone) = oneshot::channel::<()>();
        let body = stream::unfold(
            (pieces, gone, Arc::clone(&taken)),
            |(mut pieces, mut gone, taken)| async move {
                let piece = tokio::select! {
                    biased;
                    _ = &mut gone => return Some((Err(std::io::ErrorKind::ConnectionAborted.into()), (pieces, gone, taken))),
                    piece = pieces.recv() => piece?,
                };
                taken.fetch_add(1, Ordering::Relaxed);
                Some((Ok::<_, std::io::Error>(piece), (pieces, gone, taken)))
            },
        );
        let content = Content::Stream(reqwest::Body::wrap_stream(body));
        let url = now.at.to_string();
        let request = Request::new(Method::PATCH, &url).header(CONTENT_TYPE, OCTETS).content(content);
        let sent = self.sent(now, request);
        let silent = async {
            loop {
                let before = taken.load(Ordering::Relaxed);
                tokio::time::sleep(SILENCE).await;
                if taken.load(Ordering::Relaxed) == before {
                    return;
                }
            }
        };
        let outcome = tokio::select! {
            outcome = sent => outcome,
            () = silent => Err(Fault::silent(&Method::PATCH, &url)),
        };
        drop(held);
        outcome
    }

    async fn chunks(
        &self,
        now: &mut Standing,
        mut pieces: Receiver<Bytes>,
        size: usize,
    ) -> Result<(), Fault> {
        let (mut chunk, mut size) = (BytesMut::new(), size);
        loop {
            let piece = pieces.recv().await;
            let last = piece.is_none();
            chunk.extend_from_slice(&piece.unwrap_or_default());
            if last && chunk.is_empty() {
                return Ok(());
            }
            if last || chunk.len() >= size {
                let bytes = chunk.split().freeze();
                let end = now.have + bytes.len() as u64;
                let request = Request::new(Method::PATCH, now.at.as_str()).header(CONTENT_TYPE, OCTETS);
                let request =
                    request.header(CONTENT_RANGE, &format!("{}-{}", now.have, end.saturating_sub(1)));
                let url = now.at.to_string();
                let sent = self.sent(now, request.content(Content::Bytes(bytes)));
                match tokio::time::timeout(SILENCE, sent).await {
                    Ok(outcome) => outcome?,
                    Err(_) => return Err(Fault::silent(&Method::PATCH, &url)),
                }
                now.have = end;
                if let Shape::Chunks(least) = now.shape {
                    size = least;
                }
            }
            if last {
                return Ok(());
            }
        }
    }

    async fn sent(&self, now: &mut Standing, request: Request) -> Result<(), Fault> {
        let response = self.session.send(request).await?;
        match response.status() {
            StatusCode::ACCEPTED | StatusCode::NO_CONTENT | StatusCode::CREATED => {
                now.at = location(&response)?;
                let least = HeaderName::from_static("oci-chunk-min-length");
                let least =
                    response.headers().get(least).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
                if let Shape::Chunks(size) = now.shape {
                    now.shape = Shape::Chunks(size.max(least.unwrap_or(0).min(LARGEST)));
                }
                Ok(())
            }
            _ => Err(refused(response).await),
        }
    }

    /// Says what was sent.
    async fn commit(&self, at: Url, packed: &Packed) -> Result<(), Fault> {
        let outcome = ask(self.session, Request::new(Method::PUT, named(at, &packed.digest).as_str())).await;
        let fault = match outcome {
            Ok(response) if response.status().is_success() => return Ok(()),
            Ok(response) => refused(response).await,
            Err(fault) => fault,
        };
        // It may have been heard and only the answer be lost.
        if fault.passing() && exists(self.session, &packed.digest).await {
            return Ok(());
        }
        Err(fault)
    }
}

/// Whether the registry has a blob in this repository. One that cannot be asked has it not.
pub async fn exists(session: &Session, digest: &str) -> bool {
    let request = Request::new(Method::HEAD, session.url(&format!("blobs/{digest}")));
    ask(session, request).await.is_ok_and(|response| response.status() == StatusCode::OK)
}

/// Whether an upload may still come to its end: all but what is about who asks and for what.
fn retried(fault: &Fault) -> bool {
    match fault {
        Fault::Named { code, .. } => matches!(
            code.as_str(),
            "BLOB_UPLOAD_UNKNOWN"
                | "BLOB_UPLOAD_INVALID"
                | "DIGEST_INVALID"
                | "SIZE_INVALID"
                | "RANGE_INVALID"
                | "UNKNOWN"
        ),
        Fault::Status(status) => {
            status.is_server_error()
                || matches!(*status, StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PAYLOAD_TOO_LARGE)
        }
        fault => fault.passing(),
    }
}
