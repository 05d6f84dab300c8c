//! The three calls of CloudWatch Logs that are used.

use super::credentials::Task;
use super::event::{Event, Outside};
use super::options::Wanted;
use crate::http::{chain, later};
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::config::Builder;
use aws_sdk_cloudwatchlogs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use contract::log::DeliverError;
use std::error::Error;
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(5);
const CALL: Duration = Duration::from_secs(30);

/// An open service.
pub(super) struct Api {
    client: Client,
    group: String,
    stream: String,
    metrics: bool,
}

/// Why a call failed.
pub(super) enum Failure {
    /// An exception of the service: its name and its text.
    Named(String, String),
    /// It took too long.
    Slow(DeliverError),
    /// Anything else.
    Other(DeliverError),
}

fn failure<E>(call: &str, error: SdkError<E>) -> Failure
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    match error.code() {
        Some(code) => Failure::Named(code.to_owned(), error.message().unwrap_or_default().to_owned()),
        None => {
            let told = later(format!("{call}: {}", chain(&error)), None);
            match error {
                SdkError::TimeoutError(_) => Failure::Slow(told),
                _ => Failure::Other(told),
            }
        }
    }
}

/// What is there already is made.
fn made(outcome: Result<(), Failure>) -> Result<(), Failure> {
    match outcome {
        Err(Failure::Named(name, _)) if name == "ResourceAlreadyExistsException" => Ok(()),
        other => other,
    }
}

impl Api {
    /// Finds out region and credentials the way AWS's tools do.
    pub(super) async fn open(wanted: &Wanted) -> Result<Self, DeliverError> {
        let http = aws_smithy_http_client::Builder::new();
        let http = http.tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let times = TimeoutConfig::builder().connect_timeout(CONNECT).operation_timeout(CALL).build();
        // The sink tries again.
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .retry_config(RetryConfig::disabled())
            .timeout_config(times);
        if let Some(region) = &wanted.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(path) = &wanted.credentials {
            loader = loader.credentials_provider(Task::new(path));
        }
        let shared = loader.load().await;
        if shared.region().is_none() {
            return Err(later("Cannot determine region for awslogs driver".to_owned(), None));
        }
        let mut config = Builder::from(&shared);
        if let Some(endpoint) = &wanted.endpoint {
            config = config.endpoint_url(endpoint.as_str());
        }
        Ok(Self {
            client: Client::from_conf(config.build()),
            group: wanted.group.clone(),
            stream: wanted.stream.clone(),
            metrics: wanted.metrics,
        })
    }

    pub(super) async fn create_group(&self) -> Result<(), Failure> {
        let call = self.client.create_log_group().log_group_name(&self.group);
        made(call.send().await.map(drop).map_err(|e| failure("CreateLogGroup", e)))
    }

    pub(super) async fn create_stream(&self) -> Result<(), Failure> {
        let call = self.client.create_log_stream();
        let call = call.log_group_name(&self.group).log_stream_name(&self.stream);
        made(call.send().await.map(drop).map_err(|e| failure("CreateLogStream", e)))
    }

    /// Puts some events; which of them the service left out.
    pub(super) async fn put(&self, events: &[Event]) -> Result<Outside, Failure> {
        let input = |event: &Event| {
            InputLogEvent::builder().timestamp(event.timestamp).message(&event.message).build()
        };
        let events = events.iter().map(input).collect::<Result<Vec<_>, _>>();
        let events = events.map_err(|e| Failure::Other(later(format!("PutLogEvents: {e}"), None)))?;
        let call = self.client.put_log_events().log_group_name(&self.group).log_stream_name(&self.stream);
        let call = call.set_log_events(Some(events));
        let sent = if self.metrics {
            let named = call.customize().mutate_request(|request| {
                request.headers_mut().insert("x-amzn-logs-format", "json/emf");
            });
            named.send().await
        } else {
            call.send().await
        };
        let said = sent.map_err(|e| failure("PutLogEvents", e))?;
        let place = |index: Option<i32>| index.and_then(|at| usize::try_from(at).ok());
        Ok(said.rejected_log_events_info().map_or_else(Outside::default, |info| Outside {
            old: place(info.too_old_log_event_end_index).max(place(info.expired_log_event_end_index)),
            new: place(info.too_new_log_event_start_index),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{Kind, PortError};

    #[test]
    fn causes_are_told_once_each_and_without_what_only_programmers_read() {
        let layer = |text: &str, cause: PortError| PortError::caused(Kind::Unavailable, text, cause);
        let inner = PortError::new(Kind::Unavailable, "connection refused");
        let error = layer("dispatch failure", layer("io error", layer("connection refused", inner)));
        assert_eq!(chain(&error), "dispatch failure: io error: connection refused");
    }
}
