//! Blobs, verified while they stream; a broken download goes on where it stopped.

use crate::auth::{Session, unreachable};
use crate::manifest::Descriptor;
use bytes::Bytes;
use contract::image::{Progress, ProgressSink};
use contract::{Kind, PortError};
use futures::StreamExt;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

/// Tries a download gets (Docker's default).
const ATTEMPTS: u32 = 5;
/// Largest configuration taken, bytes.
const SMALL: u64 = 8 << 20;

fn wrong(digest: &str) -> PortError {
    PortError::new(Kind::Invalid, format!("filesystem layer verification failed for digest {digest}"))
}

/// A configuration, into memory.
pub async fn fetch_small(session: &Session, blob: &Descriptor) -> Result<Bytes, PortError> {
    if blob.size > SMALL {
        return Err(PortError::new(Kind::Invalid, format!("the configuration {} is too large", blob.digest)));
    }
    let response = session.get(&format!("blobs/{}", blob.digest), None, 0).await?;
    let response = response.error_for_status().map_err(|e| unreachable(&blob.digest, e))?;
    let body = response.bytes().await.map_err(|e| unreachable(&blob.digest, e))?;
    if format!("sha256:{}", hex::encode(Sha256::digest(&body))) != blob.digest {
        return Err(wrong(&blob.digest));
    }
    Ok(body)
}

/// A layer, into a file under `folder` named by its digest.
pub async fn fetch(
    session: &Session,
    blob: &Descriptor,
    folder: &Path,
    progress: &ProgressSink,
) -> Result<PathBuf, PortError> {
    let path = folder.join(blob.digest.replace(':', "-"));
    let mut pause = Duration::from_millis(250);
    let mut attempt = 1;
    loop {
        match attempt_once(session, blob, &path, progress).await {
            Ok(()) => return Ok(path),
            Err(error) if error.kind == Kind::Unavailable && attempt < ATTEMPTS => {
                tokio::time::sleep(pause).await;
                pause *= 2;
                attempt += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn attempt_once(
    session: &Session,
    blob: &Descriptor,
    path: &Path,
    progress: &ProgressSink,
) -> Result<(), PortError> {
    let failed = |e: std::io::Error| PortError::caused(Kind::Bug, format!("writing {}", path.display()), e);
    let mut file = tokio::fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .await
        .map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut have = 0u64;
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let n = file.read(&mut buffer).await.map_err(failed)?;
        if n == 0 {
            break;
        }
        hasher.update(buffer.get(..n).unwrap_or_default());
        have += n as u64;
    }
    if have < blob.size || blob.size == 0 {
        let response = session.get(&format!("blobs/{}", blob.digest), None, have).await?;
        let response = response.error_for_status().map_err(|e| unreachable(&blob.digest, e))?;
        if have > 0 && response.status() != reqwest::StatusCode::PARTIAL_CONTENT {
            // The registry sends it all again.
            file.set_len(0).await.map_err(failed)?;
            file.rewind().await.map_err(failed)?;
            (hasher, have) = (Sha256::new(), 0);
        }
        let mut body = response.bytes_stream();
        let mut shown = 0;
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|e| unreachable(&blob.digest, e))?;
            have += piece.len() as u64;
            if blob.size > 0 && have > blob.size {
                drop(tokio::fs::remove_file(path).await);
                return Err(wrong(&blob.digest));
            }
            hasher.update(&piece);
            file.write_all(&piece).await.map_err(failed)?;
            if have - shown > 512 * 1024 || have == blob.size {
                shown = have;
                let line = Progress {
                    status: "Downloading".into(),
                    id: blob.short().to_owned(),
                    current: have,
                    total: blob.size,
                };
                let _missed = progress.try_send(line);
            }
        }
        file.flush().await.map_err(failed)?;
    }
    if format!("sha256:{}", hex::encode(hasher.finalize())) == blob.digest {
        return Ok(());
    }
    tokio::fs::remove_file(path).await.map_err(failed)?;
    Err(wrong(&blob.digest))
}
