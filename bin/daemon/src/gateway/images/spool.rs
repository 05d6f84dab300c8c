//! A request's body on its way into a file.

use bytes::Bytes;
use std::fs::File;
use std::io::{self, Write};
use tokio::task::JoinHandle;

/// Bytes that may wait for those before them to be written.
const WAITING: usize = 4 << 20;

/// While some is written, more is received; what came meanwhile is written together.
pub struct Spool {
    file: Option<File>,
    writing: Option<JoinHandle<io::Result<File>>>,
    waiting: Vec<Bytes>,
    bytes: usize,
}

impl Spool {
    /// Into this file.
    pub fn new(file: File) -> Self {
        Self { file: Some(file), writing: None, waiting: Vec::new(), bytes: 0 }
    }

    /// Adds a piece. An error may be of an earlier one; nothing is in the file then.
    pub async fn add(&mut self, piece: Bytes) -> io::Result<()> {
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
            let written = pieces.iter().try_for_each(|piece| file.write_all(piece));
            if written.is_err() {
                // Others need the room while the rest comes. The error to tell is the first.
                let _kept = file.set_len(0);
            }
            written.map(|()| file)
        }));
        Ok(())
    }

    /// Everything is in the file.
    pub async fn finish(mut self) -> io::Result<()> {
        self.write().await?;
        match self.writing {
            Some(writing) => writing.await?.map(|_| ()),
            None => Ok(()),
        }
    }
}
