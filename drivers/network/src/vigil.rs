//! Hears of what other programs do to rules and bridges.

use crate::error::NetlinkError;
use crate::link;
use crate::message::{Reply, split};
use crate::nft::Watch;
use crate::socket::{LINKS, NFTABLES, notifications_of_netfilter, notifications_of_route};
use contract::network::Disturbance;
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::net::UnixDatagram;

/// The largest datagram of notifications.
const LARGEST: usize = 64 * 1024;

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
    watch: Watch,
    bridges: Bridges,
    sockets: Sockets,
    buffer: Vec<u8>,
}

#[derive(Debug)]
enum Sockets {
    /// Of rules and of links, not yet known to any runtime.
    Closed(Option<[std::os::unix::net::UnixDatagram; 2]>),
    /// Waited for.
    Open([UnixDatagram; 2]),
}

impl Vigil {
    /// Opens the sockets in the network namespace of the calling thread.
    pub fn open(watch: Watch, bridges: Bridges) -> Result<Self, NetlinkError> {
        let sockets = [notifications_of_netfilter(NFTABLES)?, notifications_of_route(LINKS)?];
        Ok(Self { watch, bridges, sockets: Sockets::Closed(Some(sockets)), buffer: vec![0; LARGEST] })
    }

    /// Waits for the next disturbance; within a tokio runtime. Broken sockets are as if nothing happened: a disturbance is
    /// found when all is looked at.
    pub async fn next(&mut self) -> Disturbance {
        if let Sockets::Closed(closed) = &mut self.sockets
            && let Some([rules, links]) = closed.take()
        {
            match (UnixDatagram::from_std(rules), UnixDatagram::from_std(links)) {
                (Ok(rules), Ok(links)) => self.sockets = Sockets::Open([rules, links]),
                (Err(error), _) | (_, Err(error)) => {
                    tracing::warn!(%error, "what others do to rules is not heard of");
                }
            }
        }
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Disturbance> {
        let Self { watch, bridges, sockets, buffer } = self;
        let Sockets::Open([rules, links]) = sockets else { return Poll::Pending };
        let found = heard(rules, buffer, context, |reply| watch.hear(reply));
        if found.is_ready() {
            return found;
        }
        heard(links, buffer, context, |reply| {
            let link = link::parse(&reply.body).filter(|l| bridges.contains(&l.name))?;
            // A bridge also tells, under its own family, of ports that leave it.
            let own = reply.body.first() == Some(&0);
            let what = match reply.kind {
                link::DELLINK if own => "deleted",
                link::NEWLINK if own && !link.up => "set down",
                _ => return None,
            };
            Some(Disturbance { by: None, what: format!("the bridge {} was {what}", link.name) })
        })
    }
}

fn heard(
    socket: &UnixDatagram,
    buffer: &mut [u8],
    context: &mut Context<'_>,
    mut hear: impl FnMut(&Reply) -> Option<Disturbance>,
) -> Poll<Disturbance> {
    while let Poll::Ready(Ok(())) = socket.poll_recv_ready(context) {
        match socket.try_recv(buffer) {
            Ok(length) => {
                let messages = split(buffer.get(..length).unwrap_or_default());
                if let Some(disturbance) = messages.iter().filter_map(&mut hear).last() {
                    return Poll::Ready(disturbance);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => {
                let what = "more was changed than could be heard of".to_owned();
                return Poll::Ready(Disturbance { by: None, what });
            }
            Err(error) => {
                tracing::warn!(%error, "what others do to rules is not heard of");
                return Poll::Pending;
            }
        }
    }
    Poll::Pending
}
