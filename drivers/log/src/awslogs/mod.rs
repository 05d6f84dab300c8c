//! `awslogs`: Amazon CloudWatch Logs.

mod api;
mod credentials;
mod event;
mod options;

use crate::http::later;
use crate::options::check_known;
use api::{Api, Failure};
use async_trait::async_trait;
use contract::PortError;
use contract::log::{
    Batch, BatchPolicy, Cursor, DeliverError, LogDriver, LogDriverKind, LogSource, OptionSpec, Options,
    Records,
};
use event::{Event, PUT, events, grown, halved, lines, puts};
pub(crate) use options::JOINING;
use options::{OPTIONS, Wanted, buffered, join};
use std::sync::Arc;
use std::time::Duration;

/// `awslogs`.
pub(crate) struct AwsLogs;

#[async_trait]
impl LogDriverKind for AwsLogs {
    fn name(&self) -> &'static str {
        "awslogs"
    }
    fn options(&self) -> &'static [OptionSpec] {
        &OPTIONS
    }
    fn validate(&self, options: &Options) -> Result<(), PortError> {
        check_known(options, &OPTIONS, self.name())?;
        Wanted::check(options)
    }
    fn fits(&self, source: &LogSource, options: &Options) -> Result<(), PortError> {
        Wanted::parse(source, options).map(drop)
    }
    fn batching(&self, options: &Options) -> BatchPolicy {
        // What cannot be read was refused before.
        BatchPolicy {
            max_lines: buffered(options).unwrap_or(1).min(10_000),
            max_line: event::TEXT,
            max_record: event::TEXT,
            records: Records { join: join(options).ok().flatten().map(Arc::new), ..Records::default() },
            ..BatchPolicy::default()
        }
    }
    async fn open(&self, source: &LogSource, options: &Options) -> Result<Box<dyn LogDriver>, PortError> {
        let wanted = Wanted::parse(source, options)?;
        Ok(Box::new(Sender { wanted, api: None, ready: false, under_way: None, most: PUT }))
    }
}

struct Sender {
    wanted: Wanted,
    api: Option<Api>,
    /// Group and stream are there, as far as is known.
    ready: bool,
    /// What of the batch that is tried again is put already.
    under_way: Option<Progress>,
    /// Most bytes of a put.
    most: usize,
}

/// How far a batch of several puts has got.
struct Progress {
    /// Which batch.
    end: Cursor,
    /// How many of its events are put.
    events: usize,
    refused: Vec<usize>,
    cause: String,
}

/// Exceptions of a service that is asked too much: another try at once would be one more request.
const TOO_MUCH: [&str; 4] = [
    "ThrottlingException",
    "LimitExceededException",
    "OperationAbortedException",
    "ServiceUnavailableException",
];
/// How long it is left alone then, at least.
const REST: Duration = Duration::from_secs(1);

/// An exception as the reason for another try.
fn again(operation: &str, failure: Failure) -> DeliverError {
    match failure {
        Failure::Named(name, text) => {
            let after = TOO_MUCH.contains(&name.as_str()).then_some(REST);
            later(format!("{operation}: {name}: {text}"), after)
        }
        Failure::Slow(error) | Failure::Other(error) => error,
    }
}

impl Sender {
    /// Makes what is missing, where that is wanted.
    async fn prepare(&self, api: &Api) -> Result<(), DeliverError> {
        if !self.wanted.create_stream {
            return Ok(());
        }
        match api.create_stream().await {
            Err(Failure::Named(name, _))
                if name == "ResourceNotFoundException" && self.wanted.create_group =>
            {
                api.create_group().await.map_err(|e| again("CreateLogGroup", e))?;
                api.create_stream().await.map_err(|e| again("CreateLogStream", e))
            }
            outcome => outcome.map_err(|e| again("CreateLogStream", e)),
        }
    }

    /// Puts some events; the lines that are refused for good.
    async fn put(&mut self, api: &Api, put: &[Event]) -> Result<Option<(Vec<usize>, String)>, DeliverError> {
        match api.put(put).await {
            Ok(outside) => Ok(outside.rejected(put).map(|(lines, why)| (lines, why.to_owned()))),
            Err(Failure::Named(name, _)) if name == "DataAlreadyAcceptedException" => Ok(None),
            Err(Failure::Named(name, text)) if name == "InvalidParameterException" => {
                Ok(Some((lines(put), format!("{name}: {text}"))))
            }
            Err(failure) => {
                if matches!(&failure, Failure::Named(name, _) if name == "ResourceNotFoundException") {
                    self.ready = false;
                }
                if matches!(failure, Failure::Slow(_)) {
                    self.most = halved(self.most);
                }
                Err(again("PutLogEvents", failure))
            }
        }
    }

    async fn send(&mut self, api: &Api, events: &[Event], end: &Cursor) -> Result<(), DeliverError> {
        if !self.ready {
            self.prepare(api).await?;
            self.ready = true;
        }
        let fresh = || Progress { end: end.clone(), events: 0, refused: Vec::new(), cause: String::new() };
        let mut progress = self.under_way.take().filter(|p| p.end == *end).unwrap_or_else(fresh);
        let rest = events.get(progress.events..).unwrap_or_default();
        for range in puts(rest, self.most) {
            let put = rest.get(range).unwrap_or_default();
            match self.put(api, put).await {
                Ok(None) => {}
                Ok(Some((lines, why))) => {
                    progress.refused.extend(lines);
                    progress.cause = why;
                }
                Err(error) => {
                    self.under_way = Some(progress);
                    return Err(error);
                }
            }
            progress.events += put.len();
        }
        self.most = grown(self.most);
        let Progress { mut refused, cause, .. } = progress;
        refused.sort_unstable();
        refused.dedup();
        if refused.is_empty() {
            return Ok(());
        }
        Err(DeliverError::Reject { lines: refused, source: cause.into() })
    }
}

#[async_trait]
impl LogDriver for Sender {
    async fn deliver(&mut self, batch: &Batch) -> Result<(), DeliverError> {
        let events = events(&batch.lines);
        if events.is_empty() {
            return Ok(());
        }
        let api = match self.api.take() {
            Some(api) => api,
            None => Api::open(&self.wanted).await?,
        };
        let outcome = self.send(&api, &events, &batch.end).await;
        self.api = Some(api);
        outcome
    }

    async fn close(self: Box<Self>) -> Result<(), DeliverError> {
        // The connection goes with its client.
        Ok(())
    }
}
