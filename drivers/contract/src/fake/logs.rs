use super::{Script, lock};
use crate::error::PortError;
use crate::log::{
    Batch, BatchPolicy, Catalogue, Cursor, DeliverError, LogDriver, LogDriverKind, LogReader, LogSource,
    OptionSpec, Options, Piece, Place, ReadRequest, Reading, StoredLine,
};
use async_trait::async_trait;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// These kinds, which take any options.
pub struct FakeCatalogue(pub Vec<&'static dyn LogDriverKind>);

#[async_trait]
impl Catalogue for FakeCatalogue {
    fn find(&self, name: &str) -> Option<&'static dyn LogDriverKind> {
        self.0.iter().copied().find(|kind| kind.name() == name)
    }

    async fn names(&self) -> Vec<String> {
        self.0.iter().map(|kind| kind.name().to_owned()).collect()
    }

    async fn validate(&self, _: &str, _: &Options) -> Result<(), PortError> {
        Ok(())
    }
}

/// Where a kind keeps its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// With its data, in one step: exactly once, and readable.
    Cursor,
    /// Nowhere; its spool's cursor file does, afterwards: at least once.
    Nothing,
}

#[derive(Default)]
struct File {
    lines: Vec<StoredLine>,
    cursor: Cursor,
}

type Files = Arc<Mutex<HashMap<String, File>>>;

/// A kind of log driver. Verbs: `open:NAME`, `deliver:NAME` (a failure of kind Unavailable is retried, any other ends the
/// driver, one whose text is `panic` panics in it), `close`. With the option `unfit` it fits no container; the value says
/// why.
pub struct FakeKind {
    name: &'static str,
    verbs: [&'static str; 2],
    keeps: Keeps,
    script: Script,
    files: Files,
}

impl FakeKind {
    /// A driver called `name`; `verbs` are what its opening and its deliveries are called in the script.
    pub fn new(name: &'static str, verbs: [&'static str; 2], keeps: Keeps, script: &Script) -> Self {
        Self { name, verbs, keeps, script: script.clone(), files: Files::default() }
    }

    /// What arrived from a container, without line ends.
    pub fn lines(&self, container: &str) -> Vec<String> {
        let files = lock(&self.files);
        let text = |l: &StoredLine| String::from_utf8_lossy(&l.line.data).trim_end().to_owned();
        files.get(container).map(|f| f.lines.iter().map(text).collect()).unwrap_or_default()
    }
}

struct Open {
    container: String,
    verb: &'static str,
    keeps: Keeps,
    script: Script,
    files: Files,
}

#[async_trait]
impl LogDriver for Open {
    async fn deliver(&mut self, batch: &Batch) -> Result<(), DeliverError> {
        if let Err(error) = self.script.at(self.verb, &self.container).await {
            assert_ne!(error.text, "panic", "a driver's own panic");
            return Err(match error.kind {
                crate::Kind::Unavailable => DeliverError::Retry { source: error.into(), after: None },
                _ => DeliverError::Fatal { source: error.into() },
            });
        }
        let mut files = lock(&self.files);
        let file = files.entry(self.container.clone()).or_default();
        for line in &batch.lines {
            let mut line = line.clone();
            if line.partial.as_ref().is_none_or(|p| p.last) {
                line.data = [&line.data[..], b"\n"].concat().into();
            }
            file.lines.push(StoredLine { line, attrs: BTreeMap::new() });
        }
        file.cursor = batch.end.clone();
        Ok(())
    }

    fn cursor(&self) -> Option<Cursor> {
        let files = lock(&self.files);
        (self.keeps == Keeps::Cursor)
            .then(|| files.get(&self.container).map(|f| f.cursor.clone()).unwrap_or_default())
    }

    async fn begin_at(&mut self, cursor: &Cursor) -> Result<(), DeliverError> {
        lock(&self.files).entry(self.container.clone()).or_default().cursor = cursor.clone();
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<(), DeliverError> {
        let closed = self.script.at("close", &self.container).await;
        closed.map_err(|error| DeliverError::Fatal { source: error.into() })
    }
}

#[async_trait]
impl LogDriverKind for FakeKind {
    fn name(&self) -> &'static str {
        self.name
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[]
    }

    fn validate(&self, _: &Options) -> Result<(), PortError> {
        Ok(())
    }

    fn fits(&self, _: &LogSource, options: &Options) -> Result<(), PortError> {
        let unfit = options.get("unfit").map(|text| PortError::new(crate::Kind::Invalid, text.clone()));
        unfit.map_or(Ok(()), Err)
    }

    fn batching(&self, _: &Options) -> BatchPolicy {
        BatchPolicy { max_lines: 3, ..BatchPolicy::default() }
    }

    async fn open(&self, source: &LogSource, _: &Options) -> Result<Box<dyn LogDriver>, PortError> {
        let [open, deliver] = self.verbs;
        self.script.at(open, &source.container_id).await?;
        Ok(Box::new(Open {
            container: source.container_id.clone(),
            verb: deliver,
            keeps: self.keeps,
            script: self.script.clone(),
            files: Arc::clone(&self.files),
        }))
    }

    fn reader(&self) -> Option<&dyn LogReader> {
        (self.keeps == Keeps::Cursor).then_some(self as _)
    }
}

#[async_trait]
impl LogReader for FakeKind {
    async fn read(
        &self,
        source: &LogSource,
        _: &Options,
        request: ReadRequest,
    ) -> Result<Reading, PortError> {
        let files = lock(&self.files);
        let (mut lines, cursor) =
            files.get(&source.container_id).map(|f| (f.lines.clone(), f.cursor.clone())).unwrap_or_default();
        let end = Place { offset: lines.len() as u64, ..Place::default() };
        let before = request.after.map_or(0, |place| usize::try_from(place.offset).unwrap_or(usize::MAX));
        lines.drain(..before.min(lines.len()));
        let first = request.tail.map_or(0, |tail| lines.len().saturating_sub(tail));
        lines.drain(..first);
        let found = request.tail.map(|_| lines.len());
        let early = |l: &StoredLine| request.since_ns.is_some_and(|t| l.line.time_ns < t);
        let early = lines.iter().take_while(|l| early(l)).count();
        lines.drain(..early);
        lines.retain(|l| request.until_ns.is_none_or(|t| l.line.time_ns <= t));
        let (to, pieces) = mpsc::channel(8);
        tokio::spawn(async move {
            for line in lines {
                if to.send(Ok(Piece::Lines(vec![line]))).await.is_err() {
                    return;
                }
            }
        });
        Ok(Reading { pieces, cursor, end, found })
    }
}
