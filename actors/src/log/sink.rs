//! The actor hosting one log driver, and which sinks a container gets.

use super::gauge::Gauge;
use super::lane::{Lane, Turns, let_go, look_after};
use super::router::actor::{Report, Router};
use super::router::machine::{Extent, Failure};
use super::swap::furthest;
use crate::supervise::{Answer, Ctx, Link, Member, Message};
use contract::log::{
    Batch, BatchPolicy, Catalogue, Certain, Cursor, DAEMONS, DeliverError, Delivery, Destination,
    LogDriverKind, LogSource, Losses, Options, Records, Streams, is_common,
};
use contract::runtime::Spool;
use contract::{Kind, PortError};
use std::sync::Arc;
use tokio::sync::Mutex;

/// One sink of a container.
#[derive(Clone)]
pub struct SinkSpec {
    /// Names its cursor.
    pub name: String,
    /// Its driver.
    pub kind: &'static dyn LogDriverKind,
    /// The driver's options, without the common ones.
    pub options: Options,
    /// What comes to it.
    pub streams: Streams,
    /// How its records are built, where the driver's own options do not say it.
    pub records: Records,
    /// Who waits when it takes nothing.
    pub delivery: Delivery,
    /// Why it is there.
    pub purpose: Purpose,
    /// Made with the spec.
    pub lane: Lane,
    /// Made with the spec.
    pub gauge: Arc<Gauge>,
    /// Made with the spec: which version of its losses is on disk.
    pub stored: Arc<Mutex<u64>>,
}

/// Why a container has a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It was asked for.
    Asked,
    /// Nothing that was asked for gives all lines back.
    Copy,
}

/// A batch may have so many bytes of lines, however small the buffer,
const LEAST_BYTES: usize = 1 << 10;
/// and so many lines.
const LEAST_LINES: usize = 64;

impl SinkSpec {
    /// A sink named after its driver.
    pub fn new(kind: &'static dyn LogDriverKind, options: Options) -> Self {
        let (name, streams, delivery) = (kind.name().to_owned(), Streams::Both, Delivery::Blocking);
        let (records, lane, gauge, stored) = Default::default();
        Self { name, kind, options, streams, records, delivery, purpose: Purpose::Asked, lane, gauge, stored }
    }

    /// The same sink, to be hosted once more: nothing of it is open. It goes on counting where `before` ended, if that is
    /// where its lines went already.
    pub fn anew(self, before: &[SinkSpec]) -> Self {
        let same = before.iter().find(|b| b.name == self.name && b.kind.name() == self.kind.name());
        let (gauge, stored) = match same {
            Some(same) => (Arc::clone(&same.gauge), Arc::clone(&same.stored)),
            None => (self.gauge, self.stored),
        };
        // A write that hangs is not to go on beside those of another driver on the same file.
        let lane = same.map_or_else(Lane::default, |same| Turns::after(&same.lane));
        Self { lane, gauge, stored, ..self }
    }

    /// The same sink, to be hosted once more, though what went on in it may not have come to its end.
    pub fn again(&self) -> Self {
        Self { lane: Turns::after(&self.lane), ..self.clone() }
    }

    /// Stores what it is not given, unless something later is there.
    pub async fn store(&self, spool: &dyn Spool, losses: &Losses) -> Result<(), PortError> {
        let mut stored = self.stored.lock().await;
        if losses.version > *stored {
            spool.store_losses(&self.name, losses).await?;
            *stored = losses.version;
        }
        Ok(())
    }

    /// Stores for its own what `before` was not given, with whose data it goes on under another name.
    pub async fn inherit(&self, before: &SinkSpec, spool: &dyn Spool) -> Result<(), PortError> {
        let stored = spool.load_losses(&before.name).await?.unwrap_or_default();
        let told = before.gauge.read().status.losses;
        self.store(spool, if told.version > stored.version { &told } else { &stored }).await
    }

    /// How its batches are cut.
    pub fn batching(&self) -> BatchPolicy {
        let own = self.kind.batching(&self.options);
        let policy = BatchPolicy { streams: self.streams, records: self.records.or(&own.records), ..own };
        let Delivery::NonBlocking { buffer, .. } = self.delivery else { return policy };
        // What is on its way and what was read ahead are in the buffer, too.
        let most = |part: u64, least: usize| usize::try_from(buffer / part).unwrap_or(usize::MAX).max(least);
        BatchPolicy {
            max_bytes: policy.max_bytes.min(most(4, LEAST_BYTES)),
            max_lines: policy.max_lines.min(most(256, LEAST_LINES)),
            ..policy
        }
    }

    /// Whether it gives back all that the container wrote.
    pub fn is_readable(&self) -> bool {
        self.kind.reader().is_some() && self.streams == Streams::Both
    }
}

/// The drivers that can keep the copy of what cannot be read back.
const COPIES: [&str; 2] = ["json-file", "local"];

/// All options that were given for a destination, where its own ones go before the container's.
fn all_given(one: &Destination, of: &Options) -> Options {
    let mut all: Options = one.options.clone().into_iter().chain(one.records.clone()).collect();
    // What the container says is not said for the daemon's own sinks.
    if !one.name.starts_with(DAEMONS) {
        let own = |key: &str| key.strip_prefix(one.name.as_str())?.strip_prefix('.').map(str::to_owned);
        let shared = of.iter().map(|(key, value)| (key.clone(), value));
        let named = of.iter().filter_map(|(key, value)| Some((own(key)?, value)));
        let common = shared.chain(named).filter(|(key, _)| is_common(key));
        all.extend(common.map(|(key, value)| (key, value.clone())));
    }
    all
}

/// The sinks for what was asked for: where none gives all lines back, a local json-file goes beside them, unless that was
/// disabled. `of` are the container's options, for those that concern the copy.
pub fn sinks_for(
    catalogue: &dyn Catalogue,
    asked: &[Destination],
    of: &Options,
) -> Result<Vec<SinkSpec>, PortError> {
    let find = |name: &str| {
        catalogue.find(name).ok_or_else(|| {
            PortError::new(Kind::Invalid, format!("logger: no log driver named '{name}' is registered"))
        })
    };
    let mut sinks = Vec::with_capacity(asked.len() + 1);
    for one in asked {
        let Destination { name, driver, streams, delivery, options, records } = one;
        let kind = find(driver)?;
        let own = SinkSpec::new(kind, if kind.takes_all() { all_given(one, of) } else { options.clone() });
        let (records, delivery) = (Records::parse(records)?, *delivery);
        sinks.push(SinkSpec { name: name.clone(), streams: *streams, records, delivery, ..own });
    }
    let given = |key: &str, or: &str| of.get(key).cloned().unwrap_or_else(|| or.to_owned());
    let truth = |text: &str| matches!(text, "1" | "t" | "T" | "TRUE" | "true" | "True");
    let nothing = sinks.iter().all(|s| s.kind.name() == "none");
    if !nothing && !sinks.iter().any(SinkSpec::is_readable) && !truth(&given("cache-disabled", "false")) {
        let files = given("cache-max-file", "5");
        // `01` is one, too, with which compression never opens.
        let compress = truth(&given("cache-compress", "true")) && files.parse::<u32>() != Ok(1);
        let options = [
            ("max-size".to_owned(), given("cache-max-size", "20m")),
            ("max-file".to_owned(), files),
            ("compress".to_owned(), compress.to_string()),
        ];
        // Two of one kind would write one file.
        let free = COPIES.into_iter().find(|name| sinks.iter().all(|s| s.kind.name() != *name));
        let copy = free.ok_or_else(|| {
            let text =
                "logger: fanout: no driver gets both streams, and none is free to keep a copy for `logs`";
            PortError::new(Kind::Invalid, text)
        })?;
        // What is said for all is said for it, too; several drivers may complete it each in its way.
        let records = Records::parse(of).unwrap_or_default();
        let mut own = SinkSpec::new(find(copy)?, options.into());
        if sinks.iter().any(|s| s.name == own.name) {
            // Another driver was given this name: what is kept of its losses is not the copy's. No given name has a dot.
            own.name.push_str(".copy");
        }
        sinks.push(SinkSpec { purpose: Purpose::Copy, records, ..own });
    }
    Ok(sinks)
}

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
        let work = tokio::spawn(work);
        tokio::spawn(async move {
            let report = work.await.unwrap_or(panicked);
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
                Ok(()) => 0,
                Err(DeliverError::Reject { lines, source }) => {
                    tracing::warn!(sink = spec.name, lines = lines.len(), error = %source, "log lines refused");
                    lines.len()
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
            if driver.cursor().is_none()
                && let Err(error) = store(&*spool, &spec.name, certain.as_ref().unwrap_or(&batch.end)).await
            {
                // Only repetition after a restart is at stake.
                tracing::warn!(sink = spec.name, error, "cursor not stored");
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
        if extent.between(place.floor(), end.floor()) > ROOMY / 8 {
            return None;
        }
    }
    Some(place)
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
    use contract::fake::{FakeCatalogue, FakeKind, Keeps, Script};
    use contract::log::{FANOUT, LogDriver, OptionSpec, destinations};

    /// A driver that is told everything.
    struct Outlet;

    #[async_trait::async_trait]
    impl LogDriverKind for Outlet {
        fn name(&self) -> &'static str {
            "outlet"
        }

        fn options(&self) -> &'static [OptionSpec] {
            &[]
        }

        fn validate(&self, _: &Options) -> Result<(), PortError> {
            Ok(())
        }

        fn batching(&self, _: &Options) -> BatchPolicy {
            BatchPolicy::default()
        }

        fn takes_all(&self) -> bool {
            true
        }

        async fn open(&self, _: &LogSource, _: &Options) -> Result<Box<dyn LogDriver>, PortError> {
            Err(PortError::new(Kind::Bug, "it is not opened here"))
        }
    }

    #[test]
    fn a_driver_that_others_wrote_is_told_of_options_that_concern_no_driver_too() {
        let file = FakeKind::new("json-file", ["open", "deliver"], Keeps::Cursor, &Script::default());
        let (outlet, file): (&dyn LogDriverKind, &dyn LogDriverKind) = (&Outlet, Box::leak(Box::new(file)));
        let drivers = FakeCatalogue(vec![outlet, file]);
        let options = |pairs: &[(&str, &str)]| -> Options {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let sinks = |driver: &str, given: &[(&str, &str)]| {
            let mut asked = destinations(driver, &options(given)).unwrap();
            asked.push(Destination::new("daemon-all", "outlet", Streams::Both, &options(&[("a", "b")])));
            sinks_for(&drivers, &asked, &options(given)).unwrap()
        };
        let given =
            [("colour", "red"), ("mode", "non-blocking"), ("cache-max-size", "2m"), ("rate-limit", "5/s")];
        let one = sinks("outlet", &given);
        assert_eq!(one[0].options, options(&given));
        assert_eq!(one[1].options, options(&[("a", "b")]), "the daemon's own");
        assert_eq!(one[2].options.len(), 3, "the copy's own");
        let given = [
            ("drivers", "json-file,x:outlet"),
            ("x.mode", "non-blocking"),
            ("mode", "blocking"),
            ("x.a", "1"),
        ];
        let several = sinks(FANOUT, &given);
        assert_eq!(several[0].options, options(&[]));
        assert_eq!(several[1].options, options(&[("a", "1"), ("mode", "non-blocking")]));
    }

    #[test]
    fn a_copy_has_a_name_of_its_own_where_another_driver_was_given_that_of_its_driver() {
        let kind = |name, keeps| -> &'static dyn LogDriverKind {
            Box::leak(Box::new(FakeKind::new(name, ["open", "deliver"], keeps, &Script::default())))
        };
        let drivers = FakeCatalogue(vec![kind("json-file", Keeps::Cursor), kind("syslog", Keeps::Nothing)]);
        let names = |listed: &str| {
            let options = Options::from([("drivers".to_owned(), listed.to_owned())]);
            let asked = destinations(FANOUT, &options).unwrap();
            let sinks = sinks_for(&drivers, &asked, &options).unwrap();
            sinks.into_iter().map(|s| (s.name, s.kind.name())).collect::<Vec<_>>()
        };
        let copy = ("json-file.copy".to_owned(), "json-file");
        assert_eq!(names("json-file:syslog"), [("json-file".to_owned(), "syslog"), copy]);
        assert_eq!(names("syslog").last().map(|(name, _)| name.as_str()), Some("json-file"));
    }

    #[test]
    fn a_copy_of_one_file_is_not_compressed_however_the_one_is_written() {
        let kind = |name, keeps| -> &'static dyn LogDriverKind {
            Box::leak(Box::new(FakeKind::new(name, ["open", "deliver"], keeps, &Script::default())))
        };
        let drivers = FakeCatalogue(vec![kind("json-file", Keeps::Cursor), kind("syslog", Keeps::Nothing)]);
        let compressed = |files: &str| {
            let options = Options::from([("cache-max-file".to_owned(), files.to_owned())]);
            let sinks = sinks_for(&drivers, &destinations("syslog", &options).unwrap(), &options).unwrap();
            sinks.last().unwrap().options["compress"].clone()
        };
        let found = ["1", "01", "+1", "2", "02"].map(compressed);
        assert_eq!(found, ["false", "false", "false", "true", "true"]);
    }
}
