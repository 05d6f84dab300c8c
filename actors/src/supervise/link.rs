//! The stable address of an actor: survives its incarnations, always bounded, never resends.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::{Addr, Message, dev::channel::AddressReceiver, prelude::SendError};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{
    child::{Answer, Hosted, Member},
    tree::{Ended, State, Vitals, lock},
};

/// Why an actor did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It panicked and is being rebuilt; the message may have been executed in part.
    Restarting,
    /// It panicked too often and ended.
    GaveUp,
    /// Its mailbox is full.
    Full,
    /// No answer within the deadline.
    TimedOut,
    /// It ended.
    Stopped,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restarting => "is restarting after a fault",
            Self::GaveUp => "gave up after repeated faults",
            Self::Full => "has too many messages waiting",
            Self::TimedOut => "did not answer in time",
            Self::Stopped => "has stopped",
        })
    }
}

/// An actor could not be reached or did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{actor} {why}")]
pub struct Unavailable {
    /// Name of the actor.
    pub actor: String,
    /// What kept it.
    pub why: Why,
}

/// A message with its place in the mailbox, given back when handled or dropped.
pub(super) struct Tracked<M> {
    pub(super) message: M,
    pub(super) place: OwnedSemaphorePermit,
}

impl<M: Message> Message for Tracked<M> {
    type Result = M::Result;
}

/// An answer given later than the handler's return, carried inside a message.
#[derive(Debug)]
pub struct Reply<T>(oneshot::Sender<T>);

impl<T> Reply<T> {
    /// Answers; the value comes back if nobody waits any more.
    pub fn send(self, value: T) -> Result<(), T> {
        self.0.send(value)
    }

    /// Whether the asker has gone.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// The current incarnation's address, and a mailbox that waits for its actor to be built.
pub(super) struct Door<A: Member> {
    pub(super) addr: Option<Addr<Hosted<A>>>,
    pub(super) receiver: Option<AddressReceiver<Hosted<A>>>,
}

/// A stable address of an actor, usable from any thread.
pub struct Link<A: Member> {
    pub(super) vitals: Arc<Vitals>,
    pub(super) door: Arc<Mutex<Door<A>>>,
}

impl<A: Member> Clone for Link<A> {
    fn clone(&self) -> Self {
        Self { vitals: self.vitals.clone(), door: self.door.clone() }
    }
}

impl<A: Member> fmt::Debug for Link<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&self.vitals.name).finish()
    }
}

impl<A: Member> Link<A> {
    /// The actor's name.
    pub fn name(&self) -> &str {
        &self.vitals.name
    }

    /// What the actor is doing now.
    pub fn state(&self) -> State {
        lock(&self.vitals.pulse).state
    }

    /// Sends and waits for the handler's answer. A full mailbox is waited for within the deadline;
    /// `Duration::MAX` means for ever.
    pub async fn ask<M>(&self, message: M, deadline: Duration) -> Result<M::Result, Unavailable>
    where
        M: Message + Send + 'static,
        M::Result: Send + 'static,
        A: Answer<M>,
    {
        let until = until(deadline);
        let place = self.place(until).await?;
        let request = self.addr()?.send(Tracked { message, place });
        match timeout_at(until, request).await {
            Err(_) => Err(self.failed(Why::TimedOut)),
            Ok(Err(_)) => Err(self.failed(self.gone())),
            Ok(Ok(answer)) => Ok(answer),
        }
    }

    /// Asks again while the actor is being rebuilt, within the deadline: for messages that may be executed twice.
    pub async fn insist<M>(&self, make: impl Fn() -> M, deadline: Duration) -> Result<M::Result, Unavailable>
    where
        M: Message + Send + 'static,
        M::Result: Send + 'static,
        A: Answer<M>,
    {
        let until = until(deadline);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.ask(make(), left).await {
                Err(Unavailable { why: Why::Restarting, .. }) if !left.is_zero() => {
                    tokio::time::sleep(AGAIN.min(left)).await;
                }
                answer => return answer,
            }
        }
    }

    /// Sends a message that carries a [`Reply`] and waits for it. A reply dropped unanswered
    /// counts as a restart.
    pub async fn call<M, T>(
        &self,
        make: impl FnOnce(Reply<T>) -> M,
        deadline: Duration,
    ) -> Result<T, Unavailable>
    where
        M: Message + Send + 'static,
        M::Result: Send + 'static,
        A: Answer<M>,
    {
        let until = until(deadline);
        let place = self.place(until).await?;
        let (tx, rx) = oneshot::channel();
        self.post(make(Reply(tx)), place)?;
        match timeout_at(until, rx).await {
            Err(_) => Err(self.failed(Why::TimedOut)),
            Ok(Err(_)) => Err(self.failed(self.gone())),
            Ok(Ok(answer)) => Ok(answer),
        }
    }

    /// Sends without waiting, for room or for an answer.
    pub fn tell<M>(&self, message: M) -> Result<(), Unavailable>
    where
        M: Message + Send + 'static,
        M::Result: Send + 'static,
        A: Answer<M>,
    {
        self.addr()?;
        let place = self.vitals.room.clone().try_acquire_owned().map_err(|_| self.failed(Why::Full))?;
        self.post(message, place)
    }

    /// Sends without waiting for an answer, but waits for room (back-pressure).
    pub async fn push<M>(&self, message: M) -> Result<(), Unavailable>
    where
        M: Message + Send + 'static,
        M::Result: Send + 'static,
        A: Answer<M>,
    {
        let place = self.place(until(Duration::MAX)).await?;
        self.post(message, place)
    }

    /// A timer: sends after a pause, unless the incarnation that is current now has gone by then.
    /// Abort the handle to cancel. Call inside a tokio runtime.
    pub fn tell_after<M>(&self, pause: Duration, message: M) -> JoinHandle<()>
    where
        M: Message + Send + 'static,
        M::Result: Send + 'static,
        A: Answer<M>,
    {
        let link = self.clone();
        let incarnation = self.incarnation();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            if link.incarnation() == incarnation {
                // The actor may have ended; its timers end with it.
                let _ = link.push(message).await;
            }
        })
    }

    /// Number of the current incarnation, from 0.
    pub fn incarnation(&self) -> u32 {
        lock(&self.vitals.pulse).respawns
    }

    /// Ends the actor and its children; waiting messages are dropped. Returns at once.
    pub fn stop(&self) {
        self.vitals.request_stop();
    }

    /// Resolves when the actor has ended for good and its state is dropped.
    pub async fn ended(&self) -> Ended {
        self.vitals.ended().await
    }

    fn post<M>(&self, message: M, place: OwnedSemaphorePermit) -> Result<(), Unavailable>
    where
        M: Message + Send + 'static,
        M::Result: Send + 'static,
        A: Answer<M>,
    {
        self.addr()?.try_send(Tracked { message, place }).map_err(|e| match e {
            SendError::Full(_) => self.failed(Why::Full),
            SendError::Closed(_) => self.failed(self.gone()),
        })
    }

    async fn place(&self, until: Instant) -> Result<OwnedSemaphorePermit, Unavailable> {
        self.addr()?;
        let room: Arc<Semaphore> = self.vitals.room.clone();
        match timeout_at(until, room.acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(self.failed(Why::Full)),
        }
    }

    fn addr(&self) -> Result<Addr<Hosted<A>>, Unavailable> {
        match &lock(&self.door).addr {
            Some(addr) if !*self.vitals.stop.borrow() => Ok(addr.clone()),
            _ => Err(self.failed(self.gone())),
        }
    }

    /// Why a mailbox is closed.
    fn gone(&self) -> Why {
        if *self.vitals.stop.borrow() {
            return Why::Stopped;
        }
        match lock(&self.vitals.pulse).state {
            State::GaveUp => Why::GaveUp,
            State::Stopped => Why::Stopped,
            // The loop has not noticed the panic yet.
            State::Running | State::Restarting | State::Parked => Why::Restarting,
        }
    }

    fn failed(&self, why: Why) -> Unavailable {
        Unavailable { actor: self.vitals.name.clone(), why }
    }
}

/// Pause between two tries to reach an actor that is being rebuilt.
const AGAIN: Duration = Duration::from_millis(20);

/// Far enough for ever, near enough not to overflow.
const FOREVER: Duration = Duration::from_secs(86_400 * 365 * 30);

fn until(deadline: Duration) -> Instant {
    Instant::now() + deadline.min(FOREVER)
}
