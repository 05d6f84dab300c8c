//! A spool whose readers may hold what its router would let go.

use super::trim::until_done;
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
    /// How often something more was to be let go of.
    trims: u64,
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

    /// Whether everything from one place to another is still in the spool.
    pub async fn still_has(&self, from: Position, to: Position) -> Result<bool, PortError> {
        let trimmed = lock(&self.book).trimmed;
        if from >= trimmed {
            return Ok(true);
        }
        // Segments go as a whole, and what one sink needs may lie before what others have let go of.
        let there = self.spool.extent().await?;
        Ok((from.segment..=to.segment).all(|needed| there.iter().any(|(segment, _)| *segment == needed)))
    }

    /// Lets go of what nobody needs any more.
    fn release(self: &Arc<Self>, change: impl FnOnce(&mut Book)) {
        let (number, changed) = {
            let mut book = lock(&self.book);
            let before = book.kept();
            change(&mut book);
            let after = book.kept();
            book.note(after.as_deref());
            let changed = after.is_some() && before != after;
            book.trims += u64::from(changed);
            (book.trims, changed)
        };
        if changed {
            // A spool that nobody has any more is not waited for.
            let (own, same) = (Arc::downgrade(self), Arc::downgrade(self));
            let once = move || {
                let own = own.upgrade();
                async move {
                    let Some(own) = own else { return Ok(()) };
                    // What is needed may be more by now.
                    let Some(kept) = own.kept() else { return Ok(()) };
                    own.spool.trim(&kept).await
                }
            };
            let latest = move || same.upgrade().is_some_and(|own| lock(&own.book).trims == number);
            tokio::spawn(until_done(once, latest));
        }
    }

    /// What is to be kept now; none = everything.
    fn kept(&self) -> Option<Vec<Stretch>> {
        let mut book = lock(&self.book);
        let kept = book.kept();
        book.note(kept.as_deref());
        kept
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
            book.trims += 1;
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

#[cfg(test)]
mod tests {
    use super::*;
    use contract::fake::FakeSpool;
    use contract::log::Stream;

    fn at(segment: u64) -> Position {
        Position { segment, offset: 0 }
    }

    /// Forty lines in five segments.
    fn filled() -> (Arc<FakeSpool>, Arc<HeldSpool>) {
        let spool = Arc::new(FakeSpool::default());
        for n in 0..40 {
            spool.write(Stream::Stdout, format!("{n}\n"));
        }
        (Arc::clone(&spool), HeldSpool::new(spool))
    }

    #[tokio::test]
    async fn what_lies_before_something_that_was_let_go_of_is_there_as_long_as_a_sink_needs_it() {
        let (_, held) = filled();
        let early = Stretch { from: at(1), to: Some(at(2)) };
        held.trim(&[early, Stretch::from(at(5))]).await.unwrap();
        for (from, to, there) in [(1, 1, true), (1, 2, true), (2, 3, false), (1, 5, false), (5, 5, true)] {
            assert_eq!(held.still_has(at(from), at(to)).await.unwrap(), there, "{from} to {to}");
        }
        held.trim(&[Stretch::from(at(5))]).await.unwrap();
        assert!(!held.still_has(at(2), at(2)).await.unwrap(), "nobody needs it any more");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_reader_let_go_of_is_trimmed_later_where_that_fails_at_first() {
        // The container waited for the room, and nothing that would have led to another try came from it.
        let (spool, held) = filled();
        let hold = held.hold();
        held.trim(&[Stretch::from(at(4))]).await.unwrap();
        assert_eq!(spool.segments(), 5);
        spool.fail_trims(2);
        drop(hold);
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        assert_eq!(spool.segments(), 5, "it was tried twice");
        // Somebody who came meanwhile needs more than was needed then.
        let _other = held.hold_loosely(at(3));
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        assert_eq!(spool.segments(), 3);
    }
}
