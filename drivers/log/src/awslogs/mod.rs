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
    Batch, BatchPolicy, DeliverError, LogDriver, LogDriverKind, LogSource, OptionSpec, Options,
};
use event::{Event, Put, Said, events, puts};
use options::{OPTIONS, Wanted, buffered, check_refused};
use serde_json::json;

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
        check_refused(options)?;
        check_known(options, &OPTIONS, self.name())?;
        Wanted::parse(&LogSource::default(), options).map(drop)
    }
    fn batching(&self, options: &Options) -> BatchPolicy {
        // What cannot be read was refused before.
        BatchPolicy {
            max_lines: buffered(options).unwrap_or(1).min(10_000),
            max_line: event::TEXT,
            ..BatchPolicy::default()
        }
    }
    async fn open(&self, source: &LogSource, options: &Options) -> Result<Box<dyn LogDriver>, PortError> {
        let wanted = Wanted::parse(source, options)?;
        Ok(Box::new(Sender { wanted, api: None, ready: false }))
    }
}

struct Sender {
    wanted: Wanted,
    api: Option<Api>,
    /// Group and stream are there, as far as is known.
    ready: bool,
}

/// An exception as the reason for another try.
fn again(operation: &str, failure: Failure) -> DeliverError {
    match failure {
        Failure::Named(name, text) => later(format!("{operation}: {name}: {text}"), None),
        Failure::Other(error) => error,
    }
}

impl Sender {
    /// Makes what is missing, where that is wanted.
    async fn prepare(&self, api: &mut Api) -> Result<(), DeliverError> {
        if !self.wanted.create_stream {
            return Ok(());
        }
        let Wanted { group, stream, .. } = &self.wanted;
        let place = json!({ "logGroupName": group, "logStreamName": stream });
        match made(api.call("CreateLogStream", &place).await) {
            Err(Failure::Named(name, _))
                if name == "ResourceNotFoundException" && self.wanted.create_group =>
            {
                let group = json!({ "logGroupName": group });
                let created = made(api.call("CreateLogGroup", &group).await);
                created.map_err(|e| again("CreateLogGroup", e))?;
                made(api.call("CreateLogStream", &place).await).map_err(|e| again("CreateLogStream", e))
            }
            outcome => outcome.map_err(|e| again("CreateLogStream", e)),
        }
    }

    /// Puts some events; the lines that are refused for good.
    async fn put(
        &mut self,
        api: &mut Api,
        put: &[Event],
    ) -> Result<Option<(Vec<usize>, String)>, DeliverError> {
        let Wanted { group, stream, .. } = &self.wanted;
        let input = Put { log_group_name: group, log_stream_name: stream, log_events: put };
        match api.call("PutLogEvents", &input).await {
            Ok(said) => {
                let said: Said = serde_json::from_slice(&said).unwrap_or_default();
                Ok(said.rejected(put).map(|(lines, why)| (lines, why.to_owned())))
            }
            Err(Failure::Named(name, _)) if name == "DataAlreadyAcceptedException" => Ok(None),
            Err(Failure::Named(name, text)) if name == "InvalidParameterException" => {
                Ok(Some((event::lines(put), format!("{name}: {text}"))))
            }
            Err(failure) => {
                if matches!(&failure, Failure::Named(name, _) if name == "ResourceNotFoundException") {
                    self.ready = false;
                }
                Err(again("PutLogEvents", failure))
            }
        }
    }

    async fn send(&mut self, batch: &Batch) -> Result<(), DeliverError> {
        let events = events(&batch.lines);
        if events.is_empty() {
            return Ok(());
        }
        let not_yet = |e: PortError| later(e.chain(), None);
        let mut api = match self.api.take() {
            Some(api) => api,
            None => {
                let region = credentials::region(&self.wanted).await.map_err(not_yet)?;
                Api::new(&self.wanted, &region).map_err(not_yet)?
            }
        };
        let outcome = self.deliver_by(&mut api, &events).await;
        self.api = Some(api);
        outcome
    }

    async fn deliver_by(&mut self, api: &mut Api, events: &[Event]) -> Result<(), DeliverError> {
        if !self.ready {
            self.prepare(api).await?;
            self.ready = true;
        }
        let (mut refused, mut cause) = (Vec::new(), String::new());
        for range in puts(events) {
            let put = events.get(range).unwrap_or_default();
            if let Some((lines, why)) = self.put(api, put).await? {
                refused.extend(lines);
                cause = why;
            }
        }
        if refused.is_empty() {
            return Ok(());
        }
        Err(DeliverError::Reject { lines: refused, source: cause.into() })
    }
}

/// What is there already is made.
fn made(outcome: Result<bytes::Bytes, Failure>) -> Result<(), Failure> {
    match outcome {
        Err(Failure::Named(name, _)) if name == "ResourceAlreadyExistsException" => Ok(()),
        other => other.map(drop),
    }
}

#[async_trait]
impl LogDriver for Sender {
    async fn deliver(&mut self, batch: &Batch) -> Result<(), DeliverError> {
        self.send(batch).await
    }

    async fn close(self: Box<Self>) -> Result<(), DeliverError> {
        // The connection goes with its client.
        Ok(())
    }
}
