//! `gcplogs`: Google Cloud Logging.

mod answer;
mod credentials;
mod entry;
mod machine;
mod options;

use crate::attrs::check_metadata;
use crate::http::{Endpoint, later};
use crate::options::check_known;
use answer::{Failure, Verdict, verdict};
use async_trait::async_trait;
use contract::PortError;
use contract::log::{
    Batch, BatchPolicy, Cursor, DeliverError, LogDriver, LogDriverKind, LogSource, OptionSpec, Options,
};
use credentials::Tokens;
use entry::{Entries, Instance, TEXT, Writer, container, place};
use options::{OPTIONS, Wanted, settings};
use reqwest::StatusCode;
use serde_json::Value;
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `gcplogs`.
pub(crate) struct GcpLogs;

#[async_trait]
impl LogDriverKind for GcpLogs {
    fn name(&self) -> &'static str {
        "gcplogs"
    }
    fn options(&self) -> &'static [OptionSpec] {
        &OPTIONS
    }
    fn validate(&self, options: &Options) -> Result<(), PortError> {
        check_known(options, &OPTIONS, self.name())?;
        Wanted::parse(options)?;
        settings(options)?.open()?;
        check_metadata(options)
    }
    fn fits(&self, source: &LogSource, options: &Options) -> Result<(), PortError> {
        container(source, options).map(drop)
    }
    fn batching(&self, _options: &Options) -> BatchPolicy {
        // As many as Google's own clients send at once.
        BatchPolicy { max_lines: 1000, max_record: TEXT, ..BatchPolicy::default() }
    }
    async fn open(&self, source: &LogSource, options: &Options) -> Result<Box<dyn LogDriver>, PortError> {
        let short = source.container_id.chars().take(12).collect();
        Ok(Box::new(Sender {
            wanted: Wanted::parse(options)?,
            container: container(source, options)?,
            endpoint: settings(options)?.open()?,
            writer: None,
            tokens: None,
            names: Names::new(short),
            most: usize::MAX,
        }))
    }
}

/// Docker's text for where no project is known.
const NO_PROJECT: &str =
    "No project was specified and couldn't read project from the metadata server. Please specify a project";
/// A service that is asked too much is left alone for so long, at least: another try at once would be one more request.
const REST: Duration = Duration::from_secs(1);
/// Requests that take too long are halved down to so many entries.
const SMALLEST: usize = 64;

struct Sender {
    wanted: Wanted,
    /// What entries say of it.
    container: Value,
    endpoint: Endpoint,
    /// None before the machine was asked.
    writer: Option<Writer>,
    /// None where they are to be found anew.
    tokens: Option<Tokens>,
    names: Names,
    /// Most entries of a request.
    most: usize,
}

/// How the entries of a batch are called.
struct Names {
    container: String,
    opened: u128,
    /// Batches that are through.
    batches: u64,
}

impl Names {
    fn new(container: String) -> Self {
        let opened = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        Self { container, opened, batches: 0 }
    }

    /// The same for a batch that comes again, also to the next driver, and for no other one.
    fn of(&self, end: &Cursor) -> String {
        let Self { container, opened, batches } = self;
        if *end == Cursor::default() {
            // These are from no spool, so all of them end there.
            return format!("{container}-{opened:024x}{batches:08x}");
        }
        format!("{container}-{}", place(end))
    }
}

impl Sender {
    /// Finds out where entries go and which machine they name.
    async fn prepare(&self) -> Result<Writer, DeliverError> {
        let machine = if self.wanted.is_complete() { None } else { machine::ask(&machine::host()).await };
        let machine = machine.unwrap_or_default();
        let or = |given: &Option<String>, found: String| given.clone().unwrap_or(found);
        let project = or(&self.wanted.project, machine.project);
        if project.is_empty() {
            return Err(later(NO_PROJECT.to_owned(), None));
        }
        let instance = Instance {
            zone: or(&self.wanted.zone, machine.instance.zone),
            name: or(&self.wanted.name, machine.instance.name),
            id: or(&self.wanted.id, machine.instance.id),
        };
        Ok(Writer::new(&project, &instance, &self.container))
    }

    /// Sends a request of so many entries.
    async fn post(&mut self, request: Vec<u8>, count: usize) -> Result<Verdict, DeliverError> {
        // Where it fails they are found anew: what was wrong may be put right in the meantime.
        let tokens = match self.tokens.take() {
            Some(tokens) => tokens,
            None => Tokens::find()?,
        };
        let headers = tokens.headers().await?;
        self.tokens = Some(tokens);
        let answer = self.endpoint.post_with(headers, request).await;
        if answer.is_err() && self.endpoint.has_timed_out() {
            // It always would.
            self.most = (count / 2).max(SMALLEST);
        }
        let said = answer?;
        verdict(&said, count).map_err(|failure| match failure {
            Failure::Stranger(why) => {
                self.tokens = None;
                later(why, said.after)
            }
            Failure::Later(why) => {
                let busy = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
                later(why, said.after.or(busy.contains(&said.status).then_some(REST)))
            }
        })
    }

    async fn send(&mut self, writer: &Writer, entries: &Entries<'_>) -> Result<(), DeliverError> {
        let (mut refused, mut cause) = (BTreeSet::new(), String::new());
        // The next to be sent is the last.
        let mut parts: Vec<Range<usize>> = std::iter::once(0..entries.count()).collect();
        while let Some(part) = parts.pop() {
            let end = part.end.min(part.start.saturating_add(self.most));
            let (request, count) = writer.request(entries, part.start..end);
            let next = part.start + count;
            if next < part.end {
                parts.push(next..part.end);
            }
            match self.post(request, count).await? {
                Verdict::Refused(places, why) => {
                    refused.extend(places.into_iter().filter_map(|at| entries.line(part.start + at)));
                    cause = why;
                }
                Verdict::Unclear(_) if count > 1 => {
                    let middle = part.start + count / 2;
                    parts.push(middle..next);
                    parts.push(part.start..middle);
                }
                Verdict::Unclear(why) => {
                    refused.extend(entries.line(part.start));
                    cause = why;
                }
                Verdict::Taken => {}
            }
        }
        if refused.is_empty() {
            return Ok(());
        }
        Err(DeliverError::Reject { lines: refused.into_iter().collect(), source: cause.into() })
    }
}

#[async_trait]
impl LogDriver for Sender {
    async fn deliver(&mut self, batch: &Batch) -> Result<(), DeliverError> {
        if batch.lines.is_empty() {
            return Ok(());
        }
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.prepare().await?,
        };
        let entries = Entries::new(&batch.lines, self.names.of(&batch.end));
        let outcome = self.send(&writer, &entries).await;
        self.writer = Some(writer);
        if matches!(outcome, Ok(()) | Err(DeliverError::Reject { .. })) {
            self.names.batches += 1;
            self.most = self.most.saturating_add(self.most / 4);
        }
        outcome
    }

    async fn close(self: Box<Self>) -> Result<(), DeliverError> {
        // The connection goes with its client.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::log::{Mark, Position};

    #[test]
    fn a_batch_that_comes_again_is_called_as_before_and_no_other_one_is() {
        let end = |offset| {
            let mark = Mark { at: Position { segment: 1, offset }, ..Mark::default() };
            Cursor { stdout: mark.clone(), stderr: mark, pace: None }
        };
        let mut names = Names::new("c".into());
        let (of_the_spool, of_none) = (names.of(&end(7)), names.of(&Cursor::default()));
        assert_eq!(names.of(&Cursor::default()), of_none);
        assert_ne!(names.of(&end(8)), of_the_spool);
        names.batches += 1;
        assert_ne!(names.of(&Cursor::default()), of_none);
        let next = Names { opened: names.opened + 1, ..Names::new("c".into()) };
        assert_eq!(next.of(&end(7)), of_the_spool);
        assert_ne!(next.of(&Cursor::default()), of_none);
    }
}
