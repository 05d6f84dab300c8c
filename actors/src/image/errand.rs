//! What takes its time and is carried out once for everybody who asks for the same while it goes on: one actor each.

use super::ImagesActor;
use crate::shared::{Ports, lock};
use crate::supervise::{
    ActorContext as _, Answer, ChildSpec, Ctx, Link, Member, Message, Registry, Reply, State, spawn,
};
use contract::PortError;
use contract::error::Kind;
use contract::image::{Progress, ProgressSink};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// What is to be done. Only the same one is shared, with the same credentials: others may see another image, and what they
/// are worth is for the registry to say.
pub trait Errand: Clone + Eq + Hash + Send + Sync + Unpin + 'static {
    /// What comes of it.
    type Got: Clone + Send + 'static;
    /// What it is: the kind of its actors.
    const KIND: &'static str;

    /// Who asks for what, as the actor's name shows it.
    fn title(&self) -> String;
    /// Does it.
    fn run(
        self,
        ports: &Ports,
        progress: ProgressSink,
    ) -> impl Future<Output = Result<Self::Got, PortError>> + Send;
    /// Those of its kind.
    fn underway(images: &ImagesActor) -> (&Underway<Self>, &Ports, &Registry);
}

/// Errands of a kind that are carried out now.
pub type Underway<E> = Arc<Mutex<HashMap<E, Link<Carrier<E>>>>>;

/// Asks for whoever carries an errand out.
pub struct CarrierFor<E>(pub E);

impl<E: Errand> Message for CarrierFor<E> {
    type Result = Link<Carrier<E>>;
}

impl<E: Errand> Answer<CarrierFor<E>> for ImagesActor {
    fn answer(&mut self, CarrierFor(errand): CarrierFor<E>, _: &mut Ctx<Self>) -> Link<Carrier<E>> {
        let (underway, ports, registry) = E::underway(self);
        let mut links = lock(underway);
        links.retain(|_, link| !matches!(link.state(), State::Stopped | State::GaveUp));
        if let Some(link) = links.get(&errand) {
            return link.clone();
        }
        let name = format!("{}:{}", E::KIND, errand.title());
        let (ports, key) = (ports.clone(), errand.clone());
        let spec = ChildSpec::new(name.trim_end(), E::KIND, move |me: Link<Carrier<E>>| {
            expire(me.clone());
            let (watchers, askers) = (Vec::new(), Vec::new());
            Carrier { ports: ports.clone(), errand: errand.clone(), me, watchers, askers, work: None }
        });
        let mut spec = spec.under("images").temporary();
        // The finder's fault is not the errand's.
        spec.outlives_parent = true;
        let link = spawn(spec, registry);
        links.insert(key, link.clone());
        link
    }
}

/// One errand and everybody who waits for it.
pub struct Carrier<E: Errand> {
    ports: Ports,
    errand: E,
    me: Link<Self>,
    watchers: Vec<ProgressSink>,
    askers: Vec<Reply<Result<E::Got, PortError>>>,
    work: Option<AbortHandle>,
}

impl<E: Errand> Drop for Carrier<E> {
    fn drop(&mut self) {
        // What is on disk by then is gone on with by the next; two of the same must not run side by side.
        if let Some(work) = self.work.take() {
            work.abort();
        }
    }
}

impl<E: Errand> Member for Carrier<E> {}

impl<E: Errand> Carrier<E> {
    /// Begins with the first who asks: an errand that is over at once would else tell nobody.
    fn begin(&mut self) {
        let (ports, errand, me) = (self.ports.clone(), self.errand.clone(), self.me.clone());
        let work = tokio::spawn(async move {
            let (sender, mut progress) = mpsc::channel(256);
            let work = errand.run(&ports, sender);
            let relay = async {
                while let Some(line) = progress.recv().await {
                    if me.push(Line(line)).await.is_err() {
                        return;
                    }
                }
            };
            let (outcome, ()) = futures::join!(work, relay);
            if let Err(error) = me.push(Finished::<E>(outcome)).await {
                tracing::debug!(%error, "a finished {} found no actor", E::KIND);
            }
        });
        self.work = Some(work.abort_handle());
    }
}

/// Ends a carrier that nobody has joined in time: whoever asked for it has left before.
fn expire<E: Errand>(carrier: Link<Carrier<E>>) {
    tokio::spawn(async move {
        tokio::time::sleep(crate::engine::ASK * 2).await;
        if let Err(error) = carrier.push(Expired).await {
            tracing::debug!(%error, "a {} had ended before its time", E::KIND);
        }
    });
}

struct Expired;

impl Message for Expired {
    type Result = ();
}

impl<E: Errand> Answer<Expired> for Carrier<E> {
    fn answer(&mut self, Expired: Expired, ctx: &mut Ctx<Self>) {
        if self.work.is_none() {
            ctx.stop();
        }
    }
}

/// Joins an errand.
pub struct Join<E: Errand> {
    /// Where progress goes.
    pub progress: ProgressSink,
    /// The outcome.
    pub reply: Reply<Result<E::Got, PortError>>,
}

impl<E: Errand> Message for Join<E> {
    type Result = ();
}

impl<E: Errand> Answer<Join<E>> for Carrier<E> {
    fn answer(&mut self, message: Join<E>, _: &mut Ctx<Self>) {
        self.watchers.push(message.progress);
        self.askers.push(message.reply);
        if self.work.is_none() {
            self.begin();
        }
    }
}

/// Somebody may have left.
struct Left;

impl Message for Left {
    type Result = ();
}

impl<E: Errand> Answer<Left> for Carrier<E> {
    fn answer(&mut self, Left: Left, ctx: &mut Ctx<Self>) {
        // As in Docker, what nobody waits for any more ends.
        if !self.askers.is_empty() && self.askers.iter().all(Reply::is_closed) {
            ctx.stop();
        }
    }
}

struct Line(Progress);

impl Message for Line {
    type Result = ();
}

impl<E: Errand> Answer<Line> for Carrier<E> {
    fn answer(&mut self, Line(line): Line, _: &mut Ctx<Self>) {
        // A slow client misses lines; one that left is forgotten.
        self.watchers
            .retain(|w| !matches!(w.try_send(line.clone()), Err(mpsc::error::TrySendError::Closed(_))));
    }
}

struct Finished<E: Errand>(Result<E::Got, PortError>);

impl<E: Errand> Message for Finished<E> {
    type Result = ();
}

impl<E: Errand> Answer<Finished<E>> for Carrier<E> {
    fn answer(&mut self, Finished(outcome): Finished<E>, ctx: &mut Ctx<Self>) {
        for asker in self.askers.drain(..) {
            let own = match &outcome {
                Ok(got) => Ok(got.clone()),
                Err(error) => Err(PortError::new(error.kind, error.chain())),
            };
            // Whoever asked may have left.
            let _left = asker.send(own);
        }
        ctx.stop();
    }
}

/// Whoever waits for an errand; when it goes, that may have lost its last.
pub struct Waiting<E: Errand>(Link<Carrier<E>>);

impl<E: Errand> Waiting<E> {
    /// For this one.
    pub fn at(carrier: Link<Carrier<E>>) -> Self {
        Self(carrier)
    }

    /// Joins it and waits for what comes of it. `name` is what it is about.
    pub async fn join(&self, name: &str, progress: ProgressSink) -> Result<E::Got, PortError> {
        let joined = self.0.call(|reply| Join { progress, reply }, std::time::Duration::MAX).await;
        // It ended between being found and being joined, or while it worked.
        let interrupted = format!("the {} of {name} was interrupted: try again", E::KIND);
        joined.map_err(|_| PortError::new(Kind::Unavailable, interrupted))?
    }
}

impl<E: Errand> Drop for Waiting<E> {
    fn drop(&mut self) {
        let carrier = self.0.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = carrier.push(Left).await {
                    tracing::debug!(%error, "a {} had ended before those who waited for it", E::KIND);
                }
            });
        }
    }
}
