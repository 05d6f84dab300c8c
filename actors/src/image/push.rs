//! Pushes: one actor per reference, shared by everybody who asks for the same while it runs.

use super::ImagesActor;
use crate::shared::{Ports, lock};
use crate::supervise::{
    ActorContext as _, Answer, ChildSpec, Ctx, Link, Member, Message, Reply, State, spawn,
};
use contract::PortError;
use contract::error::Kind;
use contract::image::{Credentials, Progress, ProgressSink, Pushed};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// What is to be pushed. Only the same request is shared, with the same credentials.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PushRequest {
    /// `name:tag`.
    pub name: String,
    /// Credentials.
    pub auth: Option<Credentials>,
}

/// Asks for the pusher of a reference.
pub struct PusherFor(pub PushRequest);

impl Message for PusherFor {
    type Result = Link<Pusher>;
}

impl Answer<PusherFor> for ImagesActor {
    fn answer(&mut self, PusherFor(request): PusherFor, _: &mut Ctx<Self>) -> Link<Pusher> {
        let mut links = lock(&self.0.pushes);
        links.retain(|_, link| !matches!(link.state(), State::Stopped | State::GaveUp));
        if let Some(link) = links.get(&request) {
            return link.clone();
        }
        let user = request.auth.as_ref().map(|a| a.username.as_str()).unwrap_or_default();
        let name = format!("push:{} {user}", request.name);
        let (ports, key) = (self.0.ports.clone(), request.clone());
        let spec = ChildSpec::new(name.trim_end(), "push", move |me: Link<Pusher>| {
            expire(me.clone());
            let (watchers, askers) = (Vec::new(), Vec::new());
            Pusher { ports: ports.clone(), request: request.clone(), me, watchers, askers, work: None }
        });
        let mut spec = spec.under("images").temporary();
        // The finder's fault is not the push's.
        spec.outlives_parent = true;
        let link = spawn(spec, &self.0.registry);
        links.insert(key, link.clone());
        link
    }
}

/// One push and everybody who waits for it.
pub struct Pusher {
    ports: Ports,
    request: PushRequest,
    me: Link<Pusher>,
    watchers: Vec<ProgressSink>,
    askers: Vec<Reply<Result<Pushed, PortError>>>,
    work: Option<AbortHandle>,
}

impl Drop for Pusher {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            work.abort();
        }
    }
}

impl Member for Pusher {}

impl Pusher {
    /// Begins with the first who asks: a push that is over at once would else tell nobody.
    fn begin(&mut self) {
        let (ports, request, me) = (self.ports.clone(), self.request.clone(), self.me.clone());
        let work = tokio::spawn(async move {
            let (sender, mut progress) = mpsc::channel(256);
            let push = ports.images.push(&request.name, request.auth, sender);
            let relay = async {
                while let Some(line) = progress.recv().await {
                    if me.push(Line(line)).await.is_err() {
                        return;
                    }
                }
            };
            let (outcome, ()) = futures::join!(push, relay);
            if let Err(error) = me.push(Finished(outcome)).await {
                tracing::debug!(%error, "a finished push found no actor");
            }
        });
        self.work = Some(work.abort_handle());
    }
}

/// Ends a pusher that nobody has joined in time: whoever asked for it has left before.
fn expire(pusher: Link<Pusher>) {
    tokio::spawn(async move {
        tokio::time::sleep(crate::engine::ASK * 2).await;
        if let Err(error) = pusher.push(Expired).await {
            tracing::debug!(%error, "a pusher had ended before its time");
        }
    });
}

struct Expired;

impl Message for Expired {
    type Result = ();
}

impl Answer<Expired> for Pusher {
    fn answer(&mut self, Expired: Expired, ctx: &mut Ctx<Self>) {
        if self.work.is_none() {
            ctx.stop();
        }
    }
}

/// Joins a push.
pub struct JoinPush {
    /// Where progress goes.
    pub progress: ProgressSink,
    /// The outcome.
    pub reply: Reply<Result<Pushed, PortError>>,
}

impl Message for JoinPush {
    type Result = ();
}

impl Answer<JoinPush> for Pusher {
    fn answer(&mut self, message: JoinPush, _: &mut Ctx<Self>) {
        self.watchers.push(message.progress);
        self.askers.push(message.reply);
        if self.work.is_none() {
            self.begin();
        }
    }
}

/// Somebody may have left.
pub struct Left;

impl Message for Left {
    type Result = ();
}

impl Answer<Left> for Pusher {
    fn answer(&mut self, Left: Left, ctx: &mut Ctx<Self>) {
        // As in Docker, a push that nobody waits for any more ends.
        if !self.askers.is_empty() && self.askers.iter().all(Reply::is_closed) {
            ctx.stop();
        }
    }
}

struct Line(Progress);

impl Message for Line {
    type Result = ();
}

impl Answer<Line> for Pusher {
    fn answer(&mut self, Line(line): Line, _: &mut Ctx<Self>) {
        // A slow client misses lines; one that left is forgotten.
        self.watchers
            .retain(|w| !matches!(w.try_send(line.clone()), Err(mpsc::error::TrySendError::Closed(_))));
    }
}

struct Finished(Result<Pushed, PortError>);

impl Message for Finished {
    type Result = ();
}

impl Answer<Finished> for Pusher {
    fn answer(&mut self, Finished(outcome): Finished, ctx: &mut Ctx<Self>) {
        for asker in self.askers.drain(..) {
            let own = match &outcome {
                Ok(pushed) => Ok(pushed.clone()),
                Err(error) => Err(PortError::new(error.kind, error.chain())),
            };
            // Whoever asked may have left.
            let _left = asker.send(own);
        }
        ctx.stop();
    }
}

/// The pusher ended between being found and being joined, or while it worked.
pub fn interrupted(name: &str) -> PortError {
    PortError::new(Kind::Unavailable, format!("the push of {name} was interrupted: try again"))
}
