//! The actor hosting one log driver.

use super::chain;
use super::lane::{let_go, look_after};
use super::record::container_lines;
use super::router::actor::Router;
use super::router::machine::{Extent, Failure, Refusal};
use super::router::report::Report;
use super::spec::SinkSpec;
use super::swap::furthest;
use crate::supervise::{Answer, Ctx, Link, Member, Message};
use contract::PortError;
use contract::log::{Batch, Certain, Cursor, DeliverError, Delivery, LogSource, Losses, Position};
use contract::runtime::Spool;
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// Hosts one driver.
pub struct Sink {
    index: usize,
    spec: SinkSpec,
    source: Arc<LogSource>,
    spool: Arc<dyn Spool>,
    router: Link<Router>,
}

impl Sink {
    /// A sink that reports to `router`.
    pub fn new(
        index: usize,
        spec: SinkSpec,
        source: Arc<LogSource>,
        spool: Arc<dyn Spool>,
        router: Link<Router>,
    ) -> Self {
        Self { index, spec, source, spool, router }
    }

    fn report(&self, work: impl Future<Output = Report> + Send + 'static, panicked: Report) {
        let router = self.router.clone();
        // One task: each hand-over between threads is a pause between two batches.
        tokio::spawn(async move {
            let report = AssertUnwindSafe(work).catch_unwind().await.unwrap_or(panicked);
            // A router that is being rebuilt asks again.
            router.push(report).await.ok();
        });
    }
}

impl Member for Sink {
    fn started(&mut self, _ctx: &mut Ctx<Self>) {
        let (router, sink) = (self.router.clone(), self.index);
        tokio::spawn(async move { router.push(Report::Up { sink }).await.ok() });
    }
}

/// Opens the driver again.
pub struct Open {
    /// Number of this try.
    pub attempt: u64,
}

impl Message for Open {
    type Result = ();
}

impl Answer<Open> for Sink {
    fn answer(&mut self, Open { attempt }: Open, _ctx: &mut Ctx<Self>) {
        let (spec, source, spool, sink) =
            (self.spec.clone(), self.source.clone(), self.spool.clone(), self.index);
        let failed = move |text: String| Report::Failed { sink, attempt, failure: Failure::Fatal(text) };
        let router = self.router.clone();
        let work = async move {
            // Known before its turn comes: what hangs there must not hold the spool.
            match found(&spec, &*spool).await {
                Ok((cursor, losses)) => router.push(Report::Found { sink, cursor, losses }).await.ok(),
                Err(error) => return failed(error.chain()),
            };
            let mut lane = spec.lane.lock().await;
            if !lane.is_next(attempt) {
                return failed("a later try came first".into());
            }
            if let Some(driver) = lane.driver.take() {
                let_go(driver);
            }
            // What a driver that keeps a file has begun goes on when nobody waits for it.
            let stays = spec.kind.reader().is_some();
            let opened = tokio::select! {
                opened = spec.kind.open(&source, &spec.options) => opened,
                () = spec.lane.given_up(), if !stays => return failed("it was given up".into()),
            };
            let driver = match opened {
                Ok(driver) => driver,
                Err(error) => return failed(error.chain()),
            };
            lane.noted().await;
            let cursor = match driver.cursor() {
                Some(cursor) => cursor,
                None => match standing(&spec, &*spool).await {
                    Ok(cursor) => cursor,
                    Err(error) => {
                        let_go(driver);
                        return failed(error.chain());
                    }
                },
            };
            lane.driver = Some(driver);
            (lane.began, lane.delivered) = (Some(cursor.clone()), None);
            Report::Opened { sink, attempt, cursor }
        };
        self.report(work, failed("the driver panicked while opening".into()));
    }
}

/// Delivers a batch.
pub struct Deliver {
    /// Number of this try.
    pub attempt: u64,
    /// What is delivered.
    pub batch: Arc<Batch>,
}

impl Message for Deliver {
    type Result = ();
}

impl Answer<Deliver> for Sink {
    fn answer(&mut self, Deliver { attempt, batch }: Deliver, _ctx: &mut Ctx<Self>) {
        let (spec, spool, sink, router) =
            (self.spec.clone(), self.spool.clone(), self.index, self.router.clone());
        let fail = move |failure| Report::Failed { sink, attempt, failure };
        let work = async move {
            let mut lane = spec.lane.lock().await;
            // Opened anew meanwhile, it stands where it stood: these lines will come again.
            if !lane.is_next(attempt) {
                return fail(Failure::Fatal("a later try came first".into()));
            }
            // Taken out, so that a driver that panics is not used again.
            let Some(mut driver) = lane.driver.take() else {
                return fail(Failure::Fatal("the driver is not open".into()));
            };
            let stays = driver.cursor().is_some();
            let delivered = tokio::select! {
                delivered = driver.deliver(&batch) => delivered,
                () = spec.lane.given_up(), if !stays => {
                    let_go(driver);
                    return fail(Failure::Fatal("it was given up".into()));
                }
            };
            let refused = match delivered {
                Ok(()) => None,
                Err(DeliverError::Reject { lines, source }) => {
                    let error = spoken(&chain(&*source).join(": "));
                    tracing::warn!(sink = spec.name, lines = lines.len(), error, "log lines refused");
                    let records = lines.len();
                    let refused: Vec<_> = lines.iter().filter_map(|line| batch.lines.get(*line)).collect();
                    let bytes = refused.iter().map(|line| line.data.len() as u64).sum();
                    let lines = container_lines(refused, &spec.batching());
                    Some(Refusal { records, lines, bytes, error })
                }
                Err(DeliverError::Retry { source, after }) => {
                    lane.driver = Some(driver);
                    return fail(Failure::Retry(source.to_string(), after));
                }
                Err(DeliverError::Fatal { source }) => {
                    let_go(driver);
                    return fail(Failure::Fatal(source.to_string()));
                }
            };
            let certain = driver.certain();
            let certain = known(&spec, &*spool, certain, (lane.began.as_ref(), &batch.end)).await;
            if driver.cursor().is_none() {
                let place = certain.as_ref().unwrap_or(&batch.end).clone();
                let (spool, name) = (Arc::clone(&spool), spec.name.clone());
                let noting = async move {
                    if let Err(error) = store(&*spool, &name, &place).await {
                        // Only repetition after a restart is at stake.
                        tracing::warn!(sink = name, error, "cursor not stored");
                    }
                };
                lane.note(meanwhile(spec.delivery, certain.as_ref().unwrap_or(&batch.end)), noting).await;
            }
            lane.delivered = Some(batch.end.clone());
            if !driver.confirms() && !std::mem::replace(&mut lane.watched, true) {
                let name = spec.name.clone();
                look_after(spec.lane.clone(), name, move |read| {
                    let (spool, router, name) = (spool.clone(), router.clone(), spec.name.clone());
                    async move {
                        if store(&*spool, &name, &read).await.is_ok() {
                            router.push(Report::Certain { sink }).await.ok();
                        }
                    }
                });
            }
            lane.driver = Some(driver);
            Report::Delivered { sink, attempt, refused, certain }
        };
        self.report(work, fail(Failure::Fatal("the driver panicked".into())));
    }
}

/// The segment within which a cursor is written while the next batch is on its way; none = that batch waits for it. Where there
/// is limited room, what is dropped begins behind as much as one batch may hold that the daemon before this one had delivered
/// and not noted, and what was passed over is forgotten once a cursor beyond it is known.
fn meanwhile(delivery: Delivery, cursor: &Cursor) -> Option<u64> {
    (delivery == Delivery::Blocking).then(|| cursor.floor().segment)
}

/// Characters of a far side's words that are kept: it may answer with a whole page.
const WORDS: usize = 500;

/// A far side's words, fit for an event and a line of a terminal.
fn spoken(text: &str) -> String {
    text.chars().take(WORDS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The smallest spool in which lines are kept that were delivered, but perhaps not read: in a smaller one, of few segments,
/// the container would come to wait for them. Bytes.
const ROOMY: u64 = 32 << 20;

/// Up to where the far side is sure to have read, now that everything up to `end` was delivered; none = to the end.
async fn known(
    spec: &SinkSpec,
    spool: &dyn Spool,
    certain: Certain,
    (began, end): (Option<&Cursor>, &Cursor),
) -> Option<Cursor> {
    let Certain::UpTo(place) = certain else { return None };
    // Who does not wait for a sink drops lines that would be missing when others are read again.
    if spec.delivery != Delivery::Blocking || spool.budget() < ROOMY {
        return None;
    }
    let place = place.or_else(|| began.cloned())?;
    if place.floor().segment < end.floor().segment {
        // What others wrote, or what is not for this sink, may have moved it far on.
        let extent = Extent::new(spool.extent().await.ok()?);
        if !is_near(&extent, place.floor(), end.floor()) {
            return None;
        }
    }
    Some(place)
}

/// Whether a sink may be kept back there, having got so far. What was given up once is not gone back to: from where the spool
/// was let go of meanwhile, little is left on the way, and whoever read on there would tell of lines that were lost.
fn is_near(extent: &Extent, place: Position, end: Position) -> bool {
    extent.is_whole(place, end) && extent.between(place, end) <= ROOMY / 8
}

/// What is on disk about a sink: where it stands, unless it keeps that with its data, and what it was not given.
async fn found(spec: &SinkSpec, spool: &dyn Spool) -> Result<(Option<Cursor>, Losses), PortError> {
    let losses = spool.load_losses(&spec.name).await?.unwrap_or_default();
    let own = spec.kind.reader().is_some();
    let cursor = if own { None } else { Some(standing(spec, spool).await?) };
    Ok((cursor, losses))
}

/// Where a sink stands that does not keep its cursor. On a full disk that may be known here alone.
async fn standing(spec: &SinkSpec, spool: &dyn Spool) -> Result<Cursor, PortError> {
    let stored = spool.load_cursor(&spec.name).await?.unwrap_or_default();
    let told = spec.gauge.standing();
    Ok(told.map_or(stored.clone(), |told| furthest(&told, &stored)))
}

async fn store(spool: &dyn Spool, name: &str, cursor: &Cursor) -> Result<(), String> {
    spool.store_cursor(name, cursor).await.map_err(|e| e.chain())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_is_not_kept_back_at_a_place_from_which_the_spool_was_let_go_of() {
        // A sink of one stream was passed over a long part of the other's: the next line took its cursor back before it, and a
        // restart told of a part of the spool that was gone.
        let at = |segment| Position { segment, offset: 7 };
        let near = |segments: Vec<(u64, u64)>| is_near(&Extent::new(segments), at(1), at(5));
        let full = ROOMY / 8;
        assert!(!near(vec![(1, full), (2, full), (3, full), (4, full), (5, 100)]));
        assert!(!near(vec![(5, 100)]), "nothing but what was written last is left");
        assert!(near(vec![(1, full), (2, 0), (3, 0), (4, 0), (5, 100)]), "starts that wrote nothing");
        assert!(is_near(&Extent::new(vec![(5, 100)]), at(4), at(5)));
    }

    #[test]
    fn where_a_sink_of_limited_room_stands_is_written_before_more_is_sent_to_it() {
        // A kill left two batches that were delivered and not noted: of the second the next daemon dropped a part once more.
        let delivery = Delivery::NonBlocking { buffer: 5000, overflow: Default::default() };
        assert_eq!(meanwhile(delivery, &Cursor::default()), None);
        assert_eq!(meanwhile(Delivery::Blocking, &Cursor::default()), Some(0));
    }

    #[test]
    fn why_lines_were_refused_is_told_without_control_characters_and_not_without_end() {
        assert_eq!(spoken("400:\u{1b}[2J\r\nno"), "400: [2J  no");
        assert_eq!(spoken(&"ü".repeat(9000)).chars().count(), WORDS);
    }
}
