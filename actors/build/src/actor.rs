//! The actors of builds.

use crate::Ports;
use crate::feed::{Failure, Feed, Line};
use crate::ledger::Ledger;
use crate::options::{Options, Source};
use crate::work::Work;
use actors::supervise::{
    ActorContext, Answer, ChildSpec, Ctx, Link, Member, Message, Registry, Root, State, spawn,
};
use contract::{ImageId, Kind, PortError};
use futures::FutureExt;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

/// Lines on their way to a client.
const LINES: usize = 64;

/// How long a short ask may take.
const ASK: Duration = Duration::from_secs(10);

/// A build under way.
pub struct Running {
    /// What it tells; dropping this ends it.
    pub lines: mpsc::Receiver<Line>,
    /// How it ended.
    pub outcome: oneshot::Receiver<Result<ImageId, Failure>>,
}

impl Running {
    /// Why a build ended without an outcome.
    pub fn interrupted() -> Failure {
        PortError::new(Kind::Bug, "Build cancelled").into()
    }
}

/// The place in the tree of the actor that finds builds.
pub struct Place(Link<Directory>);

impl Place {
    /// A member of the root.
    pub fn under(root: &mut Root, registry: &Registry) -> Self {
        let own = Arc::new(Shared {
            registry: registry.clone(),
            number: AtomicU64::new(1),
            links: Mutex::default(),
        });
        Self(root.add(ChildSpec::new("builds", "builds", move |_| Directory(Arc::clone(&own)))))
    }
}

/// Begins builds and finds those under way.
#[derive(Clone)]
pub struct Builds {
    ports: Ports,
    link: Link<Directory>,
}

impl Builds {
    /// With what they work with, which the actor's place in the tree is made before.
    pub fn new(place: Place, ports: Ports) -> Self {
        Self { ports, link: place.0 }
    }

    /// Begins a build.
    pub async fn begin(&self, options: Options, source: Source) -> Result<Running, PortError> {
        let id = options.id.clone();
        let link = self.link.insist(|| Open { id: id.clone() }, ASK).await.map_err(away)?;
        let (to, lines) = mpsc::channel(LINES);
        let (done, outcome) = oneshot::channel();
        let begin = Begin { ports: self.ports.clone(), options, source, to, done };
        link.push(begin).await.map_err(away)?;
        Ok(Running { lines, outcome })
    }

    /// Ends the build that its client calls so; false when there is none.
    pub async fn cancel(&self, id: &str) -> Result<bool, PortError> {
        let found = self.link.insist(|| Find(id.to_owned()), ASK).await.map_err(away)?;
        // Over meanwhile is no mistake.
        Ok(match found {
            Some(build) => build.push(Over).await.is_ok(),
            None => false,
        })
    }
}

fn away(error: actors::supervise::Unavailable) -> PortError {
    PortError::caused(Kind::Unavailable, "the engine is not able to answer now", error)
}

/// Outlives the actor that finds builds, so that one rebuilt knows them.
struct Shared {
    registry: Registry,
    number: AtomicU64,
    links: Mutex<HashMap<String, Link<Build>>>,
}

impl Shared {
    fn links(&self) -> MutexGuard<'_, HashMap<String, Link<Build>>> {
        // Every change is a single one.
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|_, link| !matches!(link.state(), State::Stopped | State::GaveUp));
        links
    }
}

struct Directory(Arc<Shared>);

impl Member for Directory {}

struct Open {
    id: String,
}

impl Message for Open {
    type Result = Link<Build>;
}

impl Answer<Open> for Directory {
    fn answer(&mut self, Open { id }: Open, _: &mut Ctx<Self>) -> Link<Build> {
        let name = format!("build:{}", self.0.number.fetch_add(1, Ordering::Relaxed));
        let build = |me| Build { me, work: None, ledger: None };
        let mut spec = ChildSpec::new(name.clone(), "build", build).under("builds").temporary();
        // The finder's fault is not the build's.
        spec.outlives_parent = true;
        let link = spawn(spec, &self.0.registry);
        self.0.links().insert(if id.is_empty() { name } else { id }, link.clone());
        link
    }
}

struct Find(String);

impl Message for Find {
    type Result = Option<Link<Build>>;
}

impl Answer<Find> for Directory {
    fn answer(&mut self, Find(id): Find, _: &mut Ctx<Self>) -> Option<Link<Build>> {
        self.0.links().get(&id).cloned()
    }
}

/// One build.
struct Build {
    me: Link<Build>,
    work: Option<AbortHandle>,
    ledger: Option<Ledger>,
}

impl Member for Build {}

impl Drop for Build {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            work.abort();
        }
        if let Some(ledger) = self.ledger.take() {
            // Without a runtime the daemon ends; its next start removes them.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { ledger.end().await });
            }
        }
    }
}

struct Begin {
    ports: Ports,
    options: Options,
    source: Source,
    to: mpsc::Sender<Line>,
    done: oneshot::Sender<Result<ImageId, Failure>>,
}

impl Message for Begin {
    type Result = ();
}

impl Answer<Begin> for Build {
    fn answer(&mut self, message: Begin, _: &mut Ctx<Self>) {
        let Begin { ports, options, source, to, done } = message;
        let ledger = Ledger::new(ports.engine.clone());
        self.ledger = Some(ledger.clone());
        let (me, client) = (self.me.clone(), to.clone());
        let feed = Feed::new(to, options.telling);
        let mut work = Work::new(ports, options, ledger.clone(), feed, me.name().to_owned());
        let work = tokio::spawn(async move {
            let run = AssertUnwindSafe(work.run(source)).catch_unwind();
            let outcome = tokio::select! {
                outcome = run => outcome,
                () = client.closed() => Ok(Err(Running::interrupted())),
            };
            let broken = |_| Err(PortError::new(Kind::Bug, "a driver panicked").into());
            let outcome = outcome.unwrap_or_else(broken);
            // The files of its context go before the answer.
            drop(work);
            ledger.end().await;
            // Whoever asked may have left.
            let _left = done.send(outcome);
            drop(client);
            if let Err(error) = me.push(Over).await {
                tracing::debug!(%error, "a build that is over found no actor");
            }
        });
        self.work = Some(work.abort_handle());
    }
}

/// A build has ended, or is to end.
struct Over;

impl Message for Over {
    type Result = ();
}

impl Answer<Over> for Build {
    fn answer(&mut self, _: Over, ctx: &mut Ctx<Self>) {
        ctx.stop();
    }
}
