//! The root group, rest-for-one: a child's panic rebuilds it and every child started after it.

use std::{pin::pin, sync::Arc};

use futures::future::{Either, select, select_all};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::Instant,
};

use super::{
    child::{ChildSpec, Exit, Host, Member, Resident},
    intensity::{Backoff, Intensity, OverLimit, Tally, Verdict},
    link::Link,
    tree::{Ended, Registry},
};

/// A group being put together. Children are started in the order they were added.
pub struct Root {
    registry: Registry,
    intensity: Intensity,
    backoff: Backoff,
    children: Vec<Arc<dyn Resident + Sync>>,
}

/// A started group.
#[derive(Clone)]
pub struct RootHandle {
    stop: Arc<watch::Sender<bool>>,
    ended: watch::Receiver<Option<Ended>>,
}

impl RootHandle {
    /// Resolves when the group is over its limit; never otherwise. The daemon then exits.
    pub async fn gave_up(&self) {
        if self.ended().await != Ended::GaveUp {
            std::future::pending::<()>().await;
        }
    }

    /// Resolves when the group has ended.
    pub async fn ended(&self) -> Ended {
        let mut rx = self.ended.clone();
        let ended = rx.wait_for(Option::is_some).await;
        ended.ok().and_then(|e| *e).unwrap_or(Ended::Stopped)
    }

    /// Stops all children, the last started first, and waits until they are gone.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        self.ended().await;
    }
}

struct Running {
    halt: oneshot::Sender<()>,
    done: JoinHandle<Exit>,
    born: Instant,
}

impl Root {
    /// An empty group with the given limit for all its children together.
    pub fn new(registry: &Registry, intensity: Intensity, backoff: Backoff) -> Self {
        Self { registry: registry.clone(), intensity, backoff, children: Vec::new() }
    }

    /// Adds a child. Its link is good at once (messages wait for the start) and stays good across
    /// rebuilds, so later children may hold the links of earlier ones.
    pub fn add<A: Member>(&mut self, spec: ChildSpec<A>) -> Link<A> {
        let host = Host::new(spec, &self.registry);
        let link = host.link();
        self.children.push(Arc::new(host));
        link
    }

    /// Starts the children in order.
    pub fn start(self) -> RootHandle {
        let (ended_tx, ended) = watch::channel(None);
        let stop = Arc::new(watch::Sender::new(false));
        let stopped = stop.subscribe();
        self.registry.arbiter.clone().spawn_fn(move || {
            actix::spawn(async move {
                let how = Group::new(self).run(stopped).await;
                ended_tx.send_replace(Some(how));
            });
        });
        RootHandle { stop, ended }
    }
}

/// Resolves when stopping was asked; a dropped handle leaves the group running.
async fn stop_asked(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|s| *s).await.is_err() {
        std::future::pending::<()>().await;
    }
}

struct Group {
    children: Vec<Arc<dyn Resident + Sync>>,
    running: Vec<Option<Running>>,
    tally: Tally,
}

impl Group {
    fn new(root: Root) -> Self {
        let running = root.children.iter().map(|_| None).collect();
        let tally = Tally::new(root.intensity, root.backoff, OverLimit::GiveUp);
        Self { children: root.children, running, tally }
    }

    async fn run(mut self, mut stop: watch::Receiver<bool>) -> Ended {
        let all: Vec<usize> = (0..self.children.len()).collect();
        self.start(&all).await;
        loop {
            let event = {
                let exits = pin!(self.next_exit());
                match select(pin!(stop_asked(&mut stop)), exits).await {
                    Either::Left(_) => None,
                    Either::Right((Some(event), _)) => Some(event),
                    Either::Right((None, _)) => return Ended::Stopped,
                }
            };
            let Some((at, born, exit)) = event else { return self.end(Ended::Stopped).await };
            let Exit::Panicked(text) = exit else {
                self.finish(at, Ended::Stopped);
                continue;
            };
            let now = Instant::now();
            let Verdict::Respawn { after } = self.tally.panicked(now, now.duration_since(born)) else {
                tracing::error!(panic = text, "the root group gave up");
                return self.end(Ended::GaveUp).await;
            };
            let mut rebuild = self.halt_after(at).await;
            rebuild.insert(0, at);
            if tokio::time::timeout(after, stop_asked(&mut stop)).await.is_ok() {
                return self.end(Ended::Stopped).await;
            }
            self.start(&rebuild).await;
        }
    }

    /// Starts each child once the one before it has started (or failed to).
    async fn start(&mut self, which: &[usize]) {
        for &at in which {
            let (Some(child), Some(slot)) = (self.children.get(at), self.running.get_mut(at)) else {
                continue;
            };
            let (halt, halted) = oneshot::channel();
            let (ready_tx, ready) = oneshot::channel();
            let done = actix::spawn(child.clone().live(halted, ready_tx));
            *slot = Some(Running { halt, done, born: Instant::now() });
            // An error means that it ended before it started; next_exit tells why.
            let _ = ready.await;
        }
    }

    /// The next child to end by itself; `None` when none is left.
    async fn next_exit(&mut self) -> Option<(usize, Instant, Exit)> {
        let (exit, at, born) = {
            let mut live: Vec<_> = self
                .running
                .iter_mut()
                .enumerate()
                .filter_map(|(at, slot)| slot.as_mut().map(|r| (at, r.born, &mut r.done)))
                .collect();
            if live.is_empty() {
                return None;
            }
            let places: Vec<_> = live.iter().map(|(at, born, _)| (*at, *born)).collect();
            let (exit, index, _) = select_all(live.iter_mut().map(|(_, _, done)| &mut **done)).await;
            let (at, born) = *places.get(index)?;
            (exit, at, born)
        };
        if let Some(slot) = self.running.get_mut(at) {
            *slot = None;
        }
        Some((at, born, exit.unwrap_or_else(|e| Exit::Panicked(e.to_string()))))
    }

    /// Halts the children started after `at`, the last first; returns them in starting order.
    async fn halt_after(&mut self, at: usize) -> Vec<usize> {
        let mut halted = Vec::new();
        for (index, slot) in self.running.iter_mut().enumerate().skip(at + 1).rev() {
            let Some(running) = slot.take() else { continue };
            let _ = running.halt.send(());
            match running.done.await {
                Ok(Exit::Stopped | Exit::Asked) => {
                    if let Some(child) = self.children.get(index) {
                        child.finish(Ended::Stopped);
                    }
                }
                Ok(Exit::Halted | Exit::Panicked(_)) | Err(_) => halted.push(index),
            }
        }
        halted.reverse();
        halted
    }

    fn finish(&mut self, at: usize, how: Ended) {
        if let Some(child) = self.children.get(at) {
            child.finish(how);
        }
    }

    async fn end(mut self, how: Ended) -> Ended {
        for (child, slot) in self.children.iter().zip(self.running.iter_mut()).rev() {
            if let Some(running) = slot.take() {
                let _ = running.halt.send(());
                let _ = running.done.await;
            }
            child.finish(how);
        }
        how
    }
}
