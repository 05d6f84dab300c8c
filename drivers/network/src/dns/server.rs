//! A container whose questions are answered, and how each is.

use super::answer::{Otherwise, Verdict, answer, broken};
use super::forward::{From, PATIENCE, forward};
use super::open::Open;
use super::upstream::{Route, route};
use super::{Transport, host, listen};
use crate::error::NetworkError;
use contract::network::Resolver;
use hickory_proto::op::ResponseCode;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{Semaphore, watch};

/// Questions of one container that others are asked at the same time, and its connections (moby `maxConcurrent`).
const AT_ONCE: usize = 1024;
/// Questions that may wait for one of those places, as long as a server may take.
const WAITING: usize = 8 * AT_ONCE;
/// Pause after a socket or a task failed.
pub const AGAIN: Duration = Duration::from_millis(100);

/// What the tasks of one container share.
pub struct Shared {
    resolver: RwLock<Arc<Resolver>>,
    namespace: Arc<File>,
    /// Questions under way, and those that wait.
    places: Semaphore,
    waiting: Arc<Semaphore>,
    /// Places for connections.
    pub connections: Arc<Semaphore>,
    turn: AtomicU64,
    /// Its sender is gone when the container is.
    open: watch::Receiver<()>,
}

/// A container whose questions are answered, until this is dropped.
pub struct Serving {
    shared: Arc<Shared>,
    _open: watch::Sender<()>,
}

impl Serving {
    /// Begins to answer; within a tokio runtime.
    pub fn start(open: Open, resolver: Resolver) -> Result<Self, NetworkError> {
        let failed = |e: io::Error| NetworkError::Resolver(e.to_string());
        let udp = Arc::new(UdpSocket::from_std(open.udp).map_err(failed)?);
        let tcp = Arc::new(TcpListener::from_std(open.tcp).map_err(failed)?);
        let (sender, receiver) = watch::channel(());
        let shared = Arc::new(Shared {
            resolver: RwLock::new(Arc::new(resolver)),
            namespace: Arc::new(open.namespace),
            places: Semaphore::new(AT_ONCE),
            waiting: Arc::new(Semaphore::new(WAITING)),
            connections: Arc::new(Semaphore::new(AT_ONCE)),
            turn: AtomicU64::new(0),
            open: receiver,
        });
        keep("datagrams", &shared, move |shared| listen::datagrams(Arc::clone(&udp), shared));
        keep("connections", &shared, move |shared| listen::connections(Arc::clone(&tcp), shared));
        Ok(Self { shared, _open: sender })
    }

    /// Answers by this from now on.
    pub fn change(&self, resolver: Resolver) {
        *self.shared.resolver.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(resolver);
    }
}

/// Runs a task until the container is gone, and anew should it panic: its socket is still there.
fn keep<F>(what: &'static str, shared: &Arc<Shared>, work: impl Fn(Arc<Shared>) -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        loop {
            let (task, state) = (work(Arc::clone(&shared)), Arc::clone(&shared));
            let ended = tokio::spawn(async move { state.while_open(task).await }).await;
            match ended {
                Ok(_) => return,
                Err(error) => tracing::error!(%error, what, "answering names is begun anew"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    });
}

/// What is to be done about a query.
pub enum Step {
    /// This is the answer.
    Send(Vec<u8>),
    /// Others are asked.
    Ask(Otherwise),
    /// It is no query.
    Nothing,
}

impl Shared {
    /// Ends with the container.
    pub async fn while_open<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut open = self.open.clone();
        tokio::select! {
            done = work => Some(done),
            _gone = open.changed() => None,
        }
    }

    /// Scattered, not counted: a C library asks for two families at a time, and would ever be told the same one first.
    fn turn(&self) -> usize {
        // The steps and multiplier of SplitMix64.
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        const MIX: u64 = 0xbf58_476d_1ce4_e5b9;
        let n = self.turn.fetch_add(STEP, Ordering::Relaxed);
        usize::try_from((n ^ (n >> 30)).wrapping_mul(MIX) >> 33).unwrap_or_default()
    }

    fn resolver(&self) -> Arc<Resolver> {
        Arc::clone(&self.resolver.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Names of ours are answered at once, however many others are being asked. A panic costs its query the answer.
    pub fn step(&self, query: &[u8], transport: Transport) -> Step {
        let answered = catch_unwind(AssertUnwindSafe(|| {
            let resolver = self.resolver();
            answer(query, &resolver.container, &*resolver.names, transport, self.turn())
        }));
        let verdict = answered.unwrap_or_else(|_| {
            tracing::error!("answering a question for a name panicked");
            broken(query, ResponseCode::ServFail)
        });
        match verdict {
            Verdict::Answer(bytes) => Step::Send(bytes),
            Verdict::Forward(otherwise) => Step::Ask(otherwise),
            Verdict::Ignore => Step::Nothing,
        }
    }

    /// Asks others.
    async fn ask(&self, query: &[u8], otherwise: &Otherwise, transport: Transport) -> Vec<u8> {
        let resolver = self.resolver();
        let (servers, from) = match route(&resolver, &host::resolv_conf(), otherwise.single) {
            Route::Inside(servers) => (servers, From::Container(Arc::clone(&self.namespace))),
            Route::Host(servers) => (servers, From::Host),
            Route::Empty => return otherwise.told(ResponseCode::NoError),
            Route::Nowhere => return otherwise.told(ResponseCode::ServFail),
        };
        let Ok(Ok(_place)) = tokio::time::timeout(PATIENCE, self.places.acquire()).await else {
            return otherwise.told(ResponseCode::Refused);
        };
        let answered = forward(query, &servers, &from, transport).await;
        answered.unwrap_or_else(|| otherwise.told(ResponseCode::ServFail))
    }

    /// Has others asked beside everything else, and the answer sent.
    pub async fn beside<F: Future<Output = ()> + Send>(
        self: Arc<Self>,
        query: Vec<u8>,
        otherwise: Otherwise,
        transport: Transport,
        send: impl FnOnce(Vec<u8>) -> F + Send + 'static,
    ) {
        let Ok(waiting) = Arc::clone(&self.waiting).try_acquire_owned() else {
            return send(otherwise.told(ResponseCode::Refused)).await;
        };
        tokio::spawn(async move {
            let _waiting = waiting;
            let work = async { send(self.ask(&query, &otherwise, transport).await).await };
            self.while_open(work).await;
        });
    }
}
