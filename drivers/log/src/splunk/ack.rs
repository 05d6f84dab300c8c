//! Index acknowledgment: a collector has an event once it answers so (HTTP Event Collector, `/services/collector/ack`).

use crate::gzip::gzip;
use crate::http::{Endpoint, Settings, later};
use bytes::Bytes;
use contract::log::DeliverError;
use flate2::Compression;
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// The header by which a collector knows whom it acknowledges to.
pub(super) const CHANNEL: &str = "x-splunk-request-channel";
const PATH: &str = "/services/collector/ack";
/// After so long the events are sent again: a collector that was started anew has forgotten what it owes.
const DEADLINE: Duration = Duration::from_secs(120);
/// Shortest and longest pause between two questions.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// Where acknowledgments are asked for.
pub(super) struct Acks {
    url: Url,
    compression: Option<Compression>,
}

/// What an answer to events says.
#[derive(Debug, Default, Deserialize)]
struct Taken {
    #[serde(rename = "ackId")]
    id: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
struct Said {
    #[serde(default)]
    acks: BTreeMap<String, bool>,
}

impl Acks {
    /// None where no channel was named.
    pub(super) fn of(settings: &Settings, compression: Option<Compression>) -> Option<Self> {
        let channel = settings.headers.get(CHANNEL)?.to_str().ok()?;
        let mut url = settings.url.clone();
        url.set_path(PATH);
        url.query_pairs_mut().append_pair("channel", channel);
        Some(Self { url, compression })
    }

    /// Waits until what was answered by `taken` is indexed. A token without acknowledgment gives nothing to wait for.
    pub(super) async fn wait(&self, endpoint: &Endpoint, taken: &Bytes) -> Result<(), DeliverError> {
        let Some(id) = serde_json::from_slice::<Taken>(taken).unwrap_or_default().id else { return Ok(()) };
        let question = format!("{{\"acks\":[{id}]}}").into_bytes();
        let question = match self.compression {
            // The connection's headers say so of every body.
            Some(level) => gzip(&question, level).map_err(|e| later(e.to_string(), None))?,
            None => question,
        };
        let (begun, mut pause) = (Instant::now(), PAUSES[0]);
        loop {
            let (status, answer) = endpoint.post_to(self.url.clone(), question.clone()).await?;
            let told = format!("{status} - {}", String::from_utf8_lossy(&answer).trim());
            if indexed(status, &answer, id) {
                return Ok(());
            }
            if begun.elapsed() > DEADLINE || status.is_client_error() {
                return Err(later(format!("events are not acknowledged: {told}"), None));
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES[1]);
        }
    }
}

fn indexed(status: StatusCode, answer: &[u8], id: u64) -> bool {
    let said = serde_json::from_slice::<Said>(answer).unwrap_or_default();
    status.is_success() && said.acks.get(&id.to_string()) == Some(&true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_collectors_yes_is_one() {
        let said = |status, text: &str| indexed(status, text.as_bytes(), 7);
        assert!(said(StatusCode::OK, r#"{"acks":{"6":false,"7":true}}"#));
        for text in [r#"{"acks":{"7":false}}"#, r#"{"acks":{"6":true}}"#, "{}", "no JSON"] {
            assert!(!said(StatusCode::OK, text), "{text}");
        }
        assert!(!said(StatusCode::SERVICE_UNAVAILABLE, r#"{"acks":{"7":true}}"#));
    }
}
