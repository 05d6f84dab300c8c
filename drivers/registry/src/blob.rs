//! Blobs, verified while they stream; a broken download goes on where it stopped.

use crate::fault::Fault;
use crate::manifest::Descriptor;
use crate::progress::Lines;
use crate::session::{Session, bounded};
use bytes::Bytes;
use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

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

/// How often a download is tried.
#[derive(Debug, Clone, Copy)]
pub struct Tries {
    /// Without getting further.
    pub most: u32,
    /// Unit of waiting in between.
    pub pause: Duration,
}

/// A layer, into a file under `folder` named by its digest.
pub async fn fetch(
    session: &Session,
    blob: &Descriptor,
    folder: &Path,
    lines: &Lines,
    tries: Tries,
) -> Result<PathBuf, Fault> {
    let mut download = Download::begin(blob, folder).await?;
    let mut failures = 0;
    loop {
        let (before, resumed) = (download.have, download.have > 0);
        match download.attempt(session, lines).await {
            Ok(()) => return Ok(download.path),
            // What was there before was wrong, or what came does not fit it.
            Err(Fault::Blob(_)) if resumed => download.restart().await?,
            Err(fault) if fault.passing() => {
                // One that gets on may be interrupted as often as it likes.
                failures = if download.have > before { 1 } else { failures + 1 };
                if failures >= tries.most {
                    return Err(fault);
                }
                for left in (1..=failures).rev() {
                    lines.retrying(blob.short(), left).await;
                    tokio::time::sleep(tries.pause).await;
                }
            }
            Err(fault) => {
                discard(&download.path).await;
                return Err(fault);
            }
        }
    }
}

/// Where a blob is while it is on its way.
fn place(blob: &Descriptor, folder: &Path) -> PathBuf {
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

struct Download<'a> {
    blob: &'a Descriptor,
    path: PathBuf,
    file: File,
    hasher: Sha256,
    have: u64,
}

impl<'a> Download<'a> {
    /// Takes up what an earlier try left.
    async fn begin(blob: &'a Descriptor, folder: &Path) -> Result<Self, Fault> {
        let path = place(blob, folder);
        let failed = |e| Fault::disk("writing", &path, e);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).await.map_err(failed)?;
        let (mut hasher, mut have, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 17]);
        loop {
            let count = file.read(&mut buffer).await.map_err(failed)?;
            if count == 0 {
                break;
            }
            hasher.update(buffer.get(..count).unwrap_or_default());
            have += count as u64;
        }
        let mut download = Self { blob, path, file, hasher, have };
        if have > blob.size {
            download.restart().await?;
        }
        if let Err(fault) = download.room() {
            discard(&download.path).await;
            return Err(fault);
        }
        Ok(download)
    }

    /// A registry may claim any size: what cannot fit is not begun.
    fn room(&self) -> Result<(), Fault> {
        let disk =
            rustix::fs::statvfs(&self.path).map_err(|e| Fault::disk("measuring", &self.path, e.into()))?;
        if self.blob.size - self.have > disk.f_bavail.saturating_mul(disk.f_frsize) {
            return Err(Fault::Full(format!("downloading {} bytes of {}", self.blob.size, self.blob.digest)));
        }
        Ok(())
    }

    async fn restart(&mut self) -> Result<(), Fault> {
        let failed = |e| Fault::disk("writing", &self.path, e);
        self.file.set_len(0).await.map_err(failed)?;
        self.file.rewind().await.map_err(failed)?;
        (self.hasher, self.have) = (Sha256::new(), 0);
        Ok(())
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
        if format!("sha256:{}", hex::encode(self.hasher.clone().finalize())) != self.blob.digest {
            return Err(Fault::Blob(self.blob.digest.clone()));
        }
        lines.state(&id, "Download complete").await;
        Ok(())
    }

    async fn receive(&mut self, mut response: Response, lines: &Lines, id: &str) -> Result<(), Fault> {
        let url = response.url().to_string();
        let mut paced = lines.paced(id, "Downloading", self.blob.size);
        loop {
            let piece = match response.chunk().await {
                Ok(Some(piece)) => piece,
                Ok(None) if self.have < self.blob.size => return self.broken(Fault::eof(&url)).await,
                Ok(None) => break,
                Err(error) => return self.broken(Fault::transport(&url, &error)).await,
            };
            if self.have + piece.len() as u64 > self.blob.size {
                // More than was announced: refused before it is written.
                return Err(Fault::Blob(self.blob.digest.clone()));
            }
            self.hasher.update(&piece);
            let written = self.file.write_all(&piece).await;
            written.map_err(|e| Fault::disk("writing", &self.path, e))?;
            self.have += piece.len() as u64;
            paced.at(self.have);
        }
        self.file.flush().await.map_err(|e| Fault::disk("writing", &self.path, e))
    }

    /// What came so far is written down, for the next try goes on there.
    async fn broken(&mut self, fault: Fault) -> Result<(), Fault> {
        self.file.flush().await.map_err(|e| Fault::disk("writing", &self.path, e))?;
        Err(fault)
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
