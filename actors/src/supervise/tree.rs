//! The live tree: what each actor is doing, readable from any thread without asking it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actix::ArbiterHandle;
use serde::{Serialize, Serializer};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

use super::fault::Fuse;

/// What an actor is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Handling messages.
    Running,
    /// Panicked, or stopped by its group; a fresh incarnation follows.
    Restarting,
    /// Over its limit; retried slowly.
    Parked,
    /// Over its limit; ended.
    GaveUp,
    /// Ended normally.
    Stopped,
}

/// How an actor ended for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, by [`super::Link::stop`] or with its parent.
    Stopped,
    /// By panics: a permanent actor over its limit, or a temporary one at its first.
    GaveUp,
}

/// One row of [`Registry::snapshot`].
#[derive(Debug, Clone, Serialize)]
pub struct ActorInfo {
    /// Unique name, such as `container:4f1c`.
    pub name: String,
    /// What it is, such as `container`.
    pub kind: &'static str,
    /// Name of the actor above it.
    pub parent: Option<String>,
    /// What it is doing.
    pub state: State,
    /// Fresh incarnations after the first.
    pub respawns: u32,
    /// Text and place of the last panic.
    pub last_panic: Option<String>,
    /// Messages waiting.
    pub mailbox: usize,
    /// Messages that may wait.
    pub mailbox_capacity: usize,
    /// Age of the current incarnation (zero unless running).
    #[serde(rename = "uptime_ms", serialize_with = "as_millis")]
    pub uptime: Duration,
}

fn as_millis<S: Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_u64(u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The changing part of [`Vitals`].
#[derive(Debug)]
pub(super) struct Pulse {
    pub(super) state: State,
    pub(super) respawns: u32,
    pub(super) last_panic: Option<String>,
    pub(super) since: Instant,
}

/// Everything about an actor except its type; outlives incarnations.
#[derive(Debug)]
pub(super) struct Vitals {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) parent: Option<String>,
    pub(super) outlives_parent: bool,
    pub(super) capacity: usize,
    /// One permit per waiting message: actix's own bound does not count across cloned senders.
    pub(super) room: Arc<Semaphore>,
    pub(super) pulse: Mutex<Pulse>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) ended: watch::Sender<Option<Ended>>,
    pub(super) fuse: Fuse,
}

impl Vitals {
    pub(super) fn new(
        name: String,
        kind: &'static str,
        parent: Option<String>,
        outlives_parent: bool,
        capacity: usize,
    ) -> Self {
        let capacity = capacity.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            name,
            kind,
            parent,
            outlives_parent,
            capacity,
            room: Arc::new(Semaphore::new(capacity)),
            pulse: Mutex::new(Pulse {
                state: State::Running,
                respawns: 0,
                last_panic: None,
                since: Instant::now(),
            }),
            stop: watch::Sender::new(false),
            ended: watch::Sender::new(None),
            fuse: Fuse::default(),
        }
    }

    pub(super) fn set_state(&self, state: State) {
        lock(&self.pulse).state = state;
    }

    pub(super) fn request_stop(&self) {
        self.stop.send_replace(true);
    }

    pub(super) async fn stop_requested(&self) {
        // The sender is in self, so waiting cannot fail.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    pub(super) async fn ended(&self) -> Ended {
        let mut rx = self.ended.subscribe();
        let ended = rx.wait_for(Option::is_some).await;
        ended.ok().and_then(|e| *e).unwrap_or(Ended::Stopped)
    }

    fn info(&self) -> ActorInfo {
        let pulse = lock(&self.pulse);
        ActorInfo {
            name: self.name.clone(),
            kind: self.kind,
            parent: self.parent.clone(),
            state: pulse.state,
            respawns: pulse.respawns,
            last_panic: pulse.last_panic.clone(),
            mailbox: self.capacity.saturating_sub(self.room.available_permits()),
            mailbox_capacity: self.capacity,
            uptime: match pulse.state {
                State::Running => pulse.since.elapsed(),
                _ => Duration::ZERO,
            },
        }
    }
}

/// Handle to the live tree; clones share it.
#[derive(Clone)]
pub struct Registry {
    pub(super) arbiter: ArbiterHandle,
    actors: Arc<Mutex<BTreeMap<String, Arc<Vitals>>>>,
    respawns: Arc<Mutex<BTreeMap<&'static str, u64>>>,
}

impl Registry {
    /// An empty tree whose actors live on `arbiter` unless their spec names another.
    pub fn new(arbiter: ArbiterHandle) -> Self {
        Self { arbiter, actors: Arc::default(), respawns: Arc::default() }
    }

    /// Every actor that runs, restarts, is parked or gave up; by name.
    pub fn snapshot(&self) -> Vec<ActorInfo> {
        self.all().iter().map(|v| v.info()).collect()
    }

    /// How many actors of each kind were built anew after a panic, those that are gone included.
    pub fn respawns(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.respawns).clone()
    }

    pub(super) fn respawned(&self, kind: &'static str) {
        *lock(&self.respawns).entry(kind).or_default() += 1;
    }

    /// Removes the row of an actor that gave up; a live one stays.
    pub fn forget(&self, name: &str) {
        let mut actors = lock(&self.actors);
        if actors.get(name).is_some_and(|v| v.ended.borrow().is_some()) {
            actors.remove(name);
        }
    }

    pub(super) fn all(&self) -> Vec<Arc<Vitals>> {
        lock(&self.actors).values().cloned().collect()
    }

    /// Enters an actor; returns the one that had the name.
    pub(super) fn enter(&self, vitals: Arc<Vitals>) -> Option<Arc<Vitals>> {
        lock(&self.actors).insert(vitals.name.clone(), vitals)
    }

    pub(super) fn leave(&self, vitals: &Arc<Vitals>) {
        let mut actors = lock(&self.actors);
        if actors.get(&vitals.name).is_some_and(|v| Arc::ptr_eq(v, vitals)) {
            actors.remove(&vitals.name);
        }
    }

    /// Stops those children of `parent` that must not outlive it, and waits until they are gone.
    pub(super) async fn end_children(&self, parent: &str) {
        let mut children = self.all();
        children.retain(|v| !v.outlives_parent && v.parent.as_deref() == Some(parent));
        for child in &children {
            child.request_stop();
        }
        for child in &children {
            child.ended().await;
            self.leave(child);
        }
    }
}
