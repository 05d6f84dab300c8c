//! One supervised actor: its spec, the actix actor that hosts it and its restart loop.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
};

use actix::{Actor, ArbiterHandle, Context, Handler, Message, MessageResult, dev::channel};
use futures::future::{Either, select};
use tokio::{sync::oneshot, time::Instant};

use super::{
    catch::{guarded, guarded_future, install_panic_hook},
    intensity::{Backoff, Intensity, OverLimit, Tally, Verdict},
    link::{Door, Link, Tracked},
    tree::{Ended, Registry, State, Vitals, lock},
};

/// The context handlers get. `ctx.stop()` ends the actor normally.
pub type Ctx<A> = Context<Hosted<A>>;

/// State of a supervised actor. A fresh one is built for each incarnation.
pub trait Member: Sized + Unpin + 'static {
    /// Runs before the first message of each incarnation.
    fn started(&mut self, _ctx: &mut Ctx<Self>) {}
}

/// The handler of one message. It never awaits; a later answer goes through a [`super::Reply`].
pub trait Answer<M: Message>: Member {
    /// Handles `message`.
    fn answer(&mut self, message: M, ctx: &mut Ctx<Self>) -> M::Result;
}

/// The actix actor around a [`Member`].
pub struct Hosted<A: Member> {
    member: A,
    vitals: Arc<Vitals>,
    ready: Option<oneshot::Sender<()>>,
}

impl<A: Member> Hosted<A> {
    /// The member, for futures spawned into the context.
    pub fn member(&mut self) -> &mut A {
        &mut self.member
    }
}

impl<A: Member> Actor for Hosted<A> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.vitals.fuse.point("started");
        self.member.started(ctx);
        if let Some(ready) = self.ready.take() {
            // Only a group waits for it.
            let _ = ready.send(());
        }
    }
}

impl<A, M> Handler<Tracked<M>> for Hosted<A>
where
    A: Answer<M>,
    M: Message + 'static,
    M::Result: 'static,
{
    type Result = MessageResult<Tracked<M>>;

    fn handle(&mut self, tracked: Tracked<M>, ctx: &mut Self::Context) -> Self::Result {
        let Tracked { message, place } = tracked;
        // Given back first, so that a handler may tell its own actor.
        drop(place);
        self.vitals.fuse.point(std::any::type_name::<M>());
        MessageResult(self.member.answer(message, ctx))
    }
}

/// Whether a panic leads to a respawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Rebuilt after a panic.
    #[default]
    Permanent,
    /// Ends at its first panic.
    Temporary,
}

/// How to build and supervise an actor.
pub struct ChildSpec<A: Member> {
    /// Unique name. A live actor of the same name is stopped first.
    pub name: String,
    /// What it is.
    pub kind: &'static str,
    /// The actor above it. When that one panics or ends, this one ends.
    pub parent: Option<String>,
    /// Keeps this actor alive when its parent panics or ends.
    pub outlives_parent: bool,
    /// Whether a panic leads to a respawn.
    pub policy: Policy,
    /// Respawn limit (a root child uses its group's).
    pub intensity: Intensity,
    /// Pause before a respawn (a root child uses its group's).
    pub backoff: Backoff,
    /// What happens beyond the limit.
    pub over_limit: OverLimit,
    /// Messages that may wait.
    pub mailbox: usize,
    /// The thread it lives on; the registry's by default. Root children always use the default.
    pub arbiter: Option<ArbiterHandle>,
    /// Makes a fresh member; runs on the actor's thread and must not block.
    pub build: Box<dyn Fn(Link<A>) -> A + Send + Sync>,
}

impl<A: Member> ChildSpec<A> {
    /// A permanent actor without parent, with default limits and room for 256 messages.
    pub fn new(
        name: impl Into<String>,
        kind: &'static str,
        build: impl Fn(Link<A>) -> A + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            kind,
            parent: None,
            outlives_parent: false,
            policy: Policy::default(),
            intensity: Intensity::default(),
            backoff: Backoff::default(),
            over_limit: OverLimit::default(),
            mailbox: 256,
            arbiter: None,
            build: Box::new(build),
        }
    }

    /// Sets the parent.
    #[must_use]
    pub fn under(mut self, parent: impl Into<String>) -> Self {
        self.parent = Some(parent.into());
        self
    }

    /// Ends at its first panic.
    #[must_use]
    pub fn temporary(mut self) -> Self {
        self.policy = Policy::Temporary;
        self
    }
}

/// How one incarnation ended.
#[derive(Debug)]
pub(super) enum Exit {
    /// By itself.
    Stopped,
    /// Asked to, through its link.
    Asked,
    /// Halted by its group; the link stays good.
    Halted,
    /// With this text.
    Panicked(String),
}

/// A spec with its link: builds incarnations one after the other.
pub(super) struct Host<A: Member> {
    spec: ChildSpec<A>,
    link: Link<A>,
    registry: Registry,
    replaced: Option<Arc<Vitals>>,
}

impl<A: Member> Host<A> {
    pub(super) fn new(spec: ChildSpec<A>, registry: &Registry) -> Self {
        install_panic_hook();
        let vitals = Arc::new(Vitals::new(
            spec.name.clone(),
            spec.kind,
            spec.parent.clone(),
            spec.outlives_parent,
            spec.mailbox,
        ));
        let door = Door { addr: None, receiver: None };
        let link = Link { vitals: vitals.clone(), door: Arc::new(Mutex::new(door)) };
        let replaced = registry.enter(vitals);
        if let Some(old) = &replaced {
            old.request_stop();
        }
        let host = Self { spec, link, registry: registry.clone(), replaced };
        // Open before it is built, so that a caller may send at once.
        host.open();
        host
    }

    pub(super) fn link(&self) -> Link<A> {
        self.link.clone()
    }

    pub(super) fn vitals(&self) -> &Arc<Vitals> {
        &self.link.vitals
    }

    fn open(&self) {
        let (sender, receiver) = channel::channel(self.vitals().capacity);
        let mut door = lock(&self.link.door);
        door.addr = Some(actix::Addr::new(sender));
        door.receiver = Some(receiver);
    }

    fn close(&self) {
        let mut door = lock(&self.link.door);
        let gone = (door.addr.take(), door.receiver.take());
        drop(door);
        // Dropped unlocked: waiting messages' destructors may use the link.
        drop(gone);
    }

    /// Waits for an actor of the same name to be gone.
    async fn wait_for_replaced(&mut self) {
        if let Some(old) = self.replaced.take() {
            old.ended().await;
        }
    }

    /// Builds and runs one incarnation, then ends its children.
    pub(super) async fn live(&self, halt: oneshot::Receiver<()>, ready: oneshot::Sender<()>) -> Exit {
        let vitals = self.vitals();
        if *vitals.stop.borrow() {
            vitals.set_state(State::Stopped);
            self.close();
            return Exit::Asked;
        }
        let exit = self.incarnate(halt, ready).await;
        self.registry.end_children(&vitals.name).await;
        exit
    }

    async fn incarnate(&self, halt: oneshot::Receiver<()>, ready: oneshot::Sender<()>) -> Exit {
        let vitals = self.vitals();
        if lock(&self.link.door).receiver.is_none() {
            self.open();
            lock(&vitals.pulse).respawns += 1;
            self.registry.respawned(vitals.kind);
        }
        {
            let mut pulse = lock(&vitals.pulse);
            pulse.state = State::Running;
            pulse.since = Instant::now();
        }
        let member = match guarded(&vitals.name, || (self.spec.build)(self.link())) {
            Ok(member) => member,
            Err(text) => return self.panicked(text),
        };
        let Some(receiver) = lock(&self.link.door).receiver.take() else { return Exit::Stopped };
        let hosted = Hosted { member, vitals: vitals.clone(), ready: Some(ready) };
        let mut actor = Box::pin(Context::with_receiver(receiver).into_future(hosted));
        let exit = {
            let asked = pin!(async {
                vitals.stop_requested().await;
                Exit::Asked
            });
            let halted = pin!(async {
                if halt.await.is_err() {
                    std::future::pending::<()>().await;
                }
                Exit::Halted
            });
            let ended = pin!(guarded_future(&vitals.name, actor.as_mut()));
            match select(select(asked, halted), ended).await {
                Either::Left((Either::Left((exit, _)) | Either::Right((exit, _)), _)) => exit,
                Either::Right((Ok(()), _)) => Exit::Stopped,
                Either::Right((Err(text), _)) => Exit::Panicked(text),
            }
        };
        // The state is set before the mailbox is dropped, so that waiting askers learn the reason.
        let exit = match exit {
            Exit::Panicked(text) => self.panicked(text),
            Exit::Halted => {
                vitals.set_state(State::Restarting);
                exit
            }
            Exit::Stopped | Exit::Asked => {
                vitals.set_state(State::Stopped);
                exit
            }
        };
        self.close();
        // A member's destructor may panic too, more so after a panic.
        let _ = guarded(&vitals.name, move || drop(actor));
        exit
    }

    fn panicked(&self, text: String) -> Exit {
        {
            let mut pulse = lock(&self.vitals().pulse);
            pulse.state = State::Restarting;
            pulse.last_panic = Some(text.clone());
        }
        self.close();
        Exit::Panicked(text)
    }

    /// Ends the actor for good.
    pub(super) fn finish(&self, how: Ended) {
        let vitals = self.vitals();
        vitals.set_state(match how {
            Ended::Stopped => State::Stopped,
            Ended::GaveUp => State::GaveUp,
        });
        self.close();
        // A permanent actor that gave up stays visible until its name is used again or its parent ends.
        if how == Ended::Stopped || self.spec.policy == Policy::Temporary {
            self.registry.leave(vitals);
        }
        vitals.ended.send_replace(Some(how));
    }

    async fn supervise(mut self) {
        self.wait_for_replaced().await;
        let mut tally = Tally::new(self.spec.intensity, self.spec.backoff, self.spec.over_limit);
        loop {
            let born = Instant::now();
            let (_halt, halted) = oneshot::channel();
            let (ready, _) = oneshot::channel();
            let exit = self.live(halted, ready).await;
            let Exit::Panicked(_) = exit else { return self.finish(Ended::Stopped) };
            if self.spec.policy == Policy::Temporary {
                return self.finish(Ended::GaveUp);
            }
            let now = Instant::now();
            let pause = match tally.panicked(now, now.duration_since(born)) {
                Verdict::Respawn { after } => after,
                Verdict::Park { retry_in } => {
                    self.vitals().set_state(State::Parked);
                    retry_in
                }
                Verdict::GiveUp => return self.finish(Ended::GaveUp),
            };
            let stop = pin!(self.vitals().stop_requested());
            if let Either::Left(_) = select(stop, pin!(tokio::time::sleep(pause))).await {
                return self.finish(Ended::Stopped);
            }
        }
    }
}

impl<A: Member> Drop for Host<A> {
    fn drop(&mut self) {
        // Its thread went away before the actor ended.
        if self.vitals().ended.borrow().is_none() {
            self.finish(Ended::Stopped);
        }
    }
}

/// A [`Host`] of any type, for groups.
pub(super) trait Resident: Send {
    fn live(
        self: Arc<Self>,
        halt: oneshot::Receiver<()>,
        ready: oneshot::Sender<()>,
    ) -> Pin<Box<dyn Future<Output = Exit>>>;
    fn finish(&self, how: Ended);
}

impl<A: Member> Resident for Host<A> {
    fn live(
        self: Arc<Self>,
        halt: oneshot::Receiver<()>,
        ready: oneshot::Sender<()>,
    ) -> Pin<Box<dyn Future<Output = Exit>>> {
        Box::pin(async move { Host::live(&self, halt, ready).await })
    }

    fn finish(&self, how: Ended) {
        Host::finish(self, how);
    }
}

/// Starts an actor; messages may be sent at once.
pub fn spawn<A: Member>(spec: ChildSpec<A>, registry: &Registry) -> Link<A> {
    let arbiter = spec.arbiter.clone().unwrap_or_else(|| registry.arbiter.clone());
    let host = Host::new(spec, registry);
    let link = host.link();
    // A dead arbiter drops the closure, and with it the host, which then ends the actor.
    arbiter.spawn_fn(move || {
        actix::spawn(host.supervise());
    });
    link
}
