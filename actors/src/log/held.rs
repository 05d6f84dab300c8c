//! A spool whose readers may hold what its router would let go.

use crate::shared::lock;
use async_trait::async_trait;
use contract::PortError;
use contract::log::{Cursor, Losses, Position, Stretch};
use contract::runtime::{Spool, SpoolRecord};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// How many segments a loose hold may be behind the router: of the four that fit the smallest budget, an unfinished line
/// and the writer need three.
const TRAIL: u64 = 1;

/// How much a reader holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grip {
    /// All it needs, whatever becomes of the container.
    Firm,
    /// What costs the container nothing: who falls further behind has another place to read from.
    Loose,
}

#[derive(Default)]
struct Book {
    /// What the router needs; unknown until it has said so, and then everything.
    wanted: Option<Vec<Stretch>>,
    /// From here on nothing was let go.
    trimmed: Position,
    /// What each reader still needs.
    holds: BTreeMap<u64, (Position, Grip)>,
    made: u64,
}

impl Book {
    /// What somebody needs; none = everything.
    fn kept(&self) -> Option<Vec<Stretch>> {
        let mut kept = self.wanted.clone()?;
        let end = whole(&kept).unwrap_or_default().segment;
        let held = self
            .holds
            .values()
            .filter(|(at, grip)| *grip == Grip::Firm || end.saturating_sub(at.segment) <= TRAIL);
        kept.extend(held.map(|(at, _)| *at).min().map(Stretch::from));
        Some(kept)
    }

    /// What is not kept is about to go.
    fn note(&mut self, kept: Option<&[Stretch]>) {
        if let Some(from) = kept.and_then(whole) {
            self.trimmed = self.trimmed.max(from);
        }
    }
}

/// From where on all of it is kept.
fn whole(kept: &[Stretch]) -> Option<Position> {
    kept.iter().filter(|k| k.to.is_none()).map(|k| k.from).min()
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
    grip: Grip,
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
        book.holds.insert(key, (Position::default(), Grip::Firm));
        Hold { of: Arc::clone(self), key, grip: Grip::Firm }
    }

    /// Holds what is from there on, loosely.
    pub fn hold_loosely(self: &Arc<Self>, from: Position) -> Hold {
        let mut book = lock(&self.book);
        book.made += 1;
        let key = book.made;
        book.holds.insert(key, (from, Grip::Loose));
        Hold { of: Arc::clone(self), key, grip: Grip::Loose }
    }

    /// Whether everything from there on is still in the spool.
    pub async fn still_has(&self, from: Position) -> Result<bool, PortError> {
        let trimmed = lock(&self.book).trimmed;
        if from >= trimmed {
            return Ok(true);
        }
        if from.segment < trimmed.segment {
            return Ok(false);
        }
        // Segments go as a whole, this one only if it was full.
        let (first, _) = self.spool.read(Position { offset: 0, ..from }, 1).await?;
        Ok(first.first().is_some_and(|record| match record {
            SpoolRecord::Data { at, .. } | SpoolRecord::Gap { at, .. } | SpoolRecord::End { at, .. } => {
                at.segment == from.segment
            }
        }))
    }

    /// Lets go of what nobody needs any more.
    fn release(self: &Arc<Self>, change: impl FnOnce(&mut Book)) {
        let (before, after) = {
            let mut book = lock(&self.book);
            let before = book.kept();
            change(&mut book);
            let after = book.kept();
            book.note(after.as_deref());
            (before, after)
        };
        if let Some(kept) = after.filter(|kept| before.as_ref() != Some(kept)) {
            let spool = Arc::clone(&self.spool);
            tokio::spawn(async move {
                if let Err(error) = spool.trim(&kept).await {
                    tracing::warn!(error = error.chain(), "spool not trimmed");
                }
            });
        }
    }
}

impl Hold {
    /// What is below is not needed any more.
    pub fn advance(&self, to: Position) {
        let same = lock(&self.of.book).holds.get(&self.key).is_some_and(|(at, _)| at.segment == to.segment);
        if !same {
            self.of.release(|book| {
                book.holds.insert(self.key, (to, self.grip));
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

    fn more(&self) -> watch::Receiver<u64> {
        self.spool.more()
    }

    async fn trim(&self, keep: &[Stretch]) -> Result<(), PortError> {
        let kept = {
            let mut book = lock(&self.book);
            book.wanted = Some(keep.to_vec());
            let kept = book.kept();
            book.note(kept.as_deref());
            kept
        };
        self.spool.trim(kept.as_deref().unwrap_or(keep)).await
    }

    fn budget(&self) -> u64 {
        self.spool.budget()
    }

    async fn extent(&self) -> Result<Vec<(u64, u64)>, PortError> {
        self.spool.extent().await
    }

    async fn owes(&self) -> Result<bool, PortError> {
        self.spool.owes().await
    }

    async fn load_cursor(&self, sink: &str) -> Result<Option<Cursor>, PortError> {
        self.spool.load_cursor(sink).await
    }

    async fn store_cursor(&self, sink: &str, cursor: &Cursor) -> Result<(), PortError> {
        self.spool.store_cursor(sink, cursor).await
    }

    async fn load_losses(&self, sink: &str) -> Result<Option<Losses>, PortError> {
        self.spool.load_losses(sink).await
    }

    async fn store_losses(&self, sink: &str, losses: &Losses) -> Result<(), PortError> {
        self.spool.store_losses(sink, losses).await
    }

    async fn keep_cursors(&self, sinks: &[String]) -> Result<(), PortError> {
        self.spool.keep_cursors(sinks).await
    }
}
