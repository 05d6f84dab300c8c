//! The router's shell.

use super::machine::{Effect, Event, Extent, Failure, Machine, Seat, SinkStatus};
use super::pass::pass_over;
use super::report::Report;
use crate::log::cut::cut;
use crate::log::framer::seed;
use crate::log::gauge::Change;
use crate::log::sink::{Deliver, Open, Sink};
use crate::log::spec::SinkSpec;
use crate::log::trim::{Trims, until_done};
use crate::supervise::{
    Answer, ChildSpec, Ctx, Link, Member, Message, OverLimit, Registry, Reply, State, Unavailable, Why, spawn,
};
use contract::PortError;
use contract::log::LogSource;
use contract::runtime::Spool;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Hears what became of a sink of that name.
pub type Told = Arc<dyn Fn(&str, Change) + Send + Sync>;

/// What a router is made from; cloned into each incarnation.
#[derive(Clone)]
pub struct RouterSpec {
    /// Container id.
    pub id: String,
    /// The container.
    pub source: Arc<LogSource>,
    /// Its output.
    pub spool: Arc<dyn Spool>,
    /// Where it goes.
    pub sinks: Vec<SinkSpec>,
    /// Hears of a sink's ups and downs.
    pub told: Told,
}

/// One container's router.
pub struct Router {
    spec: RouterSpec,
    registry: Registry,
    me: Link<Router>,
    machine: Machine,
    sinks: Vec<Link<Sink>>,
    draining: Vec<Drain>,
    seed: u64,
    looks: Looks,
    /// To what the spool is to be trimmed.
    trims: Arc<Trims>,
}

/// A look into the spool that is due without news.
#[derive(Default)]
struct Looks(Option<(Instant, JoinHandle<()>)>);

impl Looks {
    /// One at a time, the earliest: what it finds not over yet is looked at again.
    fn at(&mut self, due: Instant, timer: impl FnOnce() -> JoinHandle<()>) {
        if let Some((earlier, _)) = &self.0
            && *earlier <= due
        {
            return;
        }
        if let Some((_, later)) = self.0.replace((due, timer())) {
            later.abort();
        }
    }

    fn came(&mut self) {
        self.0 = None;
    }
}

/// Replies once the sinks (or the one of this place) have everything the spool holds.
struct Drain {
    sink: Option<usize>,
    reply: Reply<()>,
}

impl Router {
    fn step(&mut self, event: Event) {
        for effect in self.machine.step(event) {
            self.perform(effect);
        }
        let now_ns = crate::now_ns();
        for ((status, cursor), sink) in self.machine.status().zip(&self.spec.sinks) {
            for change in sink.gauge.note(status, cursor, now_ns) {
                (self.spec.told)(&sink.name, change);
            }
        }
        for drain in std::mem::take(&mut self.draining) {
            if self.machine.drained(drain.sink) {
                // Who asked may have run out of patience.
                drain.reply.send(()).ok();
            } else if !drain.reply.is_closed() {
                self.draining.push(drain);
            }
        }
    }

    fn perform(&mut self, effect: Effect) {
        let (me, spool) = (self.me.clone(), self.spec.spool.clone());
        match effect {
            // A sink that is down reports when it is up again.
            Effect::Open(sink, attempt) => {
                self.sinks.get(sink).map(|link| link.tell(Open { attempt }).ok());
            }
            Effect::Deliver(sink, attempt, batch) => {
                self.sinks.get(sink).map(|link| link.tell(Deliver { attempt, batch }).ok());
            }
            Effect::Wait(sink, attempt, pause) => {
                drop(me.tell_after(pause, Report::Waited { sink, attempt }))
            }
            Effect::Read(sink, asked, policy) => {
                let (seed, incarnation, wanted) = (self.seed, me.incarnation(), asked.clone());
                let work = async move { cut(&*spool, (&wanted.from, &wanted.ahead), &policy, seed).await };
                report(me, work, move |result| Report::Read { sink, asked, incarnation, result });
            }
            Effect::Pass(sink, number, pass, policy) => {
                let seed = self.seed;
                let work = async move { pass_over(&*spool, &pass, &policy, seed).await };
                report(me, work, move |result| Report::Passed { sink, number, result });
            }
            Effect::Measure => {
                let work = async move { spool.extent().await.map(Extent::new) };
                report(me, work, |result| Report::Measured { result });
            }
            Effect::Store(sink, losses) => {
                let Some(spec) = self.spec.sinks.get(sink).cloned() else { return };
                let (version, incarnation) = (losses.version, me.incarnation());
                let work = async move { spec.store(&*spool, &losses).await };
                report(me, work, move |result| {
                    let done = result.inspect_err(|error| tracing::warn!(error, "losses not stored")).is_ok();
                    Report::Stored { sink, version, done, incarnation }
                });
            }
            Effect::Look(pause) => {
                self.looks.at(Instant::now() + pause, || me.tell_after(pause, Report::Look));
            }
            Effect::Trim(kept) => {
                let (trims, incarnation) = (Arc::clone(&self.trims), me.incarnation());
                let number = trims.keep(kept);
                let latest = {
                    let trims = Arc::clone(&trims);
                    // What comes later keeps less.
                    move || {
                        let ended = matches!(me.state(), State::GaveUp | State::Stopped);
                        !ended && me.incarnation() == incarnation && trims.is_latest(number)
                    }
                };
                let once = move || Arc::clone(&trims).carry_out(Arc::clone(&spool));
                tokio::spawn(until_done(once, latest));
            }
        }
    }
}

/// Reports what came of detached work.
fn report<T: Send + 'static>(
    to: Link<Router>,
    work: impl Future<Output = Result<T, PortError>> + Send + 'static,
    told: impl FnOnce(Result<T, String>) -> Report + Send + 'static,
) {
    let work = tokio::spawn(work);
    tokio::spawn(async move {
        let result = match work.await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(error.chain()),
            Err(panic) => Err(panic.to_string()),
        };
        to.push(told(result)).await.ok();
    });
}

impl Member for Router {
    fn started(&mut self, _ctx: &mut Ctx<Self>) {
        for (index, sink) in self.spec.sinks.iter().cloned().enumerate() {
            let (source, spool, me) = (self.spec.source.clone(), self.spec.spool.clone(), self.me.clone());
            let name = format!("sink:{}:{}", sink.name, self.spec.id);
            let mut child = ChildSpec::new(name, "sink", move |_| {
                Sink::new(index, sink.clone(), source.clone(), spool.clone(), me.clone())
            })
            .under(self.me.name());
            child.over_limit = OverLimit::Park;
            self.sinks.push(spawn(child, &self.registry));
        }
        let (me, mut more) = (self.me.clone(), self.spec.spool.more());
        let incarnation = me.incarnation();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    changed = more.changed() => if changed.is_err() { return },
                    // The spool may never change again.
                    _ = me.ended() => return,
                }
                if me.incarnation() != incarnation || me.push(Report::More).await.is_err() {
                    return;
                }
            }
        });
    }
}

impl Message for Report {
    type Result = ();
}

impl Answer<Report> for Router {
    fn answer(&mut self, report: Report, _ctx: &mut Ctx<Self>) {
        let event = match report {
            Report::Up { sink } => Event::Up(sink),
            Report::Opened { sink, attempt, cursor } => {
                if let Some(spec) = self.spec.sinks.get(sink) {
                    spec.gauge.opened(&cursor);
                }
                Event::Opened(sink, attempt, cursor)
            }
            Report::Delivered { sink, attempt, refused, certain } => {
                self.step(Event::Certain(sink, certain));
                let records = refused.as_ref().map_or(0, |refusal| refusal.records);
                if let Some(refusal) = refused {
                    self.step(Event::Refused(sink, attempt, refusal));
                }
                Event::Delivered(sink, attempt, records)
            }
            Report::Certain { sink } => Event::Certain(sink, None),
            Report::Failed { sink, attempt, failure } => {
                let (Failure::Retry(error, _) | Failure::Fatal(error)) = &failure;
                let name = self.spec.sinks.get(sink).map(|s| s.name.as_str());
                tracing::debug!(container = self.spec.id, sink = name, error, "log delivery failed");
                Event::Failed(sink, attempt, failure)
            }
            Report::Waited { sink, attempt } => Event::Waited(sink, attempt),
            Report::Read { incarnation, .. } | Report::Stored { incarnation, .. }
                if incarnation != self.me.incarnation() =>
            {
                return;
            }
            Report::Read { sink, asked, result, .. } => Event::Read(sink, asked, result),
            Report::Found { sink, cursor, losses } => {
                if let Some(spec) = self.spec.sinks.get(sink) {
                    spec.gauge.found(&losses);
                }
                Event::Found(sink, cursor, losses)
            }
            Report::Passed { sink, number, result } => Event::Passed(sink, number, result),
            Report::Stored { sink, version, done, .. } => Event::Stored(sink, version, done),
            Report::Measured { result } => Event::Measured(result),
            Report::More => Event::More,
            Report::Look => {
                self.looks.came();
                Event::More
            }
        };
        self.step(event);
    }
}

impl Message for Drain {
    type Result = ();
}

impl Answer<Drain> for Router {
    fn answer(&mut self, drain: Drain, _ctx: &mut Ctx<Self>) {
        self.draining.push(drain);
        self.step(Event::More);
    }
}

/// A running router.
#[derive(Clone)]
pub struct RouterApi {
    pub(super) link: Link<Router>,
    pub(super) sinks: Vec<SinkSpec>,
}

impl RouterApi {
    /// Starts the router of a container, below `parent` if one is named.
    pub fn start(spec: RouterSpec, parent: Option<&str>, registry: &Registry) -> Self {
        let sinks = spec.sinks.clone();
        let below = registry.clone();
        let mut child = ChildSpec::new(format!("router:{}", spec.id), "router", move |me: Link<Router>| {
            let seats = spec.sinks.iter().map(|s| {
                let known = s.gauge.read();
                let status = SinkStatus { name: s.name.clone(), ..known.status };
                Seat { status, cursor: known.cursor, policy: s.batching(), delivery: s.delivery }
            });
            Router {
                machine: Machine::new(seats, u64::from(me.incarnation()) << 32, spec.spool.budget()),
                seed: seed(&spec.id),
                spec: spec.clone(),
                registry: below.clone(),
                me,
                sinks: Vec::new(),
                draining: Vec::new(),
                looks: Looks::default(),
                trims: Arc::default(),
            }
        });
        child.parent = parent.map(str::to_owned);
        // A fault above must not keep output from its sinks.
        child.outlives_parent = true;
        child.over_limit = OverLimit::Park;
        Self { link: spawn(child, registry), sinks }
    }

    /// Waits until all sinks (or the one of this name) have everything the spool holds; false when the deadline came
    /// first.
    pub async fn drain(&self, sink: Option<&str>, deadline: Duration) -> bool {
        let sink = sink.and_then(|name| self.sinks.iter().position(|s| s.name == name));
        let until = Instant::now() + deadline;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.link.call(|reply| Drain { sink, reply }, left).await {
                Ok(()) => return true,
                // It will not come back.
                Err(Unavailable { why: Why::Stopped | Why::GaveUp, .. }) => return false,
                Err(_) if left.is_zero() => return false,
                // A router that was rebuilt meanwhile is asked again.
                Err(_) => tokio::time::sleep(Duration::from_millis(20).min(left)).await,
            }
        }
    }

    /// Whether it failed and is yet to be rebuilt, which may take ever longer.
    pub fn has_failed(&self) -> bool {
        failed(self.link.state())
    }

    /// Lets each sink that has everything within this time rest, until there is more for it.
    pub fn rest(&self, patience: Duration) {
        for sink in &self.sinks {
            let (router, name, lane) = (self.clone(), sink.name.clone(), sink.lane.clone());
            tokio::spawn(async move {
                if router.drain(Some(&name), patience).await {
                    lane.rest().await;
                }
            });
        }
    }

    /// Ends the router and closes its drivers, in about this time; a delivery that hangs is dropped with its driver.
    pub async fn close(&self, deadline: Duration) {
        self.link.stop();
        self.link.ended().await;
        let share = deadline / 2;
        let closes = self.sinks.iter().map(|sink| sink.lane.clone()).map(|lane| async move {
            // Undelivered lines stay in the spool.
            let Some(Some(driver)) = lane.end(share).await else { return };
            if let Ok(Err(error)) = tokio::time::timeout(share, driver.close()).await {
                tracing::warn!(%error, "closing a log driver failed");
            }
        });
        futures::future::join_all(closes).await;
    }
}

/// One that was stopped gives way to another, or ends with its container or the daemon.
fn failed(state: State) -> bool {
    match state {
        State::Restarting | State::Parked | State::GaveUp => true,
        State::Running | State::Stopped => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_that_was_stopped_for_another_is_not_said_to_have_failed() {
        // Each change of a container's log drivers showed all of its sinks as away, for as long as the old ones took to end.
        let states =
            [State::Running, State::Restarting, State::Parked, State::GaveUp, State::Stopped].map(failed);
        assert_eq!(states, [false, true, true, true, false]);
    }

    #[tokio::test]
    async fn a_record_that_is_over_soon_does_not_wait_for_the_end_of_a_long_window() {
        let (mut looks, begun) = (Looks::default(), Instant::now());
        let made = std::cell::Cell::new(0);
        let timer = || {
            made.set(made.get() + 1);
            tokio::spawn(std::future::pending::<()>())
        };
        looks.at(begun + Duration::from_secs(60), timer);
        looks.at(begun + Duration::from_secs(1), timer);
        looks.at(begun + Duration::from_secs(2), timer);
        assert_eq!(made.get(), 2, "what is due later is seen on the way");
        looks.came();
        looks.at(begun + Duration::from_secs(60), timer);
        assert_eq!(made.get(), 3);
    }
}
