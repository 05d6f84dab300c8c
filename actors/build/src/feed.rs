//! What a build tells its client.

use crate::options::Telling;
use contract::PortError;
use contract::image::Progress;
use std::collections::VecDeque;
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
    held: Option<Held>,
}

/// Bytes of a quiet build's output that are kept for the case that it fails: what led to that comes last.
const KEPT: usize = 1 << 20;

/// The latest lines of a quiet build.
#[derive(Default)]
struct Held {
    lines: VecDeque<Line>,
    bytes: usize,
    /// Lines that went.
    gone: usize,
}

impl Line {
    /// Bytes it takes, about.
    fn size(&self) -> usize {
        let text = match self {
            Self::Text(text) | Self::Warning(text) | Self::Image(text) => text.len(),
            Self::Progress(progress) => progress.id.len() + progress.status.len(),
        };
        size_of::<Self>() + text
    }
}

impl Held {
    fn add(&mut self, line: Line) {
        self.bytes += line.size();
        self.lines.push_back(line);
        while self.bytes > KEPT
            && self.lines.len() > 1
            && let Some(old) = self.lines.pop_front()
        {
            (self.bytes, self.gone) = (self.bytes - old.size(), self.gone + 1);
        }
    }
}

impl Feed {
    /// To a client.
    pub fn new(to: mpsc::Sender<Line>, telling: Telling) -> Self {
        Self { to, held: (telling == Telling::Quiet).then(Held::default) }
    }

    /// Tells a line; one that nobody reads is nobody's.
    pub async fn tell(&mut self, line: Line) {
        match &mut self.held {
            Some(held) => held.add(line),
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
                if held.gone > 0 {
                    self.line(format!("[{} pieces of earlier output are left out]", held.gone)).await;
                }
                for line in held.lines {
                    self.tell(line).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_quiet_builds_output_is_bounded_and_its_end_is_kept() {
        let (to, mut told) = mpsc::channel(KEPT);
        let mut feed = Feed::new(to, Telling::Quiet);
        for number in 0..100_000 {
            feed.text(format!("line {number}")).await;
        }
        assert!(feed.held.as_ref().unwrap().bytes <= KEPT);
        feed.end(None).await;
        drop(feed);
        let mut lines = Vec::new();
        while let Some(line) = told.recv().await {
            lines.push(line);
        }
        let Line::Text(first) = &lines[0] else { panic!("{:?}", lines[0]) };
        assert!(first.ends_with("of earlier output are left out]"), "{first}");
        assert_eq!(lines.last(), Some(&Line::Text("line 99999".into())));
    }
}
