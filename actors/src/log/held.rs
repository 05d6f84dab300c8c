//! A spool whose readers may hold what its router would let go.

use crate::shared::lock;
use async_trait::async_trait;
use contract::PortError;
use contract::log::{Cursor, Position};
use contract::runtime::{Spool, SpoolRecord};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

#[derive(Default)]
struct Book {
    /// Below this nothing is needed by the router.
    wanted: Position,
    /// What each reader still needs.
    holds: BTreeMap<u64, Position>,
    made: u64,
}

impl Book {
    fn lowest(&self) -> Position {
        self.holds.values().copied().chain([self.wanted]).min().unwrap_or_default()
    }
}

/// One container's spool, shared by its router and its attached clients. As in Docker, a client that takes nothing holds
/// up the container's output, once the spool's budget is used up; unlike the sinks it has no other place to read from.
pub struct HeldSpool {
    spool: Arc<dyn Spool>,
    book: Mutex<Book>,
}

/// Keeps a part of the spool until dropped.
pub struct Hold {
    of: Arc<HeldSpool>,
    key: u64,
}

impl HeldSpool {
    /// Nothing is held.
    pub fn new(spool: Arc<dyn Spool>) -> Arc<Self> {
        Arc::new(Self { spool, book: Mutex::default() })
    }

    /// Holds everything there is, until the hold is moved on.
    pub fn hold(self: &Arc<Self>) -> Hold {
        let mut book = lock(&self.book);
        book.made += 1;
        let key = book.made;
        book.holds.insert(key, Position::default());
        Hold { of: Arc::clone(self), key }
    }

    /// Lets go of what nobody needs any more.
    fn release(self: &Arc<Self>, change: impl FnOnce(&mut Book)) {
        let (before, after) = {
            let mut book = lock(&self.book);
            let before = book.lowest();
            change(&mut book);
            (before, book.lowest())
        };
        if after > before && after.segment > 0 {
            let spool = Arc::clone(&self.spool);
            tokio::spawn(async move {
                if let Err(error) = spool.trim(after).await {
                    tracing::warn!(error = error.chain(), "spool not trimmed");
                }
            });
        }
    }
}

impl Hold {
    /// What is below is not needed any more.
    pub fn advance(&self, to: Position) {
        let same = lock(&self.of.book).holds.get(&self.key).is_some_and(|at| at.segment == to.segment);
        if !same {
            self.of.release(|book| {
                book.holds.insert(self.key, to);
            });
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let key = self.key;
        self.of.release(|book| {
            book.holds.remove(&key);
        });
    }
}

#[async_trait]
impl Spool for HeldSpool {
    async fn read(
        &self,
        from: Position,
        max_bytes: usize,
    ) -> Result<(Vec<SpoolRecord>, Position), PortError> {
        self.spool.read(from, max_bytes).await
    }

    async fn end(&self) -> Result<Position, PortError> {
        self.spool.end().await
    }

    async fn used(&self) -> Result<u64, PortError> {
        self.spool.used().await
    }

    fn more(&self) -> watch::Receiver<u64> {
        self.spool.more()
    }

    async fn trim(&self, before: Position) -> Result<(), PortError> {
        let lowest = {
            let mut book = lock(&self.book);
            book.wanted = book.wanted.max(before);
            book.lowest()
        };
        if lowest == Position::default() {
            return Ok(());
        }
        self.spool.trim(lowest).await
    }

    async fn load_cursor(&self, sink: &str) -> Result<Option<Cursor>, PortError> {
        self.spool.load_cursor(sink).await
    }

    async fn store_cursor(&self, sink: &str, cursor: &Cursor) -> Result<(), PortError> {
        self.spool.store_cursor(sink, cursor).await
    }

    async fn keep_cursors(&self, sinks: &[String]) -> Result<(), PortError> {
        self.spool.keep_cursors(sinks).await
    }
}
