//! The engine's events: published by the actors, kept a while, streamed to subscribers.

use crate::supervise::{Answer, Ctx, Member, Message};
use std::collections::{BTreeMap, VecDeque};
use tokio::sync::broadcast;

/// Events kept for late subscribers (moby `daemon/events`).
const KEPT: usize = 256;

/// Something that happened to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `container`, `image`, `network`, …
    pub kind: &'static str,
    /// `create`, `start`, `die`, …
    pub action: String,
    /// The object's id.
    pub id: String,
    /// Docker's attributes.
    pub attributes: BTreeMap<String, String>,
    /// ns since the epoch.
    pub time_ns: i64,
}

impl Event {
    /// One that happens now.
    pub fn now(kind: &'static str, action: &str, id: &str, attributes: BTreeMap<String, String>) -> Self {
        Self { kind, action: action.to_owned(), id: id.to_owned(), attributes, time_ns: crate::now_ns() }
    }
}

/// Keeps and distributes events.
pub struct Events {
    kept: VecDeque<Event>,
    live: broadcast::Sender<Event>,
}

impl Events {
    /// An empty history; `live` outlives a respawn, so subscribers stay connected.
    pub fn new(live: broadcast::Sender<Event>) -> Self {
        Self { kept: VecDeque::with_capacity(KEPT), live }
    }
}

impl Member for Events {}

/// An event happened.
pub struct Publish(pub Event);

impl Message for Publish {
    type Result = ();
}

impl Answer<Publish> for Events {
    fn answer(&mut self, Publish(event): Publish, _: &mut Ctx<Self>) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(event.clone());
        // Without subscribers there is nobody to tell.
        let _nobody = self.live.send(event);
    }
}

/// Asks for what is kept and what follows.
pub struct Subscribe;

/// The history and the live stream, without a gap between them.
pub type Subscription = (Vec<Event>, broadcast::Receiver<Event>);

impl Message for Subscribe {
    type Result = Subscription;
}

impl Answer<Subscribe> for Events {
    fn answer(&mut self, _: Subscribe, _: &mut Ctx<Self>) -> Subscription {
        (self.kept.iter().cloned().collect(), self.live.subscribe())
    }
}
