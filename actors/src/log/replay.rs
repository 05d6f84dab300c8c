//! A container's stored lines sent to another driver, by an actor of their own.

mod machine;
mod pieces;

pub use machine::Progress;

use super::chain::chain;
use super::follow::Lines;
use super::lane::let_go;
use crate::supervise::{Answer, ChildSpec, Ctx, Link, Member, Message, Registry, spawn};
use contract::log::{
    Batch, BatchPolicy, DeliverError, LogDriver, LogDriverKind, LogLine, LogSource, Options,
};
use machine::{Effect, Event, Machine};
use pieces::Pieces;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// News that wait for a slow client.
const NEWS: usize = 64;

/// What a replay is made from.
pub struct ReplaySpec {
    /// The container.
    pub source: Arc<LogSource>,
    /// Its lines.
    pub lines: Lines,
    /// Where they go.
    pub kind: &'static dyn LogDriverKind,
    /// With which options.
    pub options: Options,
    /// How long nothing need arrive before it is given up.
    pub patience: Duration,
}

/// What a replay tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// How it goes.
    Progress(Progress),
    /// How it ended.
    Over(Progress),
}

/// What work needs, taken out while it is under way.
struct Kit {
    spec: ReplaySpec,
    driver: Option<Box<dyn LogDriver>>,
    pieces: Pieces,
    policy: BatchPolicy,
    /// Read, and too much for the batch before.
    rest: Vec<LogLine>,
}

impl Drop for Kit {
    fn drop(&mut self) {
        // In the middle of something, when whoever asked leaves.
        if let Some(driver) = self.driver.take() {
            let_go(driver);
        }
    }
}

struct Replay {
    me: Link<Replay>,
    machine: Machine,
    kit: Option<Kit>,
    news: Option<mpsc::Sender<News>>,
    work: Option<tokio::task::AbortHandle>,
}

impl Drop for Replay {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            work.abort();
        }
    }
}

/// Begins a replay. Dropping what it tells ends it.
pub fn replay(spec: ReplaySpec, registry: &Registry) -> mpsc::Receiver<News> {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let (to, news) = mpsc::channel(NEWS);
    let policy = spec.kind.batching(&spec.options);
    let patience = spec.patience;
    let kit = Kit { spec, driver: None, pieces: Pieces::default(), policy, rest: Vec::new() };
    let given = Mutex::new(Some((kit, to)));
    let name = format!("replay:{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let build = move |me: Link<Replay>| {
        let (kit, news) = given.lock().unwrap_or_else(PoisonError::into_inner).take().unzip();
        Replay { me, machine: Machine::new(patience), kit, news, work: None }
    };
    let mut child = ChildSpec::new(name, "replay", build).under("logs").temporary();
    // The fault of who begins routers is not the replay's.
    child.outlives_parent = true;
    spawn(child, registry);
    news
}

impl Member for Replay {
    fn started(&mut self, ctx: &mut Ctx<Self>) {
        if let Some(news) = self.news.clone() {
            let me = self.me.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = news.closed() => drop(me.push(Leave).await),
                    _ = me.ended() => {}
                }
            });
        }
        let effects = self.machine.begin();
        self.perform(effects, ctx);
    }
}

/// Whoever asked has left.
struct Leave;

impl Message for Leave {
    type Result = ();
}

impl Answer<Leave> for Replay {
    fn answer(&mut self, _: Leave, ctx: &mut Ctx<Self>) {
        use actix::ActorContext;
        ctx.stop();
    }
}

/// Work is done.
struct Done {
    kit: Option<Kit>,
    event: Event,
    /// What it took in which lines could have arrived.
    took: Duration,
}

impl Message for Done {
    type Result = ();
}

impl Answer<Done> for Replay {
    fn answer(&mut self, Done { kit, event, took }: Done, ctx: &mut Ctx<Self>) {
        if kit.is_some() {
            self.kit = kit;
        }
        self.machine.spent(took);
        let effects = self.machine.step(event);
        self.perform(effects, ctx);
    }
}

impl Replay {
    fn perform(&mut self, effects: Vec<Effect>, ctx: &mut Ctx<Self>) {
        for effect in effects {
            match effect {
                Effect::Tell(progress) => {
                    // A client that reads slowly hears of the next.
                    self.news.as_ref().map(|news| news.try_send(News::Progress(progress)).ok());
                }
                Effect::End(progress) => self.end(progress, ctx),
                Effect::Wait(pause) => {
                    self.me.tell_after(pause, Done { kit: None, event: Event::Waited, took: Duration::ZERO });
                }
                Effect::Open => self.work(|mut kit| async move {
                    let (begun, event) = (Instant::now(), kit.open().await);
                    (kit, event, begun.elapsed())
                }),
                Effect::Read => self.work(|mut kit| async move {
                    let event = kit.read().await;
                    (kit, event, Duration::ZERO)
                }),
                Effect::Deliver(batch) => self.work(|mut kit| async move {
                    let (begun, event) = (Instant::now(), kit.deliver(&batch).await);
                    (kit, event, begun.elapsed())
                }),
            }
        }
    }

    fn work<F>(&mut self, work: impl FnOnce(Kit) -> F)
    where
        F: Future<Output = (Kit, Event, Duration)> + Send + 'static,
    {
        let Some(kit) = self.kit.take() else { return };
        let (me, task) = (self.me.clone(), tokio::spawn(work(kit)));
        self.work = Some(task.abort_handle());
        tokio::spawn(async move {
            let done = match task.await {
                Ok((kit, event, took)) => Done { kit: Some(kit), event, took },
                Err(end) => Done { kit: None, event: Event::Broken(end.to_string()), took: Duration::ZERO },
            };
            // Nobody waits for one that was ended.
            me.push(done).await.ok();
        });
    }

    fn end(&mut self, progress: Progress, ctx: &mut Ctx<Self>) {
        use actix::ActorContext;
        let (news, driver) = (self.news.take(), self.kit.take().and_then(|mut kit| kit.driver.take()));
        tokio::spawn(async move {
            let mut progress = progress;
            if let Some(driver) = driver {
                let closed = tokio::time::timeout(Duration::from_secs(10), driver.close()).await;
                if let Ok(Err(error)) = closed {
                    progress.error.get_or_insert(chain(&error).join(": "));
                }
            }
            if let Some(news) = news {
                // Whoever asked may have left.
                news.send(News::Over(progress)).await.ok();
            }
        });
        ctx.stop();
    }
}

impl Kit {
    async fn open(&mut self) -> Event {
        if let Some(driver) = self.driver.take() {
            let_go(driver);
        }
        let opening = self.spec.kind.open(&self.spec.source, &self.spec.options);
        match tokio::time::timeout(self.spec.patience, opening).await {
            Ok(Ok(driver)) => {
                self.driver = Some(driver);
                Event::Opened
            }
            Ok(Err(error)) => Event::Fatal(error.chain()),
            Err(_) => self.silent(),
        }
    }

    /// The far side let the time pass that it has.
    fn silent(&self) -> Event {
        Event::Fatal(format!("no answer within {} s", self.spec.patience.as_secs_f64()))
    }

    /// As many lines as make a batch, or as there are at once.
    async fn read(&mut self) -> Event {
        let mut out = std::mem::take(&mut self.rest);
        while out.is_empty() {
            match self.spec.lines.recv().await {
                None => return Event::Read(out),
                Some(Err(error)) => return Event::Broken(error.chain()),
                Some(Ok(lines)) => {
                    let lines = Arc::unwrap_or_clone(lines);
                    let id = &self.spec.source.container_id;
                    out.extend(lines.into_iter().map(|stored| self.pieces.line(stored, id)));
                }
            }
        }
        let mut bytes = 0;
        let fits = |line: &LogLine| {
            bytes += line.data.len();
            bytes <= self.policy.max_bytes
        };
        let most = out.iter().take(self.policy.max_lines).take_while({
            let mut fits = fits;
            move |line| fits(line)
        });
        let most = most.count().max(1);
        self.rest = out.split_off(most.min(out.len()));
        Event::Read(out)
    }

    async fn deliver(&mut self, batch: &Batch) -> Event {
        let Some(driver) = &mut self.driver else {
            return Event::Fatal("the driver is not open".into());
        };
        let event = match tokio::time::timeout(self.spec.patience, driver.deliver(batch)).await {
            Ok(Ok(())) => Event::Delivered(None),
            Ok(Err(DeliverError::Reject { lines, source })) => {
                Event::Delivered(Some((lines, chain(&*source).join(": "))))
            }
            Ok(Err(DeliverError::Retry { source, after })) => {
                Event::Failed(chain(&*source).join(": "), after)
            }
            Ok(Err(DeliverError::Fatal { source })) => Event::Fatal(chain(&*source).join(": ")),
            Err(_) => self.silent(),
        };
        // One that cannot go on, or is given up in the middle, is not used again.
        if matches!(event, Event::Fatal(_))
            && let Some(driver) = self.driver.take()
        {
            let_go(driver);
        }
        event
    }
}
