//! Reading back and following: what is stored first, then the spool from where that ends. Needs no router, waits for no sink
//! and is waited for by none.

use super::feed::{Asked, Attributes, Feed, Part, Seat};
use super::sieve::{Flow, Sieve};
use super::spec::Purpose;
use super::stores::Stores;
use contract::PortError;
use contract::log::{
    Cursor, Delivery, Hole, LogLine, LogSource, Piece, Place, Position, ReadRequest, Reading, StoredLine,
    Stream,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Batches of lines that wait for a slow client.
const CHANNEL: usize = 2;
/// So often a tail is looked for where what belongs to it is stored and let go of while it is counted.
const TRIES: usize = 5;

/// Which lines are wanted.
#[derive(Debug, Clone, Default)]
pub struct FollowRequest {
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// From the first line of this time or later on, ns since the epoch; what follows it comes whatever its time, as in Docker.
    pub since_ns: Option<i64>,
    /// Not after.
    pub until_ns: Option<i64>,
    /// Only the last so many of what was written, both streams counted.
    pub tail: Option<usize>,
    /// Go on until the container ends, or the time of `until_ns` has come.
    pub follow: bool,
}

/// What is given out: `data` ends with LF unless the line goes on.
pub type Lines = mpsc::Receiver<Result<Arc<Vec<StoredLine>>, PortError>>;

/// Whether the run of the container that is followed goes on.
#[derive(Clone)]
pub struct Run {
    changed: watch::Receiver<u64>,
    goes_on: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Run {
    /// `goes_on` is asked again whenever `changed` changes. Once it is false, all output is in the spool.
    pub fn new(changed: watch::Receiver<u64>, goes_on: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { changed, goes_on: Arc::new(goes_on) }
    }
}

/// Whose lines are read, and from where.
#[derive(Clone)]
pub struct Origin {
    /// The container.
    pub source: Arc<LogSource>,
    /// What is not stored yet.
    pub feed: Arc<Feed>,
    /// What lines from there are given.
    pub attributes: Attributes,
    /// How long to follow.
    pub run: Run,
    /// Where what is stored lies now; that may change while it is followed.
    pub stores: Arc<dyn Fn() -> Arc<Stores> + Send + Sync>,
}

/// Reads a container's lines.
pub async fn read_logs(origin: Origin, request: FollowRequest) -> Result<Lines, PortError> {
    let stores = (origin.stores)();
    let seat = origin.feed.join();
    let first = ReadRequest {
        since_ns: request.since_ns,
        until_ns: request.until_ns,
        tail: request.tail,
        after: None,
    };
    let (reading, count) = begin(&origin, &stores, &first).await?;
    let (mut surplus, mut unstored) = (0, None);
    if let (Some(tail), Some(found)) = (request.tail, reading.found) {
        surplus = (found + count).saturating_sub(tail);
        unstored = (!request.follow).then_some(count);
    }
    let (to, lines) = mpsc::channel(CHANNEL);
    let mut follower = Follower {
        stores,
        origin,
        sieve: Sieve::new(&request, surplus),
        request,
        to,
        unstored,
        anchored: true,
        _seat: seat,
    };
    tokio::spawn(async move {
        if let Err(error) = follower.run(reading).await {
            // Nobody may be listening any more.
            follower.to.send(Err(error)).await.ok();
        }
    });
    Ok(lines)
}

/// Opens what is stored, and for a tail counts the lines behind it.
async fn begin(origin: &Origin, stores: &Stores, first: &ReadRequest) -> Result<(Reading, usize), PortError> {
    let (mut tries, mut before) = (0, None);
    loop {
        let reading = stores.read(&origin.source, first.clone()).await?;
        if reading.found.is_none() {
            return Ok((reading, 0));
        }
        let (count, whole) = count(origin, &reading.cursor).await?;
        tries += 1;
        // What is not stored meanwhile is not going to be: a sink that cannot store gave it up.
        if whole || tries == TRIES || before.as_ref() == Some(&reading.cursor) {
            return Ok((reading, count));
        }
        before = Some(reading.cursor);
    }
}

/// How many lines were written and are not stored, and whether none of them was let go of meanwhile.
async fn count(origin: &Origin, from: &Cursor) -> Result<(usize, bool), PortError> {
    let (mut cursor, mut count, mut stop, mut whole) = (from.clone(), 0, Stop::default(), true);
    loop {
        let part = origin.feed.next(&cursor, Asked::Now, &origin.attributes).await?;
        count += part.lines.len();
        whole &= part.whole;
        if part.last || stop.is_reached(&origin.feed, &part.end).await? {
            return Ok((count, whole));
        }
        cursor = part.end;
    }
}

/// Where reading ends without following, so that it ends however much is written meanwhile.
#[derive(Default)]
struct Stop(Option<Position>);

impl Stop {
    /// Asked only where one read did not reach the end: finding the end costs more than that.
    async fn is_reached(&mut self, feed: &Feed, cursor: &Cursor) -> Result<bool, PortError> {
        let stop = match self.0 {
            Some(stop) => stop,
            None => *self.0.insert(feed.end().await?),
        };
        Ok(cursor.floor() >= stop)
    }
}

struct Follower {
    stores: Arc<Stores>,
    origin: Origin,
    request: FollowRequest,
    to: mpsc::Sender<Result<Arc<Vec<StoredLine>>, PortError>>,
    /// What of the lines is given out.
    sieve: Sieve,
    /// Without following, so many lines belong to a tail that were not stored when it was asked for.
    unstored: Option<usize>,
    /// What came from the spool since the stored lines ended is exactly what is stored behind them.
    anchored: bool,
    _seat: Seat,
}

/// Why following the spool ended.
enum Left {
    /// There is no more.
    Over,
    /// Lines that follow this were let go of before they were read.
    Behind(Cursor),
}

impl Follower {
    async fn run(&mut self, reading: Reading) -> Result<(), PortError> {
        let Some(mut end) = self.stored(reading).await? else { return Ok(()) };
        self.sieve.limit(self.unstored.take());
        loop {
            let behind = match self.spooled(end.1.clone()).await? {
                Left::Over => return Ok(()),
                Left::Behind(cursor) => cursor,
            };
            // What the spool no longer has, the files have by now.
            let (after, found_again) = self.afterwards(end.0);
            let reading = self.stores.read(&self.origin.source, after).await?;
            if reading.cursor.floor() <= behind.floor() {
                // Nor have they: a sink that cannot store gave them up.
                let (part, over) = self.beyond(&behind).await?;
                let told = match part.tells {
                    true => Flow::Goes,
                    false => self.tell("lines were dropped before they could be shown or stored").await,
                };
                if told == Flow::Ends || self.lines(part.lines).await == Flow::Ends || over {
                    return Ok(());
                }
                (end.1, self.anchored) = (part.end, false);
                continue;
            }
            match found_again && self.anchored && self.stores_all() {
                true => self.sieve.repeat(),
                false => self.sieve.repeat_to_latest(),
            }
            match self.stored(reading).await? {
                Some(next) => end = next,
                None => return Ok(()),
            }
        }
    }

    /// What follows lines that nobody has any more, and whether nothing does. It may be yet to come: to look for it again and
    /// again would tell of the same lines for ever.
    async fn beyond(&mut self, behind: &Cursor) -> Result<(Part, bool), PortError> {
        let (mut more, mut run) = (self.origin.feed.more(), self.origin.run.clone());
        loop {
            more.borrow_and_update();
            run.changed.borrow_and_update();
            // Asked before reading: what is not there after the end will not come.
            let goes_on = self.request.follow && (run.goes_on)() && !self.is_over();
            let part = self.origin.feed.next(behind, Asked::Now, &self.origin.attributes).await?;
            let (stays, again) = (part.lines.is_empty() && part.end == *behind, part.again);
            if !stays || !goes_on {
                return Ok((part, stays));
            }
            let open = tokio::select! {
                () = tokio::time::sleep(again.unwrap_or_default()), if again.is_some() => true,
                changed = more.changed() => changed.is_ok(),
                changed = run.changed.changed() => changed.is_ok(),
                () = self.to.closed() => false,
                () = until(self.request.until_ns) => true,
            };
            if !open {
                return Ok((part, true));
            }
        }
    }

    /// How stored lines are read once more, and whether they begin where they had ended, there.
    fn afterwards(&mut self, end: Place) -> (ReadRequest, bool) {
        let before = std::mem::replace(&mut self.stores, (self.origin.stores)());
        let until_ns = self.request.until_ns;
        if self.stores.same_main(&before) {
            return (ReadRequest { until_ns, after: Some(end), ..ReadRequest::default() }, true);
        }
        // The log driver was changed meanwhile: a place in the one means nothing to the other.
        let since_ns = self.sieve.latest().or(self.request.since_ns);
        (ReadRequest { since_ns, until_ns, ..ReadRequest::default() }, false)
    }

    /// What the spool gives is stored line for line: nothing was dropped on the way.
    fn stores_all(&self) -> bool {
        let main = self.stores.main.as_ref();
        main.is_some_and(|m| {
            m.delivery == Delivery::Blocking || m.gauge.read().status.losses.dropped.lines == 0
        })
    }

    /// Gives out what is stored; answers where that ended.
    async fn stored(&mut self, mut reading: Reading) -> Result<Option<(Place, Cursor)>, PortError> {
        while let Some(piece) = reading.pieces.recv().await {
            let flow = match piece? {
                Piece::Lines(mut lines) => {
                    let copy = self.stores.main.as_ref().is_some_and(|m| m.purpose == Purpose::Copy);
                    if copy && !self.origin.attributes.is_empty() {
                        // It is not stored with what was chosen for the driver it stands beside.
                        lines.iter_mut().for_each(|l| l.attrs.clone_from(&self.origin.attributes));
                    }
                    self.lines(Arc::new(lines)).await
                }
                Piece::Hole(hole) => {
                    if matches!(hole, Hole::Rotated { .. }) {
                        self.sieve.repeat_to_latest();
                    }
                    let id = self.origin.source.container_id.get(..12).unwrap_or_default();
                    tracing::warn!(container = id, "reading its log: {hole}");
                    self.tell(&hole.to_string()).await
                }
            };
            if flow == Flow::Ends {
                return Ok(None);
            }
        }
        self.sieve.anchor();
        self.anchored = true;
        Ok(Some((reading.end, reading.cursor)))
    }

    async fn spooled(&mut self, mut cursor: Cursor) -> Result<Left, PortError> {
        let (mut more, mut run) = (self.origin.feed.more(), self.origin.run.clone());
        let (mut stop, mut due) = (Stop::default(), false);
        let hold = self.origin.feed.hold(&cursor);
        loop {
            let news = *more.borrow_and_update();
            run.changed.borrow_and_update();
            // Asked before reading: what is not there after the end will not come.
            let goes_on = self.request.follow && (run.goes_on)() && !self.is_over();
            let asked = if goes_on && !due { Asked::After(news) } else { Asked::Now };
            let Part { lines, end, last, whole, again, .. } =
                self.origin.feed.next(&cursor, asked, &self.origin.attributes).await?;
            if !whole {
                return Ok(Left::Behind(cursor));
            }
            cursor = end;
            hold.advance(cursor.floor());
            if !lines.is_empty() && self.lines(lines).await == Flow::Ends {
                return Ok(Left::Over);
            }
            if !last {
                if !goes_on && stop.is_reached(&self.origin.feed, &cursor).await? {
                    return Ok(Left::Over);
                }
                continue;
            }
            if !goes_on {
                return Ok(Left::Over);
            }
            due = false;
            tokio::select! {
                () = tokio::time::sleep(again.unwrap_or_default()), if again.is_some() => due = true,
                changed = more.changed() => if changed.is_err() { return Ok(Left::Over) },
                changed = run.changed.changed() => if changed.is_err() { return Ok(Left::Over) },
                () = self.to.closed() => return Ok(Left::Over),
                () = until(self.request.until_ns) => {}
            }
        }
    }

    /// Nothing that is still to come is wanted.
    fn is_over(&self) -> bool {
        self.request.until_ns.is_some_and(|until| crate::now_ns() > until)
    }

    async fn lines(&mut self, lines: Arc<Vec<StoredLine>>) -> Flow {
        let (lines, flow) = self.sieve.choose(lines);
        let open =
            if lines.is_empty() { !self.to.is_closed() } else { self.to.send(Ok(lines)).await.is_ok() };
        if open { flow } else { Flow::Ends }
    }

    /// Puts a line of gantry's own between the container's, where whoever reads them sees it.
    async fn tell(&mut self, text: &str) -> Flow {
        if !self.request.stderr {
            return Flow::Goes;
        }
        let told = vec![told(text, self.sieve.latest())];
        if self.to.send(Ok(Arc::new(told))).await.is_ok() { Flow::Goes } else { Flow::Ends }
    }
}

/// A line of gantry's own, after one of that time.
pub(super) fn told(text: &str, after_ns: Option<i64>) -> StoredLine {
    let line = LogLine {
        stream: Stream::Stderr,
        time_ns: after_ns.unwrap_or_else(crate::now_ns),
        data: format!("gantry: {text}\n").into(),
        partial: None,
    };
    StoredLine { line, attrs: Attributes::new() }
}

/// Waits for that time; for ever if there is none.
async fn until(time_ns: Option<i64>) {
    match time_ns {
        None => std::future::pending().await,
        Some(time_ns) => {
            let left = u64::try_from(time_ns.saturating_sub(crate::now_ns())).unwrap_or(0);
            // A little later, so that it has passed then; and not for longer than a timer takes.
            tokio::time::sleep(
                Duration::from_nanos(left).min(Duration::from_secs(86_400)) + Duration::from_millis(1),
            )
            .await;
        }
    }
}

#[cfg(test)]
mod tests;
