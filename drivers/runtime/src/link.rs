//! Requests to a shim, and the watcher that hears its events.

use crate::groups::Groups;
use contract::runtime::Exit;
use contract::{Kind, PortError};
use sandbox::protocol::{self, Answer, Reason, Request};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;

/// "There may be more in the spool", per container.
#[derive(Debug, Clone, Default)]
pub struct Signals(Arc<Mutex<HashMap<String, watch::Sender<u64>>>>);

impl Signals {
    /// A receiver that changes whenever the container's spool may have grown.
    pub fn more(&self, id: &str) -> watch::Receiver<u64> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody listens for a removed container any more.
        map.retain(|_, sender| sender.receiver_count() > 0);
        map.entry(id.to_owned()).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    pub(crate) fn raise(&self, id: &str) {
        // Who comes later reads the spool first, and so misses nothing.
        if let Some(sender) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id) {
            sender.send_modify(|n| *n += 1);
        }
    }
}

fn unreachable(socket: &Path, error: io::Error) -> PortError {
    PortError::caused(
        Kind::Conflict,
        format!("the container's shim at {} does not answer", socket.display()),
        error,
    )
}

/// Sends one request over a connection of its own.
pub async fn ask(socket: &Path, request: &Request) -> Result<Answer, PortError> {
    let mut stream = UnixStream::connect(socket).await.map_err(|e| unreachable(socket, e))?;
    exchange(&mut stream, request).await.map_err(|e| unreachable(socket, e)).and_then(refused)
}

/// Longest that a shim is waited for while it clears away.
const CLEARING: Duration = Duration::from_secs(5);

/// Tells a shim to end, and waits until it has: its side of the connection closes with it. One that is not there, or not
/// in time, leaves what it had to the caller.
pub async fn shut_down(socket: &Path) {
    let Ok(mut stream) = UnixStream::connect(socket).await else { return };
    let ended = async {
        if exchange(&mut stream, &Request::Shutdown).await.is_ok() {
            let _closed = stream.read(&mut [0]).await;
        }
    };
    if tokio::time::timeout(CLEARING, ended).await.is_err() {
        tracing::warn!("the shim at {} does not end", socket.display());
    }
}

/// One request and its answer.
pub async fn exchange(stream: &mut UnixStream, request: &Request) -> io::Result<Answer> {
    send(stream, request).await?;
    receive(stream).await
}

async fn send(stream: &mut UnixStream, request: &Request) -> io::Result<()> {
    stream.write_all(&protocol::encode(request)?).await
}

/// Turns a refusal into the port's error.
pub fn refused(answer: Answer) -> Result<Answer, PortError> {
    match answer {
        Answer::Error { reason, text } => Err(PortError::new(kind(reason), text)),
        other => Ok(other),
    }
}

/// The protocol's reason as the contract's kind.
pub fn kind(reason: Reason) -> Kind {
    match reason {
        Reason::NotFound => Kind::NotFound,
        Reason::Denied => Kind::Denied,
        Reason::Conflict => Kind::Conflict,
        Reason::Failed => Kind::Bug,
    }
}

async fn receive(stream: &mut UnixStream) -> io::Result<Answer> {
    let length = stream.read_u32().await?;
    let mut buffer = length.to_be_bytes().to_vec();
    buffer.resize(4 + (length as usize).min(protocol::MAX_FRAME), 0);
    stream.read_exact(buffer.get_mut(4..).unwrap_or_default()).await?;
    protocol::decode(&mut buffer)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// The protocol's exit as the contract's.
pub fn exit(exit: protocol::Exit) -> Exit {
    Exit { code: exit.code, at_ns: exit.at_ns, oom_killed: exit.oom_killed }
}

/// The exit record a shim left.
pub async fn read_exit(file: &Path) -> Option<Exit> {
    let text = tokio::fs::read(file).await.ok()?;
    serde_json::from_slice(&text).ok().map(exit)
}

/// What the watcher knows.
#[derive(Debug, Clone, Default)]
struct Heard {
    connected: bool,
    exit: Option<Exit>,
    execs: HashMap<String, i32>,
    over: bool,
}

/// A container's shim, watched.
pub struct Task {
    heard: watch::Sender<Heard>,
    /// The path of its groups.
    pub cgroup: String,
    groups: OnceLock<Groups>,
}

impl Task {
    /// Connects and listens until the shim ends.
    pub fn watch(
        id: String,
        socket: PathBuf,
        exit_file: PathBuf,
        cgroup: String,
        signals: Signals,
    ) -> Arc<Self> {
        let task = Arc::new(Self {
            heard: watch::Sender::new(Heard::default()),
            cgroup: cgroup.clone(),
            groups: OnceLock::new(),
        });
        let weak = Arc::downgrade(&task);
        tokio::spawn(async move {
            if let Ok(mut stream) = UnixStream::connect(&socket).await {
                // Older shims told what had already ended before they confirmed the subscription: every answer is an event.
                let mut subscribed = send(&mut stream, &Request::Subscribe).await.is_ok();
                while subscribed {
                    // Between two events nothing holds the task: a forgotten one ends its watcher.
                    let event = receive(&mut stream).await;
                    let Some(task) = weak.upgrade() else { return };
                    match event {
                        Ok(Answer::Done) => {
                            task.heard.send_modify(|h| h.connected = true);
                            // What was written before was announced to nobody, and with a full budget nothing more would come.
                            signals.raise(&id);
                        }
                        Ok(Answer::More) => signals.raise(&id),
                        Ok(Answer::Exited { exit: end }) => {
                            signals.raise(&id);
                            task.heard.send_modify(|h| h.exit = Some(exit(end)));
                            subscribed = false;
                        }
                        Ok(Answer::ExecExited { id, code }) => {
                            task.heard.send_modify(|h| {
                                h.execs.insert(id, code);
                            });
                        }
                        Ok(_) => {}
                        Err(_) => subscribed = false,
                    }
                }
            }
            let Some(task) = weak.upgrade() else { return };
            if task.heard.borrow().exit.is_none() {
                let found = read_exit(&exit_file).await;
                let end = match found {
                    Some(end) => end,
                    None => lost(&cgroup).await,
                };
                task.heard.send_modify(|h| h.exit = Some(end));
            }
            task.heard.send_modify(|h| h.over = true);
            signals.raise(&id);
        });
        task
    }

    /// Where its groups lie; found out at the first question.
    pub fn groups(&self) -> &Groups {
        self.groups.get_or_init(|| Groups::of(&self.cgroup))
    }

    /// Resolves once events are being heard, or never will be.
    pub async fn connected(&self) {
        let mut heard = self.heard.subscribe();
        // The sender is `self`: it cannot go while this waits.
        let _present = heard.wait_for(|h| h.connected || h.over).await.is_ok();
    }

    /// Resolves with the main process's end.
    pub async fn exited(&self) -> Result<Exit, PortError> {
        let mut heard = self.heard.subscribe();
        let found = heard.wait_for(|h| h.exit.is_some()).await.map(|h| h.exit);
        found.ok().flatten().ok_or_else(|| PortError::new(Kind::Bug, "the shim's watcher ended"))
    }

    /// Resolves with a session's exit code.
    pub async fn exec_exited(&self, exec: &str) -> Result<i32, PortError> {
        let mut heard = self.heard.subscribe();
        let found = heard.wait_for(|h| h.execs.contains_key(exec) || h.over || h.exit.is_some()).await;
        let code = found.ok().and_then(|h| h.execs.get(exec).copied());
        // A session still running when its container ends is killed with it.
        Ok(code.unwrap_or(137))
    }
}

/// The shim vanished without a record: whatever it left is killed, and the end is Docker's for a kill.
async fn lost(cgroup: &str) -> Exit {
    let cgroup = cgroup.to_owned();
    let killed = tokio::task::spawn_blocking(move || crate::launch::kill_group(&cgroup)).await;
    if let Ok(Err(error)) = killed {
        tracing::warn!("a lost shim's processes remain: {error}");
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Exit { code: 137, at_ns: i64::try_from(now.as_nanos()).unwrap_or(i64::MAX), oom_killed: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_end_told_before_the_subscription_is_confirmed_is_heard() {
        // It was taken for the confirmation and lost: the container ran for ever.
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("shim.sock");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let task = Task::watch(
            "c".into(),
            socket,
            folder.path().join("exit.json"),
            "/gantry-test-none".into(),
            Signals::default(),
        );
        let (mut shim, _) = listener.accept().await.unwrap();
        let mut head = [0; 4];
        shim.read_exact(&mut head).await.unwrap();
        let end = protocol::Exit { code: 3, at_ns: 1, oom_killed: false };
        for answer in [Answer::Exited { exit: end }, Answer::Done] {
            shim.write_all(&protocol::encode(&answer).unwrap()).await.unwrap();
        }
        assert_eq!(task.exited().await.unwrap().code, 3);
    }

    #[tokio::test]
    async fn output_from_before_the_subscription_is_looked_for() {
        // After a restart of the daemon a container with a full spool stood still: its last announcement had come too early.
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("shim.sock");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let signals = Signals::default();
        let mut more = signals.more("c");
        let exit_file = folder.path().join("exit.json");
        let _task = Task::watch("c".into(), socket, exit_file, "/gantry-test-none".into(), signals);
        let (mut shim, _) = listener.accept().await.unwrap();
        assert!(!more.has_changed().unwrap());
        shim.write_all(&protocol::encode(&Answer::Done).unwrap()).await.unwrap();
        more.changed().await.unwrap();
    }
}
