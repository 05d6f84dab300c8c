//! Pulls: one actor per reference, shared by everybody who asks for it while it runs.

pub mod push;

use crate::shared::{Ports, lock};
use crate::supervise::{Answer, ChildSpec, Ctx, Link, Member, Message, Registry, Reply, State, spawn};
use contract::PortError;
use contract::error::Kind;
use contract::id::ImageId;
use contract::image::{Credentials, Progress, ProgressSink};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// The pulls and pushes under way; outlives the actor that finds them, so that one rebuilt begins none a second time.
#[derive(Clone)]
pub struct Pulls {
    ports: Ports,
    registry: Registry,
    links: Arc<Mutex<HashMap<PullRequest, Link<Puller>>>>,
    pushes: Arc<Mutex<HashMap<push::PushRequest, Link<push::Pusher>>>>,
}

impl Pulls {
    /// None is under way.
    pub fn new(ports: Ports, registry: Registry) -> Self {
        Self { ports, registry, links: Arc::default(), pushes: Arc::default() }
    }
}

/// Finds or makes the puller or pusher of a reference.
pub struct ImagesActor(Pulls);

impl ImagesActor {
    /// Finds those under way.
    pub fn new(pulls: Pulls) -> Self {
        Self(pulls)
    }
}

impl Member for ImagesActor {}

/// What is to be pulled. Other credentials may see another image, and what they are worth is for the registry to say:
/// only the same request is shared.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PullRequest {
    /// Reference.
    pub name: String,
    /// Platform, if not the host's.
    pub platform: Option<String>,
    /// Credentials.
    pub auth: Option<Credentials>,
}

/// Asks for the puller of a reference.
pub struct PullerFor(pub PullRequest);

impl Message for PullerFor {
    type Result = Link<Puller>;
}

impl Answer<PullerFor> for ImagesActor {
    fn answer(&mut self, PullerFor(request): PullerFor, _: &mut Ctx<Self>) -> Link<Puller> {
        let mut links = lock(&self.0.links);
        links.retain(|_, link| !matches!(link.state(), State::Stopped | State::GaveUp));
        if let Some(link) = links.get(&request) {
            return link.clone();
        }
        let user = request.auth.as_ref().map(|a| a.username.as_str()).unwrap_or_default();
        let platform = request.platform.as_deref().unwrap_or_default();
        let name = format!("pull:{} {platform} {user}", request.name);
        let (ports, key) = (self.0.ports.clone(), request.clone());
        let spec = ChildSpec::new(name.trim_end(), "pull", move |me: Link<Puller>| {
            expire(me.clone());
            Puller {
                ports: ports.clone(),
                request: request.clone(),
                me,
                watchers: Vec::new(),
                askers: Vec::new(),
                work: None,
            }
        });
        let mut spec = spec.under("images").temporary();
        // The finder's fault is not the pull's.
        spec.outlives_parent = true;
        let link = spawn(spec, &self.0.registry);
        links.insert(key, link.clone());
        link
    }
}

/// A pull looks this often whether anybody still waits for it.
const QUIET: std::time::Duration = std::time::Duration::from_secs(1);

/// One pull and everybody who waits for it.
pub struct Puller {
    ports: Ports,
    request: PullRequest,
    me: Link<Puller>,
    watchers: Vec<ProgressSink>,
    askers: Vec<Reply<Result<ImageId, PortError>>>,
    work: Option<AbortHandle>,
}

impl Drop for Puller {
    fn drop(&mut self) {
        // What is on disk by then is resumed by the next pull; two of the same must not run side by side.
        if let Some(work) = self.work.take() {
            work.abort();
        }
    }
}

impl Member for Puller {}

impl Puller {
    /// Begins with the first who asks: a pull that is over at once would else tell nobody.
    fn begin(&mut self) {
        let (ports, request, me) = (self.ports.clone(), self.request.clone(), self.me.clone());
        let work = tokio::spawn(async move {
            let (sender, mut progress) = mpsc::channel(256);
            let pull = ports.images.pull(&request.name, request.platform, request.auth, sender);
            let relay = async {
                // A pull that gets nothing has nothing to tell either.
                let mut quiet = tokio::time::interval(QUIET);
                loop {
                    let told = tokio::select! {
                        line = progress.recv() => match line {
                            Some(line) => me.push(Line(line)).await.is_ok(),
                            None => return,
                        },
                        _ = quiet.tick() => me.push(Quiet).await.is_ok(),
                    };
                    if !told {
                        return;
                    }
                }
            };
            let (outcome, ()) = futures::join!(pull, relay);
            if let Err(error) = me.push(Finished(outcome)).await {
                tracing::debug!(%error, "a finished pull found no actor");
            }
        });
        self.work = Some(work.abort_handle());
    }

    /// As in Docker, a pull that nobody waits for any more ends.
    fn end_if_deserted(&self, ctx: &mut Ctx<Self>) {
        if !self.askers.is_empty() && self.askers.iter().all(Reply::is_closed) {
            crate::supervise::ActorContext::stop(ctx);
        }
    }
}

/// Ends a puller that nobody has joined in time: whoever asked for it has left before.
fn expire(puller: Link<Puller>) {
    tokio::spawn(async move {
        tokio::time::sleep(crate::engine::ASK * 2).await;
        if let Err(error) = puller.push(Expired).await {
            tracing::debug!(%error, "a puller had ended before its time");
        }
    });
}

struct Expired;

impl Message for Expired {
    type Result = ();
}

impl Answer<Expired> for Puller {
    fn answer(&mut self, Expired: Expired, ctx: &mut Ctx<Self>) {
        if self.work.is_none() {
            crate::supervise::ActorContext::stop(ctx);
        }
    }
}

/// Joins a pull.
pub struct Join {
    /// Where progress goes.
    pub progress: ProgressSink,
    /// The outcome.
    pub reply: Reply<Result<ImageId, PortError>>,
}

impl Message for Join {
    type Result = ();
}

impl Answer<Join> for Puller {
    fn answer(&mut self, message: Join, _: &mut Ctx<Self>) {
        self.watchers.push(message.progress);
        self.askers.push(message.reply);
        if self.work.is_none() {
            self.begin();
        }
    }
}

struct Line(Progress);

impl Message for Line {
    type Result = ();
}

impl Answer<Line> for Puller {
    fn answer(&mut self, Line(line): Line, ctx: &mut Ctx<Self>) {
        // A slow client misses lines; one that left is forgotten.
        self.watchers
            .retain(|w| !matches!(w.try_send(line.clone()), Err(mpsc::error::TrySendError::Closed(_))));
        self.end_if_deserted(ctx);
    }
}

/// Nothing may have come for a while.
struct Quiet;

impl Message for Quiet {
    type Result = ();
}

impl Answer<Quiet> for Puller {
    fn answer(&mut self, Quiet: Quiet, ctx: &mut Ctx<Self>) {
        self.end_if_deserted(ctx);
    }
}

struct Finished(Result<ImageId, PortError>);

impl Message for Finished {
    type Result = ();
}

impl Answer<Finished> for Puller {
    fn answer(&mut self, Finished(outcome): Finished, ctx: &mut Ctx<Self>) {
        for asker in self.askers.drain(..) {
            let own = match &outcome {
                Ok(id) => Ok(id.clone()),
                Err(error) => Err(PortError::new(error.kind, error.chain())),
            };
            // Whoever asked may have left.
            let _left = asker.send(own);
        }
        crate::supervise::ActorContext::stop(ctx);
    }
}

/// The puller ended between being found and being joined.
pub fn gone(name: &str) -> PortError {
    PortError::new(Kind::Unavailable, format!("the pull of {name} was interrupted: try again"))
}

/// Whether a name has a tag.
pub fn has_tag(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

/// A name as Docker's events show it: whole (`busybox:latest`), and without tag or digest.
pub fn familiar(name: &str) -> (String, String) {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    if let Some((bare, _)) = name.split_once('@') {
        return (name.to_owned(), bare.to_owned());
    }
    let last = name.rfind('/').map_or(0, |at| at + 1);
    match name.get(last..).and_then(|n| n.find(':')) {
        Some(colon) => (name.to_owned(), name.get(..last + colon).unwrap_or(name).to_owned()),
        None => (format!("{name}:latest"), name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::familiar;

    #[test]
    fn names_are_shown_as_users_write_them() {
        let cases = [
            ("busybox", "busybox:latest", "busybox"),
            ("docker.io/library/busybox:1", "busybox:1", "busybox"),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest", "localhost:5000/a/b"),
            ("localhost:5000/b@sha256:12", "localhost:5000/b@sha256:12", "localhost:5000/b"),
        ];
        for (given, whole, bare) in cases {
            assert_eq!(familiar(given), (whole.to_owned(), bare.to_owned()));
        }
    }
}
