//! Pulls: one actor per reference, shared by everybody who asks for it while it runs.

use crate::shared::Ports;
use crate::supervise::{Answer, ChildSpec, Ctx, Link, Member, Message, Registry, Reply, spawn};
use contract::PortError;
use contract::error::Kind;
use contract::id::ImageId;
use contract::image::{Credentials, Progress, ProgressSink};
use std::collections::HashMap;
use tokio::sync::mpsc;

/// Finds or makes the puller of a reference.
pub struct ImagesActor {
    ports: Ports,
    registry: Registry,
    pullers: HashMap<String, Link<Puller>>,
}

impl ImagesActor {
    /// No pull is under way.
    pub fn new(ports: Ports, registry: Registry) -> Self {
        Self { ports, registry, pullers: HashMap::new() }
    }
}

impl Member for ImagesActor {}

/// What is to be pulled.
#[derive(Clone)]
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
        use crate::supervise::State;
        self.pullers.retain(|_, link| !matches!(link.state(), State::Stopped | State::GaveUp));
        // Other credentials may see another image: they never share.
        let user = request.auth.as_ref().map(|a| a.username.clone()).unwrap_or_default();
        let key = format!("{} {} {user}", request.name, request.platform.as_deref().unwrap_or_default());
        if let Some(link) = self.pullers.get(&key) {
            return link.clone();
        }
        let ports = self.ports.clone();
        let spec = ChildSpec::new(format!("pull:{}", request.name), "pull", move |me| Puller {
            ports: ports.clone(),
            request: request.clone(),
            me,
            watchers: Vec::new(),
            askers: Vec::new(),
        });
        let link = spawn(spec.under("images").temporary(), &self.registry);
        self.pullers.insert(key, link.clone());
        link
    }
}

/// One pull and everybody who waits for it.
pub struct Puller {
    ports: Ports,
    request: PullRequest,
    me: Link<Puller>,
    watchers: Vec<ProgressSink>,
    askers: Vec<Reply<Result<ImageId, PortError>>>,
}

impl Member for Puller {
    fn started(&mut self, _: &mut Ctx<Self>) {
        let (ports, request, me) = (self.ports.clone(), self.request.clone(), self.me.clone());
        tokio::spawn(async move {
            let (sender, mut progress) = mpsc::channel(256);
            let pull = ports.images.pull(&request.name, request.platform, request.auth, sender);
            let relay = async {
                while let Some(line) = progress.recv().await {
                    if me.push(Line(line)).await.is_err() {
                        return;
                    }
                }
            };
            let (outcome, ()) = futures::join!(pull, relay);
            if let Err(error) = me.push(Finished(outcome)).await {
                tracing::debug!(%error, "a finished pull found no actor");
            }
        });
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
    }
}

struct Line(Progress);

impl Message for Line {
    type Result = ();
}

impl Answer<Line> for Puller {
    fn answer(&mut self, Line(line): Line, _: &mut Ctx<Self>) {
        // A slow client misses lines; one that left is forgotten.
        self.watchers
            .retain(|w| !matches!(w.try_send(line.clone()), Err(mpsc::error::TrySendError::Closed(_))));
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
