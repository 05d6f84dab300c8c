//! What is inside containers, reached by a process for each request: this program executed anew, which enters the root
//! and ends with its client.

use crate::ShimRuntime;
use async_trait::async_trait;
use contract::archive::{
    Archives, Beside, BlockingStream, PathStat, Placing, Put, Report, Sighting, Stream, Subject, Work,
};
use contract::runtime::{RootSpec, TaskStatus};
use contract::{ContainerId, Kind, PortError};
use sandbox::view::{self, Layers, Lent, View};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::future::Future;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, ReadBuf};
use tokio::process::{Child, ChildStdout, Command};
use tokio_util::io::SyncIoBridge;

/// The first argument by which this program knows that it is to work inside a container; the second is an [`Order`].
pub const VERB: &str = "inside";

/// Bytes that a report may have.
const REPORT: u64 = 1 << 20;
/// Bytes that the list of what patterns name may have: a million names.
const LIST: u64 = 256 << 20;
/// Folders measured by one process: an argument has 128 KiB (Linux, `MAX_ARG_STRLEN`).
const FOLDERS: usize = 128;
/// Bytes of a refused stream that are still taken, so that its sender comes to read the answer.
const UNREAD: u64 = 16 << 20;

/// Where the engine itself mounts something in every container: what stands there is no change of the container's.
const ENGINES: [&str; 11] = [
    "/proc",
    "/dev",
    "/dev/pts",
    "/dev/mqueue",
    "/dev/shm",
    "/dev/console",
    "/sys",
    "/sys/fs/cgroup",
    "/etc/resolv.conf",
    "/etc/hostname",
    "/etc/hosts",
];

/// What such a process is told.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// Where it goes.
    pub view: View,
    /// What it does there.
    pub work: Work,
}

/// Which mounts the work is to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mounts {
    All,
    None,
}

fn failed(text: &str, error: io::Error) -> PortError {
    PortError::caused(Kind::Bug, text, error)
}

/// A process at work.
struct Worker {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Worker {
    fn start(order: &Order, input: Stdio) -> Result<Self, PortError> {
        let text = serde_json::to_string(order)
            .map_err(|e| PortError::caused(Kind::Bug, "tell a process its work", e))?;
        // The new process resolves it: it is always this very program, also when its file was replaced.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("gantryd").arg(VERB).arg(text).env_clear().current_dir("/").kill_on_drop(true);
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| failed("start a process to enter a container", e))?;
        let stdout = child.stdout.take().ok_or_else(|| PortError::new(Kind::Bug, "no output to read"))?;
        Ok(Self { child, stdout: BufReader::with_capacity(1 << 16, stdout) })
    }

    /// The next line of what it reports; its refusal is the error.
    async fn report(&mut self) -> Result<Report, PortError> {
        let mut line = String::new();
        let read = (&mut self.stdout).take(REPORT).read_line(&mut line).await;
        read.map_err(|e| failed("hear from inside a container", e))?;
        match serde_json::from_str(&line) {
            Ok(Report::Failed { kind, text }) => Err(PortError::new(kind, text)),
            Ok(report) => Ok(report),
            Err(_) => Err(PortError::new(Kind::Bug, self.last_words().await)),
        }
    }

    async fn last_words(&mut self) -> String {
        last_words(&mut self.child).await
    }

    /// What follows the report.
    fn stream(self) -> Guarded {
        Guarded { source: Some(self.stdout), child: Some(self.child), end: None }
    }
}

async fn last_words(child: &mut Child) -> String {
    let mut text = String::new();
    if let Some(stderr) = child.stderr.take() {
        // Without words there is still its status.
        let _unheard = stderr.take(REPORT).read_to_string(&mut text).await;
    }
    let status = child.wait().await.map_or_else(|e| e.to_string(), |status| status.to_string());
    match text.trim() {
        "" => format!("the process inside the container ended with {status}"),
        text => text.to_owned(),
    }
}

type End = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// A process's output, which ends well only if the process does.
struct Guarded {
    source: Option<BufReader<ChildStdout>>,
    child: Option<Child>,
    end: Option<End>,
}

impl AsyncRead for Guarded {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(source) = &mut this.source {
            let before = buffer.filled().len();
            ready!(Pin::new(source).poll_read(context, buffer))?;
            if buffer.filled().len() > before || buffer.capacity() == 0 {
                return Poll::Ready(Ok(()));
            }
            this.source = None;
            this.end = this.child.take().map(|child| Box::pin(ended(child)) as End);
        }
        if let Some(end) = &mut this.end {
            let outcome = ready!(end.as_mut().poll(context));
            this.end = None;
            return Poll::Ready(outcome);
        }
        Poll::Ready(Ok(()))
    }
}

async fn ended(mut child: Child) -> io::Result<()> {
    if child.wait().await?.success() {
        return Ok(());
    }
    // Whoever reads a stream sees only that it breaks off.
    let text = last_words(&mut child).await;
    tracing::warn!("a stream out of a container broke off: {text}");
    Err(io::Error::other(text))
}

fn layers(root: &RootSpec) -> Layers {
    let root = root.clone();
    Layers { lower: root.lower, upper: root.upper, work: root.work, target: root.target }
}

/// What would be mounted in a container that does not run, parents before children.
fn lent(of: &Subject) -> Vec<Lent> {
    let binds = of.spec.binds.iter().map(|b| Lent {
        source: PathBuf::from(&b.source),
        below: String::new(),
        target: b.target.clone(),
        read_only: b.read_only,
        top_only: b.top_only,
        writable_below: b.writable_below,
    });
    let volumes = of.spec.volumes.iter().map(|v| Lent {
        source: v.source.clone(),
        below: v.subpath.clone(),
        target: v.target.clone(),
        read_only: v.read_only,
        top_only: false,
        writable_below: false,
    });
    let mut all: Vec<Lent> = binds.chain(volumes).collect();
    all.sort_by_key(|lent| lent.target.split('/').count());
    all
}

impl ShimRuntime {
    /// The namespace's file, and how another process finds it. Held until that has entered.
    async fn namespace(&self, of: &Subject) -> Result<(File, PathBuf), PortError> {
        let gone = |e: Option<io::Error>| {
            let text = format!("container {} is not running", of.spec.id);
            match e {
                Some(e) => PortError::caused(Kind::Unavailable, text, e),
                None => PortError::new(Kind::Unavailable, text),
            }
        };
        let file = File::open(format!("/proc/{}/ns/mnt", of.pid)).map_err(|e| gone(Some(e)))?;
        // Its number may have become another process's; the shim knows whether it is still this one's.
        match self.read_status(&ContainerId::new(of.spec.id.clone())).await {
            TaskStatus::Created { pid } | TaskStatus::Running { pid } | TaskStatus::Paused { pid }
                if pid == of.pid =>
            {
                let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
                Ok((file, path.into()))
            }
            _ => Err(gone(None)),
        }
    }

    /// Starts work inside a container and waits for its first report.
    async fn inside(&self, of: &Subject, mounts: Mounts, work: Work) -> Result<(Worker, Report), PortError> {
        let (_held, view) = self.view(of, mounts).await?;
        let mut worker = Worker::start(&Order { view, work }, Stdio::null())?;
        let report = worker.report().await?;
        Ok((worker, report))
    }

    async fn view(&self, of: &Subject, mounts: Mounts) -> Result<(Option<File>, View), PortError> {
        if of.pid != 0 {
            let (held, path) = self.namespace(of).await?;
            let view = if mounts == Mounts::All { View::Running(path) } else { View::RunningRoot(path) };
            return Ok((Some(held), view));
        }
        Ok((
            None,
            match mounts {
                Mounts::All => View::Stopped { root: layers(&of.root), mounts: lent(of) },
                Mounts::None => View::StoppedRoot(layers(&of.root)),
            },
        ))
    }

    async fn compare(&self, of: &Subject, work: Work) -> Result<Guarded, PortError> {
        let mut worker = Worker::start(&Order { view: View::Layers(layers(&of.root)), work }, Stdio::null())?;
        worker.report().await?;
        Ok(worker.stream())
    }
}

fn unexpected(report: &Report) -> PortError {
    PortError::new(Kind::Bug, format!("an unexpected report: {report:?}"))
}

#[async_trait]
impl Archives for ShimRuntime {
    async fn stat(&self, of: &Subject, path: &[u8]) -> Result<PathStat, PortError> {
        match self.inside(of, Mounts::All, Work::Stat(path.to_vec())).await?.1 {
            Report::Path(stat) => Ok(stat),
            other => Err(unexpected(&other)),
        }
    }

    async fn read(&self, of: &Subject, path: &[u8]) -> Result<(PathStat, Stream), PortError> {
        match self.inside(of, Mounts::All, Work::Read(path.to_vec())).await? {
            (worker, Report::Path(stat)) => Ok((stat, Box::new(worker.stream()))),
            (_, other) => Err(unexpected(&other)),
        }
    }

    async fn write(&self, of: &Subject, put: Put, mut content: Stream) -> Result<(), PortError> {
        let (held, view) = self.view(of, Mounts::All).await?;
        let mut worker = Worker::start(&Order { view, work: Work::Write(put) }, Stdio::piped())?;
        let stdin = worker.child.stdin.take();
        let feed = async {
            let Some(mut stdin) = stdin else { return Ok(()) };
            match tokio::io::copy(&mut content, &mut stdin).await {
                Ok(_) => stdin.shutdown().await,
                // It has said or will say why it takes no more.
                Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                Err(e) => Err(e),
            }
        };
        let outcome = {
            let report = worker.report();
            tokio::pin!(feed, report);
            tokio::select! {
                // A sender that broke off has not sent an archive: the process ends with this function.
                fed = &mut feed => match fed {
                    Ok(()) => report.await,
                    Err(e) => Err(PortError::caused(Kind::Invalid, "receive the archive", e)),
                },
                report = &mut report => report,
            }
        };
        drop(held);
        if outcome.is_err() {
            // What does not come is not missed.
            let _unread = tokio::io::copy(&mut content.take(UNREAD), &mut tokio::io::sink()).await;
        }
        outcome.map(drop)
    }

    async fn export(&self, of: &Subject) -> Result<Stream, PortError> {
        Ok(Box::new(self.inside(of, Mounts::None, Work::Export).await?.0.stream()))
    }

    async fn changes(&self, of: &Subject) -> Result<Stream, PortError> {
        Ok(Box::new(self.compare(of, Work::Changes(ENGINES.map(str::to_owned).to_vec())).await?))
    }

    async fn layer(&self, of: &Subject) -> Result<BlockingStream, PortError> {
        let stream = self.compare(of, Work::Layer(ENGINES.map(str::to_owned).to_vec())).await?;
        Ok(Box::new(SyncIoBridge::new(stream)))
    }

    async fn usage(&self, folders: Vec<PathBuf>) -> Result<Vec<u64>, PortError> {
        let mut all = Vec::with_capacity(folders.len());
        for some in folders.chunks(FOLDERS) {
            let order = Order { view: View::Host, work: Work::Usage(some.to_vec()) };
            match Worker::start(&order, Stdio::null())?.report().await? {
                Report::Sizes(sizes) => all.extend(sizes),
                other => return Err(unexpected(&other)),
            }
        }
        Ok(all)
    }

    async fn survey(&self, layers: Vec<PathBuf>, patterns: Vec<String>) -> Result<Vec<Sighting>, PortError> {
        let order = Order { view: View::Image(layers), work: Work::Survey(patterns) };
        let mut worker = Worker::start(&order, Stdio::null())?;
        worker.report().await?;
        let mut list = Vec::new();
        let read = worker.stream().take(LIST).read_to_end(&mut list).await;
        read.map_err(|e| failed("hear what an image's layers have", e))?;
        serde_json::from_slice(&list).map_err(|e| PortError::caused(Kind::Bug, "read what layers have", e))
    }

    async fn place(&self, root: &RootSpec, placing: Placing) -> Result<(), PortError> {
        let list = serde_json::to_vec(&placing.pieces)
            .map_err(|e| PortError::caused(Kind::Bug, "tell a process its work", e))?;
        let sources = placing.sources.into_iter().map(|source| match source {
            Beside::Folder(path) => view::Beside::Folder(path),
            Beside::Layers(layers) => view::Beside::Layers(layers),
        });
        let view = View::Building { root: layers(root), sources: sources.collect() };
        let mut worker = Worker::start(&Order { view, work: Work::Place(placing.target) }, Stdio::piped())?;
        if let Some(mut stdin) = worker.child.stdin.take() {
            match stdin.write_all(&list).await {
                // It says why it takes no more.
                Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
                other => other.map_err(|e| failed("tell a process its work", e))?,
            }
        }
        worker.report().await.map(drop)
    }
}
