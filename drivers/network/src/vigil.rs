//! Hears of what other programs do to rules and bridges.

use crate::error::NetlinkError;
use crate::link;
use crate::nft::Watch;
use crate::socket::{Heard, LINKS, Listener};
use contract::network::Disturbance;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::unix::AsyncFd;

/// Names of the bridges that should be there.
#[derive(Debug, Clone, Default)]
pub struct Bridges(Arc<Mutex<BTreeSet<String>>>);

impl Bridges {
    /// Adds one.
    pub fn add(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }

    /// Takes one away, before it is deleted.
    pub fn forget(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// All of them.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Whether it should be there.
    pub fn contains(&self, name: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }
}

/// The sockets of notifications.
#[derive(Debug)]
pub struct Vigil {
    sockets: Sockets,
    bridges: Bridges,
}

#[derive(Debug)]
enum Sockets {
    /// Not yet known to any runtime.
    Closed(Option<(Watch, Listener)>),
    /// Waited for.
    Open(AsyncFd<Watch>, AsyncFd<Listener>),
}

impl Vigil {
    /// Opens the sockets in the network namespace of the calling thread.
    pub fn open(rules: Watch, bridges: Bridges) -> Result<Self, NetlinkError> {
        let links = Listener::route(LINKS)?;
        Ok(Self { sockets: Sockets::Closed(Some((rules, links))), bridges })
    }

    /// Waits for the next disturbance; within a tokio runtime. Broken sockets are as if nothing happened: a disturbance is
    /// found when all is looked at.
    pub async fn next(&mut self) -> Disturbance {
        if let Sockets::Closed(closed) = &mut self.sockets
            && let Some((rules, links)) = closed.take()
        {
            match (AsyncFd::new(rules), AsyncFd::new(links)) {
                (Ok(rules), Ok(links)) => self.sockets = Sockets::Open(rules, links),
                (Err(e), _) | (_, Err(e)) => {
                    tracing::warn!("changes of rules by others are not heard of: {e}")
                }
            }
        }
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Disturbance> {
        let Sockets::Open(rules, links) = &mut self.sockets else { return Poll::Pending };
        let bridges = &self.bridges;
        let found = heard(rules, context, Watch::listener, |watch, reply| watch.hear(reply));
        if found.is_ready() {
            return found;
        }
        heard(
            links,
            context,
            |listener| listener,
            |_, reply| {
                let link = link::parse(&reply.body).filter(|l| bridges.contains(&l.name))?;
                // A bridge also tells, under its own family, of ports that leave it.
                let own = reply.body.first() == Some(&0);
                let what = match reply.kind {
                    link::DELLINK if own => "deleted",
                    link::NEWLINK if own && !link.up => "set down",
                    _ => return None,
                };
                Some(Disturbance { by: None, what: format!("the bridge {} was {what}", link.name) })
            },
        )
    }
}

fn heard<T: std::os::fd::AsRawFd>(
    socket: &mut AsyncFd<T>,
    context: &mut Context<'_>,
    listener: fn(&mut T) -> &mut Listener,
    mut hear: impl FnMut(&mut T, &crate::message::Reply) -> Option<Disturbance>,
) -> Poll<Disturbance> {
    while let Poll::Ready(Ok(mut ready)) = socket.poll_read_ready_mut(context) {
        match listener(ready.get_inner_mut()).receive() {
            Ok(Heard::Messages(messages)) => {
                let mut found = None;
                for message in &messages {
                    found = hear(ready.get_inner_mut(), message).or(found);
                }
                if let Some(disturbance) = found {
                    return Poll::Ready(disturbance);
                }
            }
            Ok(Heard::Nothing) => ready.clear_ready(),
            Ok(Heard::TooMuch) => {
                let what = "more was changed than could be heard of".to_owned();
                return Poll::Ready(Disturbance { by: None, what });
            }
            Err(error) => {
                tracing::warn!(%error, "changes of rules by others are not heard of");
                return Poll::Pending;
            }
        }
    }
    Poll::Pending
}
