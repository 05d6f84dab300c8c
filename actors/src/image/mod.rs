//! Pulls and pushes: one actor per reference and credentials, shared by everybody who asks for the same while it runs.

pub mod errand;

use crate::shared::Ports;
use crate::supervise::{Member, Registry};
use contract::PortError;
use contract::id::ImageId;
use contract::image::{Credentials, ProgressSink, Pushed};
use errand::{Errand, Underway};

/// The pulls and pushes under way; outlives the actor that finds them, so that one rebuilt begins none a second time.
#[derive(Clone)]
pub struct Pulls {
    ports: Ports,
    registry: Registry,
    pulls: Underway<PullRequest>,
    pushes: Underway<PushRequest>,
}

impl Pulls {
    /// None is under way.
    pub fn new(ports: Ports, registry: Registry) -> Self {
        Self { ports, registry, pulls: Underway::default(), pushes: Underway::default() }
    }
}

/// Finds or makes whoever carries a pull or push out.
pub struct ImagesActor(Pulls);

impl ImagesActor {
    /// Finds those under way.
    pub fn new(pulls: Pulls) -> Self {
        Self(pulls)
    }
}

impl Member for ImagesActor {}

fn user(auth: Option<&Credentials>) -> &str {
    auth.map(|a| a.username.as_str()).unwrap_or_default()
}

/// What is to be pulled.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PullRequest {
    /// Reference.
    pub name: String,
    /// Platform, if not the host's.
    pub platform: Option<String>,
    /// Credentials.
    pub auth: Option<Credentials>,
}

impl Errand for PullRequest {
    type Got = ImageId;
    const KIND: &'static str = "pull";

    fn title(&self) -> String {
        let platform = self.platform.as_deref().unwrap_or_default();
        format!("{} {platform} {}", self.name, user(self.auth.as_ref()))
    }

    async fn run(self, ports: &Ports, progress: ProgressSink) -> Result<ImageId, PortError> {
        ports.images.pull(&self.name, self.platform, self.auth, progress).await
    }

    fn underway(images: &ImagesActor) -> (&Underway<Self>, &Ports, &Registry) {
        (&images.0.pulls, &images.0.ports, &images.0.registry)
    }
}

/// What is to be pushed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PushRequest {
    /// `name:tag`.
    pub name: String,
    /// Credentials.
    pub auth: Option<Credentials>,
}

impl Errand for PushRequest {
    type Got = Pushed;
    const KIND: &'static str = "push";

    fn title(&self) -> String {
        format!("{} {}", self.name, user(self.auth.as_ref()))
    }

    async fn run(self, ports: &Ports, progress: ProgressSink) -> Result<Pushed, PortError> {
        ports.images.push(&self.name, self.auth, progress).await
    }

    fn underway(images: &ImagesActor) -> (&Underway<Self>, &Ports, &Registry) {
        (&images.0.pushes, &images.0.ports, &images.0.registry)
    }
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
