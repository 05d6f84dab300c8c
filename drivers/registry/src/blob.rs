//! Blobs, verified while they stream; a broken download goes on where it stopped.

use crate::backoff::Tries;
use crate::fault::Fault;
use crate::follow::Growing;
use crate::landing::Landing;
use crate::manifest::Descriptor;
use crate::progress::Lines;
use crate::session::{Session, bounded};
use bytes::Bytes;
use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode};
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};

/// Largest configuration taken, bytes.
const SMALL: usize = 4 << 20;

/// A configuration, into memory.
pub async fn fetch_small(session: &Session, blob: &Descriptor) -> Result<Bytes, Fault> {
    if blob.size > SMALL as u64 {
        return Err(Fault::Content(format!(
            "the configuration {} is larger than {SMALL} bytes",
            blob.digest
        )));
    }
    let response = session.get(&format!("blobs/{}", blob.digest), None, 0).await?;
    let body = bounded(response, SMALL).await?;
    if format!("sha256:{}", hex::encode(Sha256::digest(&body))) != blob.digest {
        return Err(Fault::Content(format!("image config verification failed for digest {}", blob.digest)));
    }
    Ok(body)
}

/// A layer, into this file. Whoever follows it reads the end only if this succeeds.
pub async fn fetch(
    session: &Session,
    blob: &Descriptor,
    path: &Path,
    growing: Growing,
    lines: &Lines,
    tries: Tries,
) -> Result<(), Fault> {
    let mut download = Download::begin(blob, path, growing).await?;
    let mut failures = 0;
    loop {
        let (before, resumed) = (download.have, download.have > 0);
        match download.attempt(session, lines).await {
            Ok(()) => {
                download.landing.take().into_iter().for_each(Landing::whole);
                return Ok(());
            }
            // What was there before was wrong, or what came does not fit it.
            Err(Fault::Blob(_)) if resumed => download.restart().await?,
            Err(fault) if fault.passing() => {
                // One that gets on may be interrupted as often as it likes.
                failures = if download.have > before { 1 } else { failures + 1 };
                if failures >= tries.most {
                    return Err(fault);
                }
                tries.wait_telling(failures, lines, blob.short()).await;
            }
            Err(fault) => {
                discard(path).await;
                return Err(fault);
            }
        }
    }
}

/// Where a blob is while it is on its way.
pub fn place(blob: &Descriptor, folder: &Path) -> PathBuf {
    folder.join(blob.digest.replace(':', "-"))
}

async fn discard(path: &Path) {
    // The sweep takes what stays.
    let _left = tokio::fs::remove_file(path).await;
}

/// Gives up what came of a blob.
pub async fn forget(blob: &Descriptor, folder: &Path) {
    discard(&place(blob, folder)).await;
}

/// Bytes that may wait for those before them to be written.
const WAITING: usize = 4 << 20;

/// Work on the file, done elsewhere; the file comes back with it.
type Writing = tokio::task::JoinHandle<(Landing, io::Result<()>)>;
type Ended = Result<(Landing, io::Result<()>), tokio::task::JoinError>;

struct Download<'a> {
    blob: &'a Descriptor,
    path: &'a Path,
    /// `None` while work on it is under way, and when such work broke off.
    landing: Option<Landing>,
    have: u64,
}

impl<'a> Download<'a> {
    /// Takes up what an earlier try left.
    async fn begin(blob: &'a Descriptor, path: &'a Path, growing: Growing) -> Result<Self, Fault> {
        let (target, most) = (path.to_owned(), blob.size);
        let begun = tokio::task::spawn_blocking(move || Landing::take_up(&target, most, growing)).await;
        let failed = |e| Fault::disk("writing", path, e);
        let landing = begun.map_err(|e| failed(e.into()))?.map_err(failed)?;
        let have = landing.have();
        let download = Self { blob, path, landing: Some(landing), have };
        if let Err(fault) = download.room() {
            discard(path).await;
            return Err(fault);
        }
        Ok(download)
    }

    /// A registry may claim any size: what cannot fit is not begun.
    fn room(&self) -> Result<(), Fault> {
        let disk =
            rustix::fs::statvfs(self.path).map_err(|e| Fault::disk("measuring", self.path, e.into()))?;
        if self.blob.size - self.have > disk.f_bavail.saturating_mul(disk.f_frsize) {
            return Err(Fault::Full(format!("downloading {} bytes of {}", self.blob.size, self.blob.digest)));
        }
        Ok(())
    }

    fn failed(&self, error: io::Error) -> Fault {
        Fault::disk("writing", self.path, error)
    }

    /// Begins work on the file.
    fn work(
        &mut self,
        work: impl FnOnce(&mut Landing) -> io::Result<()> + Send + 'static,
    ) -> Result<Writing, Fault> {
        let mut landing = self.landing.take().ok_or_else(|| self.failed(io::ErrorKind::BrokenPipe.into()))?;
        Ok(tokio::task::spawn_blocking(move || {
            let outcome = work(&mut landing);
            (landing, outcome)
        }))
    }

    /// Takes the file back from it.
    fn done(&mut self, ended: Ended) -> Result<(), Fault> {
        let (landing, outcome) = ended.map_err(|e| self.failed(e.into()))?;
        self.have = landing.have();
        self.landing = Some(landing);
        outcome.map_err(|e| self.failed(e))
    }

    async fn restart(&mut self) -> Result<(), Fault> {
        let work = self.work(Landing::restart)?;
        self.done(work.await)
    }

    fn digest(&self) -> Result<String, Fault> {
        let landing = self.landing.as_ref();
        landing.map(Landing::digest).ok_or_else(|| self.failed(io::ErrorKind::BrokenPipe.into()))
    }

    async fn attempt(&mut self, session: &Session, lines: &Lines) -> Result<(), Fault> {
        let id = self.blob.short().to_owned();
        if self.have < self.blob.size {
            let response = session.get(&format!("blobs/{}", self.blob.digest), None, self.have).await?;
            if !continues(&response, self.have) {
                self.restart().await?;
            }
            if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
                return Err(Fault::eof(response.url().as_str()));
            }
            self.receive(response, lines, &id).await?;
        }
        lines.state(&id, "Verifying Checksum").await;
        if self.digest()? != self.blob.digest {
            return Err(Fault::Blob(self.blob.digest.clone()));
        }
        lines.state(&id, "Download complete").await;
        Ok(())
    }

    /// Takes the answer's body. While some of it is written, more is received; what came meanwhile is written together,
    /// and what came before a failure too: the next try goes on there.
    async fn receive(&mut self, mut response: Response, lines: &Lines, id: &str) -> Result<(), Fault> {
        let url = response.url().to_string();
        let mut paced = lines.paced(id, "Downloading", self.blob.size);
        let (mut came, mut end) = (self.have, None);
        let mut waiting = Waiting::default();
        let mut writing: Option<Writing> = None;
        loop {
            if writing.is_none() && waiting.bytes > 0 {
                let pieces = std::mem::take(&mut waiting).pieces;
                writing = Some(self.work(move |landing| landing.write(&pieces))?);
            }
            tokio::select! {
                ended = ended(&mut writing), if writing.is_some() => {
                    writing = None;
                    self.done(ended)?;
                    paced.at(self.have);
                }
                piece = response.chunk(), if end.is_none() && waiting.bytes < WAITING => match piece {
                    Ok(Some(piece)) => {
                        came += piece.len() as u64;
                        if came > self.blob.size {
                            // More than was announced: refused before it is written.
                            end = Some(Err(Fault::Blob(self.blob.digest.clone())));
                        } else {
                            waiting.add(piece);
                        }
                    }
                    Ok(None) if came < self.blob.size => end = Some(Err(Fault::eof(&url))),
                    Ok(None) => end = Some(Ok(())),
                    Err(error) => end = Some(Err(Fault::transport(&url, &error))),
                },
                else => return end.unwrap_or(Ok(())),
            }
        }
    }
}

/// What came while the file was being written.
#[derive(Default)]
struct Waiting {
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl Waiting {
    fn add(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        self.pieces.push(piece);
    }
}

/// The end of work that is under way.
async fn ended(writing: &mut Option<Writing>) -> Ended {
    match writing {
        Some(writing) => writing.await,
        None => std::future::pending().await,
    }
}

/// Whether the answer goes on where we stopped, and is not the whole again.
fn continues(response: &Response, have: u64) -> bool {
    if have == 0 {
        return true;
    }
    let range = response.headers().get(CONTENT_RANGE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    response.status() == StatusCode::PARTIAL_CONTENT && range.starts_with(&format!("bytes {have}-"))
}
