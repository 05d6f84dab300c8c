//! What a build tells its client.

use crate::options::Telling;
use contract::PortError;
use contract::image::Progress;
use tokio::sync::mpsc;

/// A message of a build.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// Text of the build itself, and what its steps write to stdout.
    Text(String),
    /// What its steps write to stderr, and warnings.
    Warning(String),
    /// The id of a stage's image.
    Image(String),
    /// A pull's progress.
    Progress(Progress),
}

/// Why a build failed.
#[derive(Debug)]
pub struct Failure {
    /// Exit code of the step's command, or 0.
    pub code: i32,
    /// Class and text.
    pub error: PortError,
}

impl From<PortError> for Failure {
    fn from(error: PortError) -> Self {
        Self { code: 0, error }
    }
}

/// Where a build's lines go: a client that does not read holds the build up.
pub struct Feed {
    to: mpsc::Sender<Line>,
    held: Option<Vec<Line>>,
}

impl Feed {
    /// To a client.
    pub fn new(to: mpsc::Sender<Line>, telling: Telling) -> Self {
        Self { to, held: (telling == Telling::Quiet).then(Vec::new) }
    }

    /// Tells a line; one that nobody reads is nobody's.
    pub async fn tell(&mut self, line: Line) {
        match &mut self.held {
            Some(held) => held.push(line),
            // Whoever left is noticed by the build's actor.
            None => drop(self.to.send(line).await),
        }
    }

    /// Tells text.
    pub async fn text(&mut self, text: impl Into<String>) {
        self.tell(Line::Text(text.into())).await;
    }

    /// Tells a whole line, as Docker does: its end apart.
    pub async fn line(&mut self, text: impl Into<String>) {
        self.text(text).await;
        self.text("\n").await;
    }

    /// The end: of a quiet build only its image is told, and everything when it has none.
    pub async fn end(&mut self, image: Option<&str>) {
        let Some(held) = self.held.take() else { return };
        match image {
            Some(id) => self.text(format!("{id}\n")).await,
            None => {
                for line in held {
                    self.tell(line).await;
                }
            }
        }
    }
}
