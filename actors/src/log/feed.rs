//! What a container wrote last, read and cut once for all who follow it.
//!
//! Followers that keep up stand at the same place and wait for the same news: the first of them reads, the others get what
//! it read. Who fell behind finds what it needs among what was kept, or reads the spool itself.

use super::cut::cut;
use super::framer::seed;
use super::gap::Ahead;
use super::held::{HeldSpool, Hold};
use crate::shared::lock;
use bytes::{BufMut, BytesMut};
use contract::PortError;
use contract::log::{BatchPolicy, Cursor, LogLine, Position, StoredLine};
use contract::runtime::Spool;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{OnceCell, watch};

/// Readings kept, and bytes of text in them.
const KEPT: usize = 32;
const BYTES: usize = 2 << 20;

/// Which attributes lines are given.
pub type Attributes = BTreeMap<String, String>;

/// Lines that follow a cursor.
#[derive(Debug, Clone)]
pub struct Part {
    /// The lines as they are stored: with LF, unless they go on.
    pub lines: Arc<Vec<StoredLine>>,
    /// Where they end.
    pub end: Cursor,
    /// Nothing more was there when it was asked for.
    pub last: bool,
    /// By then there may be more all the same.
    pub again: Option<Duration>,
    /// False when lines before these or between them may have been let go of before they were read.
    pub whole: bool,
    /// The lines tell where some are missing.
    pub tells: bool,
}

/// How new what is read must be.
#[derive(Debug, Clone, Copy)]
pub enum Asked {
    /// As new as this news of the spool.
    After(u64),
    /// Read now.
    Now,
}

struct Shared {
    from: Cursor,
    /// The spool's news before it was read.
    news: u64,
    part: OnceCell<Part>,
}

#[derive(Default)]
struct Recent {
    parts: VecDeque<Arc<Shared>>,
    followers: usize,
}

/// The lines of one container, for those who follow.
pub struct Feed {
    spool: Arc<HeldSpool>,
    policy: BatchPolicy,
    seed: u64,
    recent: Mutex<Recent>,
}

/// Somebody follows; dropped when that ends.
pub struct Seat(Arc<Feed>);

impl Drop for Seat {
    fn drop(&mut self) {
        let mut recent = lock(&self.0.recent);
        recent.followers -= 1;
        if recent.followers == 0 {
            recent.parts.clear();
        }
    }
}

impl Feed {
    /// Lines cut as for the sink whose stored lines they follow on.
    pub fn new(spool: Arc<HeldSpool>, policy: BatchPolicy, container: &str) -> Arc<Self> {
        Arc::new(Self { spool, policy, seed: seed(container), recent: Mutex::default() })
    }

    /// Counts a follower: for as long as there are any, what was read is kept.
    pub fn join(self: &Arc<Self>) -> Seat {
        lock(&self.recent).followers += 1;
        Seat(Arc::clone(self))
    }

    /// Changes whenever there may be more.
    pub fn more(&self) -> watch::Receiver<u64> {
        self.spool.more()
    }

    /// Keeps what a follower needs from there on, as long as that delays nobody.
    pub fn hold(&self, from: &Cursor) -> Hold {
        self.spool.hold_loosely(from.floor())
    }

    /// The place after the last record there is.
    pub async fn end(&self) -> Result<Position, PortError> {
        self.spool.end().await
    }

    /// The lines after `from`.
    pub async fn next(&self, from: &Cursor, asked: Asked, attrs: &Attributes) -> Result<Part, PortError> {
        let Asked::After(news) = asked else { return self.read(from, attrs).await };
        let shared = self.shared(from, news);
        let part = shared.part.get_or_try_init(|| self.read(from, attrs)).await?;
        // What was read before the latest news does not tell that there is no more.
        Ok(Part { last: part.last && shared.news >= news, ..part.clone() })
    }

    fn shared(&self, from: &Cursor, news: u64) -> Arc<Shared> {
        let mut recent = lock(&self.recent);
        let serves = |kept: &&Arc<Shared>| {
            kept.from == *from && (kept.news >= news || kept.part.get().is_some_and(|p| !p.lines.is_empty()))
        };
        if let Some(found) = recent.parts.iter().rev().find(serves) {
            return Arc::clone(found);
        }
        let made = Arc::new(Shared { from: from.clone(), news, part: OnceCell::new() });
        recent.parts.push_back(Arc::clone(&made));
        let size = |kept: &Arc<Shared>| {
            kept.part.get().map_or(0, |p| p.lines.iter().map(|l| l.line.data.len()).sum::<usize>())
        };
        let mut bytes: usize = recent.parts.iter().map(size).sum();
        while recent.parts.len() > KEPT || (bytes > BYTES && recent.parts.len() > 1) {
            bytes -= recent.parts.pop_front().as_ref().map_or(0, size);
        }
        made
    }

    async fn read(&self, from: &Cursor, attrs: &Attributes) -> Result<Part, PortError> {
        let cut = cut(&*self.spool, (from, &Ahead::default()), &self.policy, self.seed).await?;
        // Asked after reading: what is still there now was there then.
        let whole = self.spool.still_has(from.floor(), cut.batch.end.top()).await?;
        let lines = Arc::new(stored(&cut.batch.lines, attrs));
        let (end, tells) = (cut.batch.end.clone(), cut.gaps.lost > 0);
        Ok(Part { lines, end, last: cut.last, again: cut.again, whole, tells })
    }
}

/// Lines as a file's reader gives them.
fn stored(lines: &[LogLine], attrs: &Attributes) -> Vec<StoredLine> {
    let mut text = BytesMut::with_capacity(lines.iter().map(|l| l.data.len() + 1).sum());
    let with_end = |line: &LogLine| {
        text.put_slice(&line.data);
        if line.partial.as_ref().is_none_or(|p| p.last) {
            text.put_u8(b'\n');
        }
        let (time_ns, stream, partial) = (line.time_ns, line.stream, line.partial.clone());
        let line = LogLine { stream, time_ns, data: text.split().freeze(), partial };
        StoredLine { line, attrs: attrs.clone() }
    };
    lines.iter().map(with_end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use contract::fake::FakeSpool;
    use contract::log::{Losses, Stream, Stretch};
    use contract::runtime::SpoolRecord;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Counted {
        spool: FakeSpool,
        reads: AtomicUsize,
    }

    #[async_trait]
    impl Spool for Counted {
        async fn read(&self, at: Position, max: usize) -> Result<(Vec<SpoolRecord>, Position), PortError> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            self.spool.read(at, max).await
        }
        async fn end(&self) -> Result<Position, PortError> {
            Spool::end(&self.spool).await
        }
        fn more(&self) -> watch::Receiver<u64> {
            self.spool.more()
        }
        async fn trim(&self, keep: &[Stretch]) -> Result<(), PortError> {
            self.spool.trim(keep).await
        }
        fn budget(&self) -> u64 {
            self.spool.budget()
        }
        async fn extent(&self) -> Result<Vec<(u64, u64)>, PortError> {
            self.spool.extent().await
        }
        async fn load_losses(&self, sink: &str) -> Result<Option<Losses>, PortError> {
            self.spool.load_losses(sink).await
        }
        async fn store_losses(&self, sink: &str, losses: &Losses) -> Result<(), PortError> {
            self.spool.store_losses(sink, losses).await
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

    async fn follow(feed: Arc<Feed>) -> Vec<String> {
        let _seat = feed.join();
        let (mut more, mut cursor, mut out) = (feed.more(), Cursor::default(), Vec::new());
        while out.len() < 200 {
            let news = *more.borrow_and_update();
            let part = feed.next(&cursor, Asked::After(news), &Attributes::new()).await.unwrap();
            assert!(part.whole);
            cursor = part.end;
            out.extend(part.lines.iter().map(|l| String::from_utf8(l.line.data.to_vec()).unwrap()));
            if part.last && out.len() < 200 {
                more.changed().await.unwrap();
            }
        }
        out
    }

    #[tokio::test]
    async fn many_followers_cost_hardly_more_reading_than_one_and_each_gets_every_line() {
        let mut costs = Vec::new();
        for followers in [1, 20] {
            let spool = Arc::new(Counted::default());
            let held = HeldSpool::new(Arc::clone(&spool) as Arc<dyn Spool>);
            let feed = Feed::new(held, BatchPolicy::default(), "c");
            let all: Vec<_> = (0..followers).map(|_| tokio::spawn(follow(Arc::clone(&feed)))).collect();
            for n in 0..200 {
                spool.spool.write(Stream::Stdout, format!("{n}\n"));
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                }
            }
            let expected: Vec<String> = (0..200).map(|n| format!("{n}\n")).collect();
            for one in all {
                assert_eq!(one.await.unwrap(), expected);
            }
            assert!(lock(&feed.recent).parts.is_empty(), "nothing is kept for nobody");
            costs.push(spool.reads.load(Ordering::Relaxed));
        }
        assert!(costs[1] < costs[0] * 2, "{costs:?}");
    }

    #[tokio::test]
    async fn a_follower_close_behind_keeps_what_it_needs_and_a_slow_one_holds_nothing() {
        let spool = Arc::new(FakeSpool::default());
        let held = HeldSpool::new(Arc::clone(&spool) as Arc<dyn Spool>);
        let feed = Feed::new(Arc::clone(&held), BatchPolicy::default(), "c");
        for n in 0..40 {
            spool.write(Stream::Stdout, format!("{n}\n"));
        }
        let hold = feed.hold(&Cursor::default());
        hold.advance(Position { segment: 1, offset: 0 });
        let keep = |segment| [Stretch::from(Position { segment, offset: 0 })];
        held.trim(&keep(2)).await.unwrap();
        assert_eq!(spool.segments(), 5, "the one before is still needed");
        held.trim(&keep(3)).await.unwrap();
        assert_eq!(spool.segments(), 3, "it waits no longer");
        drop(hold);
    }

    #[tokio::test]
    async fn what_was_let_go_before_it_was_read_is_noticed() {
        let spool = Arc::new(FakeSpool::default());
        let held = HeldSpool::new(Arc::clone(&spool) as Arc<dyn Spool>);
        let feed = Feed::new(Arc::clone(&held), BatchPolicy::default(), "c");
        for n in 0..30 {
            spool.write(Stream::Stdout, format!("{n}\n"));
        }
        let part = feed.next(&Cursor::default(), Asked::Now, &Attributes::new()).await.unwrap();
        let end = part.end;
        for n in 30..60 {
            spool.write(Stream::Stdout, format!("{n}\n"));
        }
        let floor = end.floor();
        held.trim(&[Stretch::from(floor)]).await.unwrap();
        let same = feed.next(&end, Asked::Now, &Attributes::new()).await.unwrap();
        assert!(same.whole, "what follows is still there");
        held.trim(&[Stretch::from(Position { segment: floor.segment + 2, offset: 0 })]).await.unwrap();
        assert!(!feed.next(&end, Asked::Now, &Attributes::new()).await.unwrap().whole);
    }

    #[tokio::test]
    async fn what_a_stuck_sink_still_needs_is_whole_up_to_where_lines_were_let_go_of() {
        // Each part of it was told to follow dropped lines.
        let spool = Arc::new(FakeSpool::default());
        let held = HeldSpool::new(Arc::clone(&spool) as Arc<dyn Spool>);
        let policy = BatchPolicy { max_lines: 4, ..BatchPolicy::default() };
        let feed = Feed::new(Arc::clone(&held), policy, "c");
        for n in 0..40 {
            spool.write(Stream::Stdout, format!("{n}\n"));
        }
        let mut end = feed.next(&Cursor::default(), Asked::Now, &Attributes::new()).await.unwrap().end;
        let at = |segment| Position { segment, offset: 0 };
        held.trim(&[Stretch { from: at(1), to: Some(at(2)) }, Stretch::from(at(5))]).await.unwrap();
        let mut found = Vec::new();
        for _ in 0..5 {
            let part = feed.next(&end, Asked::Now, &Attributes::new()).await.unwrap();
            found.push((part.lines.len(), part.whole, part.tells));
            end = part.end;
        }
        let whole = (4, true, false);
        assert_eq!(found, [whole, whole, whole, (4, false, true), whole]);
    }

    #[tokio::test]
    async fn what_was_let_go_before_the_first_line_was_read_is_noticed_too() {
        let spool = Arc::new(FakeSpool::default());
        let held = HeldSpool::new(Arc::clone(&spool) as Arc<dyn Spool>);
        let feed = Feed::new(Arc::clone(&held), BatchPolicy::default(), "c");
        let nothing = feed.next(&Cursor::default(), Asked::Now, &Attributes::new()).await.unwrap();
        assert!(nothing.whole && nothing.lines.is_empty());
        for n in 0..30 {
            spool.write(Stream::Stdout, format!("{n}\n"));
        }
        held.trim(&[Stretch::from(Position { segment: 3, offset: 0 })]).await.unwrap();
        assert!(!feed.next(&nothing.end, Asked::Now, &Attributes::new()).await.unwrap().whole);
    }
}
