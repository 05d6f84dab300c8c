//! Network namespaces made before they are needed, and interfaces deleted after they were.
//!
//! Making a namespace costs the kernel 5 to 10 ms, and deleting an interface waits for a grace period of about the
//! same length (measured). Neither is on the path of a start or a removal: one thread keeps a few namespaces ready,
//! another gathers what has departed and clears it up in one go, at the price of one.

use crate::error::{NetlinkError, NetworkError};
use crate::link;
use crate::netns::{self, Namespace};
use crate::socket::Socket;
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::sync::mpsc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How many stand ready: a burst larger than this waits for the thread.
const READY: usize = 4;
/// How long what departs is gathered.
const GATHER: Duration = Duration::from_millis(20);
/// The interface group by which departed interfaces are deleted together: nobody else's, so "gant" in ASCII.
const DEPARTED: u32 = 0x6761_6e74;

/// What is no longer needed.
#[derive(Debug)]
pub enum Departure {
    /// A namespace whose processes have ended or are about to.
    Namespace(Namespace),
    /// An interface of the host, by index; answered once it is gone.
    Interface(u32, oneshot::Sender<Result<(), NetworkError>>),
    /// An interface inside a namespace, by index there; answered once it is gone.
    Inside(Namespace, u32, oneshot::Sender<Result<(), NetworkError>>),
}

/// The two threads. They end with it.
#[derive(Debug)]
pub struct Pool {
    ready: mpsc::Receiver<Result<Namespace, NetworkError>>,
    departed: mpsc::Sender<Departure>,
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), NetworkError> {
    let built = std::thread::Builder::new().name(name.into()).stack_size(128 * 1024).spawn(work);
    built.map(drop).map_err(|_| NetworkError::ThreadGone)
}

impl Pool {
    /// Starts making namespaces.
    pub fn start() -> Result<Self, NetworkError> {
        let (made, ready) = mpsc::sync_channel(READY);
        // The send waits while enough are ready, and fails once nobody takes them any more.
        thread("netns-ready", move || while made.send(make()).is_ok() {})?;
        let (departed, inbox) = mpsc::channel();
        let mut route = Socket::route()?;
        thread("departures", move || {
            while let Ok(first) = inbox.recv() {
                std::thread::sleep(GATHER);
                clear(&mut route, std::iter::once(first).chain(inbox.try_iter()));
            }
        })?;
        Ok(Self { ready, departed })
    }

    /// A namespace with nothing but its loopback interface, which is up.
    pub fn take(&self) -> Result<Namespace, NetworkError> {
        self.ready.recv().map_err(|_| NetworkError::ThreadGone)?
    }

    /// Has something cleared up in the background.
    pub fn depart(&self, what: Departure) {
        // With the thread gone a namespace is let go right here, and who waits for an interface hears of it.
        let _here = self.departed.send(what);
    }
}

/// Makes one, on the calling thread, which is back in its own namespace afterwards.
fn make() -> Result<Namespace, NetworkError> {
    let failed = |reason: String| NetworkError::Namespace { path: netns::OWN.into(), reason };
    let home = File::open(netns::OWN).map_err(|e| failed(e.to_string()))?;
    unshare(CloneFlags::CLONE_NEWNET).map_err(|e| failed(format!("make a network namespace: {e}")))?;
    let made = (|| {
        netns::prepare();
        let file = File::open(netns::OWN).map_err(|e| failed(e.to_string()))?;
        let mut route = Socket::route()?;
        route.request(link::up(1))?;
        Ok(Namespace { file, route })
    })();
    setns(&home, CloneFlags::CLONE_NEWNET).map_err(|e| failed(format!("come back: {e}")))?;
    made
}

fn clear(route: &mut Socket, departed: impl Iterator<Item = Departure>) {
    let (mut namespaces, mut waiting, mut any) = (Vec::new(), Vec::new(), false);
    for one in departed {
        match one {
            Departure::Namespace(namespace) => namespaces.push(namespace),
            Departure::Inside(mut namespace, index, done) => {
                let deleted = gone(namespace.route.request(link::delete_at(index)));
                namespaces.push(namespace);
                let _left = done.send(deleted.map(drop).map_err(NetworkError::from));
            }
            Departure::Interface(index, done) => match gone(route.request(link::regroup(index, DEPARTED))) {
                Ok(here) => {
                    any |= here;
                    waiting.push(done);
                }
                // Who asked may have left.
                Err(error) => drop(done.send(Err(error.into()))),
            },
        }
    }
    let deleted = if any { gone(route.request(link::delete_group(DEPARTED))).map(drop) } else { Ok(()) };
    for done in waiting {
        let _left = done.send(deleted.clone().map_err(NetworkError::from));
    }
    drop(namespaces);
}

/// An interface that is gone already is as good as deleted; false then.
fn gone<T>(outcome: Result<T, NetlinkError>) -> Result<bool, NetlinkError> {
    match outcome {
        Ok(_) => Ok(true),
        Err(e) if e.errno() == Errno::ENODEV => Ok(false),
        Err(e) => Err(e),
    }
}
