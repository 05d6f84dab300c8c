//! A request's body in a file of its own.

use super::super::status::Failure;
use axum::extract::Request;
use axum::http::StatusCode;
use bytes::Bytes;
use futures::StreamExt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use tokio::task::JoinHandle;

/// Bytes that may wait for those before them to be written.
const WAITING: usize = 4 << 20;

/// The request's body in a file of the data root that vanishes with its handle: images are too large for `/tmp`.
pub async fn spooled(data_root: &Path, request: Request) -> Result<tempfile::TempPath, Failure> {
    let failed =
        |e: io::Error| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, format!("receive the archive: {e}"));
    let folder = data_root.join("tmp");
    let made = tokio::task::spawn_blocking(move || tempfile::NamedTempFile::new_in(folder)).await;
    let (file, path) = made.map_err(|e| failed(e.into()))?.map_err(failed)?.into_parts();
    let mut body = request.into_body().into_data_stream();
    let mut spool = Spool { file: Some(file), writing: None, waiting: Vec::new(), bytes: 0 };
    while let Some(piece) = body.next().await {
        let piece =
            piece.map_err(|e| Failure::new(StatusCode::BAD_REQUEST, format!("receive the archive: {e}")))?;
        spool.add(piece).await.map_err(failed)?;
    }
    spool.finish().await.map_err(failed)?;
    Ok(path)
}

/// While some is written, more is received; what came meanwhile is written together.
struct Spool {
    file: Option<File>,
    writing: Option<JoinHandle<io::Result<File>>>,
    waiting: Vec<Bytes>,
    bytes: usize,
}

impl Spool {
    async fn add(&mut self, piece: Bytes) -> io::Result<()> {
        self.bytes += piece.len();
        self.waiting.push(piece);
        let busy = self.writing.as_ref().is_some_and(|writing| !writing.is_finished());
        if busy && self.bytes < WAITING { Ok(()) } else { self.write().await }
    }

    /// Waits for what is being written and begins to write what came since.
    async fn write(&mut self) -> io::Result<()> {
        if let Some(writing) = self.writing.take() {
            self.file = Some(writing.await??);
        }
        let Some(mut file) = self.file.take() else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let pieces = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        self.writing = Some(tokio::task::spawn_blocking(move || {
            pieces.iter().try_for_each(|piece| file.write_all(piece))?;
            Ok(file)
        }));
        Ok(())
    }

    async fn finish(mut self) -> io::Result<()> {
        self.write().await?;
        match self.writing {
            Some(writing) => writing.await?.map(|_| ()),
            None => Ok(()),
        }
    }
}
