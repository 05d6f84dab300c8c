//! Sockets of other network namespaces.

use super::Transport;
use crate::netns::OWN;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use tokio::sync::oneshot;

/// A socket that somebody waits for.
struct Order {
    namespace: Arc<File>,
    kind: (AddressFamily, SockType),
    answer: oneshot::Sender<io::Result<OwnedFd>>,
}

/// The way to the thread that goes from namespace to namespace, started by the first order. A socket belongs to the
/// namespace it was made in for good, and making one waits for nothing, so a single thread serves all containers;
/// connecting and speaking is done elsewhere.
static OPENER: Mutex<Option<mpsc::Sender<Order>>> = Mutex::new(None);

fn kind(transport: Transport, server: IpAddr) -> (AddressFamily, SockType) {
    let family = if server.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    match transport {
        Transport::Udp => (family, SockType::Datagram),
        Transport::Tcp => (family, SockType::Stream),
    }
}

fn make((family, kind): (AddressFamily, SockType)) -> nix::Result<OwnedFd> {
    socket(family, kind, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)
}

/// Makes an unconnected, non-blocking socket in the caller's namespace, to speak with a server.
pub fn here(transport: Transport, server: IpAddr) -> io::Result<OwnedFd> {
    Ok(make(kind(transport, server))?)
}

/// The same in another namespace.
pub async fn open(namespace: &Arc<File>, transport: Transport, server: IpAddr) -> io::Result<OwnedFd> {
    let gone = || io::Error::other("the thread that opens sockets is gone");
    let (answer, opened) = oneshot::channel();
    let order = Order { namespace: Arc::clone(namespace), kind: kind(transport, server), answer };
    opener()?.send(order).map_err(|_| gone())?;
    opened.await.map_err(|_| gone())?
}

fn opener() -> io::Result<mpsc::Sender<Order>> {
    let mut known = OPENER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(opener) = known.as_ref() {
        return Ok(opener.clone());
    }
    let home = File::open(OWN)?;
    let (opener, orders) = mpsc::channel();
    let thread = std::thread::Builder::new().name("resolver".into()).stack_size(128 * 1024);
    thread.spawn(move || serve(&home, &orders))?;
    *known = Some(opener.clone());
    Ok(opener)
}

/// Until it cannot get home; the next order then starts another one.
fn serve(home: &File, orders: &mpsc::Receiver<Order>) {
    for order in orders {
        let opened = setns(&*order.namespace, CloneFlags::CLONE_NEWNET).and_then(|()| make(order.kind));
        // A namespace lives as long as a thread is in it: none stays behind in a container's.
        let left = setns(home, CloneFlags::CLONE_NEWNET);
        // Who asked may have gone.
        let _gone = order.answer.send(opened.map_err(Into::into));
        if left.is_err() {
            *OPENER.lock().unwrap_or_else(PoisonError::into_inner) = None;
            return;
        }
    }
}
